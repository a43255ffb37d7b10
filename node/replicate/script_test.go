package replicate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// draft is a directory that somebody may mint an NFT about, and what is true of it by the way it was made.
type draft struct {
	name      string
	by        *nodetest.Org // who can mint it
	note      wire.Note
	directory unixfs.Directory
	root      cid.Cid
	hash      []byte

	publishes string   // what it is a publication of; "" where it breaks a rule
	private   bool     // it is in the collection whose keys come later, if they do
	epoch     uint32   // what it is sealed to; 0: nothing asks
	opened    bool     // what breaks a rule is seen by who opens it only
	lists     []*draft // of a batch
	broken    bool     // … whose record is not in order
	malformed bool
}

// cast is who and what all histories have in common: keys take longer to make than a history.
type cast struct {
	chain                *nodetest.Chain
	self, alpha, mallory *nodetest.Org
	founding             []consortium.Event
	collection           string // alpha's, whose keys we don't have at first
	private              consortium.Event
	objects, batches     []*draft
	keyring              *draft // gives us the key of alpha's collection
	rekey                *draft // begins epoch 2 of the default collection
	void                 *draft // a record of the default collection that breaks the rules
	removal              *draft // of mallory
}

func directoryOf(t testing.TB, d consortium.Draft) unixfs.Directory {
	directory, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: d.Metadata}, unixfs.File{Name: d.PayloadName, Data: d.Payload})
	nodetest.Must(t, err)
	return directory
}

func drafted(t testing.TB, by *nodetest.Org, name string, d consortium.Draft) *draft {
	return asDrafted(t, by, name, nodetest.By(t, by.Address(), d))
}

// asDrafted takes a draft as it is, whether or not it is in order.
func asDrafted(t testing.TB, by *nodetest.Org, name string, d consortium.Draft) *draft {
	directory, hash := directoryOf(t, d), wire.MetadataHash(d.Metadata)
	return &draft{name: name, by: by, note: d.Note, directory: directory, root: directory.Root(), hash: hash[:]}
}

func newCast(t testing.TB) *cast {
	self, alpha, mallory := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "mallory")
	c := &cast{chain: nodetest.NewBareChain(t, self), self: self, alpha: alpha, mallory: mallory, collection: uuid.NewString()}
	c.founding = c.chain.Found(alpha, self, mallory)
	key, err := seal.NewEpochKey()
	nodetest.Must(t, err)
	all := wire.Accounts{Members: true}
	properties := wire.Collection{Title: "Alpha's", DefaultLevel: "green", Metadata: wire.MetadataOpen, Readers: all, Contributors: all}
	keys := map[uint32]*seal.EpochKey{1: key}
	record, err := consortium.DraftCollection(c.chain.ID, c.collection, 1, properties, keys, []string{alpha.Identity.Recipient()}, time.Now())
	nodetest.Must(t, err)
	c.private = c.chain.Mint(alpha, record)
	c.founding = append(c.founding, c.private)

	keyring, err := consortium.DraftKeyring(c.chain.ID, c.collection, keys, []string{self.Identity.Recipient()}, time.Now())
	nodetest.Must(t, err)
	c.keyring = drafted(t, alpha, "keyring", keyring)
	second, err := seal.NewEpochKey()
	nodetest.Must(t, err)
	properties.Title = "Default again"
	rekey, err := consortium.DraftCollection(c.chain.ID, c.chain.Collection, 2, properties, map[uint32]*seal.EpochKey{2: second}, []string{self.Identity.Recipient()}, time.Now())
	nodetest.Must(t, err)
	c.rekey = drafted(t, alpha, "rekey", rekey)
	void, err := consortium.DraftCollection(c.chain.ID, uuid.NewString(), 1, properties, keys, []string{alpha.Identity.Recipient()}, time.Now())
	nodetest.Must(t, err)
	void.Note.Collection = c.chain.Collection
	c.void = drafted(t, alpha, "void", void)
	removal, err := consortium.DraftRemoval(c.chain.ID, mallory.Address(), time.Now())
	nodetest.Must(t, err)
	c.removal = drafted(t, alpha, "removal", removal)

	for _, by := range []*nodetest.Org{alpha, self, mallory} {
		c.draftObjects(t, by, key, second)
	}
	for _, by := range []*nodetest.Org{alpha, self, mallory} {
		c.draftBatches(t, by)
	}
	return c
}

// draftObjects drafts a member's objects, good ones and bad ones.
func (c *cast) draftObjects(t testing.TB, by *nodetest.Org, private, second *seal.EpochKey) {
	into := func(id string, epoch uint32, key *seal.EpochKey) consortium.Collection {
		return consortium.Collection{ID: id, Epoch: epoch, Key: key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	}
	seals := func(name string, in consortium.Collection, id, version, raw string) *draft {
		d, err := consortium.DraftObject(c.chain.ID, in, id, version, true, []byte(raw), time.Now())
		nodetest.Must(t, err)
		made := drafted(t, by, name+" by "+by.Document.Organisation, d)
		made.private, made.epoch = in.ID == c.collection, in.Epoch
		c.objects = append(c.objects, made)
		return made
	}
	open := into(c.chain.Collection, 1, c.chain.Key)
	good := func(in consortium.Collection, n int, text string) {
		name := fmt.Sprintf("%s of %d in epoch %d of %.4s", text, n, in.Epoch, in.ID)
		seals(name, in, idOf(n), firstVersion, nodetest.DescribedIndicator(n, text)).publishes = fmt.Sprintf("%s/%d", in.ID, n)
	}
	good(open, 1, "one content")
	first := c.objects[len(c.objects)-1]
	good(open, 1, "other content")
	good(open, 2, "")
	good(into(c.chain.Collection, 2, second), 2, "")
	good(into(c.chain.Collection, 2, second), 3, "")
	good(into(c.collection, 1, private), 1, "")
	good(into(c.collection, 1, private), 4, "")
	for name, d := range map[string]*draft{
		"another object than its metadata says":  seals("", open, idOf(1), firstVersion, nodetest.IndicatorJSON(7)),
		"another version than its metadata says": seals("", open, idOf(7), "2026-01-02T03:04:05.679Z", nodetest.IndicatorJSON(7)),
		"no STIX":                                seals("", open, idOf(7), firstVersion, "{}"),
		"sealed to another key":                  seals("", into(c.chain.Collection, 1, second), idOf(7), firstVersion, nodetest.IndicatorJSON(7)),
	} {
		d.name, d.opened = name+" by "+by.Document.Organisation, true
	}
	seals("of an epoch that doesn't begin", into(c.chain.Collection, 3, second), idOf(7), firstVersion, nodetest.IndicatorJSON(7))
	seals("of no collection", into(uuid.NewString(), 1, c.chain.Key), idOf(7), firstVersion, nodetest.IndicatorJSON(7)).epoch = 0
	wrong := *first
	wrong.name, wrong.hash, wrong.publishes, wrong.epoch = hashOfSomethingElse, make([]byte, 32), "", 0
	nonsense, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: []byte("{")}, unixfs.File{Name: wire.ObjectName, Data: []byte("x")})
	nodetest.Must(t, err)
	hash := wire.MetadataHash([]byte("{"))
	root, err := wire.DirectoryCID.Sum([]byte("no directory"))
	nodetest.Must(t, err)
	c.objects = append(c.objects, &wrong,
		&draft{name: "nonsense", by: by, note: wrong.note, directory: nonsense, root: nonsense.Root(), hash: hash[:]},
		&draft{name: "malformed", by: by, note: wrong.note, root: root, hash: hash[:], malformed: true})
}

const firstVersion = "2026-01-02T03:04:05.678Z"

func idOf(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

func isPublication(kind wire.Kind) bool { return kind == wire.KindObject || kind == wire.KindBatch }

// minted is an event and what it is about.
type minted struct {
	consortium.Event
	draft *draft // nil for the end of an NFT
	ends  *minted
	index uint32 // … of which one object of a batch
}

// script is a chain: events, and what the view has to be in the end by the rules alone, which know nothing of when what
// comes.
type script struct {
	*cast
	events []*minted
	never  map[cid.Cid]bool // whose blocks nobody ever gives
}

// counts reports whether an event is more than noise on the chain: whose sender was a member, and, of a record, the
// first of its.
func (s *script) counts(e *minted) bool {
	for _, before := range s.events {
		switch {
		case before == e:
			return true
		case before.draft == s.removal && e.Sender == s.mallory.Address() && e.ends == nil:
			return false
		case e.draft != nil && before.draft == e.draft && !isPublication(e.Note.Kind) && e.Note.Kind != wire.KindRemoval:
			return false
		}
	}
	return true
}

// want is the state that each event, and each object of a batch, is to have in the end; 0 for what doesn't count.
func (s *script) want() map[string]view.State {
	states := map[string]view.State{}
	taken := map[string]bool{}
	for _, i := range s.items() {
		name := i.name().String()
		states[name] = s.fateOf(i)
		if states[name] != view.InView {
			continue
		}
		published := i.Sender + "/" + i.draft.publishes // here every member has one account
		if taken[published] {
			states[name] = view.Duplicate
		}
		taken[published] = true
	}
	return states
}

// fate is the state of an event, beside whether another one was first.
func (s *script) fate(e *minted) view.State {
	d := e.draft
	ended, _ := s.takenBack(item{minted: e})
	switch {
	case !s.counts(e):
		return 0
	case e.ends != nil:
		return view.Done
	case ended:
		return view.Ended
	case d.malformed:
		return view.Refused
	case s.never[d.root]:
		return view.Waiting
	case d == s.void:
		return view.Refused
	case !isPublication(e.Note.Kind):
		return view.Held
	case d.by.Address() != e.Sender || d.broken:
		return view.Refused
	case d.epoch == 0:
		return view.Refused
	}
	epoch := uint32(1)
	for _, before := range s.events {
		switch record := before.draft; {
		case !before.Before(e.Position):
		case record != s.rekey && record != s.void || d.private || !s.counts(before):
		case s.never[record.root]:
			return view.Undecided
		case record == s.rekey:
			epoch = 2
		}
	}
	switch {
	case d.private && (s.never[mustRoot(s.private)] || !s.hasKey()):
		return view.Undecided
	case d.epoch > epoch:
		return view.Refused
	case e.Note.Kind == wire.KindBatch:
		return view.Held
	case d.publishes == "":
		return view.Refused
	}
	return view.InView
}

// hasKey reports whether we are given the key of alpha's collection.
func (s *script) hasKey() bool {
	return !s.never[s.keyring.root] && slices.ContainsFunc(s.events, func(e *minted) bool { return e.draft == s.keyring && s.counts(e) })
}

func mustRoot(e consortium.Event) cid.Cid { return cid.MustParse(e.Directory) }
