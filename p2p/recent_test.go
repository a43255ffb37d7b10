package p2p

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// What was stored a moment ago is had in memory, within a number of bytes, and when nothing was stored for a while no
// more.
func TestWhatWasStoredAMomentAgoIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		const room = 200
		one := directory(t, "one")
		r := newRecent(room * (one.Size() + 2*stagedOverhead))
		go r.age(ctx)
		dirs := directories(t, 1000)
		held := func() (n int) {
			for _, d := range dirs {
				if _, ok := r.get(d.Root()); ok {
					n++
				}
			}
			return n
		}
		for _, d := range dirs {
			r.add([]unixfs.Directory{d})
		}
		if n := held(); n < room/2 || n > 2*room {
			t.Errorf("%d of 1000 directories are remembered, want some %d", n, room)
		}
		if _, ok := r.get(dirs[999].Root()); !ok {
			t.Error("the last one is forgotten")
		}
		r.drop(roots(dirs[999:]))
		if _, ok := r.get(dirs[999].Root()); ok {
			t.Error("one that was dropped is remembered")
		}
		r.add([]unixfs.Directory{directoryOf(t, unixfs.ChunkSize+1, "large")})
		time.Sleep(3 * recentFor)
		synctest.Wait()
		if n := held(); n > 0 || len(r.young) > 0 || r.bytes > 0 {
			t.Errorf("%d directories are remembered after a while", n)
		}
		r.add([]unixfs.Directory{one}) // it goes on
		time.Sleep(recentFor / 2)
		if _, ok := r.get(one.Root()); !ok {
			t.Error("one is forgotten at once")
		}
		time.Sleep(3 * recentFor)
		synctest.Wait()
		if _, ok := r.get(one.Root()); ok {
			t.Error("one is remembered for ever")
		}
	})
}

// An answer is the same from memory and from the disk, and nothing is in it that was forgotten.
func TestAnAnswerIsTheSameFromMemoryAndFromTheDisk(t *testing.T) {
	s := openBare(t, vfs.NewMem())
	defer func() { _ = s.pebble.Close() }()
	ctx := t.Context()
	dirs := append(entangled(t), directories(t, 20)...)
	if err := s.commit(ctx, dirs); err != nil {
		t.Fatal(err)
	}
	answer := func() []byte {
		var out bytes.Buffer
		server := &carServer{store: s.store, anyone: true, most: answerLimit}
		if err := server.answer(ctx, &out, "asker", roots(dirs)); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	if _, ok := s.recent.get(dirs[0].Root()); !ok {
		t.Fatal("nothing is in memory")
	}
	memory := answer()
	s.recent.drop(roots(dirs))
	if disk := answer(); !bytes.Equal(memory, disk) || !bytes.Equal(disk, carOf(t, nil, dirs)) {
		t.Errorf("%d bytes from memory, %d from the disk", len(memory), len(disk))
	}
	if err := s.commit(ctx, dirs); err != nil {
		t.Fatal(err)
	}
	last := len(dirs) - 1 // of which no other directory has a block
	if err := s.forget(ctx, roots(dirs[last:])); err != nil {
		t.Fatal(err)
	}
	if left := answer(); !bytes.Equal(left, carOf(t, nil, dirs[:last])) {
		t.Errorf("what was forgotten is answered, or something else is not")
	}
}

// A large directory of which a chunk is gone is absent from the second answer on; the first breaks off, since it was
// begun.
func TestAnAnswerThatCannotBeFinishedBreaksOffOnce(t *testing.T) {
	s := openBare(t, vfs.NewMem())
	defer func() { _ = s.pebble.Close() }()
	ctx := t.Context()
	large, small := directoryOf(t, 3*unixfs.ChunkSize, "large"), directory(t, "small")
	if err := s.commit(ctx, []unixfs.Directory{large, small}); err != nil {
		t.Fatal(err)
	}
	if err := s.data.Delete(ctx, blockKey(large.Blocks()[4].Cid())); err != nil {
		t.Fatal(err)
	}
	server := &carServer{store: s.store, anyone: true, most: answerLimit}
	if err := server.answer(ctx, io.Discard, "asker", []cid.Cid{large.Root(), small.Root()}); err == nil {
		t.Error("an answer with a part of a directory in it looks whole")
	}
	var out bytes.Buffer
	if err := server.answer(ctx, &out, "asker", []cid.Cid{large.Root(), small.Root()}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), carOf(t, nil, []unixfs.Directory{small})) {
		t.Error("it is not absent")
	}
}

// As many directories as a batch has are asked for in one question.
func TestTheDirectoriesOfABatchComeInOneAnswer(t *testing.T) {
	w := newWorld(t)
	from, to := w.member(), w.member()
	connect(t, from, to)
	dirs := directories(t, maxRequest)
	put(t, from, dirs...)
	var got []unixfs.Directory
	err := to.askCAR(t.Context(), from.ID(), roots(dirs), func(d unixfs.Directory) error { got = append(got, d); return nil })
	if err != nil || len(got) != len(dirs) {
		t.Errorf("%d directories come, want %d; error %v", len(got), len(dirs), err)
	}
}
