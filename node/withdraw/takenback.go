package withdraw

import (
	"encoding/hex"

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

// IsTakenBack reports whether the last that this organisation did with an object in a collection was to withdraw a
// version.
func IsTakenBack(outbox memos, collection, id string) (bool, error) {
	data, err := outbox.Memo(TakenBackMemo(collection, id))
	return data != nil, err
}

// takeBack remembers that an object is withdrawn.
func takeBack(outbox memos, collection, id string) error {
	return outbox.SetMemo(TakenBackMemo(collection, id), []byte{1})
}

// AnyTakenBack reports whether this organisation has withdrawn anything since it published it last.
func AnyTakenBack(outbox memos) (bool, error) {
	names, err := outbox.Memos(takenBackPrefix, 1)
	return len(names) > 0, err
}
