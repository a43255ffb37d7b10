package replicate_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// histories are what a consortium with a member that keeps to no rule may put on the chain: rotations, collections
// whose readers and contributors come and go, right and wrong keys, batches, copies, and ends of what is there, of
// what is not there yet, and of what is others'.
type histories struct {
	t                      *testing.T
	w                      *world // of self, in which every history is told
	self, founder, mallory *nodetest.Org
	spare                  []*nodetest.Org // accounts that mallory may have later
}

// telling is one history.
type telling struct {
	*histories
	rt       *rapid.T
	chain    nodetest.Chain // as its members make it
	events   []consortium.Event
	accounts []*nodetest.Org // who signs, with all accounts that they have or had
	mallory  int             // which of them mallory has now
	ring     string
	keys     map[string]*seal.EpochKey // by collection and epoch
	epochs   map[string]uint32
	drafts   []consortium.Draft // of objects
	recorded []consortium.Draft
	roots    []cid.Cid // of all that is published, in the order in which it was made
	given    []cid.Cid // … that the node can have
	read     reading
}

func (h *histories) begin(rt *rapid.T) *telling {
	own := func(o *nodetest.Org) *nodetest.Org { o = copyOf(o); o.Sequence = 0; return o }
	f := &telling{histories: h, rt: rt, chain: *nodetest.NewBareChain(h.t, h.self), ring: uuid.NewString(),
		keys: map[string]*seal.EpochKey{}, epochs: map[string]uint32{},
		read: reading{records: map[string]record{}, opened: map[string][]byte{}}}
	f.accounts, f.mallory = []*nodetest.Org{own(h.founder), own(h.self), own(h.mallory)}, 2
	f.events = f.chain.Found(f.accounts...)
	for _, e := range f.events {
		f.made(cid.MustParse(e.Directory))
	}
	f.keys[f.chain.Collection+"1"], f.epochs[f.chain.Collection] = f.chain.Key, 1
	return f
}

func (f *telling) must(err error) { nodetest.Must(f.t, err) }

func (f *telling) int(most int, what string) int { return rapid.IntRange(0, most).Draw(f.rt, what) }

func (f *telling) sender() *nodetest.Org { return rapid.SampledFrom(f.accounts).Draw(f.rt, "sender") }

// one reports whether what happens once in so many times happens.
func (f *telling) one(in int, what string) bool { return f.int(in-1, what) == 0 }

func (f *telling) mint(by *nodetest.Org, d consortium.Draft, err error) {
	f.must(err)
	if d.Metadata == nil {
		d = nodetest.By(f.t, by.Address(), d)
	}
	e := f.chain.Mint(by, d)
	if f.one(25, "another hash") {
		e.MetadataHash = make([]byte, 32)
	}
	if e.Note.Kind == wire.KindCollection || e.Note.Kind == wire.KindKeyring {
		f.recorded = append(f.recorded, d)
	}
	f.happens(e)
	f.made(cid.MustParse(e.Directory))
}

// happens puts an event into the round of the last one, or into one of its own, soon or late.
func (f *telling) happens(e consortium.Event) {
	last := f.events[len(f.events)-1].Position
	switch f.int(11, "round") {
	case 0, 1, 2:
		e.Round, e.Intra = last.Round, last.Intra+1
	case 3:
		e.Round += uint64(998 + f.int(3, "rounds go by"))
	}
	f.chain.Round = e.Round
	f.events = append(f.events, e)
}

func (f *telling) made(root cid.Cid) {
	if !slices.Contains(f.roots, root) {
		f.roots = append(f.roots, root)
	}
}

// key is that of an epoch.
func (f *telling) key(id string, epoch uint32) *seal.EpochKey {
	of := fmt.Sprint(id, epoch)
	if f.keys[of] == nil {
		key, err := seal.NewEpochKey()
		f.must(err)
		f.keys[of] = key
	}
	return f.keys[of]
}

// object drafts one of few versions of few objects.
func (f *telling) object(by *nodetest.Org) consortium.Draft {
	in := rapid.SampledFrom([]string{f.chain.Collection, f.ring}).Draw(f.rt, "in")
	epoch := uint32(f.int(1, "epoch")) + max(f.epochs[in], 1) - 1
	n := f.int(2, "id")
	raw, version := nodetest.DescribedIndicator(n, fmt.Sprint(f.int(1, "content"))), firstVersion
	if f.one(3, "later") {
		version = "2026-02-02T03:04:05.678Z"
		raw = strings.Replace(raw, `"modified":"`+firstVersion, `"modified":"`+version, 1)
	}
	if f.one(8, "no STIX to a publisher") { // readers take it
		raw = strings.Replace(raw, `"pattern_type":"stix",`, "", 1)
	}
	d, err := consortium.DraftObject(f.chain.ID, consortium.Collection{ID: in, Epoch: max(epoch, 1), Key: f.key(in, max(epoch, 1)),
		Properties: wire.Collection{Metadata: wire.MetadataOpen}}, idOf(n), version, !f.one(4, "handle"),
		[]byte(raw), time.Now())
	f.must(err)
	return nodetest.By(f.t, by.Address(), d)
}

// record makes the ring, changes it, or begins its next epoch: who may publish in it are accounts, also such as nobody
// has yet.
func (f *telling) record() {
	epoch := f.epochs[f.ring] + uint32(f.int(1, "next epoch"))
	if f.epochs[f.ring] == 0 {
		epoch = 1
	}
	var named []string
	for _, o := range append(slices.Clone(f.accounts[1:]), f.spare...) {
		if f.int(1, "contributes") == 1 {
			named = append(named, o.Address())
		}
	}
	to := []string{f.founder.Identity.Recipient()}
	if f.int(2, "is given the key") > 0 {
		to = append(to, f.self.Identity.Recipient())
	}
	key := f.key(f.ring, epoch)
	if f.one(6, "another key") {
		key = f.chain.Key
	}
	d, err := consortium.DraftCollection(f.chain.ID, f.ring, epoch, wire.Collection{Title: fmt.Sprint("Ring ", len(f.events)), DefaultLevel: "green",
		Metadata: wire.MetadataOpen, Readers: wire.Accounts{Members: true}, Contributors: wire.Accounts{Named: named}},
		map[uint32]*seal.EpochKey{epoch: key}, to, time.Now())
	f.mint(f.owner(), d, err)
	f.epochs[f.ring] = max(f.epochs[f.ring], epoch)
}

// owner is the ring's, mostly: whoever makes it first.
func (f *telling) owner() *nodetest.Org {
	if f.one(8, "somebody else's") {
		return f.sender()
	}
	return f.accounts[0]
}

// broken is a keyring record whose only file opens, for self alone, and holds no keyring.
func (f *telling) broken() {
	sealed, err := seal.SealTo([]string{f.self.Identity.Recipient()}, []byte("{}"))
	f.must(err)
	payload, err := wire.KeyringRecord{Collection: f.ring, Keyrings: [][]byte{sealed}}.Encode()
	f.must(err)
	metadata, err := wire.NewMetadata(wire.Properties{Kind: wire.KindKeyring, Consortium: f.chain.ID, Publisher: f.founder.Address(), Collection: f.ring,
		StoredAt: wire.FormatTime(time.Now())}, payload).Encode()
	f.mint(f.accounts[0], consortium.Draft{Note: wire.Note{Kind: wire.KindKeyring, Collection: f.ring}, Metadata: metadata, Payload: payload, PayloadName: wire.RecordName}, err)
}

// keyring gives self keys of the ring, the right ones or others.
func (f *telling) keyring() {
	if f.int(2, "broken") == 0 {
		f.broken()
		return
	}
	keys := map[uint32]*seal.EpochKey{}
	for epoch := uint32(1); epoch <= f.epochs[f.ring]; epoch++ {
		if keys[epoch] = f.key(f.ring, epoch); f.int(3, "wrong") == 0 {
			keys[epoch] = f.chain.Key
		}
	}
	if len(keys) > 0 {
		d, err := consortium.DraftKeyring(f.chain.ID, f.ring, keys, []string{f.self.Identity.Recipient()}, time.Now())
		f.mint(f.owner(), d, err)
	}
}

// batch publishes some objects together, in order or not.
func (f *telling) batch() {
	by := f.sender()
	var roots []cid.Cid
	for range 1 + f.int(2, "objects") {
		d := f.object(by)
		if len(f.drafts) > 0 && f.int(4, "copied") == 0 {
			d = rapid.SampledFrom(f.drafts).Draw(f.rt, "which")
		}
		directory := directoryOf(f.t, d)
		f.must(f.chain.Blocks.Put(f.t.Context(), []unixfs.Directory{directory}))
		f.made(directory.Root())
		if !slices.Contains(roots, directory.Root()) {
			roots = append(roots, directory.Root())
		}
	}
	in := rapid.SampledFrom([]string{f.chain.Collection, f.ring}).Draw(f.rt, "batch in")
	d, err := consortium.DraftBatch(f.chain.ID, in, max(f.epochs[in], 1), roots, time.Now())
	if d = nodetest.By(f.t, by.Address(), d); f.one(8, "another number") {
		d.Metadata = bytes.Replace(d.Metadata, fmt.Appendf(nil, `"objects":%d`, len(roots)), fmt.Appendf(nil, `"objects":%d`, len(roots)+1), 1)
	}
	f.mint(by, d, err)
}

// draw puts something more on the chain.
func (f *telling) draw() {
	by := f.sender()
	anything := f.events[0].Asset + uint64(f.int(len(f.events)+2, "asset")) // also such as comes later
	switch f.int(15, "kind") {
	case 0:
		f.record()
	case 1:
		f.keyring()
	case 2:
		f.batch()
	case 3:
		f.happens(f.chain.Destroy(by, anything))
	case 4, 5:
		if f.int(1, "comes next") == 0 {
			anything = f.events[len(f.events)-1].Asset + 2 // this record's own is before it
		}
		d, err := consortium.DraftWithdrawal(f.chain.ID, anything, uint32(f.int(2, "index")), time.Now())
		f.mint(by, d, err)
	case 6:
		f.rotate(by)
	case 8:
		e := f.chain.Destroy(by, anything)
		e.Note.Kind = wire.KindRelease
		f.happens(e)
	case 9:
		f.govern(by)
	case 7:
		if again := append(slices.Clone(f.drafts), f.recorded...); len(again) > 0 { // whosever it is
			d := rapid.SampledFrom(again).Draw(f.rt, "copy")
			if f.one(2, "its publisher's") {
				for _, o := range f.accounts {
					if o.Address() == d.Parsed().Properties.Publisher {
						by = o
					}
				}
			}
			f.mint(by, d, nil)
		}
	default:
		d := f.object(by)
		f.drafts = append(f.drafts, d)
		f.mint(by, d, nil)
	}
}

// rotate gives mallory another account, as it may be done or not.
func (f *telling) rotate(by *nodetest.Org) {
	former := f.accounts[f.mallory]
	if f.one(4, "long ago") {
		former = rapid.SampledFrom(f.accounts[1:]).Draw(f.rt, "former")
	}
	next := rapid.SampledFrom(append(slices.Clone(f.accounts[1:]), f.spare...)).Draw(f.rt, "next")
	sender, consent := former, next.Account.PrivateKey
	if f.one(3, "by another one") {
		sender = by
	}
	if f.one(3, "without consent") {
		consent = nil
	}
	d, err := consortium.DraftRotation(f.chain.ID, former.Address(), next.Document, consent, time.Now())
	f.mint(sender, d, err)
	f.mallory = f.signs(next)
}

// signs lets an account be among those who sign, and gives its place.
func (f *telling) signs(o *nodetest.Org) int {
	for i, known := range f.accounts {
		if known.Address() == o.Address() {
			return i
		}
	}
	o = copyOf(o)
	o.Sequence = 0
	f.accounts = append(f.accounts, o)
	return len(f.accounts) - 1
}

// govern changes who the governor is, or who is a member; by somebody who may, or not.
func (f *telling) govern(by *nodetest.Org) {
	someone := func(what string) *nodetest.Org { return rapid.SampledFrom(f.accounts).Draw(f.rt, what) }
	if f.one(2, "the founder") {
		by = f.accounts[0]
	}
	switch f.int(4, "governs") {
	case 0:
		governor := wire.Quorum{Threshold: 1, Accounts: []string{someone("governor").Address()}}
		d, err := consortium.DraftAmendment(f.chain.ID, wire.Amendment{Name: fmt.Sprint("Amended ", len(f.events)), Governor: governor}, time.Now())
		f.mint(by, d, err)
	case 1, 2:
		who := rapid.SampledFrom(append(slices.Clone(f.accounts[1:]), f.spare...)).Draw(f.rt, "admitted")
		d, err := consortium.DraftMember(f.chain.ID, who.Document, time.Now())
		f.mint(by, d, err)
		f.signs(who)
	default:
		d, err := consortium.DraftRemoval(f.chain.ID, someone("removed").Address(), time.Now())
		f.mint(by, d, err)
	}
}
