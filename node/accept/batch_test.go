package accept

import (
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// storeDraft stores what organisation self has drafted, and gives its directory.
func storeDraft(w *worldtest.World, d consortium.Draft) unixfs.Directory {
	d = nodetest.By(w.T, w.Self.Address(), d)
	directory, err := publish.DirectoryOf(d)
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, w.Blocks.Put(w.T.Context(), []unixfs.Directory{directory}))
	return directory
}

// batched is a request of three objects that is a batch.
type batched struct {
	*worldtest.World
	p       *Publisher
	into    consortium.Collection
	id      string // of the status
	objects []outbox.Item
	event   consortium.Event
}

func postBatch(t *testing.T) *batched {
	t.Helper()
	x := &batched{World: worldtest.NewFoundedWorld(t)}
	x.p = publisherIn(x.World)
	x.p.Anchor = outbox.Anchor{From: 3, Most: 10, Bytes: 1 << 20}
	var err error
	x.into, err = x.p.target(taxii.Collection{ID: x.Collection})
	nodetest.Must(t, err)
	x.id = x.post(nodetest.IndicatorJSON(1), nodetest.IndicatorJSON(2), nodetest.IndicatorJSON(3))
	return x
}

func (x *batched) post(objects ...string) (id string) {
	x.T.Helper()
	id, err := x.p.Accept(taxii.Principal{User: "u"}, taxii.Collection{ID: x.Collection}, x.into, posts(objects...))
	nodetest.Must(x.T, err)
	return id
}

// look wants so many of the three to be done, and the others to wait.
func (x *batched) look(when string, done int) taxii.Status {
	x.T.Helper()
	status, err := x.p.status(x.id)
	nodetest.Must(x.T, err)
	if len(status.Successes) != done || len(status.Pendings) != 3-done || len(status.Failures) != 0 {
		x.T.Errorf("%s %d are done, %d pending, %d failed; want %d done", when, len(status.Successes), len(status.Pendings), len(status.Failures), done)
	}
	return status.Status
}

// sign seals and signs the batch, as far as the outbox is concerned.
func (x *batched) sign() {
	t, w := x.T, x.World
	t.Helper()
	batches, err := w.R.Outbox.Queue(outbox.Accepted, 0, 10)
	nodetest.Must(t, err)
	if len(batches) != 1 || batches[0].Objects != 3 {
		t.Fatalf("they are %+v", batches)
	}
	objects, err := w.R.Outbox.Objects(batches[0])
	nodetest.Must(t, err)
	roots := make([]cid.Cid, len(objects))
	for i := range objects {
		d := storeDraft(w, w.Object(i+1))
		roots[i], objects[i].Directory = d.Root(), d.Root().String()
	}
	draft, err := consortium.DraftBatch(w.ID, w.Collection, 1, roots, time.Now())
	nodetest.Must(t, err)
	event := w.Mint(w.Self, draft)
	batches[0].Directory = event.Directory
	nodetest.Must(t, w.R.Outbox.SetBatchStored(batches[0], objects))
	stored, err := w.R.Outbox.Queue(outbox.Stored, 0, 10)
	nodetest.Must(t, err)
	stored[0].Note.Sequence = event.Note.Sequence
	_, err = w.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{event.TxID}, LastValid: 1000}}, stored)
	nodetest.Must(t, err)
	x.objects, x.event = objects, event
}

// The objects of a large request are done one by one, as the view has them; each names its place in the batch.
func TestTheStatusOfABatchIsThatOfItsObjects(t *testing.T) {
	x := postBatch(t)
	w, p := x.World, x.p
	x.look("when they are accepted", 0)
	x.sign()
	objects, event := x.objects, x.event
	if status := x.look("when they are signed", 0); status.Pendings[1].TxID != event.TxID || status.Pendings[1].Index != 2 {
		t.Errorf("the second is %+v", status.Pendings[1])
	}
	_, err := w.R.Outbox.Confirm([]consortium.Place{{TxID: event.TxID, Round: event.Round, Asset: event.Asset}})
	nodetest.Must(t, err)
	x.look("when the chain has them", 0)
	nodetest.Must(t, w.Deliver(event))
	x.look("when the batch is known", 0)
	w.Drain()
	status := x.look("when the view has them", 3)
	for i, detail := range status.Successes {
		if detail.Message != event.TxID || detail.TxID != event.TxID || detail.AssetID != event.Asset || detail.Index != uint32(i+1) || detail.CID != objects[i].Directory {
			t.Errorf("object %d is %+v", i+1, detail)
		}
	}

	// Posted again, they are where they are.
	kept, err := p.status(x.post(nodetest.IndicatorJSON(2), nodetest.IndicatorJSON(4)))
	nodetest.Must(t, err)
	if len(kept.Successes) != 1 || kept.Successes[0].TxID != event.TxID || kept.Successes[0].Index != 2 || len(kept.Pendings) != 1 {
		t.Errorf("posted again they are %+v", kept.Status)
	}

	// One is withdrawn, the others are not; it can be published once more.
	removal, err := consortium.DraftWithdrawal(w.ID, event.Asset, 2, time.Now())
	nodetest.Must(t, err)
	nodetest.Must(t, w.Deliver(w.Mint(w.Self, removal)))
	w.Drain()
	item, found, err := w.R.Outbox.Find(objects[1].Key)
	if err != nil || !found || item.State != outbox.Withdrawn {
		t.Errorf("what is withdrawn is %s (%v)", item.State, err)
	}
	if first, _, err := w.R.Outbox.Find(objects[0].Key); err != nil || first.State != outbox.Confirmed {
		t.Errorf("what is not withdrawn is %s (%v)", first.State, err)
	}
	_, items := linesOf(t, p, x.post(nodetest.IndicatorJSON(2)))
	item = items[0]
	if item.Publication != 1 || item.State != outbox.Accepted || item.Batch != 0 {
		t.Errorf("published once more it is %+v", item)
	}
}
