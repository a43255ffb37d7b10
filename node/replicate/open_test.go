package replicate_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// forged is a directory as a member can make it that doesn't keep to what its node would do.
type forged struct {
	properties wire.Properties
	plaintext  string
	key        *seal.EpochKey
	payload    []byte // in place of what is sealed
	metadata   []byte // in place of what the properties say
	name       string // of the payload file
	note       wire.Note
	hash       []byte
}

// mint puts it on the chain.
func (d forged) mint(w *world, by *nodetest.Org) consortium.Event {
	w.T.Helper()
	if d.payload == nil {
		sealed, err := d.key.Seal([]byte(d.plaintext))
		nodetest.Must(w.T, err)
		d.payload, err = wire.EncodeSealedObject(sealed)
		nodetest.Must(w.T, err)
	}
	if d.metadata == nil {
		encoded, err := wire.NewMetadata(d.properties, d.payload).Encode()
		nodetest.Must(w.T, err)
		d.metadata = encoded
	}
	directory, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: d.metadata}, unixfs.File{Name: d.name, Data: d.payload})
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, w.Blocks.Put(w.T.Context(), []unixfs.Directory{directory}))
	if d.hash == nil {
		hash := wire.MetadataHash(d.metadata)
		d.hash = hash[:]
	}
	return w.MintDirectory(by, d.note, directory.Root(), d.hash)
}

// forgery is a way to contradict oneself, and why what comes of it doesn't count; "" if it does.
type forgery struct {
	name, because string
	forge         func(d *forged)
}

func forgeries(t *testing.T, w *world) []forgery {
	handle := func(d *forged, n int) {
		d.properties.Identifier, d.properties.Version = w.Key.Handle(idOf(n), firstVersion), ""
	}
	another, err := seal.NewEpochKey()
	nodetest.Must(t, err)
	return []forgery{
		{"what its node would have made", "", func(*forged) {}},
		{"named by a handle", "", func(d *forged) { handle(d, 2); d.plaintext = nodetest.IndicatorJSON(2) }},
		{"another object", "it holds another object than its metadata says", func(d *forged) { d.properties.Identifier = idOf(7) }},
		{"another version", "it holds another object than its metadata says", func(d *forged) { d.properties.Version = "2026-01-02T03:04:05.679Z" }},
		{"no version", "it holds another object than its metadata says", func(d *forged) { d.properties.Version = "" }},
		{"the handle of another object", "it holds another object than its metadata says", func(d *forged) { handle(d, 7) }},
		{"a handle and a version", "it holds another object than its metadata says", func(d *forged) { handle(d, 1); d.properties.Version = firstVersion }},
		{"no STIX", "it does not hold a STIX object", func(d *forged) { d.plaintext = "{}" }},
		{"sealed to another key", "not sealed to this key", func(d *forged) { d.key = another }},
		{"no sealed object", "object.json", func(d *forged) { d.payload = []byte("{}") }},
		{"no metadata", "metadata.json", func(d *forged) { d.metadata = []byte("{") }},
		{"metadata with another hash", "metadata.json has another hash than the NFT says", func(d *forged) { d.hash = make([]byte, 32) }},
		{"a file of another name", "the directory has no object.json", func(d *forged) { d.name = "other.json" }},
		{"a record's note", `the metadata is that of a "object"`, func(d *forged) {
			d.note = wire.Note{Kind: wire.KindKeyring, Collection: w.Collection}
		}},
		{"another payload", "object.json has the integrity", func(d *forged) {
			encoded, err := wire.NewMetadata(d.properties, []byte("other")).Encode()
			nodetest.Must(t, err)
			d.metadata = encoded
		}},
		{"of another consortium", "the metadata is that of a", func(d *forged) { d.properties.Consortium++ }},
		{"another member's directory", "the transaction was signed by", func(d *forged) { d.properties.Publisher = w.Self.Address() }},
		{"of no collection", "did not exist", func(d *forged) { d.properties.Collection = uuid.NewString() }},
	}
}

// What an NFT, its metadata, its payload and the plaintext say of each other has to be true, all of it.
func TestAnObjectOtherThanItsMetadataSaysDoesNotCount(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	events, want := map[string]consortium.Event{}, map[string]string{} // by case; the reason why it doesn't count, or none
	for _, c := range forgeries(t, w) {
		d := forged{plaintext: nodetest.IndicatorJSON(1), key: w.Key, name: wire.ObjectName, note: wire.Note{Kind: wire.KindObject}, properties: wire.Properties{
			Kind: wire.KindObject, Consortium: w.ID, Publisher: other.Address(), Collection: w.Collection, Epoch: 1, Identifier: idOf(1), Version: firstVersion, StoredAt: wire.FormatTime(time.Now()),
		}}
		c.forge(&d)
		by := other
		if d.note.Kind != wire.KindObject {
			by = self // whose collection it is
		}
		e := d.mint(w, by)
		nodetest.Must(t, w.Deliver(e))
		events[c.name], want[c.name] = e, c.because
	}
	var said bytes.Buffer
	w.Fetcher.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.Drain()
	for name, e := range events {
		logged, _, err := w.R.View.Event(e.TxID)
		nodetest.Must(t, err)
		switch because := want[name]; {
		case because == "" && logged.State != view.InView:
			t.Errorf("%s: it is %s: %s", name, logged.State, logged.Reason)
		case because != "" && (logged.State != view.Refused || !strings.Contains(logged.Reason, because)):
			t.Errorf("%s: it is %s: %q, want refused: %s", name, logged.State, logged.Reason, because)
		case because != "" && !strings.Contains(said.String(), `msg="what a member published does not count" txid=`+e.TxID+" "):
			t.Errorf("%s: the operator is not told", name)
		}
	}
}

// What an object's entry in the view says is what the chain and the object say.
func TestAnEntryOfTheViewSaysWhereItComesFrom(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	e := w.Mint(other, w.Object(1))
	nodetest.Must(t, w.Deliver(e))
	w.Drain()
	got, err := w.R.View.Latest(w.Collection, idOf(1))
	nodetest.Must(t, err)
	if got == nil || got.Publisher != other.Address() || got.TxID != e.TxID || got.Asset != e.Asset || got.Directory != e.Directory || got.Position != e.Position ||
		got.Version != firstVersion || got.Unversioned || got.StoredAt.Before(time.Now().Add(-time.Minute)) || got.StoredAt.After(time.Now()) {
		t.Errorf("the entry is %+v", got)
	}
}

// An object that is sealed to a key epoch that is over counts as long as the grace lasts; the operator is told.
func TestWhoSealsToAnEpochThatIsOverIsNamed(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	nodetest.Must(t, w.Deliver(w.record(self, w.Collection, 2, self)))
	w.Drain()
	late := w.Mint(other, w.Object(1))
	nodetest.Must(t, w.Deliver(late))
	var said bytes.Buffer
	w.Fetcher.Log = slog.New(slog.NewTextHandler(&said, nil))
	w.Drain()
	if w.Shown() != 1 || !strings.Contains(said.String(), "sealed to a key epoch that is over") || !strings.Contains(said.String(), "sender="+other.Address()+" epoch=1") {
		t.Errorf("%d objects are shown, and the log says %s", w.Shown(), said.String())
	}
}
