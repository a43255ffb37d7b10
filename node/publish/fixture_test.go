package publish

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// fixture is a consortium with what may happen in it, made once: keys and keyrings cost too much for each history.
type fixture struct {
	id               uint64
	self             *nodetest.Org
	next             *nodetest.Org // self, after a change of its account
	founder, mallory *nodetest.Org
	genesis          []consortium.Event
	everybody        string // the founder's collection that all read
	ring             string // the founder's that mallory reads, and self publishes in
	own              string // self's that mallory reads
	keys             map[string]*seal.EpochKey

	records     map[string]consortium.Draft
	directories map[string]unixfs.Directory    // by name
	contents    map[string]*consortium.Content // by directory
}

// The things that happen on the chain and are prepared.
const (
	revocation = "mallory is no reader of the ring any more"
	opening    = "everybody reads the ring"
	removal    = "mallory is removed"
	rekeying   = "self's collection gets another key"
	expulsion  = "self is removed"
	rotating   = "self changes its account"
)

var theFixture = sync.OnceValue(newFixture)

// noTest is what the helpers of tests are given where there is none: their failure is a panic.
type noTest struct{ testing.TB }

func (noTest) Helper() {}

func (noTest) Fatal(args ...any) { panic(args) }

func peerOf(key p2pcrypto.PrivKey) string {
	id, err := peer.IDFromPrivateKey(key)
	check(err)
	return id.String()
}

func check(err error) { nodetest.Must(noTest{}, err) }

func newFixture() *fixture {
	t := noTest{}
	f := &fixture{
		id: 1001, self: nodetest.NewOrg(t, "self"), next: nodetest.NewOrg(t, "self"), founder: nodetest.NewOrg(t, "founder"), mallory: nodetest.NewOrg(t, "mallory"),
		everybody: uuid.NewString(), ring: uuid.NewString(), own: uuid.NewString(), keys: map[string]*seal.EpochKey{},
		records: map[string]consortium.Draft{}, directories: map[string]unixfs.Directory{}, contents: map[string]*consortium.Content{},
	}
	f.next.Identity = f.self.Identity
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 64)))
	check(err)
	f.next.Document.Peer, f.next.Document.Recipient = peerOf(peerKey), f.self.Document.Recipient
	f.next.Document, err = f.next.Document.Sign(f.next.Account.PrivateKey, peerKey)
	check(err)
	f.found()
	f.prepare()
	return f
}

func drafted(d consortium.Draft, err error) consortium.Draft {
	check(err)
	return d
}

// found makes what is there when a history begins.
func (f *fixture) found() {
	now := time.Now()
	state := consortium.New(f.id, "CHARTER", f.self.Identity)
	take := func(sender *nodetest.Org, name string, d consortium.Draft) {
		e := f.event(sender, name, d)
		e.Position, e.TxID = consortium.Position{Round: uint64(len(f.genesis) + 1)}, name
		if d.Note.Kind == wire.KindCharter {
			e.Consortium, e.Asset = 0, f.id
		} else {
			e.Asset = f.id + uint64(len(f.genesis))
			sender.Sequence++
			e.Note.Sequence = sender.Sequence
		}
		f.genesis = append(f.genesis, e)
		state.Apply(e)
		f.read(state, e, f.records[name])
		state.Take(name, *f.contents[e.Directory])
	}
	take(f.founder, "CHARTER", drafted(consortium.DraftCharter(wire.Charter{Name: "Test", GenesisID: "t-v1", GenesisHash: bytes.Repeat([]byte{7}, 32),
		Network: wire.NetworkPrivate, Founder: f.founder.Address(), DefaultCollection: f.everybody, History: true}, now)))
	for _, o := range []*nodetest.Org{f.founder, f.self, f.mallory} {
		take(f.founder, "admits "+o.Document.Organisation, drafted(consortium.DraftMember(f.id, o.Document, now)))
	}
	all := wire.Accounts{Members: true}
	take(f.founder, "everybody's", f.collection(f.everybody, 1, all, f.founder, f.self, f.mallory))
	mallorys := wire.Accounts{Named: []string{f.mallory.Address()}}
	take(f.founder, "ring", f.collection(f.ring, 1, mallorys, f.founder, f.self, f.mallory))
	take(f.self, "own", f.collection(f.own, 1, mallorys, f.self, f.mallory))
}

// prepare makes what may happen in a history.
func (f *fixture) prepare() {
	now, all := time.Now(), wire.Accounts{Members: true}
	for name, d := range map[string]consortium.Draft{
		revocation: f.collection(f.ring, 2, wire.Accounts{}, f.founder, f.self), opening: f.collection(f.ring, 1, all, f.founder, f.self, f.mallory),
		removal: drafted(consortium.DraftRemoval(f.id, f.mallory.Address(), now)), rekeying: f.collection(f.own, 2, wire.Accounts{}, f.self),
		expulsion: drafted(consortium.DraftRemoval(f.id, f.self.Address(), now)),
		rotating:  drafted(consortium.DraftRotation(f.id, f.self.Address(), f.next.Document, f.next.Account.PrivateKey, now)),
	} {
		sender := f.founder
		if name == rekeying || name == rotating {
			sender = f.self
		}
		probe := f.folded()
		e := f.event(sender, name, d)
		e.Position, e.TxID, e.Asset = consortium.Position{Round: 50}, name, 5000
		if effect, reason := probe.Apply(e); effect != consortium.Record {
			panic(name + ": " + reason)
		}
		f.read(probe, e, f.records[name])
	}
}

// collection drafts a record of a collection in which self may publish.
func (f *fixture) collection(id string, epoch uint32, readers wire.Accounts, recipients ...*nodetest.Org) consortium.Draft {
	of := id + string(rune('0'+epoch))
	if f.keys[of] == nil {
		var err error
		f.keys[of], err = seal.NewEpochKey()
		check(err)
	}
	keys := map[uint32]*seal.EpochKey{}
	for n := uint32(1); n <= epoch; n++ {
		keys[n] = f.keys[id+string(rune('0'+n))]
	}
	var list []string
	for _, o := range recipients {
		list = append(list, o.Identity.Recipient())
	}
	contributors := wire.Accounts{Named: []string{f.self.Address()}}
	if readers.Members {
		contributors = readers
	}
	d, err := consortium.DraftCollection(f.id, id, epoch, wire.Collection{Title: "Collection", Readers: readers, Contributors: contributors,
		DefaultLevel: "green", Metadata: wire.MetadataOpen}, keys, list, time.Now())
	check(err)
	return d
}

// event is what a draft becomes on the chain. It is its sender's, unless it was drafted by somebody else.
func (f *fixture) event(sender *nodetest.Org, name string, d consortium.Draft) consortium.Event {
	if d.Metadata == nil {
		d = drafted(d.By(sender.Address()))
	}
	directory, err := DirectoryOf(d)
	check(err)
	hash := wire.MetadataHash(d.Metadata)
	f.records[name], f.directories[name] = d, directory
	return consortium.Event{Sender: sender.Address(), Consortium: f.id, Note: d.Note, Directory: directory.Root().String(), MetadataHash: hash[:]}
}

// read reads the content of a record, which is kept.
func (f *fixture) read(s *consortium.State, e consortium.Event, d consortium.Draft) {
	reader, err := s.Reader(e.TxID)
	check(err)
	m, err := wire.ParseMetadata(d.Metadata)
	check(err)
	content, err := reader.Read(m, d.Payload)
	check(err)
	f.contents[e.Directory] = &content
}

// folded is the state at the beginning of every history.
func (f *fixture) folded() *consortium.State {
	s := consortium.New(f.id, "CHARTER", f.self.Identity)
	for _, e := range f.genesis {
		f.apply(s, e)
	}
	return s
}

// apply folds an event in, with its content.
func (f *fixture) apply(s *consortium.State, e consortium.Event) {
	effect, _ := s.Apply(e)
	if content := f.contents[e.Directory]; effect == consortium.Record && content != nil {
		s.Take(e.TxID, *content)
	}
}
