package withdraw

import (
	"bytes"
	"encoding/hex"
	"time"

	"github.com/serviceledger/slnode/node/publish"
)

// What this organisation took back is not published again by a feed, which may be given it again at any time: only when
// somebody publishes a version of the object by hand does it go on.

const takenBackPrefix = "taken back/"

// TakenBackMemo is what remembers that an object was withdrawn. It goes when the object is taken in again, in one write
// with it: see [outbox.Submission].
func TakenBackMemo(collection, id string) string {
	return takenBackPrefix + hex.EncodeToString(publish.KeyOf("taken back", collection, id))
}

// KeepsOut reports whether a feed must not publish an object: what somebody took back does not come again, and what was
// taken back as it had expired only if it is valid by then.
func KeepsOut(outbox memos, collection, id string, object []byte, now time.Time) (bool, error) {
	data, err := outbox.Memo(TakenBackMemo(collection, id))
	return data != nil && (!bytes.Equal(data, asExpired) || validUntil(object).Before(now)), err
}

// What is kept of what is taken back.
var (
	byHand    = []byte{1}
	asExpired = []byte{2} // its valid_until was over
)

// takeBack remembers that an object is withdrawn.
func takeBack(outbox memos, collection, id string) error {
	return outbox.SetMemo(TakenBackMemo(collection, id), byHand)
}

// takeBackOne adds that to others. What was taken back by hand stays so, though another version of it expires.
func (w *Withdrawer) takeBackOne(collection, id string, expired bool, memos map[string][]byte) error {
	name := TakenBackMemo(collection, id)
	memos[name] = byHand
	if !expired {
		return nil
	}
	before, err := w.Outbox.Memo(name)
	if before == nil {
		memos[name] = asExpired
	}
	return err
}

// AnyTakenBack reports whether this organisation has withdrawn anything since it published it last.
func AnyTakenBack(outbox memos) (bool, error) {
	names, err := outbox.Memos(takenBackPrefix, 1)
	return len(names) > 0, err
}
