package accept

import (
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// stays reports whether a submission need not be published, since the view has the same and will keep it. Else the
// submission takes the place of what is there, or meets in the outbox what follows that.
func (b *Batch) stays(same *view.Entry, submission *outbox.Submission) (stays bool, err error) {
	_, found, err := withdraw.Follows(b.Outbox.Outbox, submission.Item.Key, same)
	if err != nil || found {
		return false, err
	}
	leaving, err := withdraw.IsLeaving(b.Outbox.Outbox, same)
	if leaving {
		submission.Item.ReplacesAsset, submission.Item.ReplacesIndex = same.Asset, same.Position.Index
	}
	return !leaving, err
}

// InForce reports whether this organisation has a version of an object in a collection that is to stay.
func (b *Batch) InForce(id string) (bool, error) {
	query := view.Query{Collection: b.Into.ID, IDs: []string{id}, Member: b.State.Own(), Versions: view.Versions{All: true}, Limit: MaxVersions}
	entries, _, err := b.View.Page(query)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if leaving, err := withdraw.IsLeaving(b.Outbox.Outbox, e); err != nil || !leaving {
			return err == nil, err
		}
	}
	return false, nil
}
