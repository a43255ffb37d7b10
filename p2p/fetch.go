package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

const (
	batchSize  = 256     // directories in one commit
	batchBytes = 4 << 20 // or fewer, when they are large

	broughtBytes = 8 << 20 // of what a fetch gives back in memory
	largeChunks  = 48      // of large files, of 1 MiB each, that come in at the same time, in all fetches

	fetchMembers     = 4 // asked at the same time
	streamsPerMember = 2 // to each of them: one answers while the other's answer is written

	slowRate = 32 << 10 // bytes a second; who takes long and gives less is asked last for a while
)

// Fetch gets directories into this node's store: from the announcements that wait in memory, from connected members as
// CAR streams, and by bitswap if a member failed to answer. Everything is checked, and what is not in the
// result is kept, on the disk, when Fetch returns, whatever the error. It takes at most [swarm.MaxFetch] roots.
//
// What members say that they do not have is missing at once. What takes one of them long is asked of others too, and it
// is asked last for a while; if the deadline of ctx is near, not at all. So a silent member, or one that gives a byte
// now and then, costs seconds once; bitswap costs up to half a minute. A deadline ends the wait sooner, with what has
// come by then.
func (h *Host) Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error) {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return swarm.Fetched{Missing: roots}, err
	}
	defer done()
	if len(roots) > swarm.MaxFetch {
		return swarm.Fetched{Missing: roots}, fmt.Errorf("fetch of %d directories: the limit is %d", len(roots), swarm.MaxFetch)
	}

	var result swarm.Fetched
	seen := cid.NewSet()
	var wanted []cid.Cid
	for _, c := range roots {
		switch {
		case !seen.Visit(c):
		case !unixfs.IsNode(c):
			result.Malformed = append(result.Malformed, c)
		default:
			wanted = append(wanted, c)
		}
	}
	f := &fetch{Host: h, hunt: newHunt(wanted, h.wait.long)}
	err = f.run(ctx, wanted)
	result.Missing = f.hunt.missing()
	result.Malformed = append(result.Malformed, f.malformed...)
	result.Brought = f.brought
	if err != nil {
		err = fmt.Errorf("fetch %d directories: %w", len(roots), err)
	}
	return result, err
}

// fetch is one call of [Host.Fetch].
type fetch struct {
	*Host
	hunt *hunt

	mu        sync.Mutex
	malformed []cid.Cid
	failed    bool // a member did not answer as it should
	brought   map[cid.Cid]unixfs.Directory
	bytes     int // of what was brought
}

func (f *fetch) run(ctx context.Context, wanted []cid.Cid) error {
	batch := f.newBatch("")
	for _, c := range wanted {
		switch d, err := f.local(ctx, c); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && d.Root().Defined():
			if err := batch.add(ctx, d); err != nil { // from an announcement
				return err
			}
		case err == nil:
			f.hunt.got(c, "")
		}
	}
	if err := batch.commit(ctx); err != nil {
		return err
	}
	if err := f.askMembers(ctx); err != nil {
		return err
	}
	if f.public || f.failed {
		return f.askBitswap(ctx)
	}
	return ctx.Err() // every member gave all it has, and bitswap would ask the same ones
}

// local looks for a directory that needs no network. The zero unixfs.Directory says that nothing is left to do.
func (f *fetch) local(ctx context.Context, root cid.Cid) (unixfs.Directory, error) {
	here, err := f.store.has(ctx, root)
	switch {
	case ctx.Err() != nil:
		return unixfs.Directory{}, ctx.Err()
	case err != nil:
		f.log.Warn("a kept directory cannot be read and is fetched anew", "cid", root, "error", err)
	case here:
		return unixfs.Directory{}, nil
	}
	if d, ok := f.staged.get(root); ok {
		return d, nil
	}
	return unixfs.Directory{}, unixfs.ErrNotFound
}

// askMembers asks connected members until everything is here or everybody was asked: first those that have answered
// quickly, then the others, if there is time for them.
func (f *fetch) askMembers(ctx context.Context) error {
	var quick, slow []peer.ID
	for m := range f.Connected() {
		if f.slow.has(m) {
			slow = append(slow, m)
		} else {
			quick = append(quick, m)
		}
	}
	if err := f.askAll(ctx, quick); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < f.wait.idle {
		return ctx.Err()
	}
	patient, cancel := context.WithTimeout(ctx, f.wait.slow)
	defer cancel()
	return f.askAll(patient, slow)
}

// askAll asks members, some at a time, until nothing is missing any more. Their failure is no error, only that of this
// node's own store is.
func (f *fetch) askAll(ctx context.Context, members []peer.ID) error {
	wanted := len(f.hunt.missing())
	if wanted == 0 || len(members) == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f.hunt.whenDone(stop)
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	share := wanted/(min(len(members), fetchMembers)*streamsPerMember+1) + 1
	share = min(max(share, 64), maxRequest)

	queue := make(chan peer.ID, len(members))
	for _, m := range members {
		queue <- m
	}
	close(queue)
	var g errgroup.Group
	for range min(len(members), fetchMembers) {
		g.Go(func() error {
			for from := range queue {
				if err := f.askMember(ctx, from, share); err != nil {
					stop()
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	f.slow.add(f.hunt.lagged()...)
	return err
}

// askMember asks one member for its share again and again until it has nothing more to give.
func (f *fetch) askMember(ctx context.Context, from peer.ID, share int) error {
	var g errgroup.Group
	for range streamsPerMember {
		g.Go(func() error {
			for {
				roots := f.hunt.take(ctx, from, share)
				if len(roots) == 0 {
					return nil
				}
				answered, err := f.ask(ctx, from, roots)
				if err != nil || !answered {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// ask puts one question to a member and keeps what comes. It says whether the member answered as it should.
func (f *fetch) ask(ctx context.Context, from peer.ID, roots []cid.Cid) (answered bool, err error) {
	batch := f.newBatch(from)
	got, size := 0, 0
	var broken error // of our store
	began := time.Now()
	asked := f.askCAR(ctx, from, roots, func(d unixfs.Directory) error {
		got, size = got+1, size+d.Size()
		if f.hunt.wanted(d.Root()) { // else another was quicker
			broken = batch.add(ctx, d)
		}
		return broken
	})
	if broken == nil {
		broken = batch.commit(ctx)
	}
	var v *verdict
	if errors.As(asked, &v) { // it was answered so far; the others are worth another question
		f.reject(v.root)
		got, asked = got+1, nil
	}
	// An answer that brought something may have ended for its length: the rest is worth another question.
	f.hunt.giveBack(roots, from, asked == nil && got > 0)
	if broken != nil {
		return false, broken
	}
	switch took := time.Since(began); {
	case took > f.wait.long && float64(size) < slowRate*took.Seconds():
		f.slow.add(from)
	case asked == nil && took <= f.wait.long:
		f.slow.remove(from)
	}
	if asked != nil && ctx.Err() == nil {
		f.log.Debug("a member did not answer a CAR request", "peer", from, "error", asked)
		f.mu.Lock()
		f.failed = true
		f.mu.Unlock()
	}
	return asked == nil, nil
}

func (f *fetch) reject(root cid.Cid) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.malformed = append(f.malformed, root)
	f.hunt.got(root, "")
}

// batch collects directories and commits them together.
type batch struct {
	*fetch
	from peer.ID // "" for this node's own store, and for bitswap
	dirs []unixfs.Directory
	size int
}

func (f *fetch) newBatch(from peer.ID) *batch { return &batch{fetch: f, from: from} }

func (b *batch) add(ctx context.Context, d unixfs.Directory) error {
	b.dirs = append(b.dirs, d)
	b.size += d.Size()
	if len(b.dirs) < batchSize && b.size < batchBytes && !d.IsLarge() {
		return nil
	}
	return b.commit(ctx)
}

func (b *batch) commit(ctx context.Context) error {
	// What is here is kept, though nobody may wait for the rest any more.
	if err := b.store.commit(context.WithoutCancel(ctx), b.dirs); err != nil {
		return err
	}
	roots := make([]cid.Cid, len(b.dirs))
	for i, d := range b.dirs {
		roots[i] = d.Root()
		b.hunt.got(d.Root(), b.from)
	}
	b.staged.drop(roots)
	b.keep(b.dirs)
	b.dirs, b.size = nil, 0
	return nil
}

// keep gives directories to the caller of Fetch, as far as they fit.
func (f *fetch) keep(dirs []unixfs.Directory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.brought == nil {
		f.brought = make(map[cid.Cid]unixfs.Directory, len(dirs))
	}
	for _, d := range dirs {
		if size := d.Size(); f.bytes+size <= broughtBytes {
			f.bytes += size
			f.brought[d.Root()] = d
		}
	}
}
