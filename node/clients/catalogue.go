// Package clients is what TAXII clients and webhooks see of a node: API roots, collections, exports, and accounts.
package clients

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// everythingRoot is the API root of what this organisation can read in all collections: one holds everything, another
// one the lines of objects that other members' lines lead before.
const everythingRoot = "consortium"

// Catalogue shows the view to TAXII clients: an API root for each member, with the collections of that member that
// this organisation can read.
//
// The consortium's default collection belongs to the founder. It is under the founder's root and under this
// organisation's own, where its clients look first.
type Catalogue struct {
	View       *view.View
	State      *state.Shared
	Own        string // this organisation's name
	Described  *APIRoot
	Consortium repo.Consortium
	Shown      *signal.Signal // objects came into the view, or left it
	Exports    *semaphore.Weighted
	Appraisal  Appraisal // nil: none
}

var _ taxii.Store = (*Catalogue)(nil)

// Roots lists the members' roots. To somebody without credentials only this organisation's own is shown.
func (c *Catalogue) Roots(_ context.Context, who taxii.Principal) ([]taxii.Root, error) {
	title, description := c.Described.get()
	own := taxii.Root{Name: c.Own, Title: title, Description: description}
	if who.Role == taxii.RoleNone {
		return []taxii.Root{own}, nil
	}
	roots := []taxii.Root{own}
	for _, m := range c.State.Members() {
		if m.Name != "" && m.Name != c.Own {
			roots = append(roots, taxii.Root{Name: m.Name, Title: m.Title})
		}
	}
	return append(roots, taxii.Root{
		Name: everythingRoot, Title: c.State.NameOf(c.Consortium), Description: "Everything that this organisation can read: in one collection each object as it is served, in another one what else members published under its id.",
	}), nil
}

// Root finds a root by name.
func (c *Catalogue) Root(ctx context.Context, who taxii.Principal, name string) (taxii.Root, error) {
	roots, err := c.Roots(ctx, who)
	if err != nil {
		return taxii.Root{}, err
	}
	for _, root := range roots {
		if root.Name == name {
			return root, nil
		}
	}
	return taxii.Root{}, taxii.ErrNotFound
}

// Collections lists the collections of a root.
func (c *Catalogue) Collections(_ context.Context, who taxii.Principal, root string) ([]taxii.Collection, error) {
	found, err := c.under(who, root)
	if err != nil {
		return nil, err
	}
	listed := make([]taxii.Collection, len(found))
	for i, one := range found {
		listed[i] = one.Collection
	}
	return listed, nil
}

// Collection finds a collection of a root by its id or else by its alias. The collections of the root's organisation
// come first: what the founder calls the consortium's own hides none of them.
func (c *Catalogue) Collection(_ context.Context, who taxii.Principal, root, idOrAlias string) (taxii.Collection, error) {
	found, err := c.under(who, root)
	if err != nil {
		return taxii.Collection{}, err
	}
	for _, is := range []func(shown) bool{
		func(s shown) bool { return s.ID == idOrAlias },
		func(s shown) bool { return s.Alias == idOrAlias && !s.guest },
		func(s shown) bool { return s.Alias == idOrAlias },
	} {
		if i := slices.IndexFunc(found, is); i >= 0 && idOrAlias != "" {
			return found[i].Collection, nil
		}
	}
	return taxii.Collection{}, taxii.ErrNotFound
}

// shown is a collection under a root. A guest there belongs to another organisation.
type shown struct {
	taxii.Collection
	guest bool
}

// under gives the collections of a root, sorted by id.
func (c *Catalogue) under(who taxii.Principal, root string) ([]shown, error) {
	if who.Role < taxii.RoleReader {
		return nil, taxii.ErrNotFound
	}
	if root == everythingRoot {
		return c.ofView(), nil
	}
	known := root == c.Own
	owners := map[string]string{} // account -> name
	for _, m := range c.State.Members() {
		if m.Name != c.Own { // who has our name in the consortium does not get our root by it
			owners[m.Account] = m.Name
			known = known || m.Name == root
		}
	}
	owners[c.State.Self] = c.Own
	if !known {
		return nil, taxii.ErrNotFound
	}
	closed := c.State.Excluded()
	var list []shown
	for _, one := range c.State.Collections() {
		belongs := owners[one.Owner] == root
		if !belongs && !(one.Default && root == c.Own) {
			continue
		}
		list = append(list, shown{guest: !belongs, Collection: c.describe(root, one, who.Role >= taxii.RolePublisher, closed)})
	}
	return list, nil // the state gives them sorted by id
}

// ofView gives the collections of the view, sorted by id.
func (c *Catalogue) ofView() []shown {
	list := []shown{{Collection: taxii.Collection{
		Root: everythingRoot, ID: EverythingID(c.Consortium), Alias: state.EverythingAlias, Title: "Everything in " + c.State.NameOf(c.Consortium),
		Description: "Everything that this organisation can read. Where several members published under one id, the object is that of the member whose earliest publication is the first.", CanRead: true,
	}}, {Collection: taxii.Collection{
		Root: everythingRoot, ID: OthersID(c.Consortium), Alias: state.OthersAlias, Title: "Other members' versions",
		Description: "What further members published under the ids of objects. The manifest names the publishers.", CanRead: true,
	}}}
	slices.SortFunc(list, func(a, b shown) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (c *Catalogue) describe(root string, one consortium.Collection, mayWrite bool, closed string) taxii.Collection {
	return taxii.Collection{
		Root: root, ID: one.ID, Alias: one.Properties.Alias, Title: one.Properties.Title, Description: one.Properties.Description,
		CanRead: true, CanWrite: mayWrite && closed == "" && one.MayPublish(c.State.Self), Closed: closed,
	}
}

// EverythingID is the id of the collection with everything: TAXII wants a version 4 UUID, clients want one that stays,
// and every node has the same.
func EverythingID(c repo.Consortium) string { return viewID(c, "everything") }

// OthersID is that of the collection with other members' versions.
func OthersID(c repo.Consortium) string { return viewID(c, "others") }

func viewID(c repo.Consortium, name string) string {
	sum := sha256.Sum256(slices.Concat([]byte("serviceledger/1 "+name+"\x00"), c.GenesisHash, binary.BigEndian.AppendUint64(nil, c.ID)))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// Objects gives a page of a collection.
func (c *Catalogue) Objects(_ context.Context, _ taxii.Principal, of taxii.Collection, q taxii.Query) (taxii.Page, error) {
	if len(q.SpecVersions) > 0 && !slices.Contains(q.SpecVersions, stix.SpecVersion) {
		return taxii.Page{}, nil // everything here is STIX 2.1
	}
	member := ""
	if q.Own {
		member = c.State.Own()
	}
	parts, err := c.View.Parts(view.Query{
		Collection: c.collectionOf(of), IDs: q.IDs, Types: q.Types, Member: member,
		Versions: view.Versions{All: q.Version.All, First: q.Version.First, Last: q.Version.Last, At: q.Version.At},
		After:    q.After, Limit: q.Limit, OnlyObjects: q.WithObjects,
	}, pagePart)
	if err != nil {
		return taxii.Page{}, err
	}
	page := taxii.Page{More: parts.More, Records: c.recordsOf(parts.First), Rest: make([]taxii.Chunk, len(parts.Rest))}
	for i, part := range parts.Rest {
		page.Rest[i] = taxii.Chunk{
			Count: len(part.Dates), Bytes: part.Bytes, First: added(part.Dates[0]), Last: added(part.Dates[len(part.Dates)-1]),
			Read: func() ([]taxii.Record, error) {
				entries, err := part.Read()
				return c.recordsOf(entries), err
			},
		}
	}
	return page, nil
}

// pagePart is how much of a page is in memory at a time, in bytes, unless a single object is larger.
const pagePart = 256 << 10

func added(date int64) time.Time { return time.UnixMicro(date).UTC() }

func (c *Catalogue) recordsOf(entries []*view.Entry) []taxii.Record {
	list := make([]taxii.Record, len(entries))
	names := map[string]string{} // by account; records with their object alone have none
	for i, e := range entries {
		if _, known := names[e.Publisher]; !known && e.Publisher != "" {
			names[e.Publisher] = c.State.Name(e.Publisher)
		}
		list[i] = taxii.Record{
			ID: e.ID, Version: e.Version, SpecVersion: stix.SpecVersion, DateAdded: e.Added(), Object: e.Object,
			StoredAt: e.StoredAt, CID: e.Directory, TxID: e.TxID, AssetID: e.Asset, Index: e.Position.Index, Publisher: names[e.Publisher],
		}
	}
	return list
}

// Removals gives what left a collection.
func (c *Catalogue) Removals(_ context.Context, of taxii.Collection, after int64, limit int) (list []taxii.Removal, more bool, err error) {
	collection := c.collectionOf(of)
	left, more, err := c.View.Removals(collection, after, limit)
	for _, r := range left {
		list = append(list, removalFor(&r, collection))
	}
	return list, more, err
}

func removalFor(r *view.Removal, collection string) taxii.Removal {
	one := taxii.Removal{
		Time: added(r.Date), ID: r.ID, Version: r.Version, Type: r.Type, Collection: r.Collection, Gone: r.Gone(collection == view.Everything), Values: []taxii.RemovedValue{},
	}
	for _, v := range r.Values {
		one.Values = append(one.Values, taxii.RemovedValue{Kind: v.Kind.String(), Value: v.Text})
	}
	return one
}

// HasObject reports whether a collection holds any version of an object.
func (c *Catalogue) HasObject(_ context.Context, _ taxii.Principal, of taxii.Collection, id string) (bool, error) {
	return c.View.Has(c.collectionOf(of), id)
}

func (c *Catalogue) collectionOf(of taxii.Collection) string {
	switch {
	case of.Root != everythingRoot:
		return of.ID
	case of.ID == OthersID(c.Consortium):
		return view.Others
	}
	return view.Everything
}
