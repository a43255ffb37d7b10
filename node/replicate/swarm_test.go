package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// fakeSwarm is the node's blocks, and the members who give some.
type fakeSwarm struct {
	*power
	plan  *plan
	began time.Time

	mu    sync.Mutex
	here  map[cid.Cid]unixfs.Directory
	gifts map[cid.Cid]unixfs.Directory
	asked int
}

func (s *fakeSwarm) Fetch(ctx context.Context, roots []cid.Cid) (f swarm.Fetched, err error) {
	s.mu.Lock()
	a := s.plan.answers[s.asked%len(s.plan.answers)]
	s.asked++
	s.mu.Unlock()
	if len(roots) > replicate.FetchBatch {
		return f, errors.New("too many are asked for at once")
	}
	pause := time.After(a.after)
	if a.silent {
		pause = nil
	}
	select {
	case <-pause:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.on("Fetch"); err != nil {
		return f, err
	}
	f.Brought = map[cid.Cid]unixfs.Directory{}
	came := false
	for _, root := range roots {
		gift, given := s.gifts[root]
		_, here := s.here[root]
		switch {
		case here:
		case slices.ContainsFunc(s.plan.objects, func(d *draft) bool { return d.malformed && d.root == root }):
			f.Malformed = append(f.Malformed, root)
		case !given || time.Since(s.began) < s.plan.gives[root]:
			f.Missing = append(f.Missing, root)
		default:
			s.here[root], came = gift, true
			if a.brings {
				f.Brought[root] = gift
			}
		}
	}
	if came {
		return f, errors.Join(s.step(), ctx.Err())
	}
	return f, ctx.Err()
}

func (s *fakeSwarm) Read(_ context.Context, root cid.Cid) ([]unixfs.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.on("Read"); err != nil {
		return nil, err
	}
	d, here := s.here[root]
	if !here {
		return nil, fmt.Errorf("%s: %w", root, unixfs.ErrNotFound)
	}
	return d.Files()
}

func (s *fakeSwarm) Forget(_ context.Context, roots []cid.Cid) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.on("Forget"); err != nil {
		return err
	}
	for _, root := range roots {
		delete(s.here, root)
	}
	return s.step()
}

func (s *fakeSwarm) Has(_ context.Context, root cid.Cid) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, here := s.here[root]
	return here, s.on("Has")
}

func (s *fakeSwarm) Connected() map[peer.ID]time.Time {
	if time.Since(s.began) < s.plan.comes {
		return nil
	}
	return map[peer.ID]time.Time{"member": s.began.Add(s.plan.comes)}
}
