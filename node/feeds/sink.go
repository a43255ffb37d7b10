package feeds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/accept"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// sink publishes what a feed pulls, for one run.
type sink struct {
	*Feeds
	config config.Feed
	status string // of the last request that it made
}

var _ feed.Sink = (*sink)(nil)

// into finds the collection that the feed publishes in.
func (s *sink) into() (found consortium.Collection, err error) {
	all := s.Feeds.State
	if s.config.Into != "" {
		found, err = all.Called(s.config.Into)
	} else {
		list := all.Collections()
		i := slices.IndexFunc(list, func(c consortium.Collection) bool { return c.Default })
		if i < 0 {
			return found, errors.New("into: the consortium's collection is not known yet")
		}
		found = list[i]
	}
	switch {
	case err != nil:
		return found, fmt.Errorf("into: %w", err)
	case !all.Active():
		return found, fmt.Errorf("into: %s", all.Excluded())
	case !found.MayPublish(all.Self):
		return found, fmt.Errorf("into: this organisation may not publish in %q", found.Properties.Title)
	}
	return found, nil
}

// catchUpTimeout is how long a run waits for the blocks of what the chain tells of. Without them it can't see what an
// object is, so that it might publish it again; the view would show it once all the same.
const catchUpTimeout = 20 * time.Second

// followTimeout is how long a run waits for the rounds that were over when it began to look.
const followTimeout = 2 * time.Minute

// caughtUp waits until the view is what the chain says now: a source may be another member's node, which shows what we
// are about to see. Nothing is published by guess.
func (s *sink) caughtUp(ctx context.Context) error {
	if err := s.Problem(); err != nil {
		return fmt.Errorf("publishing waits, and nothing is taken until it goes on: %w", err)
	}
	if err := s.followed(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := s.Fetcher.AwaitFetched(limited); err != nil && limited.Err() == nil {
		return fmt.Errorf("waiting for what the chain tells of: %w", err)
	}
	return ctx.Err()
}

// followed waits for the rounds that algod has now: what another member's node has shown is in one of these.
func (s *sink) followed(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if err := state.AwaitTip(limited, s.Watcher); err != nil {
		return err
	}
	params, err := s.Ledger.Params(limited)
	if err != nil {
		return fmt.Errorf("looking how far the chain is: %w", err)
	}
	return state.AwaitRound(limited, s.Watcher, params.Round)
}

// Check tells which objects are new to the readers of the collection and may be published in it.
func (s *sink) Check(ctx context.Context, objects []*stix.Object) ([]feed.Verdict, error) {
	if err := s.caughtUp(ctx); err != nil {
		return nil, err
	}
	into, err := s.into()
	if err != nil {
		return nil, err
	}
	b, err := s.Publisher.Batch(into, incoming(objects))
	if err != nil {
		return nil, err
	}
	unmarked, err := unmarkedPolicy(s.config.Unmarked)
	if err != nil {
		return nil, err
	}
	covering := s.covering(into)
	verdicts := make([]feed.Verdict, len(objects))
	for i, object := range objects {
		v, line := &verdicts[i], b.Lines[i]
		if v.Known = line.Before != nil; !v.Known {
			if *v, err = s.known(into, covering, object); err != nil {
				return nil, err
			}
		}
		if v.Known || v.Refused != "" {
			continue
		}
		v.Refused, v.Note, v.Warned = line.Failure, line.Note, b.IsWarned(i)
		if v.Refused == "" {
			v.Refused = unmarked.refuses(object, s.State.Audience(into), b.Markings.Levels())
		}
	}
	s.price(verdicts, ledger.Cost(1, publish.MinFee(ctx, s.Ledger)))
	return verdicts, b.Markings.Err
}

// price says what each of the new objects costs, where a transaction costs so much: in a batch, the first pays for all.
func (s *sink) price(verdicts []feed.Verdict, one uint64) {
	var fresh []*feed.Verdict
	for i := range verdicts {
		if v := &verdicts[i]; !v.Known && v.Refused == "" {
			fresh = append(fresh, v)
		}
	}
	each := 1
	if s.Anchor.From > 0 && len(fresh) >= s.Anchor.From {
		each = s.Anchor.Most
	}
	for i := 0; i < len(fresh); i += each {
		fresh[i].Cost = one
	}
}

func incoming(objects []*stix.Object) taxii.Addition {
	list := make(taxii.Listed, len(objects))
	for i, object := range objects {
		list[i].Raw = object.Raw
	}
	return taxii.Addition{Objects: list}
}

// covering are the collections that everybody reads who reads the given one, that one among them.
func (s *sink) covering(into consortium.Collection) map[string]consortium.Collection {
	list := map[string]consortium.Collection{into.ID: into}
	for _, c := range s.State.Collections() {
		covers := c.Properties.Readers.Members || !into.Properties.Readers.Members
		for _, m := range s.State.Members() {
			covers = covers && (m.Removed != nil || !into.MayRead(m.Account) || c.MayRead(m.Account))
		}
		if covers {
			list[c.ID] = c
		}
	}
	return list
}

// backReason is why a feed does not publish an object.
const backReason = "this organisation took it back, and a feed does not publish it again: somebody has to, by hand"

// known finds out whether the readers have an object: the same version of it, with this content, is in the view, from
// whichever member, or on its way, in a collection that they read. So is a version in which nothing but its dates is
// another: MISP makes one of an organisation with every export. What this organisation took back is refused.
func (s *sink) known(into consortium.Collection, covering map[string]consortium.Collection, object *stix.Object) (v feed.Verdict, err error) {
	hash, err := object.ContentHash()
	if err != nil {
		return v, nil // which is then refused
	}
	for id, c := range covering {
		if !c.MayPublish(s.State.Self) {
			continue // then it isn't on its way there
		}
		item, found, err := s.Publisher.Outbox.Find(publish.ObjectKey(state.EntryOf(id, object, hash, time.Time{})))
		switch {
		case err != nil:
			return v, err
		case !found || !bytes.Equal(item.Hash, hash[:]) && item.State != outbox.Withdrawn:
		case item.State != outbox.Withdrawn:
			v.Known = true
		case id == into.ID:
			v.Refused = backReason
		}
	}
	if v.Known {
		return feed.Verdict{Known: true}, nil
	}
	query := view.Query{Collection: view.Everything, IDs: []string{object.ID}, AnyLine: true, Versions: view.Versions{All: true}, Limit: accept.MaxVersions}
	if object.Version() != "" {
		query.Versions = view.Versions{At: []time.Time{object.VersionTime()}}
	}
	entries, _, err := s.Publisher.View.Page(query)
	if err != nil {
		return v, err
	}
	for _, e := range entries {
		if _, covers := covering[e.Collection]; covers && bytes.Equal(e.Hash, hash[:]) {
			return feed.Verdict{Known: true}, nil
		}
	}
	if v.Refused != "" {
		return v, nil
	}
	if object.Version() != "" {
		latest, _, err := s.Publisher.View.Page(view.Query{
			Collection: into.ID, IDs: query.IDs, AnyLine: true, Versions: view.Versions{Last: true}, Limit: accept.MaxVersions, WithObjects: true,
		})
		if err != nil {
			return v, err
		}
		if slices.ContainsFunc(latest, func(e *view.Entry) bool { return sameButDates(e.Object, object.Raw) }) {
			return feed.Verdict{Known: true}, nil
		}
	}
	back, err := s.tookBack(into, object)
	if err == nil && back {
		v.Refused = backReason
	}
	return v, err
}

// tookBack reports whether this organisation took a version of an object back, and has none that is to stay. What it
// took back as it had expired comes again when it is valid again.
func (s *sink) tookBack(into consortium.Collection, object *stix.Object) (bool, error) {
	back, err := withdraw.KeepsOut(s.Publisher.Outbox.Outbox, into.ID, object.ID, object.Raw, time.Now())
	if err != nil || !back {
		return false, err
	}
	kept, err := (&accept.Batch{Publisher: s.Publisher, Into: into}).InForce(object.ID)
	return err == nil && !kept, err
}

// sameButDates compares two versions of an object without their created and modified.
func sameButDates(a, b []byte) bool {
	first, err := undated(a)
	if err != nil {
		return false
	}
	second, err := undated(b)
	return err == nil && bytes.Equal(first, second)
}

func undated(raw []byte) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	delete(members, "created")
	delete(members, "modified")
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(text)
	err = value.Canonicalize()
	return value, err
}

// Publish takes objects into the outbox.
func (s *sink) Publish(_ context.Context, objects []*stix.Object) ([]feed.Verdict, error) {
	into, err := s.into()
	if err != nil {
		return nil, err
	}
	own := s.Repo.Config.Organisation.Name
	who := taxii.Principal{User: "feed " + s.config.Name, Org: own, Role: taxii.RolePublisher}
	id, err := s.Publisher.AcceptAs(who, taxii.Collection{Root: own, ID: into.ID}, into, incoming(objects), s.Anchor)
	if err != nil {
		return nil, err
	}
	s.status = id
	verdicts, err := s.verdicts(id)
	if err != nil {
		return nil, err
	}
	failures := 0
	var taken []string
	for i, v := range verdicts {
		if v.Refused != "" {
			failures++
		} else if len(taken) < taxii.AuditObjects {
			taken = append(taken, objects[i].ID)
		}
	}
	event := taxii.Event{
		Time: state.Now(), Name: taxii.EventPublish, User: who.User, Role: who.Role.String(), Credential: "the configuration",
		Root: own, Collection: into.ID, Count: len(objects), Failures: failures, Status: id,
	}
	event.NameObjects(taken)
	s.Trail.Record(event)
	return verdicts, nil
}

// verdicts tells what became of the objects of a request.
func (s *sink) verdicts(id string) (verdicts []feed.Verdict, err error) {
	kept, found, err := s.Publisher.Outbox.Status(id)
	if err == nil && !found {
		err = errors.New("the status of what was published is gone")
	}
	if err != nil {
		return nil, err
	}
	cost, paid := ledger.Cost(1, ledger.LowestFee), map[uint64]bool{}
	for part := range kept.Parts() {
		lines, err := s.Publisher.Outbox.StatusLines(id, part)
		if err != nil {
			return nil, err
		}
		items, err := s.Publisher.Outbox.ItemsOf(lines)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			v := feed.Verdict{Known: line.Before != nil, Refused: line.Failure, Note: line.Note}
			if batch := items[line.Item].Batch; batch == 0 || !paid[batch] {
				paid[batch], v.Cost = true, cost
			}
			verdicts = append(verdicts, v)
		}
	}
	return verdicts, nil
}

// confirmed waits a moment for the confirmation of what was published last.
func (s *sink) confirmed(ctx context.Context) error {
	if s.status == "" {
		return nil
	}
	_, err := s.Publisher.Await(ctx, s.status)
	return err
}

// Marking finds a definition that was published.
func (s *sink) Marking(id string) (*stix.Object, error) {
	m := s.State.Markings(s.Publisher.Outbox.Outbox, s.Publisher.View, s.State.Self)
	definition := m.Resolve(id)
	return definition, m.Err
}

// free is what the account can spend, as far as that can be found out.
func (s *sink) free(ctx context.Context) uint64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	funds, err := s.Ledger.Funds(ctx)
	if err != nil {
		return 0
	}
	return funds.Free() - min(funds.Free(), uint64(s.Publisher.Terms.Kept(s.State.ToRekey(), ledger.LowestFee)))
}

// The words for how objects without a marking are treated; a TLP level is another.
const (
	unmarkedCollection = "collection"
	unmarkedRefuse     = "refuse"
)

// unmarked is how objects without a TLP marking are treated.
type unmarked struct {
	refused bool
	level   stix.Level // that they must be allowed at; 0 for the collection's own
}

func unmarkedPolicy(text string) (unmarked, error) {
	switch text {
	case unmarkedCollection:
		return unmarked{}, nil
	case unmarkedRefuse:
		return unmarked{refused: true}, nil
	}
	level, err := stix.ParseLevel(text)
	if err != nil {
		return unmarked{}, fmt.Errorf("%.40q is neither %s nor %s nor a TLP level", text, unmarkedCollection, unmarkedRefuse)
	}
	return unmarked{level: level}, nil
}

// refuses says why an object is refused; "" if it isn't. Definitions of markings are no intelligence: they may be
// unmarked.
func (u unmarked) refuses(object *stix.Object, into stix.Audience, levels stix.Levels) string {
	if _, marked, _ := levels.Of(object); marked || object.Type == "marking-definition" {
		return ""
	}
	if u.refused {
		return "it has no TLP marking, and this feed refuses such objects"
	}
	if u.level == 0 {
		return ""
	}
	if err := stix.Permits(u.level, into); err != nil {
		return fmt.Sprintf("it has no TLP marking, and this feed takes such objects for %s: %v", u.level, err)
	}
	return ""
}

// wallet is this organisation's account.
type wallet interface {
	publish.FeeSource
	Funds(ctx context.Context) (ledger.Funds, error)
}
