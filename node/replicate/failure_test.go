package replicate_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/view"
)

var errDisk = errors.New("the disk is gone")

// failing is the nth call of a method that fails.
type failing struct {
	method string
	nth    int
	calls  int
}

// call is asked before everything else.
func (f *failing) call(method string) error {
	if f == nil || method != f.method {
		return nil
	}
	if f.calls++; f.calls >= f.nth {
		return errDisk
	}
	return nil
}

// eventful is a history in which everything is asked of the stores: good objects and bad ones, two of one version,
// ends, a record that opens others, one that is void, blocks that come late.
func eventful(c *cast) *plan {
	p := &plan{script: script{cast: c, never: map[cid.Cid]bool{}}, gives: map[cid.Cid]time.Duration{}, pages: []page{{rounds: 5}}, answers: []answer{{after: time.Second}}}
	for _, e := range c.founding {
		p.events = append(p.events, &minted{Event: e, draft: &draft{note: e.Note, root: mustRoot(e)}})
	}
	chain, self, alpha := *c.chain, copyOf(c.self), copyOf(c.alpha)
	mint := func(by *nodetest.Org, d *draft) *minted {
		e := &minted{Event: chain.MintDirectory(by, d.note, d.root, d.hash), draft: d}
		p.events = append(p.events, e)
		return e
	}
	for _, d := range slices.Delete(slices.Clone(c.objects), 4, 5) {
		mint(alpha, d)
	}
	for _, e := range []*minted{mint(self, c.objects[0]), mint(self, c.objects[4])} {
		p.events = append(p.events, &minted{Event: chain.Destroy(self, e.Asset), ends: e})
	}
	mint(alpha, c.keyring)
	mint(alpha, c.void)
	mint(alpha, c.rekey)
	p.gives[c.objects[2].root] = 30 * time.Second
	return p
}

// A store that fails is no member's fault and no reason to go on: whichever question it is, the pipeline ends and says
// so.
func TestAStoreThatFailsEndsThePipeline(t *testing.T) {
	c := newCast(t)
	for _, method := range []string{
		"Cursor", "Sequences", "Records", "Append", "Advance", "Withdraw", "Uses", "Content", "Await", "Due", "Settle", "Hasten", "Reconsider",
		"Fetch", "Read", "Forget", "Confirm", "WithdrawItems", "UsesItem", "Saw",
	} {
		reached := false
		for nth := 1; nth <= 9; nth += 1 + nth/4 {
			synctest.Test(t, func(t *testing.T) {
				h, f := newHistory(eventful(c)), &failing{method: method, nth: nth}
				h.fails = f
				err := h.live(t.Context())
				if f.calls < nth { // but in a life that begins with what the first has left, and without blocks
					nodetest.Must(t, err)
					clear(h.swarm.here)
					err = h.live(t.Context())
				}
				if reached = reached || f.calls >= nth; f.calls >= nth && !errors.Is(err, errDisk) {
					t.Errorf("%s fails for the %d. time, and the pipeline gives %v", method, nth, err)
				}
			})
		}
		if !reached {
			t.Errorf("%s is never asked", method)
		}
	}
}

// While the objects of one load are opened, the next is fetched.
func TestTheNextLoadIsFetchedWhileOneIsOpened(t *testing.T) {
	c := newCast(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(eventful(c))
		slow := &slowView{memory: h.view, goOn: make(chan struct{})}
		for n := range uint64(3 * replicate.FetchBatch / 2) {
			h.view.events = append(h.view.events, &remembered{effect: consortium.Object, Event: view.Event{
				State: view.Waiting, Event: consortium.Event{Position: consortium.Position{Round: n + 1}, Directory: c.objects[0].root.String()},
			}})
		}
		blocks := &batches{fakeSwarm: h.swarm}
		f := &replicate.Fetcher{
			View: slow, State: state.New(h.self.Address(), consortium.New(1, "", nil), nil), Blocks: blocks, Work: &signal.Signal{}, Gone: nobody{},
			Memory: 1 << 20, RecordTime: time.Minute, Log: nodetest.Discard,
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []int{replicate.FetchBatch, replicate.FetchBatch / 2}; !slices.Equal(blocks.sizes, want) {
			t.Errorf("loads of %v are asked for while the first is opened, want %v: each event once", blocks.sizes, want)
		}
		close(slow.goOn)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		<-ended
		if waiting := h.view.find(func(e *remembered) bool { return e.State == view.Waiting }); waiting != nil {
			t.Errorf("%+v is forgotten", waiting.Event)
		}
	})
}

type nobody struct{}

func (nobody) Withdrawals() uint64 { return 0 }

func (nobody) ForgetWithdrawn(context.Context, []view.Event) error { return nil }

// slowView settles when it may.
type slowView struct {
	*memory
	goOn chan struct{}
}

func (v *slowView) Settle(outcomes []view.Outcome) error {
	if len(outcomes) > 0 {
		<-v.goOn
	}
	return v.memory.Settle(outcomes)
}

// batches is how many are asked for at once.
type batches struct {
	*fakeSwarm
	sizes []int
}

func (b *batches) Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error) {
	b.sizes = append(b.sizes, len(roots))
	return b.fakeSwarm.Fetch(ctx, roots)
}
