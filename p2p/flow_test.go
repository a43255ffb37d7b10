package p2p

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// A floor is kept to over all the time that is spent waiting, whatever the pattern; the own side's pauses don't count.
func TestAFlowMustKeepToItsFloor(t *testing.T) {
	for name, c := range map[string]struct {
		bytes      int           // in each step
		takes      time.Duration // for the other side
		pause      time.Duration // of this one, after each
		steps      int
		ends, late bool // it is refused, and not before the grace is over
	}{
		"a byte now and then":      {bytes: 1, takes: 3 * time.Second, steps: 100, ends: true},
		"just below the floor":     {bytes: 1000, takes: 1200 * time.Millisecond, steps: 1000, ends: true, late: true},
		"at the floor, for hours":  {bytes: 1000, takes: time.Second, steps: 10_000},
		"fast":                     {bytes: 1 << 20, takes: time.Millisecond, steps: 1000},
		"a slow reader of its own": {bytes: 1000, takes: time.Second, pause: time.Minute, steps: 1000},
		"silent":                   {bytes: 0, takes: 11 * time.Second, steps: 1, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := flow{idle: 10 * time.Second, grace: 15 * time.Second, floor: 1000}
				var deadline time.Time
				steps := 0
				began := time.Now()
				var err error
				for ; steps < c.steps && err == nil; steps++ {
					_, err = f.step(func(at time.Time) error { deadline = at; return nil }, func() (int, error) {
						if left := time.Until(deadline); left < c.takes {
							time.Sleep(left)
							return 0, context.DeadlineExceeded
						}
						time.Sleep(c.takes)
						return c.bytes, nil
					})
					time.Sleep(c.pause)
				}
				if (err != nil) != c.ends {
					t.Fatalf("after %d steps and %s: %v", steps, time.Since(began), err)
				}
				if took := time.Since(began); c.ends && (took > 10*time.Minute || c.late && took < f.grace) {
					t.Errorf("it took %s to notice", took)
				}
			})
		})
	}
}

// drips is a member that has directories and gives a byte of them at a time.
func drips(t testing.TB, w *world, dirs ...unixfs.Directory) *Host {
	dripping, answer := w.member(), carOf(t, nil, dirs)
	dripping.host.SetStreamHandler(carProtocol, func(s network.Stream) {
		for _, b := range answer {
			if _, err := s.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-w.tb.Context().Done():
				return
			}
		}
	})
	return dripping
}

// patientFor is a host that waits long for everything but what a test is about.
func patientFor(change func(*patience)) func(*Config) {
	return func(c *Config) {
		c.patience = patience{
			request: 10 * time.Second, idle: time.Minute, transfer: time.Hour, long: time.Hour, slow: time.Hour, bitswap: time.Second, bitswapTotal: 2 * time.Second,
		}
		change(&c.patience)
	}
}

// While one member gives a byte now and then, what it was asked for is asked of the others, and a fetch ends when it
// has everything.
func TestAMemberThatDripsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	honest, to := w.member(), w.member(patientFor(func(p *patience) { p.long = 300 * time.Millisecond }))
	dirs := directories(t, 300)
	put(t, honest, dirs...)
	slow := drips(t, w, dirs...)
	connect(t, to, slow, honest)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := to.Fetch(ctx, roots(dirs))
	if err != nil || len(got.Missing) > 0 {
		t.Fatalf("%d are missing, error %v", len(got.Missing), err)
	}
	mustHold(t, to, dirs...)
	if !to.slow.has(slow.ID()) || to.slow.has(honest.ID()) {
		t.Errorf("the dripping member is known to be slow: %v, the other one: %v", to.slow.has(slow.ID()), to.slow.has(honest.ID()))
	}
}

func TestAStreamThatDripsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to := w.member(patientFor(func(p *patience) { p.idle, p.floor = time.Second, 8<<10 }))
	dirs := directories(t, 10)
	slow := drips(t, w, dirs...)
	connect(t, to, slow)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := to.askCAR(ctx, slow.ID(), roots(dirs), func(unixfs.Directory) error { return nil })
	if err == nil || ctx.Err() != nil {
		t.Fatalf("it goes on: %v", err)
	}
}

// Who asks and hardly reads keeps no place and no memory for long.
func TestAnAskerThatHardlyReadsIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from, asker := w.member(patientFor(func(p *patience) { p.idle, p.floor = 500*time.Millisecond, 8<<10 })), w.member()
	large := directoryOf(t, unixfs.MaxPayload)
	put(t, from, large)
	connect(t, from, asker)
	s, err := asker.host.NewStream(context.Background(), from.ID(), carProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if _, err := s.Write(encodeRequest([]cid.Cid{large.Root()})); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		buf := make([]byte, 1)
		for {
			if _, err := s.Read(buf); err != nil {
				ended <- err
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	select {
	case err := <-ended:
		if err == io.EOF {
			t.Error("it had the whole answer")
		}
	case <-time.After(time.Minute):
		t.Error("it is still answered")
	}
}

// Members that took long are asked last, and not at all by who has no time.
func TestSlowMembersAreNotAskedByWhoHasNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to, honest := w.member(), w.member()
	slow := drips(t, w, directories(t, 3)...)
	connect(t, to, slow, honest)
	to.slow.add(slow.ID())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // less than a member may be silent
	defer cancel()
	got, err := to.Fetch(ctx, roots(directories(t, 3)))
	if err != nil || len(got.Missing) != 3 || ctx.Err() != nil {
		t.Fatalf("%d are missing, error %v", len(got.Missing), err)
	}
}

func TestWhoIsSlowAgainAndAgainIsAskedLastForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slowPeers
		pause := firstSlow
		for range 7 {
			s.add("x")
			s.add("x") // in the same fetch
			time.Sleep(pause - time.Second)
			if !s.has("x") {
				t.Fatalf("it is forgotten before %s", pause)
			}
			time.Sleep(2 * time.Second)
			if s.has("x") {
				t.Fatalf("it is remembered after %s", pause)
			}
			pause = min(2*pause, lastSlow)
		}
		s.add("x")
		s.remove("x")
		if s.has("x") {
			t.Error("an answer does not make up for it")
		}
	})
}

// However many streams of whatever protocol a member opens: others are answered.
func TestEveryProtocolHasADoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, greedy, other := w.member(), w.member(), w.member()
	asked := make(chan struct{})
	release := make(chan struct{})
	server.AnswerWithdrawn(func(of swarm.Published) bool {
		if of.Asset == 1 {
			asked <- struct{}{}
			<-release
		}
		return true
	})
	connect(t, server, greedy, other)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answers := make(chan error, 2*shortPerPeer)
	for range 2 * shortPerPeer {
		go func() {
			_, err := greedy.AskWithdrawn(ctx, server.ID(), []swarm.Published{{Asset: 1}})
			answers <- err
		}()
	}
	<-asked // one is answered, and no other at the same time
	for range shortPerPeer {
		if err := <-answers; err == nil {
			t.Fatal("more are answered than a peer can have")
		}
	}
	if seen, err := other.AskWithdrawn(ctx, server.ID(), []swarm.Published{{Asset: 2, Index: 17}}); err != nil || !seen[0] {
		t.Errorf("another member is not answered: %v", err)
	}
	go func() {
		for range shortPerPeer - 1 {
			<-asked
		}
	}()
	close(release)
	for range shortPerPeer {
		if err := <-answers; err != nil {
			t.Errorf("one that was let in: %v", err)
		}
	}
}

func TestADoorLetsInWhatThereIsRoomFor(t *testing.T) {
	d := newDoor(2, 1, 3)
	enter := func(from peer.ID) *visit {
		v, err := d.enter(from)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	a1, a2, b := enter("a"), enter("a"), enter("b")
	if _, err := d.enter("a"); err == nil {
		t.Error("a third stream of one peer is let in")
	}
	if err := errors.Join(a1.wait(t.Context()), b.wait(t.Context())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a2.wait(ctx); err == nil {
		t.Error("two streams of one peer are served at the same time")
	}
	a1.leave()
	if err := a2.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	a2.leave()
	b.leave()
	if len(d.peers) != 0 || len(d.slots) != 0 {
		t.Errorf("%d peers and %d slots are left", len(d.peers), len(d.slots))
	}
}
