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

// shareAgain forgets that objects were taken back, since they are published again.
func (p *publisher) shareAgain(submissions []repo.Submission) error {
	any, err := p.outbox.Memos(takenBackPrefix, 1)
	if err != nil || len(any) == 0 {
		return err
	}
	for _, s := range submissions {
		if s.Item.ObjectID == "" {
			continue
		}
		if back, err := takenBack(p.outbox, s.Item.Collection, s.Item.ObjectID); err != nil {
			return err
		} else if !back {
			continue
		}
		if err := p.outbox.ForgetMemo(takenBackMemo(s.Item.Collection, s.Item.ObjectID)); err != nil {
			return err
		}
	}
	return nil
}
