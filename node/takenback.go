package node

import (
	"encoding/hex"

	"github.com/serviceledger/slnode/repo"
)

// What this organisation took back is not published again by a feed, which may be given it again at any time: only when
// somebody publishes a version of the object by hand does it go on.

const takenBackPrefix = "taken back/"

func takenBackMemo(collection, id string) string {
	return takenBackPrefix + hex.EncodeToString(hashOf("taken back", collection, id))
}

// takenBack reports whether the last that this organisation did with an object in a collection was to withdraw a version.
func takenBack(outbox *repo.Outbox, collection, id string) (bool, error) {
	data, err := outbox.Memo(takenBackMemo(collection, id))
	return data != nil, err
}

// takeBack remembers that an object is withdrawn.
func takeBack(outbox *repo.Outbox, collection, id string) error {
	return outbox.SetMemo(takenBackMemo(collection, id), []byte{1})
}

// anyTakenBack reports whether this organisation has withdrawn anything since it published it last.
func anyTakenBack(outbox *repo.Outbox) (bool, error) {
	names, err := outbox.Memos(takenBackPrefix, 1)
	return len(names) > 0, err
}

// shareAgain forgets that an object was withdrawn, since it is published again.
func shareAgain(outbox *repo.Outbox, collection, id string) error {
	back, err := takenBack(outbox, collection, id)
	if err != nil || !back {
		return err
	}
	return outbox.ForgetMemo(takenBackMemo(collection, id))
}
