package disclosure

import (
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
)

func at(round uint64) consortium.Position { return consortium.Position{Round: round, Intra: 3} }

func until(round uint64) *consortium.Position {
	p := at(round)
	return &p
}

// Bravo is there from the beginning, and is removed in round 50; charlie gets the keys of the past in round 40; delta
// comes with the second epoch, and what it has is what the owner's records say.
func ring() *audience {
	return &audience{
		holds: []hold{
			{member: "B", from: 1, to: 1, at: at(10)},
			{member: "B", from: 2, to: 2, at: at(30)},
			{member: "D", from: 2, to: 2, at: at(30), stated: true},
			{member: "C", from: 1, to: 2, at: at(40)},
			{member: "C", from: 3, to: 3, at: at(55)},
		},
		memberships: map[string][]consortium.Membership{
			"B": {{Member: "B", From: at(1), Until: until(50)}}, "C": {{Member: "C", From: at(1)}}, "D": {{Member: "D", From: at(1)}},
		},
		names: map[string]string{"B": "bravo", "C": "charlie"}, known: map[moment]holders{},
	}
}

func TestWhoHasTheKeyOfAnEpochInARoundReadsWhatIsSealedToIt(t *testing.T) {
	a := ring()
	for _, test := range []struct {
		what                            string
		epoch                           uint32
		then, now                       uint64
		readers, later, gone, goneSince string
		stated                          bool
	}{
		{"before anybody has a key", 1, 9, 9, "", "", "", "", false},
		{"in the round in which the key is given", 1, 10, 39, "bravo", "bravo", "", "", false},
		{"who gets the keys of the past could not read it then", 1, 20, 60, "bravo", "bravo charlie", "", "bravo", false},
		{"in the round of the late grant", 1, 40, 49, "bravo charlie", "bravo charlie", "", "", false},
		{"a removed member has the key until the next epoch begins", 2, 52, 60, "D bravo charlie", "D bravo charlie", "bravo", "bravo", true},
		{"in the round of the removal it is none", 2, 50, 50, "D bravo charlie", "D bravo charlie", "bravo", "bravo", true},
		{"after that it has the new key no more", 3, 56, 60, "charlie", "charlie", "", "", false},
		{"of an epoch that nobody has a key of", 4, 60, 60, "", "", "", "", false},
		{"withdrawn before the late grant", 1, 20, 39, "bravo", "bravo", "", "", false},
	} {
		for range 2 { // the second time from memory
			r := a.readers(test.epoch, at(test.then), at(test.now))
			if strings.Join(r.Then, " ") != test.readers || strings.Join(r.Now, " ") != test.later || r.Stated != test.stated ||
				strings.Join(r.RemovedThen, " ") != test.gone || strings.Join(r.Removed, " ") != test.goneSince {
				t.Errorf("%s: %+v", test.what, r)
			}
			for _, name := range r.Then {
				if !r.Includes(name) {
					t.Errorf("%s: %s could read it and can't", test.what, name)
				}
			}
		}
	}
}

func TestTheMemoryOfWhoReadsIsBounded(t *testing.T) {
	a := ring()
	for epoch := range uint32(3 * maxMoments) {
		a.readers(epoch+10, at(60), at(60))
		if len(a.known) > maxMoments {
			t.Fatalf("%d answers are kept", len(a.known))
		}
	}
}

// What is not known to have been given follows from what the records say: never less than may have been.
func TestWithoutANoteTheRecordsSayWhoWasGivenKeys(t *testing.T) {
	named := func(accounts ...string) *wire.Collection {
		return &wire.Collection{Readers: wire.Accounts{Named: accounts}}
	}
	all := &wire.Collection{Readers: wire.Accounts{Members: true}}
	begins := func(epoch uint32, p *wire.Collection) step {
		return step{Revision: consortium.Revision{Epoch: epoch, Begins: true, At: at(20)}, properties: p}
	}
	goesOn := func(epoch uint32, keyring bool, p *wire.Collection) step {
		return step{Revision: consortium.Revision{Epoch: epoch, Keyring: keyring, At: at(20)}, properties: p}
	}
	noted := begins(2, named("B", "C"))
	noted.given = &state.KeysGiven{Members: []string{"C"}, From: 2, To: 2}
	for _, test := range []struct {
		what  string
		one   step
		world readable
		has   []hold
		want  string
	}{
		{"a beginning gives its own key to its readers", begins(2, named("B", "D")), readable{owner: "A", own: "A"}, nil, "B 2-2*"},
		{"… who are members, each once, and neither the owner nor this organisation", begins(1, all), readable{owner: "A", own: "C"}, nil, "B 1-1*"},
		{"who has it already gets none", begins(2, named("B", "C")), readable{owner: "A", own: "A"}, []hold{{member: "B", from: 2, to: 2}}, "C 2-2*"},
		{"readers without a beginning may have got all", goesOn(2, false, named("B")), readable{owner: "A", own: "D"}, nil, "B 1-2*"},
		{"a keyring gives newcomers the present key", goesOn(2, true, all), readable{owner: "B", own: "B"}, []hold{{member: "A", from: 1, to: 2}}, "C 2-2*"},
		{"… or all, where the charter says so", goesOn(2, true, all), readable{owner: "B", own: "B", history: true}, []hold{{member: "A", from: 1, to: 2}}, "C 1-2*"},
		{"a record that can't be read says nothing", begins(2, nil), readable{owner: "A", own: "D"}, nil, ""},
		{"what was kept counts, and nothing else", noted, readable{owner: "A", own: "A"}, nil, "C 2-2"},
	} {
		s := &story{holds: test.has, memberships: []consortium.Membership{
			{Member: "A", From: at(1)}, {Member: "B", From: at(1)}, {Member: "C", From: at(2)}, {Member: "D", From: at(3), Until: until(9)}, {Member: "E", From: at(20)},
		}}
		var got []string
		for _, h := range s.grants(test.one, test.world) {
			text := h.member + " " + string(rune('0'+h.from)) + "-" + string(rune('0'+h.to))
			if h.stated {
				text += "*"
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: %v, want %s", test.what, got, test.want)
		}
	}
}
