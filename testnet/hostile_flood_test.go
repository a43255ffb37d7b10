package testnet

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/testnet/hostile"
)

// absent is NFTs about directories that nobody has.
func (v *villain) absent(count int) (mints []ledger.Mint) {
	v.t.Helper()
	for n := range count {
		root, err := wire.DirectoryCID.Sum(fmt.Appendf(nil, "nobody has %s %d", v.Address(), n))
		must(v.t, err)
		note, err := v.Note(wire.Note{Kind: wire.KindObject})
		must(v.t, err)
		mints = append(mints, ledger.Mint{URL: wire.URL(root), Note: note})
	}
	return mints
}

// quickly fails the test unless an object of another member gets through in good time.
func (n *network) quickly(number int, within time.Duration) {
	n.t.Helper()
	began := time.Now()
	n.members[0].post(n.collection, indicator(number))
	for _, o := range n.members {
		o.folded(number)
	}
	if took := time.Since(began); took > within {
		n.t.Errorf("an object of another member took %s, at most %s may be", took, within)
	}
}

// Thousands of NFTs about one directory, and their destruction: the chain is followed all the same.
func TestHostileDestroys(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	const count = 4000
	mallory := n.hostile("mallory", count*110_000+enoughAlgo)
	c := mallory.learn()
	d, err := mallory.DirectoryOf(mallory.indicators(c, 1, 1)[0])
	must(t, err)
	mallory.Serve(d)
	measured := n.members[1].watch()
	mints, err := mallory.NFTs(count, wire.Note{Kind: wire.KindObject}, d)
	must(t, err)
	minted := mallory.mint(mints...)
	n.quickly(100, 20*time.Second)
	destroys, err := mallory.Destroys(minted...)
	must(t, err)
	mallory.mint(destroys...)
	n.quickly(101, 15*time.Second)
	measured().within(t, n.members[1], 300, time.Minute)
	for _, o := range n.members {
		o.showsExactly(o.Name, n.collection, indicator(100), indicator(101))
	}
}

// A flood of NFTs about what nobody has, by a member that takes every question and never answers.
func TestHostileFloodOfWhatNobodyHas(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	const count = 6000
	mallory := n.hostile("mallory", count*110_000+enoughAlgo)
	mallory.AnswerCAR(mallory.KeepSilent)
	mallory.mint(mallory.absent(count)...)
	measured := n.members[1].watch()
	for number := range 3 {
		n.quickly(number, 15*time.Second)
	}
	measured().within(t, n.members[1], 300, time.Minute)
}

// A member that gives a byte now and then, while another one catches up: the others have it all.
func TestHostileDrip(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	bravo.stop()
	const count = 250
	alpha.post(n.collection, indicators(0, count)...)
	// It has everything, too, and gives it slowly.
	var published []cid.Cid
	urls, _ := n.minted(t, alpha.account(), mallory.Consortium.ID)
	for _, url := range urls {
		root, err := wire.ParseURL(url)
		must(t, err)
		published = append(published, root)
	}
	for some := range slices.Chunk(published, 256) {
		got, err := mallory.Get(mallory.minutes(), some...)
		must(t, err)
		for _, d := range got {
			mallory.Serve(d)
		}
	}
	mallory.AnswerCAR(mallory.Drip(1, time.Second))
	began := time.Now()
	bravo.start()
	bravo.shows(n.collection, indicators(0, count)...)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("catching up took %s", took)
	}
}

// Announcements without end, of what is never minted, by several members: what they take is bounded, and others are
// heard.
func TestHostileAnnouncements(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	var gang []*villain
	for number := range 8 {
		gang = append(gang, n.hostile(fmt.Sprint("mallory", number), enoughAlgo))
	}
	messages := make([][][]byte, len(gang))
	for member := range gang {
		for number := range 30 {
			dirs := noise(t, number*len(gang)+member, 100)
			messages[member] = append(messages[member], hostile.Announcement(uint64(number), roots(dirs...), dirs...))
		}
	}
	measured := n.members[1].watch()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var flood sync.WaitGroup
	var sent atomic.Int64
	for member, mallory := range gang {
		flood.Go(func() {
			for number := 0; ctx.Err() == nil; number++ { // each is another message, though it says the same
				message := messages[member][number%len(messages[member])]
				if mallory.Say(ctx, message, hostile.Hint(uint64(number)<<32)) != nil {
					return
				}
				sent.Add(int64(len(message)))
			}
		})
	}
	for number := range 3 {
		n.quickly(number, 20*time.Second)
	}
	flood.Wait()
	t.Logf("%d MiB were announced", sent.Load()>>20)
	measured().within(t, n.members[1], 400, 90*time.Second)
}

// noise is directories that nobody will ask for, of everyday size.
func noise(t testing.TB, number, count int) (dirs []unixfs.Directory) {
	for n := range count {
		text := fmt.Appendf(nil, "noise %d %d", number, n)
		d, err := hostile.Directory(text, wire.ObjectName, bytes.Repeat(text, 2000/len(text)))
		must(t, err)
		dirs = append(dirs, d)
	}
	return dirs
}

// Members that ask for the largest directory there is, in as many streams as they can have and of every protocol, and
// don't read: some are refused, the others take little, and who reads is served.
func TestHostileAskersThatDoNotRead(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	var gang []*villain
	for number := range 4 {
		gang = append(gang, n.hostile(fmt.Sprint("mallory", number), enoughAlgo))
	}
	object := strings.Replace(indicator(7), `"name"`, `"description":"`+strings.Repeat("x", 7<<20)+`","name"`, 1)
	large := gang[0].object(gang[0].learn(), indicatorID(7), "2026-01-02T03:04:05.678Z", object)
	gang[0].publish(large)
	bravo.shows(n.collection, object)
	d, err := gang[0].DirectoryOf(large)
	must(t, err)

	node := gang[0].peerOf(bravo)
	measured := bravo.watch()
	for _, mallory := range gang {
		for range 30 {
			for _, ask := range []struct {
				protocol protocol.ID
				question []byte
			}{
				{hostile.CARProtocol, hostile.Question(slices.Repeat(roots(d), 256)...)}, {hostile.PeersProtocol, nil},
				{hostile.WithdrawnProtocol, bytes.Repeat([]byte{1}, 1000)},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				stream, err := mallory.Host.NewStream(ctx, node, ask.protocol)
				cancel()
				if err == nil { // else it is refused
					_, _ = stream.Write(ask.question)
					_ = stream.CloseWrite()
				}
			}
		}
	}
	n.quickly(1, 15*time.Second)
	u := measured()
	u.within(t, bravo, 200, time.Minute)
	if u.files > 200 {
		t.Errorf("%d files were open", u.files)
	}
}

// Signed records that name a victim's machine: nobody knocks there often, nor at all of its ports.
func TestHostileRecordOfAVictimsAddress(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	mallory := n.hostile("mallory", enoughAlgo)
	var knocks atomic.Int64
	var addresses []string
	for range 30 {
		victim, err := net.Listen("tcp", "127.0.0.2:0")
		must(t, err)
		defer victim.Close()
		go func() {
			for {
				connection, err := victim.Accept()
				if err != nil {
					return
				}
				knocks.Add(1)
				_ = connection.Close()
			}
		}()
		addresses = append(addresses, fmt.Sprintf("/ip4/127.0.0.2/tcp/%d", victim.Addr().(*net.TCPAddr).Port))
	}
	for number := range uint64(5) {
		record, err := mallory.Record(uint64(time.Now().UnixNano())+number, append(addresses, "/ip4/169.254.169.254/tcp/80")...)
		must(t, err)
		mallory.Tell(record)
		must(t, mallory.Host.Network().ClosePeer(mallory.peerOf(n.members[1])))
		mallory.reach(n.members[1], mallory.info())
	}
	must(t, mallory.Close()) // so that it is looked for
	n.quickly(1, 15*time.Second)
	time.Sleep(5 * time.Second) // nothing more comes: there is no condition to wait for
	if got := knocks.Load(); got > 20 {
		t.Errorf("the victim's ports were tried %d times", got)
	}
}
