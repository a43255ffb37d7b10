package publish

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/outbox/outboxtest"
)

// identity is what is published once: there is one version of each object here.
type identity struct{ collection, id string }

// post is an object that was posted, and the name of its collection.
type post struct {
	n  int
	in string
}

// content is what is in a directory: an object, or a batch of them.
type content struct {
	identity
	hash      []byte
	epoch     uint32
	publisher string
	objects   []string // directories
}

// begins is the round in which the histories begin.
const begins = 2000

// world is a chain, one organisation's node that publishes on it, and what happens to both. What is in it is durable.
type world struct {
	t       testing.TB
	fixture *fixture
	genesis [32]byte
	chain   *fakeChain
	memory  outboxtest.Memory
	blocks  interface {
		Blocks
		Count() int
	}
	faults  *script
	crashes *countdown
	failing *countdown // of the machine's own
	history history

	rekeying struct { // the record that gives self's collection another key, as it was drafted
		record    []byte
		directory string
	}

	mu        sync.Mutex
	cursor    uint64
	failed    bool
	folded    *consortium.State // up to the round that was followed; nil if there is none
	calm      bool              // nothing goes wrong any more
	rotated   bool
	process   *process
	between   []func() // two processes
	contents  map[string]content
	alive     map[identity]int
	gone      map[place]bool    // withdrawn by themselves
	renewed   map[string]string // directory -> that of the same record before
	mints     map[identity]int
	foreign   map[identity]uint64 // the round in which another member published it
	endings   map[identity]int
	rotations map[*nodetest.Org]bool // signed
	cheapFrom uint64                 // when the congestion ends
	backup    []outboxtest.Pair
	wrongs    []string
	posted    map[post]bool
	restored  bool
	opened    bool // everybody reads the ring
}

// countdown counts the points until the next crash.
type countdown struct {
	mu    sync.Mutex
	left  []int
	seen  int
	quiet bool
}

func (c *countdown) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	if c.quiet || len(c.left) == 0 {
		return false
	}
	if c.left[0]--; c.left[0] >= 0 {
		return false
	}
	c.left = c.left[1:]
	return true
}

func (c *countdown) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
}

func newWorld(h history) *world {
	memory, err := outboxtest.NewMemory()
	check(err)
	w := &world{
		fixture: theFixture(), genesis: [32]byte(slices.Repeat([]byte{7}, 32)), chain: newFakeChain(), memory: memory, blocks: nodetest.NewMemStore(),
		faults: newScript(h.Faults), crashes: &countdown{left: slices.Clone(h.Crashes)}, history: h, cursor: begins,
		failing:  &countdown{left: slices.Clone(h.Fails)},
		contents: map[string]content{}, alive: map[identity]int{}, gone: map[place]bool{}, renewed: map[string]string{}, mints: map[identity]int{}, foreign: map[identity]uint64{}, endings: map[identity]int{},
		rotations: map[*nodetest.Org]bool{}, posted: map[post]bool{},
	}
	w.chain.round, w.chain.confirmed = begins, w.confirmed
	w.rekeying.record, w.rekeying.directory = w.fixture.records[rekeying].Payload, w.fixture.directories[rekeying].Root().String()
	for _, d := range w.fixture.directories {
		check(w.blocks.Put(context.Background(), []unixfs.Directory{d}))
	}
	o, err := memory.Outbox(outboxtest.Hooks{})
	check(err)
	sole := outbox.Sole{Account: w.fixture.self.Address()}
	if h.Sole != nil {
		sole = *h.Sole
	}
	check(o.SetSole(sole))
	return w
}

func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, fmt.Sprintf("round %d: ", w.chain.now())+fmt.Sprintf(format, args...))
}

// org is who the node is now.
func (w *world) org() *nodetest.Org {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rotated {
		return w.fixture.next
	}
	return w.fixture.self
}

func (w *world) rotate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotated = true
}

func (w *world) followed() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursor
}

// follow notes that the chain was followed up to a round, and folded into a state; nil: that is not known.
func (w *world) follow(upTo uint64, folded *consortium.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cursor, w.folded = upTo, folded
}

// fold gives the state as far as the chain was followed.
func (w *world) fold() *consortium.State {
	w.mu.Lock()
	s, upTo := w.folded, w.cursor
	w.mu.Unlock()
	if s == nil {
		s = w.fixture.folded()
		for _, e := range w.visible(0, upTo) {
			w.fixture.apply(s, w.original(e))
		}
	}
	return s
}

func (w *world) isCalm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

// indexed is how far an indexer is.
func (w *world) indexed(f fault) uint64 {
	round := w.chain.now()
	if !w.isCalm() {
		round -= min(round, w.history.Lag)
	}
	if f == stale {
		round -= min(round, 30)
	}
	return round
}

// behind is by how many rounds what is followed is behind the indexer.
func (w *world) behind() uint64 {
	if w.isCalm() {
		return 0
	}
	return min(w.history.Behind, w.chain.now()-w.history.Lag)
}

// isDue reports whether this is the round in which self begins to look after its collections.
func (w *world) isDue() bool {
	return w.history.Careless > 0 && w.chain.now() >= begins+w.history.Careless
}

func (w *world) isRestored() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.restored
}

// asked tells how often something was asked for.
func (w *world) asked(request string) int {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	return w.faults.asked[request]
}

// omits reports whether the indexer leaves a transaction of the node's out.
func (w *world) omits(txid string) bool {
	return w.history.Liar == askIndexer && !w.isCalm() && len(txid) == 52 && txid[0]%2 == 0
}

// visible is what the indexer shows of the chain.
func (w *world) visible(after, upTo uint64) []consortium.Event {
	return slices.DeleteFunc(w.chain.between(after, upTo), func(e consortium.Event) bool { return w.omits(e.TxID) })
}

// mintOf gives the transaction that made an asset.
func (w *world) mintOf(asset uint64) string {
	for _, e := range w.chain.between(0, w.chain.now()) {
		if e.Asset == asset && e.Note.Kind != wire.KindDestroy && e.Note.Kind != wire.KindRelease {
			return e.TxID
		}
	}
	return ""
}

func (w *world) store(directory string, files []unixfs.File) {
	w.renews(directory, files)
	for _, f := range files {
		if f.Name != wire.MetadataName {
			continue
		}
		m, err := wire.ParseMetadata(f.Data)
		check(err)
		w.mu.Lock()
		p := m.Properties
		w.contents[directory] = content{identity{p.Collection, p.Identifier}, hashOf(p.Identifier), p.Epoch, p.Publisher, listed(files)}
		w.mu.Unlock()
	}
}

func hashOf(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}

func (w *world) stored(directory string) content {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.contents[directory]
}

// rotationOf reports whether the change of an account was signed; a note may say that it is being signed.
func (w *world) rotationOf(o *nodetest.Org, note wire.Note) (before bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.rotations[o]
	w.rotations[o] = before || note.Kind == wire.KindRotation
	return before
}

// congest makes transactions dear for some rounds.
func (w *world) congest(feePerByte, rounds uint64) {
	w.chain.mu.Lock()
	w.chain.feePerByte = feePerByte
	until := w.chain.round + rounds
	w.chain.mu.Unlock()
	w.mu.Lock()
	w.cheapFrom = until
	w.mu.Unlock()
}

// confirmed is told of every transaction of the node's that is on the chain.
func (w *world) confirmed(e consortium.Event) {
	if by := w.stored(e.Directory).publisher; by != "" && by != e.Sender {
		w.wrong("what was stored for %s is on the chain by %s", by, e.Sender)
	}
	for _, p := range w.publishedBy(e) {
		w.mu.Lock()
		w.alive[p.identity]++
		w.mints[p.identity]++
		alive := w.alive[p.identity]
		w.mu.Unlock()
		if alive > 1 {
			w.wrong("%v is on the chain %d times at once", p.identity, alive)
		}
	}
	for _, p := range w.endedBy(e) {
		w.mu.Lock()
		if !w.gone[p.at] {
			w.gone[p.at] = true
			w.alive[p.identity]--
			w.endings[p.identity]++
		}
		w.mu.Unlock()
	}
}

func (w *world) eventOf(asset uint64) (made consortium.Event) {
	e, _ := w.chain.find(w.mintOf(asset), w.chain.now())
	return e
}

// pass lets rounds pass.
func (w *world) pass(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(roundTime):
		}
		w.chain.advance()
		w.mu.Lock()
		over := w.cheapFrom != 0 && (w.chain.now() >= w.cheapFrom || w.calm)
		if over {
			w.cheapFrom = 0
		}
		w.mu.Unlock()
		if over {
			w.congest(0, 0)
		}
	}
}

// live runs the node, and starts it again whenever it dies.
func (w *world) live(ctx context.Context) {
	down := slices.Clone(w.history.Down)
	for ctx.Err() == nil {
		w.maintain()
		p, running, err := w.start(ctx)
		if err == nil {
			w.set(p)
			err = p.run(running)
		}
		died := p.dead.Load()
		p.die()
		w.set(nil)
		if w.fails(err) {
			err = nil
		}
		if err != nil && !died && !errors.Is(err, errRotated) {
			w.wrong("the node ends: %v", err)
			return
		}
		pause := roundTime
		if len(down) > 0 && !errors.Is(err, errRotated) && !w.isCalm() {
			pause, down = time.Duration(down[0])*roundTime, down[1:]
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// fails notes that an error of the machine's own came out.
func (w *world) fails(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	is := errors.Is(err, errDisk)
	w.failed = w.failed || is
	return is
}

func (w *world) set(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = p
}

// whileDown has something done while no process runs.
func (w *world) whileDown(ctx context.Context, do func()) {
	var done atomic.Bool
	w.mu.Lock()
	w.between = append(w.between, func() { do(); done.Store(true) })
	w.mu.Unlock()
	for !done.Load() && ctx.Err() == nil {
		if p := w.current(); p != nil {
			p.die()
		}
		time.Sleep(time.Millisecond)
	}
}

// maintain does what is to be done while no process runs.
func (w *world) maintain() {
	w.mu.Lock()
	list := w.between
	w.between = nil
	w.mu.Unlock()
	for _, do := range list {
		do()
	}
}

func (w *world) current() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}
