package publish

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// filesOf gives what is stored of an item, with its metadata read.
func filesOf(t *testing.T, w *world, item outbox.Item) (m wire.Metadata, payload []byte) {
	t.Helper()
	files, err := w.blocks.Read(t.Context(), cid.MustParse(item.Directory))
	check(err)
	for _, f := range files {
		if f.Name != wire.MetadataName {
			payload = f.Data
			continue
		}
		if hash := wire.MetadataHash(f.Data); !bytes.Equal(hash[:], item.MetadataHash) {
			t.Errorf("the hash of %s is %x, its metadata's %x", item.Directory, item.MetadataHash, hash)
		}
		m, err = wire.ParseMetadata(f.Data)
		check(err)
	}
	return m, payload
}

// A directory is one account's. What was stored for the account before and is not signed would count for nothing.
func TestWhatIsStoredWhenTheAccountChangesIsTheNextOnes(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		accepted, err := p.outbox.Accept([]outbox.Submission{f.submission(1, "everybody")})
		check(err)
		_, err = p.sealer.seal(t.Context(), accepted)
		check(err)
		_, err = p.records.Store(t.Context(), KeyOf("record"), f.records[rekeying])
		check(err)
		_, err = p.outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: KeyOf("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 7}}})
		check(err)
		before, err := p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		if same, err := p.minter.ours(t.Context(), before); err != nil || len(same) != 3 || same[0].Directory != before[0].Directory {
			t.Errorf("without a change they are %+v (%v)", same, err)
		}
		var payloads [][]byte
		for _, item := range before {
			if isDestroy(item) {
				payloads = append(payloads, nil)
				continue
			}
			m, payload := filesOf(t, w, item)
			if m.Properties.Publisher != f.self.Address() || item.Publisher != f.self.Address() {
				t.Errorf("a %s is stored for %s", item.Note.Kind, m.Properties.Publisher)
			}
			payloads = append(payloads, payload)
		}
		kept := w.blocks.Count()
		p.state.Self = f.next.Address()
		after, err := p.minter.ours(t.Context(), before)
		check(err)
		for i, item := range after {
			if stored, _, err := p.outbox.Item(item.Number); err != nil || stored.Directory != item.Directory || stored.State != outbox.Stored || item.Number != before[i].Number {
				t.Errorf("of %+v the outbox keeps %+v (%v)", item, stored, err)
			}
			if isDestroy(item) {
				continue
			}
			m, payload := filesOf(t, w, item)
			if m.Properties.Publisher != f.next.Address() || item.Directory == before[i].Directory || !bytes.Equal(payload, payloads[i]) {
				t.Errorf("a %s is stored for %s, as %s", item.Note.Kind, m.Properties.Publisher, item.Directory)
			}
			if announced, err := p.minter.Fresh.take(t.Context(), item.Directory); err != nil || announced.Root().String() != item.Directory {
				t.Errorf("it can't be announced: %v", err)
			}
		}
		if w.blocks.Count() != kept {
			t.Errorf("%d directories are kept, %d before", w.blocks.Count(), kept)
		}
	})
}

// Nobody but who minted an NFT can destroy it. What an account before has minted ends by a record then.
func TestWhatAnAccountBeforeHasMintedIsEndedByARecord(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		by := func(sender *nodetest.Org, note wire.Note) (asset uint64) {
			round := w.chain.mint(consortium.Event{TxID: fmt.Sprint(sender.Address(), note.Kind), Sender: sender.Address(), Consortium: f.id, Note: note, Directory: "directory"})
			w.chain.advance()
			w.follow(round, nil)
			events := w.chain.between(begins, round)
			return events[len(events)-1].Asset
		}
		object := by(f.self, wire.Note{Kind: wire.KindObject})
		member := by(f.self, wire.Note{Kind: wire.KindMember, Account: f.mallory.Address()})
		own := by(f.next, wire.Note{Kind: wire.KindObject})
		p.state.Self = f.next.Address()
		var list []outbox.Submission
		for _, asset := range []uint64{object, member, own} {
			list = append(list, outbox.Submission{Item: outbox.Item{
				Key: endKey(asset), Note: wire.Note{Kind: wire.KindDestroy, Sequence: asset}, Destroys: asset, StoredAt: state.Now()}})
		}
		items, err := p.outbox.Accept(list)
		check(err)
		for range 2 { // and not twice
			items, err = p.minter.recalled(t.Context(), items)
			check(err)
			for i, want := range []outbox.Item{
				{Note: wire.Note{Kind: wire.KindRemoval, Asset: object, Sequence: object}, Destroys: object},
				{Note: wire.Note{Kind: wire.KindRemoval, Account: f.mallory.Address(), Sequence: member}},
				{Note: wire.Note{Kind: wire.KindDestroy, Sequence: own}, Destroys: own},
			} {
				got, _, err := p.outbox.Item(items[i].Number)
				check(err)
				if got.Note != want.Note || got.Destroys != want.Destroys || !bytes.Equal(got.Key, list[i].Item.Key) || got.State != outbox.Stored {
					t.Errorf("NFT %d is ended by %+v", list[i].Item.Destroys, got)
				}
				if got.Directory == "" {
					continue
				}
				m, payload := filesOf(t, w, got)
				removal, err := wire.ParseRemoval(payload)
				check(err)
				if m.Properties.Publisher != f.next.Address() || removal.Asset != got.Note.Asset || removal.Account != got.Note.Account {
					t.Errorf("%+v says %+v, by %s", got.Note, removal, m.Properties.Publisher)
				}
			}
		}
	})
}

// A node whose charter can't be read publishes nothing: it could be that of another format.
func TestNothingIsSignedBeforeTheCharterIsKnown(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		_, err := p.records.Store(context.Background(), KeyOf("record"), f.records[rekeying])
		check(err)
		items, err := p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		for _, known := range []bool{false, true} {
			s := consortium.New(f.id, "CHARTER", f.self.Identity)
			for _, e := range f.genesis {
				s.Apply(e)
			}
			if known {
				s = f.folded()
			}
			p.minter.State = state.New(f.self.Address(), s, nil)
			progress, problem, err := p.minter.signTheseNow(context.Background(), items)
			check(err)
			if progress != known || (problem == nil) != known || problem != nil && problem.Problem != "permission" {
				t.Errorf("with the charter known (%t): signed %t, %+v", known, progress, problem)
			}
		}
	})
}

// For a moment it is so wherever a consortium is founded or joined: nobody has to hear of that.
func TestThatTheCharterHasNotArrivedIsToldWhenItLasts(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		_, err := p.records.Store(context.Background(), KeyOf("record"), f.records[rekeying])
		check(err)
		s := consortium.New(f.id, "CHARTER", f.self.Identity)
		for _, e := range f.genesis {
			s.Apply(e)
		}
		p.minter.State = state.New(f.self.Address(), s, nil)
		ctx, stop := context.WithCancel(context.Background())
		var signing sync.WaitGroup
		signing.Go(func() { check(p.minter.signAll(ctx, p.outbox.Reader(outbox.Stored))) })
		time.Sleep(3 * time.Second)
		if c := p.minter.Condition.Get(); c.Problem != "" {
			t.Errorf("after some seconds it is told: %+v", c)
		}
		time.Sleep(10 * time.Second)
		if c := p.minter.Condition.Get(); c.Problem != "permission" {
			t.Errorf("after many seconds what is told is %+v", c)
		}
		stop()
		signing.Wait()
	})
}
