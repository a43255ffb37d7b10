package publish

import (
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
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

// listed gives what a batch lists.
func listed(files []p2p.File) []string {
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
