package testnet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/testnet/hostile"
)

// The scenarios with a hostile member: what one member can do to the others' nodes, with bounds on what it may cost
// them. Their names begin with TestHostile: "make hostile" runs them, "make test" doesn't.

// villain is a hostile member in a test: its calls fail the test instead of returning errors.
type villain struct {
	*hostile.Member
	t    testing.TB
	n    *network
	keys []string // of all members
}

// hostile admits an organisation whose daemon never runs, gives its keys to a hostile member, and connects that with
// the running nodes.
func (n *network) hostile(name string, microalgo uint64) *villain {
	n.t.Helper()
	o := organisationOn(n.t, n.blockchain, name, microalgo)
	n.admit(o)
	return n.asHostile(o)
}

// asHostile makes a hostile member of an organisation that was admitted and whose daemon does not run.
func (n *network) asHostile(o *organisation) *villain {
	n.t.Helper()
	m, err := hostile.Open(o.Dir)
	must(n.t, err)
	n.t.Cleanup(func() { _ = m.Close() }) // it may have left already
	v := &villain{Member: m, t: n.t, n: n}
	for _, other := range n.members {
		v.reach(other, v.info())
	}
	return v
}

// info is what the founder knows of the consortium.
func (v *villain) info() control.ConsortiumInfo {
	v.t.Helper()
	return v.n.members[0].consortium()
}

// peerOf is a node's id in the swarm.
func (v *villain) peerOf(o *organisation) peer.ID {
	v.t.Helper()
	return addressOf(v.t, o, v.info()).ID
}

// reach connects the member with a node, as soon as that knows it for one.
func (v *villain) reach(o *organisation, info control.ConsortiumInfo) {
	v.t.Helper()
	address := addressOf(v.t, o, info)
	eventually(v.t, func() (bool, string) {
		ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
		defer cancel()
		if err := v.Host.Connect(ctx, address); err != nil {
			return false, "no connection to " + o.Name + ": " + err.Error()
		}
		seen := o.consortium()
		return slices.ContainsFunc(seen.Members, func(m members.Info) bool {
			return m.Peer == v.Host.ID().String() && m.Connected
		}), o.Name + " does not take it for a member"
	})
}

// minutes is for calls of a hostile member that mint a lot.
func (v *villain) minutes() context.Context {
	ctx, cancel := context.WithTimeout(v.t.Context(), 5*time.Minute)
	v.t.Cleanup(cancel)
	return ctx
}

// learn waits until the member knows the keys of the default collection, and gives it.
func (v *villain) learn() consortium.Collection {
	v.t.Helper()
	var c consortium.Collection
	eventually(v.t, func() (bool, string) {
		state, err := v.Learn(v.minutes())
		if err != nil {
			return false, err.Error()
		}
		found := false
		c, found = state.Collection(v.n.collection)
		return found && !c.Pending && !c.Former, fmt.Sprintf("it can't read the collection: %+v", c)
	})
	return c
}

// object drafts an object of the default collection, as a good member would.
func (v *villain) object(c consortium.Collection, id, version, object string) consortium.Draft {
	v.t.Helper()
	draft, err := consortium.DraftObject(v.Consortium.ID, c, id, version, true, []byte(object), time.Now())
	must(v.t, err)
	return draft
}

// indicators drafts objects of the default collection.
func (v *villain) indicators(c consortium.Collection, first, count int) (drafts []consortium.Draft) {
	v.t.Helper()
	for n := first; n < first+count; n++ {
		drafts = append(drafts, v.object(c, indicatorID(n), "2026-01-02T03:04:05.678Z", indicator(n)))
	}
	return drafts
}

// collection makes a collection of the member's own that every member reads and may publish in.
func (v *villain) collection(id string) consortium.Collection {
	v.t.Helper()
	key, err := seal.NewEpochKey()
	must(v.t, err)
	everybody := wire.Accounts{Members: true}
	properties := wire.Collection{Title: "Of " + id, Readers: everybody, Contributors: everybody, DefaultLevel: "green", Metadata: wire.MetadataOpen}
	draft, err := consortium.DraftCollection(v.Consortium.ID, id, 1, properties, map[uint32]*seal.EpochKey{1: key}, v.recipients(), time.Now())
	must(v.t, err)
	v.publish(draft)
	return consortium.Collection{ID: id, Epoch: 1, Key: key, Properties: properties}
}

// recipients are the keys of all members.
func (v *villain) recipients() (list []string) {
	v.t.Helper()
	if v.keys != nil {
		return v.keys
	}
	defer func() { v.keys = list }()
	eventually(v.t, func() (bool, string) {
		state, err := v.Learn(v.minutes())
		if err != nil {
			return false, err.Error()
		}
		list = nil
		for _, m := range state.Members() {
			if m.Known && m.Removed == nil {
				list = append(list, m.Recipient)
			}
		}
		return len(list) == len(v.n.members)+1, fmt.Sprintf("it knows the keys of %d members", len(list))
	})
	return list
}

// record is a directory with a record of a kind, whatever its payload is, and the NFT's mint.
func (v *villain) record(note wire.Note, epoch uint32, payload []byte) (unixfs.Directory, ledger.Mint) {
	v.t.Helper()
	properties := wire.Properties{Kind: note.Kind, Consortium: v.Consortium.ID, Publisher: v.Address(), Collection: note.Collection, Epoch: epoch, StoredAt: wire.FormatTime(time.Now())}
	metadata, err := wire.NewMetadata(properties, payload).Encode()
	must(v.t, err)
	d, err := hostile.Directory(metadata, wire.RecordName, payload)
	must(v.t, err)
	v.Serve(d)
	mint, err := v.NFT(note, d)
	must(v.t, err)
	return d, mint
}

func (v *villain) publish(drafts ...consortium.Draft) []consortium.Place {
	v.t.Helper()
	minted, err := v.Publish(v.minutes(), drafts...)
	must(v.t, err)
	return minted
}

func (v *villain) mint(mints ...ledger.Mint) []consortium.Place {
	v.t.Helper()
	minted, err := v.Mint(v.minutes(), mints...)
	must(v.t, err)
	return minted
}

// usage is what a process has used at most while it was watched.
type usage struct {
	private   float64 // MiB of memory of its own: not the pages of files
	files     int     // open at the same time
	processor time.Duration
}

// watch measures a daemon until the returned function is called. Memory is counted from a clean start: the peak is
// forgotten first.
func (o *organisation) watch() (measured func() usage) {
	o.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", o.Process.Process.Pid)
	var most usage
	look := func() {
		memory := readMemory(proc)
		most.private = max(most.private, memory["RssAnon"])
		if fds, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
			most.files = max(most.files, len(fds))
		}
	}
	before := processorTime(proc)
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			look()
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	}()
	end := sync.OnceValue(func() usage {
		close(stop)
		<-done
		most.processor = processorTime(proc) - before
		return most
	})
	o.t.Cleanup(func() { end() })
	return end
}

// readMemory is what the system says of a process's memory, in MiB.
func readMemory(proc string) map[string]float64 {
	memory := map[string]float64{}
	data, err := os.ReadFile(proc + "status")
	if err != nil {
		return memory // it has ended; who watches it notices otherwise
	}
	for line := range strings.Lines(string(data)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		if kilobytes, found := strings.CutSuffix(text, " kB"); found {
			if n, err := strconv.Atoi(strings.TrimSpace(kilobytes)); err == nil {
				memory[name] = float64(n) / 1024
			}
		}
	}
	return memory
}

// processorTime is what a process has used of the processors since it began.
func processorTime(proc string) time.Duration {
	data, err := os.ReadFile(proc + "stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name in brackets can hold spaces
	fields := strings.Fields(rest)
	const user, system, tick = 11, 12, 10 * time.Millisecond // of proc(5), from the field after the name on
	if len(fields) <= system {
		return 0
	}
	u, _ := strconv.Atoi(fields[user])
	s, _ := strconv.Atoi(fields[system])
	return time.Duration(u+s) * tick
}

// within fails the test if a daemon used more than it may.
func (u usage) within(t testing.TB, o *organisation, private float64, processor time.Duration) {
	t.Helper()
	t.Logf("%s: at most %.0f MiB of memory, %d files, %s of the processor", o.Name, u.private, u.files, u.processor)
	if u.private > private {
		t.Errorf("%s took %.0f MiB of memory, at most %.0f may be", o.Name, u.private, private)
	}
	if u.processor > processor {
		t.Errorf("%s took %s of the processor, at most %s may be", o.Name, u.processor, processor)
	}
}

// alive checks that the nodes still do what they are for: an object goes from the first one to all.
func (n *network) alive(number int) {
	n.t.Helper()
	n.members[0].post(n.collection, indicator(number))
	for _, o := range n.members {
		o.shows(n.collection, indicator(number))
	}
}

// roots are the CIDs of directories.
func roots(dirs ...unixfs.Directory) (list []cid.Cid) {
	for _, d := range dirs {
		list = append(list, d.Root())
	}
	return list
}

// The library itself: a hostile member that keeps to the rules is served and taken like a good one.
func TestHostileMemberThatBehavesIsAMember(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	mallory := n.hostile("mallory", enoughAlgo)
	measured := n.members[1].watch()
	c := mallory.learn()
	mallory.publish(mallory.indicators(c, 1, 20)...)
	for _, o := range n.members {
		o.shows(n.collection, indicators(1, 20)...)
	}
	announced := mallory.indicators(c, 100, 1)
	d, err := mallory.DirectoryOf(announced[0])
	must(t, err)
	must(t, mallory.Say(mallory.minutes(), hostile.Announcement(1, roots(d), d)))
	mint, err := mallory.NFT(announced[0].Note, d) // it does not serve it: the announcement has the blocks
	must(t, err)
	minted := mallory.mint(mint)
	for _, o := range n.members {
		o.shows(n.collection, indicator(100))
	}
	destroys, err := mallory.Destroys(minted...)
	must(t, err)
	mallory.mint(destroys...)
	for _, o := range n.members {
		eventually(t, func() (bool, string) {
			list, err := o.tryObjects(n.collection)
			return err == nil && !slices.Contains(list, indicator(100)), "it still shows the object"
		})
	}
	n.alive(200)
	measured().within(t, n.members[1], 200, time.Minute)
}
