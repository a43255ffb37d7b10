package node

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// everythingRoot is the API root whose one collection holds everything that this organisation can read.
const everythingRoot = "consortium"

// catalogue shows the view to TAXII clients: an API root for each member, with the collections of that member that
// this organisation can read.
//
// The consortium's default collection belongs to the founder. It is listed under the founder's root and under this
// organisation's own, where its clients look first, and it is found under every member's.
type catalogue struct {
	view       *repo.View
	fold       *fold
	own        string // this organisation's name
	title      string
	consortium repo.Consortium
	shown      *signal // see Node
	exports    *semaphore.Weighted
}

var _ taxii.Store = (*catalogue)(nil)

// Roots lists the members' roots. To somebody without credentials only this organisation's own is shown.
func (c *catalogue) Roots(_ context.Context, who taxii.Principal) ([]taxii.Root, error) {
	own := taxii.Root{Name: c.own, Title: c.title}
	if who.Role == taxii.RoleNone {
		return []taxii.Root{own}, nil
	}
	roots := []taxii.Root{own}
	for _, m := range c.fold.members() {
		if m.Name != "" && m.Name != c.own {
			roots = append(roots, taxii.Root{Name: m.Name, Title: m.Title})
		}
	}
	return append(roots, taxii.Root{
		Name: everythingRoot, Title: c.consortium.Name, Description: "Everything that this organisation can read, in one collection.",
	}), nil
}

// Root finds a root by name.
func (c *catalogue) Root(ctx context.Context, who taxii.Principal, name string) (taxii.Root, error) {
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
func (c *catalogue) Collections(ctx context.Context, who taxii.Principal, root string) ([]taxii.Collection, error) {
	found, err := c.under(ctx, who, root)
	if err != nil {
		return nil, err
	}
	var listed []taxii.Collection
	for _, one := range found {
		if one.listed {
			listed = append(listed, one.Collection)
		}
	}
	return listed, nil
}

// Collection finds a collection of a root by its id or alias.
func (c *catalogue) Collection(ctx context.Context, who taxii.Principal, root, idOrAlias string) (taxii.Collection, error) {
	found, err := c.under(ctx, who, root)
	if err != nil {
		return taxii.Collection{}, err
	}
	for _, one := range found {
		if one.ID == idOrAlias || one.Alias != "" && one.Alias == idOrAlias {
			return one.Collection, nil
		}
	}
	return taxii.Collection{}, taxii.ErrNotFound
}

// shown is a collection under a root: listed there, or only found there.
type shown struct {
	taxii.Collection
	listed bool
}

// under gives the collections of a root, sorted by id.
func (c *catalogue) under(ctx context.Context, who taxii.Principal, root string) ([]shown, error) {
	if _, err := c.Root(ctx, who, root); err != nil || who.Role < taxii.RoleReader {
		return nil, taxii.ErrNotFound
	}
	if root == everythingRoot {
		return []shown{{listed: true, Collection: taxii.Collection{
			Root: root, ID: everythingID(c.consortium), Alias: "everything", Title: "Everything in " + c.consortium.Name,
			Description: "Everything that this organisation can read.", CanRead: true,
		}}}, nil
	}
	owners := map[string]string{} // account -> name
	for _, m := range c.fold.members() {
		owners[m.Account] = m.Name
	}
	active := c.fold.active()
	var list []shown
	for _, one := range c.fold.collections() {
		owner := owners[one.Owner]
		if owner != root && !one.Default {
			continue
		}
		list = append(list, shown{listed: owner == root || root == c.own, Collection: c.describe(root, one, active && who.Role >= taxii.RolePublisher)})
	}
	return list, nil // the fold gives them sorted by id
}

func (c *catalogue) describe(root string, one consortium.Collection, mayWrite bool) taxii.Collection {
	return taxii.Collection{
		Root: root, ID: one.ID, Alias: one.Properties.Alias, Title: one.Properties.Title, Description: one.Properties.Description,
		CanRead: true, CanWrite: mayWrite && one.MayPublish(c.fold.self),
	}
}

// everythingID is the id of the collection with everything: TAXII wants a version 4 UUID, clients want one that stays,
// and every node has the same.
func everythingID(c repo.Consortium) string {
	sum := sha256.Sum256(slices.Concat([]byte("serviceledger/1 everything\x00"), c.GenesisHash, binary.BigEndian.AppendUint64(nil, c.ID)))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// Objects gives a page of a collection.
func (c *catalogue) Objects(_ context.Context, _ taxii.Principal, of taxii.Collection, q taxii.Query) (taxii.Page, error) {
	if len(q.SpecVersions) > 0 && !slices.Contains(q.SpecVersions, stix.SpecVersion) {
		return taxii.Page{}, nil // everything here is STIX 2.1
	}
	entries, more, err := c.view.Page(repo.Query{
		Collection: c.collectionOf(of), IDs: q.IDs, Types: q.Types,
		Versions: repo.Versions{All: q.Version.All, First: q.Version.First, Last: q.Version.Last, At: q.Version.At},
		After:    q.After, Limit: q.Limit, WithObjects: q.WithObjects,
	})
	if err != nil {
		return taxii.Page{}, err
	}
	page := taxii.Page{More: more, Records: make([]taxii.Record, len(entries))}
	for i, e := range entries {
		page.Records[i] = taxii.Record{
			ID: e.ID, Version: e.Version, SpecVersion: stix.SpecVersion, DateAdded: e.Added(), Object: e.Object,
			StoredAt: e.StoredAt, CID: e.Directory, TxID: e.TxID, AssetID: e.Asset,
		}
	}
	return page, nil
}

// HasObject reports whether a collection holds any version of an object.
func (c *catalogue) HasObject(_ context.Context, _ taxii.Principal, of taxii.Collection, id string) (bool, error) {
	return c.view.Has(c.collectionOf(of), id)
}

func (c *catalogue) collectionOf(of taxii.Collection) string {
	if of.Root == everythingRoot {
		return repo.Everything
	}
	return of.ID
}

// accounts lets the repository's accounts in.
type accounts struct {
	repo *repo.Repo
	own  string // this organisation's name
}

var (
	_ taxii.Authenticator = (*accounts)(nil)
	_ taxii.Accounts      = (*accounts)(nil)
)

// Password checks a user's password.
func (a *accounts) Password(_ context.Context, user, password string) (taxii.Principal, error) {
	account, err := a.repo.Accounts.Check(user, password)
	if err != nil {
		return taxii.Principal{}, authError(err)
	}
	return a.principal(account)
}

// Token checks a bearer token.
func (a *accounts) Token(_ context.Context, token string) (taxii.Principal, error) {
	account, err := a.repo.Accounts.CheckToken(token, now())
	if err != nil {
		return taxii.Principal{}, authError(err)
	}
	return a.principal(account)
}

func (a *accounts) principal(account repo.Account) (taxii.Principal, error) {
	role, err := taxii.ParseRole(account.Role)
	return taxii.Principal{User: account.User, Org: a.own, Role: role}, err
}

// SignupAdmin makes the node's first account.
func (a *accounts) SignupAdmin(_ context.Context, s taxii.SignUp) (taxii.Organisation, taxii.Account, error) {
	if s.Org != a.own {
		return taxii.Organisation{}, taxii.Account{}, fmt.Errorf("%w: this is the node of %s; every organisation runs its own", taxii.ErrConflict, a.own)
	}
	account, err := a.add(s, taxii.RoleAdmin, true)
	return taxii.Organisation{Name: a.own, Address: a.repo.Keys.Address()}, account, err
}

// SignupUser makes a further account.
func (a *accounts) SignupUser(_ context.Context, by taxii.Principal, s taxii.SignUp) (taxii.Account, error) {
	if by.Role != taxii.RoleAdmin || s.Org != a.own {
		return taxii.Account{}, taxii.ErrForbidden
	}
	return a.add(s, s.Role, false)
}

// minPassword is the least number of characters that a password has (NIST SP 800-63B asks for eight).
const minPassword = 8

func (a *accounts) add(s taxii.SignUp, role taxii.Role, first bool) (taxii.Account, error) {
	if strings.ContainsFunc(s.User, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return taxii.Account{}, &taxii.InvalidError{Reason: "the user name holds a control character"}
	}
	if len([]rune(s.Password)) < minPassword {
		return taxii.Account{}, &taxii.InvalidError{Reason: fmt.Sprintf("the password has less than %d characters", minPassword)}
	}
	account, err := a.repo.Accounts.Add(s.User, s.Password, role.String(), first, now())
	if err != nil {
		return taxii.Account{}, takenError(err)
	}
	return a.describe(account)
}

func (a *accounts) describe(account repo.Account) (taxii.Account, error) {
	role, err := taxii.ParseRole(account.Role)
	return taxii.Account{User: account.User, Org: a.own, Role: role, Created: account.Created}, err
}

// Login trades a password for a token.
func (a *accounts) Login(_ context.Context, user, password string) (taxii.Session, error) {
	account, err := a.repo.Accounts.Check(user, password)
	if err != nil {
		return taxii.Session{}, authError(err)
	}
	expires := now().Add(a.repo.Config.TAXII.Session.Duration)
	token, err := a.repo.Accounts.NewToken(account.User, expires)
	if err != nil {
		return taxii.Session{}, err
	}
	described, err := a.describe(account)
	return taxii.Session{Token: token, Expires: expires, Account: described}, err
}

// Logout ends a token.
func (a *accounts) Logout(_ context.Context, token string) error {
	return a.repo.Accounts.EndToken(token)
}
