package statement

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// namespace is that of the ids of identities, as UUIDs of version 5 have it: of the consortium's number and the first
// account of the member, which stays when its keys change.
var namespace = uuid.MustParse("6f3b1d0e-0f7c-4a34-9d4e-5d0b6a7b9c21")

// identityMemo is the name under which the identity is kept: each version has to be the same, byte by byte, wherever it
// is published.
const identityMemo = "statement/identity"

// identity is a STIX identity (STIX 2.1, section 4.5).
type identity struct {
	Type        string   `json:"type"`
	SpecVersion string   `json:"spec_version"`
	ID          string   `json:"id"`
	Created     string   `json:"created"`
	Modified    string   `json:"modified"`
	Name        string   `json:"name"`
	Class       string   `json:"identity_class"`
	Markings    []string `json:"object_marking_refs"`
}

// IdentityID is the id of this organisation's identity.
func (a *Author) IdentityID() string {
	if a.Configured != "" {
		return a.Configured
	}
	name := strconv.FormatUint(a.Consortium, 10) + "/" + a.State.Own()
	return "identity--" + uuid.NewSHA1(namespace, []byte(name)).String()
}

// Identity gives this organisation's identity as it is now; nil if the configuration names one that is not here.
func (a *Author) Identity() (json.RawMessage, error) {
	id := a.IdentityID()
	if a.Configured != "" {
		latest, err := a.View.LatestOf(a.State.Own(), view.Everything, id)
		if err != nil || latest == nil {
			return nil, err
		}
		return latest.Object, nil
	}
	title := cmp.Or(a.Title, a.Name)
	kept, err := a.kept(id)
	if err != nil {
		return nil, err
	}
	var is identity
	if kept != nil && json.Unmarshal(kept, &is) == nil && is.ID == id && is.Name == title {
		return kept, nil
	}
	now := stix.FormatTimestamp(time.Now())
	next, err := json.Marshal(identity{
		Type: "identity", SpecVersion: stix.SpecVersion, ID: id, Created: cmp.Or(is.Created, now), Modified: now, Name: title, Class: "organization",
		Markings: []string{stix.Clear.Marking()}, // every member knows from the chain who the members are
	})
	if err == nil {
		err = a.Memos.SetMemo(identityMemo, next)
	}
	if err != nil {
		return nil, fmt.Errorf("making the organisation's identity: %w", err)
	}
	return next, nil
}

// kept is the identity that was made: kept here, or published by a node whose state is lost.
func (a *Author) kept(id string) (json.RawMessage, error) {
	data, err := a.Memos.Memo(identityMemo)
	if err != nil || data != nil {
		return data, err
	}
	latest, err := a.View.LatestOf(a.State.Own(), view.Everything, id)
	if err != nil || latest == nil {
		return nil, err
	}
	if o, err := observable.ReadProperties(latest.Object); err != nil || o.Text("name") == "" {
		return nil, nil
	}
	return latest.Object, nil
}

// identityFor gives the identity that objects refer to; nil if none does, or the collection has it.
func (a *Author) identityFor(collection string, objects []json.RawMessage) (json.RawMessage, error) {
	if !refersTo(objects, a.IdentityID()) {
		return nil, nil
	}
	return a.missing(collection)
}

// missing gives the identity if a collection hasn't got it as it is now; else nil.
func (a *Author) missing(collection string) (json.RawMessage, error) {
	raw, err := a.Identity()
	if err != nil || raw == nil {
		return nil, err
	}
	here, err := a.View.LatestOf(a.State.Own(), collection, a.IdentityID())
	if err != nil || here != nil && (a.Configured != "" || string(here.Object) == string(raw)) {
		return nil, err
	}
	return raw, nil
}

// Introduced reports whether a collection has this organisation's identity, or need not.
func (a *Author) Introduced(into consortium.Collection) (bool, error) {
	raw, err := a.missing(into.ID)
	return raw == nil, err
}

// Introduce publishes this organisation's identity in a collection that hasn't got it: by itself, so that what refers
// to it later is not in one batch with it and can be taken back for what an NFT's destruction costs.
func (a *Author) Introduce(ctx context.Context, who taxii.Principal, into consortium.Collection) error {
	raw, err := a.missing(into.ID)
	if err != nil || raw == nil {
		return err
	}
	_, err = a.publish(ctx, who, into, taxii.Listed{{Raw: raw}})
	return err
}
