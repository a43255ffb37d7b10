package publish

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// What is announced are the blocks that are confirmed, with their round; that a member, or a block, can't be had is no
// reason to stop.
func TestWhatIsConfirmedIsAnnounced(t *testing.T) {
	still(t, func(w *world, p *process) {
		items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "everybody"), w.fixture.submission(2, "everybody"), w.fixture.submission(3, "everybody")})
		check(err)
		_, err = p.sealer.seal(context.Background(), items)
		check(err)
		items, err = p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		members := &listeners{}
		p.minter.Announcer = members
		signed, problem, err := p.minter.signItems(context.Background(), items)
		check(err)
		if len(members.heard) > 0 || problem != nil || len(signed) != 1 {
			t.Errorf("before anything is confirmed %v is announced (%+v)", members.heard, problem)
		}
		var places []consortium.Place
		for i, txid := range signed[0].TxIDs {
			places = append(places, consortium.Place{TxID: txid, Round: uint64(70 + i/2), Asset: uint64(i)})
		}
		check(p.minter.Confirm(context.Background(), places))
		check(p.minter.Confirm(context.Background(), places)) // the indexer tells of it, too
		slices.Sort(members.heard)
		want := []string{"70 " + items[0].Directory, "70 " + items[1].Directory, "71 " + items[2].Directory}
		slices.Sort(want)
		if !slices.Equal(members.heard, want) {
			t.Errorf("announced are %v, want %v", members.heard, want)
		}
		if p.records.fresh.size != 0 {
			t.Errorf("%d bytes are kept of what was announced", p.records.fresh.size)
		}
		p.minter.announce(context.Background(), []outbox.Item{{Number: 9, Directory: "lost", Round: 72}, {Note: wire.Note{Kind: wire.KindDestroy}, Round: 73}})
		if !slices.Equal(members.heard[3:], []string{"72", "73"}) && !slices.Equal(members.heard[3:], []string{"73", "72"}) {
			t.Errorf("without blocks the members are told of %v", members.heard[3:])
		}
	})
}

// listeners hear, and answer that they don't.
type listeners struct{ heard []string }

func (l *listeners) Announce(_ context.Context, round uint64, directories []unixfs.Directory) error {
	for _, d := range directories {
		l.heard = append(l.heard, fmt.Sprint(round, " ", d.Root()))
	}
	return errNetwork
}

func (l *listeners) Hint(_ context.Context, round uint64) error {
	l.heard = append(l.heard, fmt.Sprint(round))
	return errNetwork
}

// What was stored a moment ago is kept in memory up to a bound, and read from the disk beyond it.
func TestWhatIsKeptInMemoryIsBounded(t *testing.T) {
	f := NewFresh(nil)
	d, err := DirectoryOf(theFixture().records[rekeying])
	check(err)
	f.size = maxFresh - d.Size()
	f.add([]unixfs.Directory{d})
	f.add([]unixfs.Directory{d})
	if f.size != maxFresh || len(f.byCID) != 1 {
		t.Errorf("%d bytes of %d directories are kept", f.size, len(f.byCID))
	}
	if _, err := f.take(t.Context(), d.Root().String()); err != nil || f.size != maxFresh-d.Size() || len(f.byCID) != 0 {
		t.Errorf("afterwards %d bytes of %d directories (%v)", f.size, len(f.byCID), err)
	}
}
