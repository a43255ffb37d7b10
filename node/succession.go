package node

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo"
)

// What a new version means beside those that this organisation published of the same object: its own line. What others
// published under the id refuses nothing of ours but the very same version with other content, since of two such the
// first on the chain counts.

const (
	conflict    = "this version of the object is published already, with other content"
	ownConflict = "this organisation has published this version of the object with other content: give it a later version, " +
		"or replace what is published (slnode publish --replace, or x_slnode_replace in the envelope)"
	replacedNote = "takes the place of other content that this organisation had published as the same version"
)

// maxNote bounds what is kept of the remarks about an object, in bytes: a status has them for each of its objects.
const maxNote = 300

// joinedNotes makes one text of remarks.
func joinedNotes(notes ...string) string {
	text := strings.TrimPrefix(strings.Join(notes, "; "), "; ")
	if len(text) > maxNote {
		text = strings.ToValidUTF8(text[:maxNote-len("...")], "") + "..."
	}
	return text
}

// conflicts decides about an object that is in the view as the same version with other content: it says why it can't be
// published, or lets the submission take the place of what is there.
func (b *batch) conflicts(same *repo.Entry, submission *repo.Submission) (failure string, err error) {
	if !b.fold.ours(same.Publisher) {
		return fmt.Sprintf("%s has published this version of the object before, with other content", b.fold.name(same.Publisher)), nil
	}
	replaces := submission.Replace
	if submission.Item.Revoked && !replaces { // a revocation is always taken, and is not replaced by another one
		published, err := stix.Parse(same.Object)
		replaces = err == nil && !published.Revoked
	}
	if replaces {
		submission.Replace, submission.Item.ReplacesAsset = true, same.Asset
		return "", nil
	}
	// It may be on its way already, to take the place of what the view still shows.
	item, found, err := b.outbox.Find(submission.Item.Key)
	if err != nil || found && item.State != repo.Withdrawn && bytes.Equal(item.Hash, submission.Item.Hash) {
		return "", err
	}
	return ownConflict, nil
}

// succession tells what is odd about a new version in the own line.
func (b *batch) succession(object *stix.Object) (notes []string, err error) {
	if object.Version() == "" {
		return nil, nil
	}
	latest, err := b.latestOwn(object.ID)
	if err != nil || latest == nil {
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
func (b *batch) latestOwn(id string) (*repo.Entry, error) {
	latest, err := b.view.Latest(b.into.ID, id)
	if err != nil || latest == nil || b.fold.ours(latest.Publisher) {
		return latest, err
	}
	query := repo.Query{Collection: b.into.ID, IDs: []string{id}, Versions: repo.Versions{All: true}, Limit: maxVersions, WithObjects: true}
	entries, _, err := b.view.Page(query)
	if err != nil {
		return nil, err
	}
	latest = nil
	for _, e := range entries {
		if b.fold.ours(e.Publisher) && (latest == nil || e.Instant.After(latest.Instant)) {
			latest = e
		}
	}
	return latest, nil
}

// replacedIsGone reports whether what an item replaces has left the view.
func (p *publisher) replacedIsGone(item repo.Item) (bool, error) {
	assets, known, err := replaced(p.outbox, item)
	if err != nil || !known {
		return false, err
	}
	for _, asset := range assets {
		if event, found, err := p.view.EventOf(asset); err != nil || found && event.State != repo.Ended {
			return false, err
		}
	}
	return true, nil
}

// shareAgain forgets that objects were taken back, since they are published again.
func (p *publisher) shareAgain(submissions []repo.Submission) error {
	any, err := anyTakenBack(p.outbox)
	if err != nil || !any {
		return err
	}
	for _, s := range submissions {
		if s.Item.ObjectID == "" {
			continue
		}
		if err := shareAgain(p.outbox, s.Item.Collection, s.Item.ObjectID); err != nil {
			return err
		}
	}
	return nil
}
