package publish

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
)

// step prepares something that reads and writes the outbox, and gives it.
type step func(t *testing.T, w *world, p *process) (do func(ctx context.Context) error)

// signsWhatWaits signs what is stored, after something has happened.
func signsWhatWaits(in string, happened func(w *world, p *process)) step {
	return func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		p.storeOne(t, in)
		if happened != nil {
			happened(w, p)
		}
		items, err := p.plain.Queue(outbox.Stored, 0, 10)
		check(err)
		return func(ctx context.Context) error {
			_, _, err := p.minter.signTheseNow(ctx, items)
			return err
		}
	}
}

// settles finds out what became of a group, of which there is a testimony.
func settles(change func(p *process, said *testimony, f *flight)) step {
	return func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		f := p.signOne(t)
		past := f.LastValid + 1
		said := &testimony{about: f.TxIDs[0], round: past, indexed: past, followed: past}
		p.hears(said)
		if change != nil {
			change(p, said, f)
		}
		return func(ctx context.Context) error { return p.minter.settle(ctx, f, true) }
	}
}

// changesKeys has a change of keys stored.
func (p *process) changesKeys() {
	_, err := p.records.Store(context.Background(), KeyOf("r"), p.world.fixture.records[rotating])
	check(err)
	check(RotationPlan{Key: KeyOf("r"), Account: p.world.fixture.next.Address()}.Keep(p.outbox.Outbox))
}

// record applies a prepared record to what the node knows.
func (p *process) record(name string) {
	f := p.world.fixture
	e := f.event(f.founder, name, f.records[name])
	e.Position, e.TxID, e.Asset = consortium.Position{Round: begins}, name, 7000
	p.state.Change(func(s *consortium.State) { f.apply(s, e) })
}

func (p *process) copied() consortium.Event {
	return consortium.Event{TxID: copied, Sender: p.org.Address(), Position: consortium.Position{Round: begins + 1}, Note: wire.Note{Kind: wire.KindObject}}
}

// untilLanded lets something work until nothing is signed that isn't confirmed.
func (p *process) untilLanded(ctx context.Context, m *Minter, work func(ctx context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer end()
	watching.Go(func() {
		for ctx.Err() == nil && (p.outbox.Count()[outbox.Signed] > 0 || !m.flights.areEmpty()) {
			time.Sleep(roundTime)
			p.world.chain.advance()
		}
		end()
	})
	return work(ctx)
}

var steps = map[string]step{
	"signing": signsWhatWaits("everybody", nil),
	"signing what the chain has": signsWhatWaits("everybody", func(w *world, p *process) {
		w.shows(p.item(1, "everybody"), "new", nil)
	}),
	"signing what it may not":            signsWhatWaits("ring", func(_ *world, p *process) { p.record(opening) }),
	"signing what is to be sealed again": signsWhatWaits("ring", func(_ *world, p *process) { p.record(revocation) }),
	"signing what waits for another key": signsWhatWaits("own", func(_ *world, p *process) { p.record(removal) }),
	"signing after a lost outbox": signsWhatWaits("everybody", func(w *world, p *process) {
		p.state.Change(func(s *consortium.State) {
			e := w.fixture.event(w.fixture.self, rekeying, w.fixture.records[rekeying])
			e.Position, e.TxID, e.Note.Sequence = consortium.Position{Round: begins}, "LOST", 30
			s.Apply(e)
		})
	}),
	"choosing what is signed around other keys": func(t *testing.T, _ *world, p *process) func(ctx context.Context) error {
		p.changesKeys()
		return func(context.Context) error {
			_, err := p.minter.beforeRotation(nil)
			return err
		}
	},
	"choosing what is signed in a dispute": func(t *testing.T, _ *world, p *process) func(ctx context.Context) error {
		p.changesKeys()
		return func(context.Context) error {
			_, err := p.minter.otherKeys()
			return err
		}
	},
	"giving a group up":                  settles(nil),
	"settling what algod has":            settles(func(_ *process, said *testimony, _ *flight) { said.fate = ledger.Confirmed }),
	"settling what the indexer has":      settles(func(_ *process, said *testimony, _ *flight) { said.found = true }),
	"settling what is confirmed already": settles(func(p *process, _ *testimony, f *flight) { p.confirms(f) }),
	"raising a fee": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		f := p.signOne(t)
		w.congest(12, 100)
		return func(ctx context.Context) error {
			_, _, err := p.minter.refused(ctx, f, &ledger.RefusedError{Reason: ledger.Congested})
			return err
		}
	},
	"beginning again": func(t *testing.T, _ *world, p *process) func(ctx context.Context) error {
		p.signOne(t)
		return func(context.Context) error { return NewMinter(p.minter.Config).resume() }
	},
	"following the blocks": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		p.storeOne(t, "everybody")
		check(w.chain.submit(newPooled(p.signAll(t).Raw), 0))
		return func(ctx context.Context) error { return p.untilLanded(ctx, p.minter, p.minter.follow) }
	},
	"all of it together, with a higher fee": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		p.signOne(t)
		w.congest(12, 100)
		return func(ctx context.Context) error {
			m := NewMinter(p.minter.Config)
			return p.untilLanded(ctx, m, m.Run)
		}
	},
	"hearing of a confirmation": func(t *testing.T, _ *world, p *process) func(ctx context.Context) error {
		f := p.signOne(t)
		return func(ctx context.Context) error {
			return p.minter.Confirm(ctx, []consortium.Place{{TxID: f.TxIDs[0], Round: begins, Asset: 7}})
		}
	},
	"signing what replaces what was replaced": signsWhatWaits("everybody", func(w *world, p *process) {
		item := p.item(1, "everybody")
		replaced(w, p, &item, 2)
		check(p.plain.SetStored([]outbox.Item{item}))
	}),
	"sealing": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "ring"), w.fixture.submission(2, "own")})
		check(err)
		return func(ctx context.Context) error {
			_, err := p.sealer.seal(ctx, items)
			return err
		}
	},
	"sealing what it may not": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "ring")})
		check(err)
		p.record(opening)
		return func(ctx context.Context) error { return p.sealer.sealAll(ctx, p.outbox.Reader(items[0].State)) }
	},
	"sealing in a collection that is not known": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		s := w.fixture.submission(1, "ring")
		s.Item.Collection = "elsewhere"
		items, err := p.outbox.Accept([]outbox.Submission{s})
		check(err)
		return func(ctx context.Context) error {
			_, err := p.sealer.seal(ctx, items)
			return err
		}
	},
	"storing a record": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.records.Store(ctx, KeyOf("a"), w.fixture.records[rekeying], KeyOf("b"))
			return err
		}
	},
	"keeping and reading a plan": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		return func(context.Context) error {
			if err := (RotationPlan{Key: KeyOf("r")}).Keep(p.outbox.Outbox); err != nil {
				return err
			}
			_, err := ReadRotation(p.outbox.Outbox)
			return err
		}
	},
	"recovering": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		check(p.plain.SetRecovery(&outbox.Recovery{}))
		w.follow(begins+ledger.Window, nil)
		return func(ctx context.Context) error { return p.minter.awaitRecovery(ctx) }
	},
	"finding out who else signs": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		check(p.plain.SetSole(outbox.Sole{Account: "BEFORE"}))
		return func(ctx context.Context) error { return p.minter.awaitRecovery(ctx) }
	},
	"seeing another node": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		return func(context.Context) error { return p.sole.Saw([]consortium.Event{p.copied()}) }
	},
	"hearing that it is gone": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		check(p.sole.Saw([]consortium.Event{p.copied()}))
		return func(context.Context) error { return p.sole.Settle() }
	},
	"having other keys": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		check(p.plain.SetSole(outbox.Sole{Account: "BEFORE"}))
		return func(context.Context) error { return p.sole.Rotated() }
	},
	"beginning in a dispute": func(t *testing.T, w *world, p *process) func(ctx context.Context) error {
		return func(context.Context) error { return p.sole.Load() }
	},
}

// confirms has all of a group confirmed, without anybody being told.
func (p *process) confirms(f *flight) {
	var places []consortium.Place
	for _, txid := range f.TxIDs {
		places = append(places, consortium.Place{TxID: txid, Round: begins, Asset: 7})
	}
	_, err := p.plain.Confirm(places)
	check(err)
}

// Whatever reads or writes the outbox says so when that fails, each time.
func TestEveryStepSaysThatItsStoreHasFailed(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			points := 0
			for more := true; more; points++ {
				still(t, func(w *world, p *process) {
					do := step(t, w, p)
					w.failing.left = []int{points}
					err := do(context.Background())
					more = len(w.failing.left) == 0
					if more != errors.Is(err, errDisk) || err != nil && !more {
						t.Errorf("point %d fails: %v, and it says %v", points, more, err)
					}
				})
			}
			if points < 2 {
				t.Error("nothing of it fails")
			}
		})
	}
}
