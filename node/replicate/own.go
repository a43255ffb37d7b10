package replicate

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	ownBytes    = 16 << 20  // of own objects that are kept until the chain has them
	ownOverhead = 1 << 10   // bytes that an object takes beside its text
	ownTime     = time.Hour // for which an object is kept: it may be given up, or sealed anew
	ownSweep    = time.Minute
	ownCompared = 64 // one own object in so many is opened all the same
)

// Own is what this node has sealed and the chain doesn't have yet, as a reader would open it. It enters the view like
// everybody else's, when the chain says so; but nothing of it is looked for, read and opened. What doesn't fit, and
// what was sealed before a restart, takes the ordinary way. So does one in [ownCompared], to see that both come to the
// same.
type Own struct {
	log *slog.Logger

	mu    sync.Mutex
	size  int
	swept time.Time
	kept  map[cid.Cid]*ownObject
}

type ownObject struct {
	content directoryContent // without the payload
	key     *seal.EpochKey
	entry   *view.Entry
	size    int
	since   time.Time
}

// NewOwn keeps nothing yet.
func NewOwn(log *slog.Logger) *Own { return &Own{log: log, kept: map[cid.Cid]*ownObject{}} }

// Keep keeps an object that was drafted and sealed to a key, until the chain has its directory.
func (o *Own) Keep(root cid.Cid, draft consortium.Draft, object []byte, key *seal.EpochKey) {
	size := len(object) + ownOverhead
	if !o.reserve(size) {
		return
	}
	kept := &ownObject{content: directoryContent{hash: wire.MetadataHash(draft.Metadata), metadata: draft.Parsed()}, key: key, size: size, since: time.Now()}
	entry, err := entryOf(kept.content.metadata, seal.Unpad(object), key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || o.kept[root] != nil {
		o.size -= size
		if err != nil {
			o.log.Error("what this node has sealed can't be read", "directory", root, "error", err)
		}
		return
	}
	kept.entry = entry
	o.kept[root] = kept
}

// reserve makes room for an object. What was there before stays, as it is on the chain first, unless that takes too
// long.
func (o *Own) reserve(size int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.size+size > ownBytes && now.Sub(o.swept) > ownSweep {
		o.swept = now
		for root, kept := range o.kept {
			if now.Sub(kept.since) > ownTime {
				o.forget(root, kept)
			}
		}
	}
	if o.size+size > ownBytes {
		return false
	}
	o.size += size
	return true
}

func (o *Own) forget(root cid.Cid, kept *ownObject) {
	o.size -= kept.size
	delete(o.kept, root)
}

// has reports whether a directory need not be looked for.
func (o *Own) has(root cid.Cid) bool {
	if o == nil || isCompared(root) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept[root] != nil
}

// take gives what is kept of a directory, and forgets it; nil if nothing is.
func (o *Own) take(root cid.Cid) *ownObject {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.kept[root]
	if kept != nil {
		o.forget(root, kept)
	}
	return kept
}

// isCompared reports whether an own object is opened all the same.
func isCompared(root cid.Cid) bool {
	hash := root.Hash()
	return hash[len(hash)-1]%ownCompared == 0
}

// compare says how an own object differs from what was opened.
func (k *ownObject) compare(opened *view.Entry) error {
	switch own := k.entry; {
	case own.Collection != opened.Collection || own.ID != opened.ID || own.Type != opened.Type:
		return fmt.Errorf("it is %s of %s, opened %s of %s", own.ID, own.Collection, opened.ID, opened.Collection)
	case own.Version != opened.Version || !own.Instant.Equal(opened.Instant) || own.Unversioned != opened.Unversioned || !own.StoredAt.Equal(opened.StoredAt):
		return fmt.Errorf("it is version %s, opened %s", own.Version, opened.Version)
	case !bytes.Equal(own.Hash, opened.Hash) || !bytes.Equal(own.Object, opened.Object):
		return fmt.Errorf("its content is another than what was opened")
	}
	return nil
}

// check compares what is kept of an own object with what became of it the ordinary way.
func (f *Fetcher) check(own *ownObject, outcome view.Outcome) {
	var err error
	switch {
	case outcome.Entry != nil:
		err = own.compare(outcome.Entry)
	case outcome.State == view.Refused && f.State.Ours(outcome.Event.Sender):
		err = fmt.Errorf("it is refused: %s", outcome.Reason)
	}
	if err != nil {
		f.Log.Error("what this node has sealed is not what it opens", "txid", outcome.Event.TxID, "directory", outcome.Event.Directory, "error", err)
	}
}
