package publish

import (
	"context"
	"fmt"
	"testing"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo/outbox"
)

// What is announced are the blocks that are signed; that a member, or a block, can't be had is no reason to stop.
func TestWhatIsSignedIsAnnounced(t *testing.T) {
	still(t, func(w *world, p *process) {
		items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "everybody"), w.fixture.submission(2, "everybody")})
		check(err)
		_, err = p.sealer.seal(t.Context(), items)
		check(err)
		items, err = p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		members := &listeners{}
		p.minter.Announcer = members
		p.minter.announce(t.Context(), []outbox.Item{{Number: 9, Directory: "lost"}, {Note: wire.Note{Kind: wire.KindDestroy}}})
		p.minter.announce(t.Context(), append(items, outbox.Item{Number: 9, Directory: "lost"}, outbox.Item{Note: wire.Note{Kind: wire.KindDestroy}}))
		if got := fmt.Sprint(members.heard); got != fmt.Sprint([]string{items[0].Directory, items[1].Directory}) {
			t.Errorf("announced are %s", got)
		}
		if p.records.fresh.size != 0 {
			t.Errorf("%d bytes are kept of what was announced", p.records.fresh.size)
		}
	})
}

// listeners hear, and answer that they don't.
type listeners struct{ heard []string }

func (l *listeners) Announce(_ context.Context, directories []p2p.Directory) error {
	for _, d := range directories {
		l.heard = append(l.heard, d.Root().String())
	}
	return errNetwork
}

func (l *listeners) Hint(context.Context, uint64) error { return errNetwork }

// What was stored a moment ago is kept in memory up to a bound, and read from the disk beyond it.
func TestWhatIsKeptInMemoryIsBounded(t *testing.T) {
	f := NewFresh(nil)
	d, err := DirectoryOf(theFixture().records[rekeying])
	check(err)
	f.size = maxFresh - d.Size()
	f.add([]p2p.Directory{d})
	f.add([]p2p.Directory{d})
	if f.size != maxFresh || len(f.byCID) != 1 {
		t.Errorf("%d bytes of %d directories are kept", f.size, len(f.byCID))
	}
	if _, err := f.take(t.Context(), d.Root().String()); err != nil || f.size != maxFresh-d.Size() || len(f.byCID) != 0 {
		t.Errorf("afterwards %d bytes of %d directories (%v)", f.size, len(f.byCID), err)
	}
}
