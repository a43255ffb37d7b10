package publish

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// publication is an object that a transaction has published.
type publication struct {
	content
	directory string
	at        place
}

// place is where it is: the NFT, and its place there.
type place struct {
	asset uint64
	index uint32
}

// original is an event with the directory that its record was drafted with: for another account it is another one.
func (w *world) original(e consortium.Event) consortium.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before := w.renewed[e.Directory]; before != "" {
		e.Directory = before
	}
	return e
}

// renews notes that a directory has the record of another one.
func (w *world) renews(directory string, files []unixfs.File) {
	for _, f := range files {
		if f.Name == wire.RecordName && string(f.Data) == string(w.rekeying.record) {
			w.mu.Lock()
			w.renewed[directory] = w.rekeying.directory
			w.mu.Unlock()
		}
	}
}

// listed gives what a batch lists.
func listed(files []unixfs.File) []string {
	for _, f := range files {
		if batch, err := wire.ParseBatch(f.Data); f.Name == wire.RecordName && err == nil {
			return batch.Objects
		}
	}
	return nil
}

// publishedBy gives what an event has published.
func (w *world) publishedBy(e consortium.Event) (list []publication) {
	switch e.Note.Kind {
	case wire.KindObject:
		list = append(list, publication{w.stored(e.Directory), e.Directory, place{e.Asset, 0}})
	case wire.KindBatch:
		for i, directory := range w.stored(e.Directory).objects {
			list = append(list, publication{w.stored(directory), directory, place{e.Asset, uint32(i + 1)}})
		}
	}
	return list
}

// endedBy gives what an event has ended.
func (w *world) endedBy(e consortium.Event) (list []publication) {
	asset := e.Asset
	if e.Note.Kind == wire.KindRemoval {
		asset = e.Note.Asset
	} else if e.Note.Kind != wire.KindDestroy {
		return nil
	}
	for _, p := range w.publishedBy(w.eventOf(asset)) {
		if e.Note.Index == 0 || e.Note.Index == p.at.index {
			list = append(list, p)
		}
	}
	return list
}

// isGone reports whether a publication is withdrawn.
func (w *world) isGone(at place) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone[at]
}

// published gives what publishes an object in the view, if that is the node's.
func (w *world) published(p *process, o op) (item outbox.Item, found bool, err error) {
	item, found, err = p.outbox.Find(w.fixture.submission(o.N, o.In).Item.Key)
	if err != nil || !found || item.State != outbox.Confirmed || item.Failure != "" || item.Round > w.followed() {
		return item, false, err
	}
	e, found := w.chain.find(item.TxID, w.followed())
	return item, found && e.Sender == p.org.Address(), nil
}

func endKey(asset uint64) []byte { return KeyOf("destroy", fmt.Sprint(asset)) }

func releaseKey(asset uint64) []byte { return KeyOf("release", fmt.Sprint(asset)) }

// withdraw takes an object back that the view has; there may be none yet.
func (w *world) withdraw(p *process, o op) error {
	item, found, err := w.published(p, o)
	if err != nil || !found {
		return err
	}
	index := item.Index
	if index == 0 || o.All {
		items, err := p.outbox.Accept([]outbox.Submission{{Unless: releaseKey(item.Asset), Item: outbox.Item{
			Key: endKey(item.Asset), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: item.Asset, StoredAt: state.Now(),
		}}})
		if err != nil || items[0].Note.Kind == wire.KindDestroy {
			return err
		}
		index = 0
	}
	draft, err := consortium.DraftWithdrawal(w.fixture.id, item.Asset, index, state.Now())
	check(err)
	_, err = p.records.Store(context.Background(), KeyOf("withdraw", fmt.Sprint(item.Asset), fmt.Sprint(index)), draft)
	return err
}

// release has the deposit of an NFT come back.
func (w *world) release(p *process, o op) error {
	item, found, err := w.published(p, o)
	if err != nil || !found {
		return err
	}
	_, err = p.outbox.Accept([]outbox.Submission{{Unless: endKey(item.Asset), Item: outbox.Item{
		Key: releaseKey(item.Asset), Note: wire.Note{Kind: wire.KindRelease}, Destroys: item.Asset, StoredAt: state.Now(), User: "releases:", Bulk: true,
	}}})
	return err
}
