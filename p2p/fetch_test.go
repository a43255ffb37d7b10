package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// hasty makes a host give up on others soon.
func hasty(c *Config) {
	c.patience = patience{
		request: 2 * time.Second, idle: time.Second, floor: 8 << 10, transfer: 10 * time.Second, long: time.Second, slow: 2 * time.Second,
		bitswap: time.Second, bitswapTotal: 2 * time.Second,
	}
}

// withoutCAR makes a host like one that does not know the CAR protocol.
func withoutCAR(h *Host) { h.host.RemoveStreamHandler(carProtocol) }

func TestFetchGetsEachPartFromTheMemberThatHasIt(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.member(), w.member(), w.member(hasty)
	dirs := append(directories(t, 600), directoryOf(t, 3*unixfs.ChunkSize+1, "large"))
	nowhere := directory(t, "nowhere")
	// Both have the middle; only one each the ends.
	for part := range slices.Chunk(dirs[:400], 200) {
		put(t, a, part...)
	}
	for part := range slices.Chunk(dirs[200:], 200) {
		put(t, b, part...)
	}
	connect(t, c, a, b)

	got, err := c.Fetch(context.Background(), append(roots(dirs), nowhere.Root()))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Missing, []cid.Cid{nowhere.Root()}) || got.Malformed != nil {
		t.Fatalf("missing %v, malformed %v", got.Missing, got.Malformed)
	}
	mustHold(t, c, dirs...)
}

func TestAThirdMemberServesWhenThePublisherIsGone(t *testing.T) {
	w := newWorld(t)
	publisher, third, late := w.member(), w.member(), w.member(hasty)
	dirs := directories(t, 20)
	put(t, publisher, dirs...)
	connect(t, publisher, third)
	fetchAll(t, third, dirs...)
	closeHost(t, publisher)
	connect(t, third, late)
	fetchAll(t, late, dirs...)
}

func TestFetchFallsBackToBitswap(t *testing.T) {
	w := newWorld(t)
	from, to := w.member(), w.member()
	withoutCAR(from)
	dirs := append(directories(t, 50), directoryOf(t, 3*unixfs.ChunkSize+1, "large"))
	put(t, from, dirs...)
	connect(t, from, to)
	fetchAll(t, to, dirs...)
}

func TestFetchWithNobodyConnectedReturnsAtOnce(t *testing.T) {
	w := newWorld(t)
	h := w.member(endless) // who waited would be seen to
	d, here := directory(t, "absent"), directory(t, "here")
	put(t, h, here)
	start := time.Now()
	got, err := h.Fetch(waiting.Context(t), []cid.Cid{d.Root(), here.Root(), d.Root()})
	if err != nil || !slices.Equal(got.Missing, []cid.Cid{d.Root()}) {
		t.Fatalf("missing %v, error %v", got.Missing, err)
	}
	if took := time.Since(start); took >= waiting.Limit {
		t.Fatalf("took %v", took)
	}
}

// endless gives a host all the patience that there is.
func endless(c *Config) {
	c.patience = patience{request: time.Hour, idle: time.Hour, transfer: time.Hour, bitswap: time.Hour, bitswapTotal: time.Hour}
}

func TestWhatNoMemberHasIsMissingAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.member(), w.member(), w.member(endless) // who waited would be seen to
	connect(t, c, a, b)
	dirs := directories(t, 300)
	start := time.Now()
	got, err := c.Fetch(waiting.Context(t), roots(dirs))
	if err != nil || len(got.Missing) != len(dirs) {
		t.Fatalf("%d missing, error %v", len(got.Missing), err)
	}
	if took := time.Since(start); took >= waiting.Limit {
		t.Fatalf("took %v: both members said that they have nothing", took)
	}
}

func TestAnOutsiderWithTheSwarmKeyGetsNothing(t *testing.T) {
	w := newWorld(t)
	member := w.member()
	everybody := &members{}
	outsider := w.outsider(hasty, func(c *Config) { c.Members = everybody })
	everybody.set(member.ID(), true) // in the outsider's own eyes all is well
	everybody.set(outsider.ID(), true)
	dirs := directories(t, 5)
	put(t, member, dirs...)
	connect(t, member, outsider)

	// It is not even told what the member does not have.
	for _, asked := range [][]unixfs.Directory{dirs, {directory(t, "nowhere")}} {
		refused := outsider.askCAR(context.Background(), member.ID(), roots(asked), func(unixfs.Directory) error {
			t.Error("got a directory as a CAR")
			return nil
		})
		if refused == nil {
			t.Error("the CAR request was answered")
		}
	}
	stream, err := outsider.host.NewStream(context.Background(), member.ID(), carProtocol)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write([]byte{1}) // the beginning of a question
	_ = stream.SetReadDeadline(waiting.End())
	var late net.Error
	if _, err := stream.Read(make([]byte, 1)); err == nil || (errors.As(err, &late) && late.Timeout()) {
		t.Errorf("the member waits for the question: %v", err)
	}
	if _, err := askPeers(context.Background(), outsider.host, member.ID()); err == nil {
		t.Error("the question for peers was answered")
	}
	got, err := outsider.Fetch(context.Background(), roots(dirs)) // asks by bitswap too
	if err != nil || len(got.Missing) != len(dirs) {
		t.Fatalf("%d of %d missing, error %v", len(got.Missing), len(dirs), err)
	}
	mustLack(t, outsider, dirs...)

	w.members.set(outsider.ID(), true) // the control
	fetchAll(t, outsider, dirs...)
}

func TestARemovedMemberGetsNothingMore(t *testing.T) {
	for name, change := range map[string]func(*Host){"CAR": func(*Host) {}, "bitswap": withoutCAR} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.member()
			view := &members{}
			b := w.member(hasty, func(c *Config) { c.Members = view })
			view.set(a.ID(), true)
			change(a)
			before, after := directories(t, 3, "before"), directories(t, 3, "after")
			put(t, a, append(before, after...)...)
			connect(t, a, b)
			fetchAll(t, b, before...)

			w.members.set(b.ID(), false)
			got, err := b.Fetch(context.Background(), roots(after))
			if err != nil || len(got.Missing) != len(after) {
				t.Fatalf("%d of %d missing, error %v", len(got.Missing), len(after), err)
			}
			mustLack(t, b, after...)
		})
	}
}

// fickle is a member list with a member for so many questions only.
type fickle struct {
	Members
	id   peer.ID
	left atomic.Int64
}

func (f *fickle) IsMember(id peer.ID) bool {
	if id == f.id {
		return f.left.Add(-1) >= 0
	}
	return f.Members.IsMember(id)
}

func TestAMemberRemovedInTheMiddleOfAnAnswerGetsNoMoreOfIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	dirs := directories(t, 10)
	put(t, a, dirs...)
	connect(t, a, b)
	view := &fickle{Members: w.members, id: b.ID()}
	view.left.Store(4) // the question and three directories
	a.cars.members = view
	var answer bytes.Buffer
	err := a.cars.answer(context.Background(), &answer, b.ID(), roots(dirs))
	if !errors.Is(err, errNotMember) {
		t.Fatalf("error %v", err)
	}
	got, _ := takeAll(answer.Bytes(), roots(dirs))
	if len(got) > 4 {
		t.Fatalf("%d directories were sent", len(got))
	}
}

func TestServeAnyoneServesAnyone(t *testing.T) {
	for name, change := range map[string]func(*Host){"CAR": func(*Host) {}, "bitswap": withoutCAR} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			open := w.member(func(c *Config) { c.ServeAnyone = true })
			view := &members{}
			outsider := w.outsider(func(c *Config) { c.Members = view })
			view.set(open.ID(), true)
			change(open)
			d := directory(t)
			put(t, open, d)
			connect(t, open, outsider)
			fetchAll(t, outsider, d)
		})
	}
}

func TestFetchMakesUpForASilentOrLyingMember(t *testing.T) {
	d := directory(t, "wanted")
	other := directory(t, "other")
	forged := slices.Clone(d.Blocks())
	forged[1] = other.Blocks()[1]
	for name, answer := range map[string]func(network.Stream){
		"silent":           func(s network.Stream) { _, _ = io.Copy(io.Discard, s); <-t.Context().Done() },
		"hanging up":       func(s network.Stream) { _ = s.Reset() },
		"talking nonsense": func(s network.Stream) { _, _ = s.Write(bytes.Repeat([]byte("nonsense"), 1000)); _ = s.Close() },
		"with another directory": func(s network.Stream) {
			_, _ = s.Write(carOf(t, nil, []unixfs.Directory{other}))
			_ = s.Close()
		},
		"with other blocks": func(s network.Stream) {
			_, _ = s.Write(carOf(t, nil, nil, forged...))
			_ = s.Close()
		},
		"without the rest": func(s network.Stream) {
			car := carOf(t, nil, []unixfs.Directory{d})
			_, _ = s.Write(car[:len(car)-5])
			_ = s.Close()
		},
		"endless": func(s network.Stream) {
			car := carOf(t, nil, nil)
			_, err := s.Write(car)
			for err == nil {
				_, err = s.Write([]byte{1, 0})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			liar, honest, h := w.member(), w.member(), w.member(hasty)
			t.Parallel() // it is waiting, not work; but Kubo sets global variables when a node is made
			put(t, honest, d)
			liar.host.SetStreamHandler(carProtocol, answer)
			connect(t, h, liar)
			got, err := h.Fetch(context.Background(), roots([]unixfs.Directory{d}))
			if err != nil || len(got.Missing) != 1 {
				t.Fatalf("alone with it: missing %v, error %v", got.Missing, err)
			}
			mustLack(t, h, d, other)
			connect(t, h, honest)
			fetchAll(t, h, d)
			mustLack(t, h, other)
		})
	}
}

func TestFetchTellsMalformedFromMissing(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	withoutCAR(a) // by CAR it would not serve what is no directory
	ctx := context.Background()
	lone, err := blockOf(cid.DagProtobuf, []byte("a node of another shape"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.blocks.Put(ctx, lone); err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
	file := directory(t).Blocks()[1].Cid()
	got, err := b.Fetch(ctx, []cid.Cid{lone.Cid(), file})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Missing) != 0 || !slices.Contains(got.Malformed, lone.Cid()) || !slices.Contains(got.Malformed, file) {
		t.Fatalf("missing %v, malformed %v", got.Missing, got.Malformed)
	}
}

// Who gives what is no directory in its place is believed, since the blocks show it, and asked for the others.
func TestWhatIsNoDirectoryIsKnownFromAnAnswerAndSpoilsNoOther(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	first, last := directory(t, "first"), directory(t, "last")
	put(t, a, first, last)
	lone, err := blockOf(cid.DagProtobuf, []byte("a node of another shape"))
	if err != nil {
		t.Fatal(err)
	}
	given := map[cid.Cid][]blocks.Block{first.Root(): first.Blocks(), last.Root(): last.Blocks(), lone.Cid(): {lone}}
	var questions atomic.Int64
	a.host.SetStreamHandler(carProtocol, func(s network.Stream) {
		asked, err := decodeRequest(s)
		if err != nil {
			_ = s.Reset()
			return
		}
		questions.Add(1)
		var answer []blocks.Block
		for _, root := range asked {
			answer = append(answer, given[root]...)
		}
		_, _ = s.Write(carOf(t, nil, nil, answer...))
		_ = s.Close()
	})
	connect(t, a, b)
	began := time.Now()
	got, err := b.Fetch(t.Context(), []cid.Cid{first.Root(), lone.Cid(), last.Root()})
	if err != nil || len(got.Missing) != 0 || !slices.Equal(got.Malformed, []cid.Cid{lone.Cid()}) {
		t.Fatalf("missing %v, malformed %v, %v", got.Missing, got.Malformed, err)
	}
	if took := time.Since(began); questions.Load() > 2 || took > b.wait.bitswap/2 {
		t.Errorf("it took %d questions and %s", questions.Load(), took)
	}
}

func TestFetchHasALimitAndHeedsItsContext(t *testing.T) {
	w := newWorld(t)
	silent, h := w.member(), w.member(endless)
	silent.host.SetStreamHandler(carProtocol, func(network.Stream) { <-t.Context().Done() })
	connect(t, silent, h)
	d := directory(t)
	if _, err := h.Fetch(context.Background(), slices.Repeat(roots([]unixfs.Directory{d}), swarm.MaxFetch+1)); err == nil {
		t.Error("no limit")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	got, err := h.Fetch(ctx, roots([]unixfs.Directory{d}))
	if !errors.Is(err, context.DeadlineExceeded) || len(got.Missing) != 1 {
		t.Errorf("missing %v, error %v", got.Missing, err)
	}
	if took := time.Since(start); took > waiting.Limit {
		t.Errorf("took %v", took)
	}
}

func TestAMemberHasOnlySoManyStreams(t *testing.T) {
	w := newWorld(t)
	server, greedy, h := w.member(), w.member(), w.member(hasty)
	connect(t, server, greedy, h)
	ctx := context.Background()
	var streams []network.Stream
	for range queuePerPeer {
		s, err := greedy.host.NewStream(ctx, server.ID(), carProtocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write([]byte{1}); err != nil { // it opens the stream and asks no question
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	eventually(t, "all streams are open", func() bool {
		server.cars.door.mu.Lock()
		defer server.cars.door.mu.Unlock()
		a := server.cars.door.peers[greedy.ID()]
		return a != nil && a.streams == queuePerPeer
	})
	d := directory(t)
	put(t, server, d)
	if err := greedy.askCAR(ctx, server.ID(), roots([]unixfs.Directory{d}), func(unixfs.Directory) error { return nil }); err == nil {
		t.Error("one more was answered")
	}
	fetchAll(t, h, d) // others are not kept out
	for _, s := range streams {
		_ = s.Reset()
	}
	eventually(t, "the places are free again", func() bool {
		server.cars.door.mu.Lock()
		defer server.cars.door.mu.Unlock()
		return len(server.cars.door.peers) == 0
	})
}

func TestManyFetchesAtOnceWaitForTheirTurn(t *testing.T) {
	w := newWorld(t)
	from, to := w.member(), w.member()
	dirs := directories(t, 120)
	put(t, from, dirs...)
	withoutBitswap := patience{request: 10 * time.Second, idle: 10 * time.Second, transfer: time.Minute, bitswap: 1, bitswapTotal: 1}
	to.wait = withoutBitswap
	connect(t, from, to)
	var fetches errgroup.Group
	for part := range slices.Chunk(dirs, 20) {
		fetches.Go(func() error {
			got, err := to.Fetch(context.Background(), roots(part))
			if err == nil && len(got.Missing) > 0 {
				err = fmt.Errorf("%d are missing", len(got.Missing))
			}
			return err
		})
	}
	if err := fetches.Wait(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, to, dirs...)
}

func TestAnAnswerEndsAtItsLimitAndTheRestIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	from, to := w.member(), w.member()
	var dirs []unixfs.Directory
	from.cars.most = 2 << 20
	for i := range 6 {
		dirs = append(dirs, directoryOf(t, 1<<20, i))
		put(t, from, dirs[i])
	}
	connect(t, from, to)
	answered := 0
	err := to.askCAR(context.Background(), from.ID(), roots(dirs), func(unixfs.Directory) error { answered++; return nil })
	if err != nil || answered != 2 {
		t.Fatalf("%d directories in one answer, error %v", answered, err)
	}
	fetchAll(t, to, dirs...)
}

// The hunt, whatever members have and however their askers interleave, ends with everything that anybody has, and no
// asker is asked for a thing twice without reason.
func TestAHuntFindsWhateverAnybodyHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []cid.Cid
		for i := range rapid.IntRange(1, 30).Draw(t, "directories") {
			b, err := blockOf(cid.DagProtobuf, []byte{byte(i)})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b.Cid())
		}
		names := []peer.ID{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "members")]
		has := map[peer.ID]map[cid.Cid]bool{}
		anybody := map[cid.Cid]bool{}
		for _, m := range names {
			has[m] = map[cid.Cid]bool{}
			for _, c := range all {
				if rapid.Bool().Draw(t, "has") {
					has[m][c] = true
					anybody[c] = true
				}
			}
		}
		size := rapid.IntRange(1, 10).Draw(t, "share")
		limit := rapid.IntRange(1, 10).Draw(t, "answer limit")

		h := newHunt(all, time.Millisecond)
		done := make(chan struct{})
		for _, m := range names {
			for range 2 {
				go func() {
					defer func() { done <- struct{}{} }()
					for {
						taken := h.take(context.Background(), m, size)
						if taken == nil {
							return
						}
						sent := 0
						for _, c := range taken {
							if has[m][c] && sent < limit {
								h.got(c, m)
								sent++
							}
						}
						h.giveBack(taken, m, sent > 0)
					}
				}()
			}
		}
		for range 2 * len(names) {
			<-done
		}
		for _, c := range h.missing() {
			if anybody[c] {
				t.Fatalf("%s is missing, but somebody has it", c)
			}
		}
		if got := len(all) - len(h.missing()); got != len(anybody) {
			t.Fatalf("got %d, somebody has %d", got, len(anybody))
		}
	})
}
