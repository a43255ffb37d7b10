package console

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// testRooms answer as a node would that has a little of everything.
func testRooms() Rooms {
	return Rooms{Today: room{}, News: room{}, Trends: room{}, Sharing: room{}, Cards: room{}, Watch: watchedRoom{}, Access: room{}, Audit: room{}, Node: room{}, Feeds: room{}, Outbox: room{}, Me: room{}, Finder: someLibrary, Library: someLibrary, Press: someLibrary, Feedback: &opinions{}, Sightings: someLibrary}
}

// room is all of them.
type room struct{}

var then = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func (room) Needs(context.Context) ([]Need, error) {
	return []Need{{Word: "publishing", What: "funds: the account has 0.05 ALGO", Remedy: "Send it some.", Page: "money", Copy: "ADDRESS"}}, nil
}

func (room) Newest(context.Context, By, int) ([]Row, error) {
	return []Row{{ID: "indicator--1", Type: "indicator", Name: "evil", Values: []observable.Value{{Kind: observable.Domain, Text: "evil.example"}}, Level: "amber", Member: "bravo", Confidence: 70,
		State: "in force", Collection: "Energy", Added: then}}, nil
}

func (room) Since(_ context.Context, by By, _ time.Time, most int) (Came, error) {
	if by.Limits.Any() {
		return Came{Objects: 1, Types: map[string]int{"indicator": 1}, Members: map[string]int{"bravo": 1}}, nil
	}
	return Came{Objects: 4, Types: map[string]int{"indicator": 3, "threat-actor": 1}, Members: map[string]int{"bravo": 3, "charlie": 1}, More: most < 4}, nil
}

func (room) Changed() <-chan struct{} { return nil }

func (room) Arrivals(context.Context, By) (Arrivals, error) {
	a := Arrivals{Members: map[string][]int{}, Types: map[string][]int{}, Waits: []Wait{{time.Second, 90}, {time.Minute, 9}, {0, 21}}}
	for i := range 30 {
		a.Days = append(a.Days, then.AddDate(0, 0, i))
		for j, member := range []string{"alpha", "bravo", "charlie"} {
			a.Members[member] = append(a.Members[member], (i*7+j*5)%11*(j+1))
			a.All += (i*7 + j*5) % 11 * (j + 1)
		}
		a.Types["indicator"] = append(a.Types["indicator"], a.Members["charlie"][i])
		a.Types["threat-actor"] = append(a.Types["threat-actor"], a.Members["alpha"][i]+a.Members["bravo"][i])
	}
	return a, nil
}

func (room) Collections(_ context.Context, by By) ([]Collection, error) {
	list := []Collection{
		{ID: "c1", Title: "Energy", Own: true, Owner: "acme", Write: true, Readers: []string{"bravo"}, Others: []string{"delta"}, Level: "green", Epoch: 2, Changed: then, CostMicroalgo: 101_000},
		{ID: "c2", Title: "All", Owner: "bravo", Everybody: true, Level: "amber", Default: true},
	}
	if by.Limits.Any() {
		return list[:1], nil
	}
	return list, nil
}

func (r room) Collection(ctx context.Context, by By, id string) (Collection, []CollectionChange, error) {
	list, err := r.Collections(ctx, by)
	for _, one := range list {
		if one.ID == id || id == "" {
			return one, []CollectionChange{{At: then, Round: 7, What: "made", Epoch: 1, Added: []string{"bravo"}, By: "admin"}}, err
		}
	}
	return Collection{}, nil, taxii.ErrNotFound
}

func (room) CreateCollection(context.Context, By, NewCollection) (string, bool, error) {
	return "c3", false, nil
}
func (room) Grant(context.Context, By, string, []string, string, bool) (bool, error) {
	return false, nil
}
func (room) Revoke(context.Context, By, string, []string) (bool, error) { return true, nil }
func (room) RenewKey(context.Context, By, string) (bool, error)         { return false, nil }
func (room) SetCollection(context.Context, By, string, string, string, string, string) (bool, error) {
	return false, nil
}

func (r room) Members(ctx context.Context, by By) (Membership, error) {
	list, err := r.Collections(ctx, by)
	return Membership{Consortium: "Energy", Governor: "GOVERNOR", Governs: true, Members: []Member{
		{Name: "acme", Title: "ACME", Self: true, Known: true, Admitted: 1}, {Name: "bravo", Connected: true, Known: true, Admitted: 2, Collections: list}, {Name: "", Removed: 9},
	}}, err
}

func (room) ReadRequest(request string) (AdmissionRequest, error) {
	if request == "" {
		return AdmissionRequest{}, &taxii.InvalidError{Reason: "That is no request."}
	}
	return AdmissionRequest{Organisation: "echo"}, nil
}
func (room) PriceOfAdmission(_ context.Context, request string) (AdmissionPrice, error) {
	if request == "poor" {
		return AdmissionPrice{}, &taxii.InvalidError{Reason: "the account can't pay for that"}
	}
	return AdmissionPrice{Fees: 2_000, Locked: 200_000}, nil
}
func (room) Admit(context.Context, By, string) (File, bool, error) {
	return File{Name: "echo.invite", Data: []byte("invite")}, false, nil
}
func (room) RemoveMember(context.Context, By, string) (File, bool, error) { return File{}, false, nil }

func (r room) Accesses(ctx context.Context, by By) (Accesses, error) {
	list, err := r.Collections(ctx, by)
	return Accesses{
		Accounts: []Account{{User: "admin", Role: "admin", Created: then, Self: true, Certificates: []string{"0123456789abcdef"}}},
		Keys:     []APIKey{{Name: "siem", Role: "reader", Created: then, Limited: true, Read: []string{"Energy"}}}, Logins: []Login{{ID: "ab", User: "admin", Created: then, Expires: then}},
		Collections: list,
	}, err
}
func (room) AddAccount(context.Context, By, string, string, string, *taxii.Limits) error { return nil }
func (room) ChangeAccount(context.Context, By, string, AccountChange) error              { return nil }
func (room) RemoveAccount(context.Context, By, string) error                             { return nil }
func (room) AddKey(context.Context, By, string, string, int, *taxii.Limits) (string, error) {
	return "slkey_secret", nil
}
func (room) RemoveKey(context.Context, By, string) error { return nil }
func (room) EndLogin(context.Context, By, string) error  { return nil }

func (room) Events() []string { return []string{"login", "read"} }

func (room) Latest(_ context.Context, _ time.Time, event, _ string, visit func(taxii.Event) bool) (bool, error) {
	for _, e := range []taxii.Event{
		{Time: then, Name: "read", User: "=HYPERLINK(1)", Remote: "10.0.0.1", Count: 3, Kind: "objects"},
		{Time: then.Add(-time.Hour), Name: "publish", User: "bob", Count: 2, Objects: []string{"indicator--1"}},
	} {
		if (event == "" || event == e.Name) && !visit(e) {
			return true, nil
		}
	}
	return true, nil
}

func (room) State(context.Context) (NodeState, error) {
	return NodeState{At: then, Member: true, Accepted: 2, Waits: []Condition{{Problem: "funds", Detail: "0.05 ALGO", Since: then}}, Peers: []Peer{{Member: "bravo"}}}, nil
}

func (room) Spent(_ context.Context, days int) (list []SpentDay, err error) {
	for i := range days {
		list = append(list, SpentDay{Day: then.AddDate(0, 0, i), Fees: 1000, Locked: 100_000})
	}
	return list, nil
}

func (room) Feeds(context.Context) ([]Feed, error) {
	return []Feed{{Name: "otx", Last: &FeedRun{New: 3}}, {Name: "", Paused: true}}, nil
}
func (room) TestFeed(context.Context, By, string) (FeedTrial, error) {
	return FeedTrial{Reached: true}, nil
}
func (room) AddFeed(context.Context, By, NewFeed) error        { return nil }
func (room) RemoveFeed(context.Context, By, string) error      { return nil }
func (room) RunFeed(context.Context, By, string) error         { return nil }
func (room) PauseFeed(context.Context, By, string, bool) error { return nil }

func (room) OnTheWay(context.Context, string, uint64, int) ([]Outgoing, error) {
	return []Outgoing{{Number: 4, ID: "indicator--1", Collection: "Energy"}, {Number: 5, Objects: 200}}, nil
}

func (room) SetPassword(context.Context, By, string) error { return nil }

func (room) Card(_ context.Context, _ By, member string) (taxii.MemberCard, bool, error) {
	return taxii.MemberCard{
		Member: member, Reliability: "B", Means: "usually reliable", Weight: 0.85, SetBy: "ada", SetAt: then, Why: "right for years", From: then, To: then.AddDate(0, 6, 0),
		Objects: 4120, Indicators: 3800, LookedAt: 1000, Known: 90, Corroborated: 61, Lead: 90_000, Revoked: 3, RevokedAfter: 7300, Disputed: 2,
		Proposal: "A", Reason: "independent members published 232 of its indicators later, and 2 of its objects are called wrong: 0.9 % of what was checked",
	}, member == "", nil
}
func (room) Rate(_ context.Context, _ By, _ string, r taxii.Rating) error {
	if r.Reliability == "Z" {
		return &taxii.InvalidError{Reason: "reliability: it is none of the letters"}
	}
	return nil
}

// watchedRoom has one object that concerns us.
type watchedRoom struct{}

func (watchedRoom) Since(context.Context, By, time.Time, int) (Watched, error) {
	return Watched{Objects: 7, IDs: []string{"indicator--1", "indicator--2"}, More: true}, nil
}
