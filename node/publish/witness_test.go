package publish

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo/outbox"
)

// testimony is what algod, the indexer, and what was followed of the chain say about a signing of a group.
type testimony struct {
	about    string      // … of this transaction; the others are nowhere
	fate     ledger.Fate // algod
	round    uint64      // … and where it is
	found    bool        // the indexer
	indexed  uint64
	followed uint64
}

// algodSays is algod in a testimony.
type algodSays struct {
	Ledger
	*testimony
}

func (a algodSays) Round(context.Context) (uint64, error) { return a.round, nil }

func (a algodSays) Fate(_ context.Context, txid string, _, _ uint64) (ledger.Fate, consortium.Place, error) {
	if txid != a.about {
		return ledger.Unknown, consortium.Place{}, nil
	}
	return a.fate, consortium.Place{TxID: txid, Round: begins + 1, Asset: 7}, nil
}

// indexerSays is the indexer in it.
type indexerSays struct{ *testimony }

func (x indexerSays) Find(_ context.Context, txid string) (chainwatch.Finding, error) {
	f := chainwatch.Finding{Found: x.found && txid == x.about, Round: x.indexed}
	if f.Found {
		f.Event = consortium.Event{TxID: txid, Position: consortium.Position{Round: begins + 1}, Asset: 7}
	}
	return f, nil
}

func (x indexerSays) Trace(ctx context.Context, txid, _ string, _, _ uint64) (chainwatch.Finding, error) {
	return x.Find(ctx, txid)
}

// viewSays is what was followed.
type viewSays struct {
	*fakeView
	*testimony
}

func (v viewSays) Cursor() (uint64, error) { return v.followed, v.local() }

// signOne signs an object, and then its group again with a higher fee.
func (p *process) signOne(t *testing.T) *flight {
	t.Helper()
	p.storeOne(t, "everybody")
	f := p.signAll(t)
	signed, err := p.minter.Ledger.Raise(ledger.Params{Round: begins, MinFee: 1000, FeePerByte: 4}, f.Raw)
	check(err)
	group, found, err := p.outbox.Resign(f.Number, signed.TxIDs, signed.Raw, signed.Fee)
	if err != nil || !found {
		t.Fatalf("it is signed again: %v (%v)", found, err)
	}
	return p.minter.flights.replace(group)
}

// storeOne takes an object in, and seals it.
func (p *process) storeOne(t *testing.T, in string) {
	t.Helper()
	items, err := p.outbox.Accept([]outbox.Submission{p.world.fixture.submission(1, in)})
	check(err)
	_, err = p.sealer.seal(context.Background(), items)
	check(err)
}

// hears lets the minter hear what is said.
func (p *process) hears(said *testimony) {
	p.minter.Ledger, p.minter.Finder, p.minter.View = algodSays{p.minter.Ledger, said}, indexerSays{said}, viewSays{&fakeView{p}, said}
}

// A group is given up when algod, the indexer and what was followed all show that it is on the chain nowhere, each of
// them from past its last round. Each of them alone prevents that: the indexer may have left the transaction out, of
// what was followed also, and algod may have forgotten it, or be a server that has yet to see its block.
func TestEachWitnessAloneKeepsAGroupFromBeingSignedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		but  func(said *testimony, last uint64)
		want outbox.State
	}{
		"nobody has it":                        {func(*testimony, uint64) {}, outbox.Stored},
		"algod has it on the chain":            {func(said *testimony, _ uint64) { said.fate = ledger.Confirmed }, outbox.Confirmed},
		"algod has it in its pool":             {func(said *testimony, _ uint64) { said.fate = ledger.Pending }, outbox.Signed},
		"algod is in its last round":           {func(said *testimony, last uint64) { said.round = last }, outbox.Signed},
		"the indexer has it":                   {func(said *testimony, _ uint64) { said.found = true }, outbox.Confirmed},
		"the indexer is in its last round":     {func(said *testimony, last uint64) { said.indexed = last }, outbox.Signed},
		"what is followed is its last round's": {func(said *testimony, last uint64) { said.followed = last }, outbox.Signed},
	} {
		for n, about := range []string{"the latest signing", "the one before"} {
			t.Run(name+", of "+about, func(t *testing.T) {
				still(t, func(w *world, p *process) {
					f := p.signOne(t)
					past := f.LastValid + 1
					said := &testimony{about: f.Signings()[n][0], round: past, indexed: past, followed: past}
					c.but(said, f.LastValid)
					p.hears(said)
					err := p.minter.settle(context.Background(), f, true)
					item := p.item(1, "everybody")
					if err != nil || item.State != c.want || p.minter.flights.has(f.Number) != (c.want == outbox.Signed) {
						t.Errorf("it is %s, and on its way: %v (%v)", item.State, p.minter.flights.has(f.Number), err)
					}
					if c.want == outbox.Confirmed && (item.TxID != said.about || item.Asset != 7 || item.Round != begins+1) {
						t.Errorf("it is confirmed as %+v", item)
					}
				})
			})
		}
	}
}

// A refusal that says that the group can't be confirmed any more, or that its lease is held, is looked into at once:
// after a restart it mostly was confirmed, and that is nothing to report.
func TestARefusalOfWhatMayBeConfirmedIsLookedInto(t *testing.T) {
	for name, c := range map[string]struct {
		reason  ledger.Reason
		fate    ledger.Fate
		want    outbox.State
		problem string
	}{
		"its lease is held, and it is confirmed":  {ledger.LeaseHeld, ledger.Confirmed, outbox.Confirmed, ""},
		"it has expired, and was confirmed":       {ledger.Expired, ledger.Confirmed, outbox.Confirmed, ""},
		"it has expired, and nobody has it":       {ledger.Expired, ledger.Unknown, outbox.Stored, ""},
		"its lease is held by another signing":    {ledger.LeaseHeld, ledger.Pending, outbox.Signed, ""},
		"it is refused for another reason":        {ledger.Other, ledger.Confirmed, outbox.Signed, "refused"},
		"it is refused while there is no ALGO":    {ledger.NoFunds, ledger.Confirmed, outbox.Signed, "funds"},
		"it is refused while the fee is too high": {ledger.Congested, ledger.Confirmed, outbox.Signed, "congestion"},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				f := p.signOne(t)
				past := f.LastValid + 1
				p.hears(&testimony{about: f.TxIDs[0], fate: c.fate, round: past, indexed: past, followed: past})
				var log strings.Builder
				p.minter.Log = slog.New(slog.NewTextHandler(&log, nil))
				raised, over, err := p.minter.refused(context.Background(), f, &ledger.RefusedError{Reason: c.reason, Message: "no"})
				again := c.reason == ledger.NoFunds || c.reason == ledger.Congested
				if item := p.item(1, "everybody"); err != nil || raised != nil || over == again || item.State != c.want {
					t.Errorf("it is %s, and over: %v (%v)", item.State, over, err)
				}
				if got := p.minter.Condition.Get().Problem; got != c.problem {
					t.Errorf("publishing waits for %q", got)
				}
				if c.reason != ledger.LeaseHeld || c.want != outbox.Signed {
					if strings.Contains(log.String(), "algod refuses a group") {
						t.Errorf("the log says %s", &log)
					}
					return
				}
				if _, _, err := p.minter.refused(context.Background(), f, &ledger.RefusedError{Reason: c.reason, Message: "no"}); err != nil || f.takenAt().IsZero() {
					t.Errorf("it isn't looked after later (%v)", err)
				}
				if n := strings.Count(log.String(), "algod refuses a group"); n != 1 {
					t.Errorf("the log says %d times that it is refused", n)
				}
			})
		})
	}
}

// What is signed around a change of keys, in each of its moments.
func TestWhatMayBeSignedAroundAChangeOfKeys(t *testing.T) {
	for name, c := range map[string]struct {
		batch  string // of: a record before it, itself, a record and an object after it
		before func(w *world, p *process, items map[byte]outbox.Item)
		want   string
	}{
		"what is before it":                                  {"brao", nil, "b"},
		"… of which there is more than fits":                 {"b", nil, "b"},
		"itself, when nothing is on its way":                 {"rao", nil, "r"},
		"nothing, while something is on its way":             {"rao", (*world).beginsAnother, ""},
		"nothing, when it waits elsewhere":                   {"ao", nil, ""},
		"nothing when it is signed, be it from before it":    {"bao", (*world).signsRotation, ""},
		"nothing when it is confirmed, be it from before it": {"bao", (*world).confirmsRotation, ""},
		"all, when it is done":                               {"bao", (*world).hasRotated, "bao"},
		"all, when it was never stored": {"bao", func(_ *world, p *process, _ map[byte]outbox.Item) {
			check(RotationPlan{Key: KeyOf("nothing"), Account: "NEXT"}.Keep(p.outbox.Outbox))
		}, "bao"},
		"all, when there is none": {"bao", func(_ *world, p *process, _ map[byte]outbox.Item) { check(p.outbox.ForgetMemo(RotationMemo)) }, "bao"},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				items := map[byte]outbox.Item{}
				for _, which := range "bra" {
					item, err := p.records.Store(context.Background(), KeyOf(string(which)), w.fixture.records[rekeying])
					check(err)
					items[byte(which)] = item
				}
				p.storeOne(t, "everybody")
				items['o'] = p.item(1, "everybody")
				check(RotationPlan{Key: KeyOf("r"), Account: w.fixture.next.Address()}.Keep(p.outbox.Outbox))
				if c.before != nil {
					c.before(w, p, items)
				}
				var batch []outbox.Item
				for _, which := range []byte(c.batch) {
					batch = append(batch, items[which])
				}
				may, err := p.minter.beforeRotation(batch)
				got := ""
				for _, item := range may {
					for which, it := range items {
						if it.Number == item.Number {
							got += string(which)
						}
					}
				}
				if err != nil || got != c.want {
					t.Errorf("of %q %q may be signed, want %q (%v)", c.batch, got, c.want, err)
				}
			})
		})
	}
}

func (w *world) beginsAnother(p *process, _ map[byte]outbox.Item) {
	p.minter.flights.begin(outbox.Group{Number: 9}, nil)
}

func (w *world) signsRotation(p *process, items map[byte]outbox.Item) {
	_, err := p.outbox.AddGroups([]outbox.Group{{TxIDs: []string{"R"}, FirstValid: 1, LastValid: 1000}}, []outbox.Item{items['r']})
	check(err)
}

func (w *world) confirmsRotation(p *process, items map[byte]outbox.Item) {
	w.signsRotation(p, items)
	_, err := p.outbox.Confirm([]consortium.Place{{TxID: "R", Round: 1, Asset: 1}})
	check(err)
}

func (w *world) hasRotated(p *process, items map[byte]outbox.Item) {
	w.confirmsRotation(p, items)
	check(RotationPlan{Key: KeyOf("r"), Account: p.state.Self}.Keep(p.outbox.Outbox))
}

// While another node has the same keys, other keys are all that is signed, once, and when nothing is on its way.
func TestOtherKeysCanBeTakenInADispute(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *world, p *process, items map[byte]outbox.Item)
		want   int
	}{
		"when nothing is on its way": {func(*world, *process, map[byte]outbox.Item) {}, 1},
		"not while something is":     {(*world).beginsAnother, 0},
		"not when they are signed":   {(*world).signsRotation, 0},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				item, err := p.records.Store(context.Background(), KeyOf("r"), w.fixture.records[rotating])
				check(err)
				check(RotationPlan{Key: KeyOf("r"), Account: w.fixture.next.Address()}.Keep(p.outbox.Outbox))
				c.before(w, p, map[byte]outbox.Item{'r': item})
				if items, err := p.minter.otherKeys(); err != nil || len(items) != c.want {
					t.Errorf("%d items, want %d (%v)", len(items), c.want, err)
				}
			})
		})
	}
}

// The lost node gave numbers after the backup was made: what has one of them here gets another. One that the chain
// doesn't show was given to nothing that counts, and stays.
func TestANumberThatTheLostNodeGaveIsNotGivenTwice(t *testing.T) {
	still(t, func(w *world, p *process) {
		_, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "everybody"), w.fixture.submission(2, "everybody"), w.fixture.submission(3, "everybody")})
		check(err)
		items, err := p.outbox.Queue(outbox.Accepted, 0, 10)
		check(err)
		_, err = p.outbox.Number(items) // 1, 2, 3
		check(err)
		p.state.Change(func(s *consortium.State) { // whose own record was 1
			e := w.fixture.event(w.fixture.self, rekeying, w.fixture.records[rekeying])
			e.Position, e.TxID, e.Note.Sequence = consortium.Position{Round: begins}, "LOST", 3
			s.Apply(e)
		})
		check(p.outbox.SetRecovery(&outbox.Recovery{Until: w.followed()}))
		check(p.minter.awaitRecovery(context.Background()))
		var numbers []uint64
		for n := range 3 {
			numbers = append(numbers, p.item(n+1, "everybody").Note.Sequence)
		}
		if numbers[0] != 0 || numbers[1] != 2 || numbers[2] != 0 {
			t.Errorf("the numbers are %v; the chain has 1 and 3", numbers)
		}
	})
}

// Who was removed seals nothing: it would be published by nobody, or under keys of before.
func TestWhoIsNoMemberSealsNothing(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		e := f.event(f.founder, expulsion, f.records[expulsion])
		e.Position, e.TxID = consortium.Position{Round: begins}, "EXPULSION"
		p.state.Change(func(s *consortium.State) { f.apply(s, e) })
		for n, in := range []string{"everybody", "ring", "own"} {
			items, err := p.outbox.Accept([]outbox.Submission{f.submission(n, in)})
			check(err)
			_, err = p.sealer.seal(context.Background(), items)
			if c := p.sealer.Condition.Get(); err != nil || p.item(n, in).State != outbox.Accepted || c.Problem != "permission" {
				t.Errorf("in %s it is %s, and sealing waits for %+v (%v)", in, p.item(n, in).State, c, err)
			}
		}
	})
}

// Another node shows itself while this one recovers: it is not over, and an operator has to settle that first.
func TestARecoveryEndsNotInADispute(t *testing.T) {
	still(t, func(w *world, p *process) {
		check(p.outbox.SetRecovery(&outbox.Recovery{Until: w.followed() + 100}))
		check(p.sole.Saw([]consortium.Event{p.copied()}))
		ctx, end := context.WithTimeout(context.Background(), time.Minute)
		defer end()
		err := p.minter.awaitRecovery(ctx)
		recovery, failed := p.outbox.Recovery()
		if err != nil || failed != nil || ctx.Err() != nil || recovery == nil || !p.sole.Disputed() {
			t.Errorf("the recovery is %+v, in a dispute: %v (%v, %v, %v)", recovery, p.sole.Disputed(), err, failed, ctx.Err())
		}
	})
}
