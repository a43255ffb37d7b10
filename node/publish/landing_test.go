package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// later is a look after so many rounds.
func later(rounds uint64, look func(w *world, p *process)) op {
	return op{At: rounds, Does: looks, Look: look}
}

// says is a look at what publishing waits for.
func says(rounds uint64, what, detail string) op {
	return later(rounds, func(w *world, p *process) {
		if c := p.minter.Condition.Get(); c.Problem != what || !strings.Contains(c.Detail, detail) {
			w.wrong("publishing waits for %+v, want %q because of %q", c, what, detail)
		}
		if err := p.minter.Problem(); (err == nil) != (what == "") {
			w.wrong("it is told to others as %v", err)
		}
	})
}

var onePost = op{Does: posts, N: 1, Many: 2, In: "everybody"}

// What publishing waits for is said as long as it does, and no longer.
func TestWhatPublishingWaitsForIsSaid(t *testing.T) {
	for name, h := range map[string]history{
		"nothing":                                   {Ops: []op{onePost, says(10, "", "")}},
		"algod, before something is signed":         {Ops: []op{onePost, says(2, "algod", "network is down")}, Faults: map[string][]fault{askParams: times(15, lost)}},
		"ALGO, before something is signed":          {Ops: []op{onePost, says(2, "funds", "has 0 ALGO to spend, an NFT costs 0.101")}, Faults: map[string][]fault{askFunds: times(15, noFunds)}},
		"algod, to take what is signed":             {Ops: []op{onePost, says(2, "algod", "network is down")}, Faults: map[string][]fault{askSubmit: times(15, lost)}},
		"ALGO, to take what is signed":              {Ops: []op{onePost, says(2, "funds", "reason")}, Faults: map[string][]fault{askSubmit: times(15, noFunds)}},
		"a reason that nobody knows":                {Ops: []op{onePost, says(2, "refused", "reason")}, Faults: map[string][]fault{askSubmit: times(15, refused)}},
		"a cheaper time, when it is taken":          {Ops: []op{onePost, says(2, "congestion", "24000 microalgo")}, Faults: map[string][]fault{askSubmit: {dearer}}},
		"one request too many, once":                {Ops: []op{onePost, says(1, "", "")}, Faults: map[string][]fault{askSubmit: {throttled}}},
		"one request too many, before it is signed": {Ops: []op{onePost, says(1, "", "")}, Faults: map[string][]fault{askParams: {throttled}}},
		"many requests too many":                    {Ops: []op{onePost, says(2, "algod", "429")}, Faults: map[string][]fault{askSubmit: times(20, throttled)}},
	} {
		t.Run(name, func(t *testing.T) {
			h.Calm = 25
			nothingWrong(t, h, func(*world, *process) {})
		})
	}
}

// confirmedBy is how many rounds it takes until an object is known to be confirmed.
func (w *world) confirmedBy(p *process, n int) uint64 { return p.item(n, "everybody").Round - begins }

func TestAGroupThatNeverArrivedIsSignedAgainAfterItsRounds(t *testing.T) {
	h := history{Calm: 2000, Ops: []op{onePost}, Faults: map[string][]fault{askSubmit: times(420, lost)}}
	nothingWrong(t, h, func(w *world, p *process) {
		if at := w.confirmedBy(p, 1); at < ledger.Window || at > ledger.Window+120 {
			t.Errorf("it is confirmed after %d rounds", at)
		}
		if item := p.item(1, "everybody"); item.Group != 2 || item.Note.Sequence != 2 {
			t.Errorf("it is in group %d, with number %d", item.Group, item.Note.Sequence)
		}
	})
}

// A group that algod has taken and forgotten is sent again soon, and not signed again.
func TestAGroupThatWasDroppedIsSentAgain(t *testing.T) {
	h := history{Ops: []op{onePost}, Faults: map[string][]fault{askSubmit: {forgotten, forgotten}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if at := w.confirmedBy(p, 1); at > 20 || p.item(1, "everybody").Group != 1 {
			t.Errorf("it is confirmed after %d rounds, in group %d", at, p.item(1, "everybody").Group)
		}
	})
}

// One that waits in the pool isn't.
func TestAGroupThatWaitsInThePoolIsLeftThere(t *testing.T) {
	sent := 0
	h := history{Ops: []op{onePost, later(39, func(w *world, p *process) { sent = w.asked(askSubmit) })}, Faults: map[string][]fault{askSubmit: {delayed}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if sent != 1 || w.confirmedBy(p, 1) < 40 {
			t.Errorf("it was sent %d times, and confirmed after %d rounds", sent, w.confirmedBy(p, 1))
		}
	})
}

// The node is stopped for longer than algod remembers: the indexer knows what was confirmed meanwhile, before it is
// followed.
func TestWhatAlgodHasForgottenTheIndexerTells(t *testing.T) {
	h := history{Calm: 1300, Behind: 1200, Down: []int{1100}, Ops: []op{onePost, {At: 1, Does: kills}, later(1110, func(w *world, p *process) {
		if w.followed() > begins+100 || p.outbox.Count()[outbox.Signed] > 0 {
			w.wrong("the chain is followed up to round %d, and there are %v", w.followed(), p.outbox.Count())
		}
		if item := p.item(1, "everybody"); item.State != outbox.Confirmed || item.Round > begins+5 || item.Asset == 0 {
			w.wrong("%+v", item)
		}
	})}, Faults: map[string][]fault{askBlock: times(5, lost)}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

// While it is not followed what the chain has of a group's rounds, the group is not given up: the indexer could have
// left it out.
func TestNothingIsGivenUpThatWasNotFollowed(t *testing.T) {
	h := history{Calm: 700, Behind: 100, Ops: []op{onePost, later(560, func(w *world, p *process) {
		if p.outbox.Count()[outbox.Signed] != 2 || p.item(1, "everybody").Group != 1 {
			w.wrong("it is given up when round %d was followed", w.followed())
		}
	}), later(70, func(w *world, p *process) {
		if p.item(1, "everybody").Group != 2 {
			w.wrong("it is not given up when round %d was followed", w.followed())
		}
	})}, Faults: map[string][]fault{askSubmit: {never}}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

// An indexer that says of a transaction that it is not there, up to a round in which it could still be, has said
// nothing.
func TestAbsenceIsBelievedFromAnIndexerThatIsPastItsRounds(t *testing.T) {
	h := history{Calm: 600, Lag: 60, Ops: []op{onePost, later(540, func(w *world, p *process) {
		if p.item(1, "everybody").Group != 1 {
			w.wrong("it is given up when the indexer is at round %d", w.indexed(fine))
		}
	})}, Faults: map[string][]fault{askSubmit: {never}}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

// The network takes a group and asks for a higher fee for it, of two servers: whichever signing is confirmed counts.
func TestEitherSigningOfAGroupIsConfirmed(t *testing.T) {
	h := history{Ops: []op{onePost, later(1, func(w *world, p *process) {
		groups, err := p.outbox.Groups(0, 1)
		check(err)
		if len(groups) != 1 || len(groups[0].Former) != 1 {
			w.wrong("the groups are %+v", groups)
		}
	})}, Faults: map[string][]fault{askSubmit: {contradicted}, askBlock: times(10, lost)}}
	nothingWrong(t, h, func(w *world, p *process) {
		if mints := w.mintsOf(1, "everybody"); len(mints) != 1 || p.item(1, "everybody").TxID != mints[0] {
			t.Errorf("it is minted by %v, and the outbox has %+v", mints, p.item(1, "everybody"))
		}
	})
}

// Blocks are read one by one only where that is quick.
func TestAfterALongPauseTransactionsAreAskedForOneByOne(t *testing.T) {
	for name, c := range map[string]struct {
		down int
		read bool
	}{"a short one": {300, true}, "a long one": {450, false}} {
		h := history{Calm: 600, Behind: 550, Down: []int{c.down}, Ops: []op{onePost, {At: 1, Does: kills}, later(uint64(c.down)+5, func(w *world, p *process) {
			if read := w.asked(askBlock) > 250; read != c.read || p.outbox.Count()[outbox.Signed] > 0 {
				w.wrong("%s: %d blocks were read, and there are %v", name, w.asked(askBlock), p.outbox.Count())
			}
		})}}
		nothingWrong(t, h, func(w *world, p *process) {})
	}
}

// Who is no member signs nothing, and goes on when it is one.
func TestWhoIsNoMemberSignsNothing(t *testing.T) {
	h := history{Calm: 20, Faults: map[string][]fault{askFunds: times(6, noFunds)}, Ops: []op{onePost, {At: 1, Does: happens + expulsion}, says(12, notMember, "was removed in round")}}
	live(t, h, func(_ context.Context, w *world) {
		if len(w.mintsOf(1, "everybody")) != 0 || strings.Contains(strings.Join(w.wrongs, ""), "want") {
			t.Error(strings.Join(w.wrongs, "\n"))
		}
	})
}

// A record on the way decides: what is in its collection waits.
func TestAnObjectWaitsForTheRecordsOfItsCollection(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		items, err := p.outbox.Accept([]outbox.Submission{f.submission(1, "ring")})
		check(err)
		n, err := p.sealer.seal(t.Context(), items)
		check(err)
		items, err = p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		if n != 1 || len(items) != 1 {
			t.Errorf("%d items are sealed", len(items))
			return
		}
		e := f.event(f.founder, revocation, f.records[revocation])
		e.Position, e.TxID, e.Asset = consortium.Position{Round: 30}, "RECORD", 7000
		p.state.Change(func(s *consortium.State) { s.Apply(e) })
		rest, problem, err := p.minter.upToDate(t.Context(), items)
		if err != nil || len(rest) != 0 || problem == nil || problem.Problem != "permission" || !problem.isOfItems() || !strings.Contains(problem.Detail, f.ring) {
			t.Errorf("%d are signed, the rest waits for %+v (%v)", len(rest), problem, err)
		}
		more, err := p.outbox.Accept([]outbox.Submission{f.submission(2, "ring")})
		check(err)
		if _, err = p.sealer.seal(t.Context(), more); err != nil || p.outbox.Count()[outbox.Accepted] != 1 || p.sealer.Condition.Get().Problem != "" {
			t.Errorf("%v, and sealing waits for %+v (%v)", p.outbox.Count(), p.sealer.Condition.Get(), err)
		}
		p.state.Change(func(s *consortium.State) { s.Take("RECORD", *f.contents[e.Directory]) })
		rest, problem, err = p.minter.upToDate(t.Context(), items)
		again, _, _ := p.outbox.Item(items[0].Number)
		if err != nil || len(rest) != 0 || problem != nil || again.State != outbox.Accepted {
			t.Errorf("%d are signed, the rest waits for %+v, and it is %s (%v)", len(rest), problem, again.State, err)
		}
		// What is of a collection that isn't known here waits for it, or for its first record.
		nobodys := f.submission(3, "ring")
		nobodys.Item.Collection = "elsewhere"
		more, err = p.outbox.Accept([]outbox.Submission{nobodys})
		check(err)
		_, err = p.records.Store(t.Context(), RecordKey("elsewhere", 1), f.records[rekeying])
		check(err)
		if _, err = p.sealer.seal(t.Context(), more); err != nil || p.sealer.Condition.Get().Problem != "" {
			t.Errorf("while its record is on the way, sealing waits for %+v (%v)", p.sealer.Condition.Get(), err)
		}
		nobodys.Item.Key, nobodys.Item.Collection = []byte("x"), "nowhere"
		more, err = p.outbox.Accept([]outbox.Submission{nobodys})
		check(err)
		if _, err = p.sealer.seal(t.Context(), more); err != nil || p.sealer.Condition.Get().Problem != "permission" {
			t.Errorf("sealing waits for %+v (%v)", p.sealer.Condition.Get(), err)
		}
		if rest, problem, err = p.minter.upToDate(t.Context(), more); err != nil || len(rest) != 0 || problem == nil || problem.Problem != "permission" {
			t.Errorf("%d are signed, the rest waits for %+v (%v)", len(rest), problem, err)
		}
	})
}

// A collection that was to be made for an object became another member's.
func TestNothingIsPublishedInACollectionThatSomebodyElseMade(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		_, err := p.records.Store(t.Context(), RecordKey(f.ring, 1), f.records[rekeying])
		check(err)
		items, err := p.outbox.Accept([]outbox.Submission{f.submission(1, "ring"), f.submission(2, "everybody")})
		check(err)
		_, err = p.sealer.seal(t.Context(), items)
		check(err)
		if item := p.item(1, "ring"); item.State != outbox.Withdrawn || !strings.Contains(item.Failure, "taken the id") || p.item(2, "everybody").State != outbox.Stored {
			t.Errorf("%+v", item)
		}
	})
}

// A node that doesn't know since when its account's transactions are its own finds out before it signs anything.
func TestANodeFindsOutSinceWhenItIsTheOnlyOne(t *testing.T) {
	h := history{Calm: 10, Sole: &outbox.Sole{Account: "BEFORE"}, Ops: []op{onePost, says(1, "algod", "down")}, Faults: map[string][]fault{askRound: times(2, lost)}}
	nothingWrong(t, h, func(w *world, p *process) {
		known, err := p.outbox.Sole()
		if err != nil || known.Account != p.org.Address() || known.From < begins+ledger.Window {
			t.Errorf("%+v (%v)", known, err)
		}
	})
}

// The numbers that a lost node gave to what was never confirmed are given again, and no number twice.
func TestNumbersThatWereLostAreFilledIn(t *testing.T) {
	h := history{Calm: 3000, Ops: []op{
		{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 5, Does: backs}, {Does: posts, N: 2, Many: 1, In: "everybody"}, {At: 1, Does: posts, N: 3, Many: 1, In: "everybody"},
		{At: 5, Does: restores}, says(5, "restored", "this node was restored from a backup; until round"),
	}, Faults: map[string][]fault{askSubmit: {fine, never}}}
	nothingWrong(t, h, func(w *world, p *process) {
		var numbers []uint64
		for _, e := range w.chain.between(begins, w.chain.now()) {
			numbers = append(numbers, e.Note.Sequence)
		}
		slices.Sort(numbers)
		if fmt.Sprint(numbers) != "[2 3 4]" {
			t.Errorf("the numbers on the chain are %v", numbers)
		}
		if recovery, err := p.outbox.Recovery(); err != nil || recovery != nil {
			t.Errorf("%+v (%v)", recovery, err)
		}
	})
}

type feeSource struct {
	fee uint64
	err error
}

func (f feeSource) Params(context.Context) (ledger.Params, error) {
	return ledger.Params{MinFee: f.fee}, f.err
}

func TestTheFeeIsTheUsualOneWhereItIsNotKnown(t *testing.T) {
	if fee := MinFee(t.Context(), feeSource{fee: 2000}); fee != 2000 {
		t.Errorf("it is %d", fee)
	}
	if fee := MinFee(t.Context(), feeSource{2000, errNetwork}); fee != ledger.LowestFee {
		t.Errorf("where it is not known it is %d", fee)
	}
}

func TestWhoDoesNotWaitIsToldWhatItWaitedFor(t *testing.T) {
	err := NotYet("the thing", context.Canceled, func() error { return errors.New("no ALGO") })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the thing is stored and will be on the chain") || !strings.Contains(err.Error(), "no ALGO") {
		t.Error(err)
	}
}

// Versions are instants, however they are written; what has none is its content.
func TestAKeyIsOfAVersionOrOfAContent(t *testing.T) {
	instant := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries := []*view.Entry{
		{Collection: "c", ID: "i", Instant: instant}, {Collection: "c", ID: "i", Instant: instant.Add(time.Nanosecond)}, {Collection: "c", ID: "j", Instant: instant},
		{Collection: "d", ID: "i", Instant: instant}, {Collection: "c", ID: "i", Unversioned: true, Hash: []byte("a")}, {Collection: "c", ID: "i", Unversioned: true, Hash: []byte("b")},
	}
	keys := map[string]bool{}
	for _, e := range entries {
		keys[string(ObjectKey(e))] = true
	}
	if len(keys) != len(entries) {
		t.Errorf("%d keys of %d objects", len(keys), len(entries))
	}
	here, there := entries[0], &view.Entry{Collection: "c", ID: "i", Instant: instant.In(time.FixedZone("", 3600)), Hash: []byte("x")}
	if string(ObjectKey(here)) != string(ObjectKey(there)) {
		t.Error("one instant has two keys")
	}
	if string(KeyOf("a", "b")) == string(KeyOf("ab")) || string(RecordKey("x", 1)) == string(RecordKey("x", 2)) {
		t.Error("two things have one key")
	}
}

// A record is published once, and again when it was withdrawn; and found by its other keys.
func TestARecordIsPublishedOnceByEachOfItsKeys(t *testing.T) {
	still(t, func(w *world, p *process) {
		d := w.fixture.records[rekeying]
		first, err := p.records.Store(t.Context(), []byte("a"), d, []byte("b"))
		check(err)
		kept := w.blocks.Count()
		again, err := p.records.Store(t.Context(), []byte("a"), w.fixture.records[rotating]) // what is drafted again has other blocks
		check(err)
		if n := w.blocks.Count(); n != kept {
			t.Errorf("%d directories are kept that nothing is published of", n-kept)
		}
		other, found, err := p.outbox.Find([]byte("b"))
		check(err)
		if again.Number != first.Number || !found || other.Number != first.Number || first.State != outbox.Stored || first.Note.Kind != wire.KindCollection {
			t.Errorf("%+v, %+v, %+v", first, again, other)
		}
		check(p.outbox.GiveUp(first, "because"))
		again, err = p.records.Store(t.Context(), []byte("a"), d)
		if err != nil || again.Number == first.Number || again.Publication != 1 {
			t.Errorf("%+v (%v)", again, err)
		}
		read, err := p.records.fresh.take(t.Context(), first.Directory)
		if err != nil || read.Root().String() != first.Directory {
			t.Errorf("its directory is %v (%v)", read, err)
		}
	})
}

// An object whose blocks are gone can't be sealed again: the node ends, and does not sign it as it is.
func TestWhatCanNotBeSealedAgainIsNotSigned(t *testing.T) {
	for name, breaks := range map[string]func(w *world, item *outbox.Item){
		"its blocks are gone": func(w *world, item *outbox.Item) {
			root, err := cid.Decode(item.Directory)
			check(err)
			check(w.blocks.Forget(context.Background(), []cid.Cid{root}))
		},
		"its directory is none":              func(_ *world, item *outbox.Item) { item.Directory = "x" },
		"its directory is a record's":        func(w *world, item *outbox.Item) { item.Directory = w.fixture.genesis[0].Directory },
		"its directory is none of an object": func(w *world, item *outbox.Item) { item.Directory = w.keeps(wire.ObjectName, "x") },
		"its directory has no object":        func(w *world, item *outbox.Item) { item.Directory = w.keeps("other", "x") },
		"its directory is another epoch":     func(w *world, item *outbox.Item) { item.Directory = w.otherEpoch() },
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "ring")})
				check(err)
				_, err = p.sealer.seal(t.Context(), items)
				check(err)
				items, err = p.outbox.Queue(outbox.Stored, 0, 10)
				check(err)
				p.records.fresh.byCID = nil
				breaks(w, &items[0])
				p.state.Change(func(s *consortium.State) {
					e := w.fixture.event(w.fixture.founder, revocation, w.fixture.records[revocation])
					e.Position, e.TxID = consortium.Position{Round: 3000}, "RECORD"
					w.fixture.apply(s, e)
				})
				if rest, _, err := p.minter.upToDate(t.Context(), items); err == nil || len(rest) > 0 || p.item(1, "ring").State != outbox.Stored {
					t.Errorf("%d are signed, and it is %s (%v)", len(rest), p.item(1, "ring").State, err)
				}
			})
		})
	}
}

// keeps keeps a directory of metadata and another file.
func (w *world) keeps(name, data string) string {
	d, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: []byte("{}")}, unixfs.File{Name: name, Data: []byte(data)})
	check(err)
	check(w.blocks.Put(context.Background(), []unixfs.Directory{d}))
	return d.Root().String()
}

// otherEpoch is the directory of an object of the ring that is sealed to its second epoch.
func (w *world) otherEpoch() string {
	c := consortium.Collection{ID: w.fixture.ring, Epoch: 2, Key: w.fixture.keys[w.fixture.ring+"2"], Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	d, err := DirectoryOf(drafted(drafted(consortium.DraftObject(w.fixture.id, c, objectID(1), version, true, []byte("{}"), time.Now())).By(w.fixture.self.Address())))
	check(err)
	check(w.blocks.Put(context.Background(), []unixfs.Directory{d}))
	return d.Root().String()
}
