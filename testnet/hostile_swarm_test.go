package testnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	libp2p "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/testnet/hostile"
)

// noisy gives bytes that mean nothing, the same ones for each seed.
func noisy(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data)
	return data
}

// Its NFTs are about what has the form of no directory: each is looked at once, and nobody waits for it again.
func TestHostileDirectoriesThatAreNone(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	good, err := mallory.DirectoryOf(mallory.indicators(mallory.learn(), 7, 1)[0])
	must(t, err)
	files := good.Blocks()[1:]
	file := func(i int, name string, size uint64) hostile.Link {
		return hostile.Link{Name: name, CID: files[i].Cid(), Size: size}
	}
	directory := []byte{8, 1}
	many := make([]hostile.Link, 5_000)
	for i := range many {
		many[i] = file(0, fmt.Sprint(i), 1)
	}
	served := map[cid.Cid][]blocks.Block{}
	for what, node := range map[string]func() (blocks.Block, error){
		"no node":         func() (blocks.Block, error) { return hostile.Block(noisy(1, 1000)) },
		"a node of a MiB": func() (blocks.Block, error) { return hostile.Block(noisy(2, 1<<20)) },
		"an empty one":    func() (blocks.Block, error) { return hostile.Block(nil) },
		"very many links": func() (blocks.Block, error) { return hostile.Node(directory, many...) },
		"one file":        func() (blocks.Block, error) { return hostile.Node(directory, file(0, wire.ObjectName, 1)) },
		"a file too large": func() (blocks.Block, error) {
			return hostile.Node(directory, file(0, unixfs.MetadataName, 1<<62), file(1, wire.ObjectName, 1<<62))
		},
		"a path": func() (blocks.Block, error) {
			return hostile.Node(directory, file(0, "../../config.toml", 9), file(1, wire.ObjectName, 9))
		},
		"a file of no length": func() (blocks.Block, error) {
			return hostile.Node(directory, file(0, unixfs.MetadataName, 0), file(1, wire.ObjectName, 0))
		},
		"other data": func() (blocks.Block, error) {
			return hostile.Node(noisy(3, 3000), file(0, unixfs.MetadataName, 9), file(1, wire.ObjectName, 9))
		},
	} {
		root, err := node()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		served[root.Cid()] = append([]blocks.Block{root}, files...)
	}
	var asked atomic.Int64
	mallory.AnswerCAR(func(stream libp2p.Stream, roots []cid.Cid) error {
		answer := hostile.CARHeader()
		for _, root := range roots {
			if list, found := served[root]; found {
				asked.Add(1)
				answer = append(answer, hostile.CARBlocks(list...)...)
			}
		}
		_, err := stream.Write(answer)
		return err
	})
	var mints []ledger.Mint
	for root := range served {
		for range 20 {
			note, err := mallory.Note(wire.Note{Kind: wire.KindObject})
			must(t, err)
			mints = append(mints, ledger.Mint{URL: wire.URL(root), Note: note})
		}
	}
	measured := bravo.watch()
	mallory.mint(mints...)
	n.quickly(1, 20*time.Second)
	for _, o := range n.members {
		eventually(t, func() (bool, string) {
			s := o.status()
			return s.View.Waiting == 0 && s.View.Undecided == 0, fmt.Sprintf("%s: %+v", o.Name, s.View)
		})
	}
	// Two nodes ask, each for each of them, and again where one of them spoiled the answer for those after it.
	if most := int64(2 * len(served) * len(served)); asked.Load() > most {
		t.Errorf("%d of them are asked for %d times, at most %d may be", len(served), asked.Load(), most)
	}
	measured().within(t, bravo, 250, 30*time.Second)
	n.alive(2)
}

// It answers with whatever comes to its mind, without end where it can: it is cut off, and nobody else is kept waiting.
func TestHostileAnswers(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	c := mallory.learn()
	foreign := noise(t, 1, 1)[0]
	chunk := noisy(4, 1<<20)
	raw, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: wire.DirectoryCID.MhType, MhLength: -1}.Sum(chunk)
	must(t, err)
	block, err := blocks.NewBlockWithCid(chunk, raw)
	must(t, err)
	var sent atomic.Int64
	forever := func(first, next []byte) hostile.Answer {
		return func(stream libp2p.Stream, _ []cid.Cid) error {
			for data := first; ; data = next {
				m, err := stream.Write(data)
				if sent.Add(int64(m)); err != nil {
					return err
				}
			}
		}
	}
	once := func(data []byte) hostile.Answer {
		return func(stream libp2p.Stream, _ []cid.Cid) error {
			m, err := stream.Write(data)
			sent.Add(int64(m))
			return err
		}
	}
	kinds := map[string]func(d unixfs.Directory) hostile.Answer{
		"noise without end":    func(unixfs.Directory) hostile.Answer { return forever(noisy(5, 1<<20), noisy(6, 1<<20)) },
		"a header without end": func(unixfs.Directory) hostile.Answer { return forever(binary.AppendUvarint(nil, 1<<40), chunk) },
		"a long header":        func(unixfs.Directory) hostile.Answer { return forever(binary.AppendUvarint(nil, 30<<20), chunk) },
		"a block without end": func(unixfs.Directory) hostile.Answer {
			return forever(append(hostile.CARHeader(), binary.AppendUvarint(nil, 1<<60)...), chunk)
		},
		"blocks without end":      func(unixfs.Directory) hostile.Answer { return forever(hostile.CARHeader(), hostile.CARBlocks(block)) },
		"empty blocks, endlessly": func(unixfs.Directory) hostile.Answer { return forever(hostile.CARHeader(), make([]byte, 1<<20)) },
		"it, again and again": func(d unixfs.Directory) hostile.Answer {
			return forever(hostile.CARHeader(), hostile.CARBlocks(d.Blocks()...))
		},
		"one that nobody asked for": func(unixfs.Directory) hostile.Answer { return once(hostile.CAR(nil, foreign)) },
		"other bytes than those of the CID": func(d unixfs.Directory) hostile.Answer {
			wrong, err := blocks.NewBlockWithCid(chunk, d.Root())
			must(t, err)
			return once(append(hostile.CARHeader(), hostile.CARBlocks(wrong)...))
		},
		"half of it": func(d unixfs.Directory) hostile.Answer {
			return once(append(hostile.CARHeader(), hostile.CARBlocks(d.Blocks()[:2]...)...))
		},
		"very many roots in the header": func(d unixfs.Directory) hostile.Answer {
			return once(hostile.CAR(slices.Repeat([]cid.Cid{raw}, 60_000), d))
		},
		"nothing": func(unixfs.Directory) hostile.Answer { return once(nil) },
	}
	measured := bravo.watch()
	var served []unixfs.Directory
	for what, answer := range kinds {
		number := len(served)
		draft := mallory.object(c, indicatorID(1000+number), "2026-01-02T03:04:05.678Z", indicator(1000+number))
		d, err := mallory.DirectoryOf(draft)
		must(t, err)
		mint, err := mallory.NFT(draft.Note, d)
		must(t, err)
		served = append(served, d)
		var answers atomic.Int64
		answered := answer(d)
		mallory.AnswerCAR(func(stream libp2p.Stream, roots []cid.Cid) error {
			if !slices.Contains(roots, d.Root()) { // what was minted before is asked for again, now and then
				return mallory.GiveNothing(stream, roots)
			}
			defer answers.Add(1)
			return answered(stream, roots)
		})
		before := sent.Load()
		mallory.mint(mint)
		n.quickly(number, 15*time.Second)
		eventually(t, func() (bool, string) { return answers.Load() > 0, what + " has not come to an end" })
		t.Logf("%s: %d KiB were taken", what, (sent.Load()-before)>>10)
	}
	if taken := sent.Load(); taken > 64<<20 {
		t.Errorf("%d MiB were taken", taken>>20)
	}
	measured().within(t, bravo, 250, time.Minute)
	mallory.Serve(served...)
	mallory.AnswerCAR(mallory.GiveAll)
	must(t, mallory.Host.Network().ClosePeer(mallory.peerOf(bravo))) // so that it is asked again at once
	mallory.reach(bravo, mallory.info())
	bravo.shows(n.collection, indicators(1000, len(served))...) // when it answers well, that counts
}

// Members open all streams that they can and ask a byte at a time: each is ended, and others are answered meanwhile.
func TestHostileAskersThatDrip(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	var gang []*villain
	for number := range 4 {
		gang = append(gang, n.hostile(fmt.Sprint("mallory", number), enoughAlgo))
	}
	charlie.stop()
	const count = 50
	bravo.post(n.collection, indicators(0, count)...)
	alpha.shows(n.collection, indicators(0, count)...)
	var question []cid.Cid // it is in order, so that nothing but its slowness is wrong
	for _, mint := range gang[0].absent(256) {
		root, err := wire.ParseURL(mint.URL)
		must(t, err)
		question = append(question, root)
	}
	measured := bravo.watch()
	var drips sync.WaitGroup
	var opened, endless atomic.Int64
	const patient = time.Minute
	for _, mallory := range gang {
		for _, o := range []*organisation{alpha, bravo} {
			victim := mallory.peerOf(o)
			for range 20 {
				for _, name := range []protocol.ID{hostile.CARProtocol, hostile.WithdrawnProtocol, hostile.PeersProtocol} {
					drips.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						stream, err := mallory.Host.NewStream(ctx, victim, name)
						cancel()
						if err != nil {
							return // it is refused
						}
						opened.Add(1)
						_ = stream.SetDeadline(time.Now().Add(patient))
						drips.Go(func() { _ = hostile.Drip(stream, hostile.Question(question...), 1, time.Second) })
						_, err = io.Copy(io.Discard, stream)
						if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
							endless.Add(1)
						}
						_ = stream.Reset()
					})
				}
			}
		}
	}
	began := time.Now()
	charlie.start()
	charlie.shows(n.collection, indicators(0, count)...)
	n.quickly(100, 15*time.Second)
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("catching up took %s", took)
	}
	drips.Wait()
	t.Logf("%d streams were opened", opened.Load())
	if endless.Load() > 0 {
		t.Errorf("%d streams are open after %s", endless.Load(), patient)
	}
	u := measured()
	u.within(t, bravo, 200, time.Minute)
	if u.files > 200 {
		t.Errorf("%d files were open", u.files)
	}
}

// It says what has the form of no message, and tells of members without end: what others say is heard.
func TestHostileMessagesAndRecordsThatAreMalformed(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	before, err := os.Stat(bravo.Log)
	must(t, err)
	d := noise(t, 2, 1)[0]
	var messages [][]byte
	for i := range uint64(3000) {
		messages = append(messages,
			noisy(i, int(i%700)), append([]byte{1}, noisy(i, 2000)...), append([]byte{2}, noisy(i, 11)...), append([]byte{byte(i)}, noisy(i, 100)...),
			append([]byte{1, 7}, append(hostile.CARHeader(slices.Repeat(roots(d), int(i%500))...), byte(i))...),
			append([]byte{1}, binary.AppendUvarint(nil, i<<40)...),
			hostile.Announcement(i<<40, nil, d), append(hostile.Announcement(i, roots(d)), hostile.CARBlocks(d.Blocks()[1])...))
	}
	var asked, told atomic.Int64 // streams that were opened, and bytes that were taken
	mallory.Host.SetStreamHandler(hostile.PeersProtocol, func(stream libp2p.Stream) {
		record, err := mallory.Record(uint64(time.Now().UnixNano()), "/ip4/127.0.0.1/tcp/1")
		if asked.Add(1)%4 == 0 {
			record = noisy(1, 4096)
		}
		for err == nil {
			var n int
			n, err = stream.Write(append(binary.AppendUvarint(nil, uint64(len(record))), record...))
			told.Add(int64(n))
		}
		_ = stream.Reset()
	})
	measured := bravo.watch()
	must(t, mallory.Host.Network().ClosePeer(mallory.peerOf(bravo)))
	mallory.reach(bravo, mallory.info())
	var flood sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
	defer stop()
	flood.Go(func() {
		for ctx.Err() == nil {
			if mallory.Say(ctx, messages...) != nil {
				return
			}
		}
	})
	n.quickly(1, 15*time.Second)
	n.quickly(2, 15*time.Second)
	flood.Wait()
	t.Logf("in %d streams %d KiB of records were taken", asked.Load(), told.Load()>>10)
	if streams := asked.Load(); streams == 0 || told.Load() > streams*(2<<20) { // with what is in buffers
		t.Errorf("in %d streams %d bytes of records were taken", streams, told.Load())
	}
	after, err := os.Stat(bravo.Log)
	must(t, err)
	if grown := after.Size() - before.Size(); grown > 256<<10 {
		t.Errorf("the log has grown by %d bytes", grown)
	}
	measured().within(t, bravo, 250, time.Minute)
}
