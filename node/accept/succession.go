package accept

import (
	"bytes"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// MaxVersions bounds how many publications of one object are looked at.
const MaxVersions = 256

// What a new version means beside those that this organisation published of the same object: its own line. What others
// published under the id is theirs, and refuses nothing of ours.

const (
	ownConflict = "this organisation has published this version of the object with other content: give it a later version, " +
		"or replace what is published (slnode publish --replace, or x_slnode_replace in the envelope)"
	replacedNote = "takes the place of what this organisation had published as the same version"
)

// lostLeadNote is about what takes the place of a version that others have published as well.
const lostLeadNote = "another member publishes the object as well, and its versions, being the earlier ones then, are served in the place of these: a later version would not have lost it"

// leadNote tells what a submission costs that takes the place of an entry of the view.
func (b *Batch) leadNote(same *view.Entry, submission *outbox.Submission) (string, error) {
	if submission.Item.ReplacesAsset == 0 {
		return "", nil
	}
	loses, err := b.View.LosesLead(same.Owner(), same.Collection, same.ID, true, same.Position)
	if !loses {
		return "", err
	}
	return lostLeadNote, err
}

// maxNote bounds what is kept of the remarks about an object, in bytes: a status has them for each of its objects.
const maxNote = 300

// joinedNotes makes one text of remarks.
func joinedNotes(notes ...string) string {
	text := strings.Join(slices.DeleteFunc(slices.Clone(notes), func(note string) bool { return note == "" }), "; ")
	if len(text) > maxNote {
		text = strings.ToValidUTF8(text[:maxNote-len("...")], "") + "..."
	}
	return text
}

// conflicts decides about an object that this organisation has published as the same version with other content: it
// says why it can't be published, or lets the submission take the place of what is there.
func (b *Batch) conflicts(same *view.Entry, submission *outbox.Submission) (failure string, err error) {
	replaces := submission.Replace
	if submission.Item.Revoked && !replaces { // a revocation is always taken, and is not replaced by another one
		published, err := stix.Parse(same.Object)
		replaces = err == nil && !published.Revoked
	}
	if replaces {
		submission.Replace = true
		submission.Item.ReplacesAsset, submission.Item.ReplacesIndex = same.Asset, same.Position.Index
		return "", nil
	}
	// It may be on its way already, to take the place of what the view still shows.
	item, _, err := b.Outbox.Find(submission.Item.Key)
	if err != nil || item.State != outbox.Withdrawn && bytes.Equal(item.Hash, submission.Item.Hash) {
		return "", err
	}
	return ownConflict, nil
}

// succession tells what is odd about a new version in the own line.
func (b *Batch) succession(object *stix.Object) (notes []string, err error) {
	if object.Version() == "" {
		return nil, nil
	}
	latest, err := b.latestOwn(object.ID)
	if latest == nil {
		return nil, err
	}
	published, err := stix.Parse(latest.Object)
	if err != nil {
		return nil, nil // it was accepted by an earlier release
	}
	if object.VersionTime().Before(published.VersionTime()) { // an older version that comes late
		return stix.Succession(object, published), nil
	}
	return stix.Succession(published, object), nil
}

// latestOwn is the latest version of an object that this organisation has published in the collection; nil if there is
// none.
func (b *Batch) latestOwn(id string) (*view.Entry, error) {
	known, err := b.View.Has(b.Into.ID, id) // most of what is posted is new, and this costs a tenth of what follows
	if err != nil || !known {
		return nil, err
	}
	return b.View.LatestOf(b.State.Own(), b.Into.ID, id)
}

// replacedIsGone reports whether what an item replaces has left the view.
func (p *Publisher) replacedIsGone(item outbox.Item) (bool, error) {
	replaced, known, err := withdraw.Replaced(p.Outbox.Outbox, item)
	if err != nil || !known {
		return false, err
	}
	for _, of := range replaced {
		if event, found, err := p.View.EventOf(of.Asset); err != nil || found && !event.HasWithdrawn(of.Index) {
			return false, err
		}
	}
	return true, nil
}

// shareAgain lets the outbox forget that objects were taken back, where it takes them in again.
func (p *Publisher) shareAgain(submissions []outbox.Submission) error {
	back, err := withdraw.AnyTakenBack(p.Outbox.Outbox)
	for i := range submissions {
		if s := &submissions[i]; back {
			s.Forget = withdraw.TakenBackMemo(s.Item.Collection, s.Item.ObjectID)
		}
	}
	return err
}
