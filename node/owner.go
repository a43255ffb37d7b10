package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// owner looks after the collections that belong to this organisation: it makes and changes them, and says by keyrings
// who reads them. Every change is the collection's next record on the chain; there is one at a time.
type owner struct {
	outbox     *repo.Outbox
	view       *repo.View
	fold       *fold
	records    *records
	watcher    follower
	consortium uint64
	network    string // that members' nodes are on: private or public
	recipient  string // this organisation's public key: it is a reader of its collections like others
	problem    func() error
	log        *slog.Logger

	turn turn // one change at a time; nobody has it while they wait for the chain
	// Where the fold stood when the change was begun, and who the members were: that decides who gets keys. What the chain
	// tells later is not in it, and is looked at afterwards.
	asOf    consortium.Position
	members []consortium.Member
}

// begins is for a change that begins.
func (o *owner) begins() {
	o.fold.read(func(s *consortium.State) { o.asOf, o.members = s.Position(), s.Members() })
}

// CollectionSpec is what a collection is made of. Organisations are named as in URLs.
type CollectionSpec struct {
	Title        string   `json:"title"`
	Alias        string   `json:"alias,omitempty"`
	Description  string   `json:"description,omitempty"`
	Readers      []string `json:"readers,omitempty"`       // beside the owner; "all" for every member, present and future
	Contributors []string `json:"contributors,omitempty"`  // readers who may also publish; "all" for every reader
	DefaultLevel string   `json:"default_level,omitempty"` // TLP level of objects without a marking; "green" or what the readers allow
	Metadata     string   `json:"metadata,omitempty"`      // "open" or "sealed"
	Padding      string   `json:"padding,omitempty"`       // "" or "coarse"
}

// CollectionChange changes what is not nil.
type CollectionChange struct {
	Title        *string `json:"title,omitempty"`
	Alias        *string `json:"alias,omitempty"`
	Description  *string `json:"description,omitempty"`
	DefaultLevel *string `json:"default_level,omitempty"`
	Metadata     *string `json:"metadata,omitempty"`
	Padding      *string `json:"padding,omitempty"`
}

// Grant lets organisations read a collection.
type Grant struct {
	Organisations []string `json:"organisations"` // "all" for every member, present and future
	Contribute    bool     `json:"contribute"`    // … and publish in it
	// From says from when on: "now" begins a new key epoch, "all" gives every key, a number those from that epoch on.
	From string `json:"from"`
}

// allMembers stands for every member, in lists of organisations.
const allMembers = "all"

// create makes a collection and waits until it is on the chain. If the context ends before that, the error wraps
// errOnItsWay if the collection is made all the same.
func (o *owner) create(ctx context.Context, spec CollectionSpec) (consortium.Collection, error) {
	if err := awaitTip(ctx, o.watcher); err != nil {
		return consortium.Collection{}, err
	}
	for try := 1; ; try++ {
		c, err := o.beginNew(ctx, spec)
		if err != nil {
			return consortium.Collection{}, err
		}
		made, err := o.await(ctx, c.ID, c.Revision)
		switch {
		case errors.Is(err, errTaken) && try < creationTries:
			o.log.Warn("a collection is made again, with another id", "title", spec.Title, "reason", err)
			continue
		case errors.Is(err, errTaken):
			return made, fmt.Errorf("making the collection %q: %w", spec.Title, err)
		case err != nil:
			return made, errors.Join(errOnItsWay, err)
		case spec.Alias != "":
			err = o.outbox.ForgetMemo(makingMemo(spec.Alias))
		}
		return made, err
	}
}

// errOnItsWay means that the chain will have a collection, and does not yet.
var errOnItsWay = errors.New("the collection is on its way to the chain")

// beginNew stores the first record of a new collection.
func (o *owner) beginNew(ctx context.Context, spec CollectionSpec) (consortium.Collection, error) {
	if err := o.turn.take(ctx); err != nil {
		return consortium.Collection{}, err
	}
	defer o.turn.give()
	o.begins()
	properties, err := o.properties(spec)
	if err != nil {
		return consortium.Collection{}, input(err)
	}
	if !o.fold.active() {
		return consortium.Collection{}, input(errors.New("this organisation is not a member of the consortium"))
	}
	id := uuid.NewString()
	if err := o.reserve(spec.Alias, id); err != nil {
		return consortium.Collection{}, err
	}
	c, err := o.begin(ctx, id, properties)
	if err != nil {
		return c, fmt.Errorf("making the collection %q: %w", spec.Title, err)
	}
	return c, nil
}

// makingMemo is where it is kept which collection was to have an alias: until the chain has that one, only the outbox
// knows that the alias is taken.
func makingMemo(alias string) string { return "making/" + alias }

// reserve keeps an alias for a collection that is about to be stored, unless another one with it is on its way. Whether
// it is, the outbox tells: an attempt that came to nothing keeps nobody from the next, nor does a restart let two through.
func (o *owner) reserve(alias, id string) error {
	if alias == "" {
		return nil
	}
	former, err := o.outbox.Memo(makingMemo(alias))
	if err != nil {
		return err
	}
	if former != nil {
		onItsWay, err := o.isOnItsWay(string(former))
		if err != nil {
			return err
		}
		if onItsWay {
			return fmt.Errorf("the alias %q: %w", alias, errOnItsWay)
		}
	}
	return o.outbox.SetMemo(makingMemo(alias), []byte(id))
}

// isOnItsWay reports whether the first record of a collection is stored, and the chain as far as it is followed doesn't
// have it.
func (o *owner) isOnItsWay(id string) (bool, error) {
	if _, known := o.fold.collection(id); known || o.fold.taken(id) {
		return false, nil
	}
	item, found, err := o.outbox.Find(recordKey(id, 1))
	if err != nil || !found {
		return false, err
	}
	if item.State < repo.Confirmed {
		return true, nil
	}
	followed, err := o.view.Cursor()
	return followed < item.Round, err // else it counts for nothing
}

// errTaken means that another member was first with the id of a collection, which it saw on its way to the chain.
var errTaken = errors.New("another member has taken its id")

// creationTries is how often a collection is made: who takes an id pays as much for it as we do.
const creationTries = 5

// begin stores the first record of a collection. What it returns will be true once the record is on the chain.
func (o *owner) begin(ctx context.Context, id string, properties wire.Collection, also ...[]byte) (consortium.Collection, error) {
	c := consortium.Collection{ID: id, Owner: o.fold.self, Properties: properties}
	return o.publish(ctx, c, change{properties: properties, rotate: true, to: o.readers(properties)}, also...)
}

func (o *owner) properties(spec CollectionSpec) (wire.Collection, error) {
	readers, err := o.accounts(spec.Readers)
	if err != nil {
		return wire.Collection{}, fmt.Errorf("readers: %w", err)
	}
	contributors, err := o.accounts(spec.Contributors)
	if err != nil {
		return wire.Collection{}, fmt.Errorf("contributors: %w", err)
	}
	if contributors.Members && !readers.Members { // every reader
		contributors = wire.Accounts{Named: readers.Named}
	}
	for _, account := range contributors.Named {
		if !readers.Includes(account) {
			return wire.Collection{}, errors.New("contributors must be readers too")
		}
	}
	p := wire.Collection{
		Title: spec.Title, Alias: spec.Alias, Description: spec.Description, Readers: readers, Contributors: contributors,
		DefaultLevel: spec.DefaultLevel, Metadata: spec.Metadata, Padding: spec.Padding,
	}
	if p.DefaultLevel == "" {
		p.DefaultLevel = "green"
	}
	if p.Metadata == "" {
		p.Metadata = wire.MetadataOpen
		if o.network == wire.NetworkPublic {
			p.Metadata = wire.MetadataSealed
		}
	}
	return p, o.check(consortium.Collection{}, p)
}

// check refuses properties that would not do for a collection; for a new one it is the zero value. It doesn't ask what the
// wire format checks.
func (o *owner) check(c consortium.Collection, p wire.Collection) error {
	if _, err := p.Encode(); err != nil {
		return err
	}
	level, err := stix.ParseLevel(p.DefaultLevel)
	if err != nil || strings.ToLower(p.DefaultLevel) != p.DefaultLevel || strings.HasPrefix(p.DefaultLevel, "tlp") {
		return fmt.Errorf("default level: %.40q is none of clear, green, amber, amber+strict, red", p.DefaultLevel)
	}
	if err := stix.Permits(level, o.fold.audience(consortium.Collection{Owner: o.fold.self, Properties: p})); err != nil {
		return fmt.Errorf("default level %s: %w", level, err)
	}
	if p.Alias == "" || p.Alias == c.Properties.Alias {
		return nil // whatever the consortium's own is called meanwhile: its owner must not keep us from changing ours
	}
	return o.free(c.ID, p.Alias)
}

// free refuses an alias that stands for another collection.
func (o *owner) free(id, alias string) error {
	if alias == everythingAlias {
		return fmt.Errorf("alias: %q is that of the collection with everything", alias)
	}
	for _, other := range o.fold.collections() {
		if other.ID != id && other.Properties.Alias == alias && (other.Owner == o.fold.self || other.Default) {
			return fmt.Errorf("alias: %q is that of the collection %q (%s)", alias, other.Properties.Title, other.ID)
		}
	}
	return nil
}

// accounts finds the members with the given names.
func (o *owner) accounts(names []string) (wire.Accounts, error) {
	var a wire.Accounts
	members := o.fold.members()
	for _, name := range names {
		if name == allMembers {
			a.Members = true
			continue
		}
		i := slices.IndexFunc(members, func(m consortium.Member) bool { return m.Name == name && m.Removed == nil })
		switch {
		case i < 0:
			return a, fmt.Errorf("no member is called %.60q", name)
		case members[i].Account == o.fold.self:
			return a, errors.New("the owner is a reader in any case; name other members")
		case !slices.Contains(a.Named, members[i].Account):
			a.Named = append(a.Named, members[i].Account)
		}
	}
	if a.Members {
		a.Named = nil
	}
	slices.Sort(a.Named)
	return a, nil
}

// readers lists the members that can be given keys of a collection, without the owner.
func (o *owner) readers(p wire.Collection) (list []consortium.Member) {
	for _, m := range o.members {
		if m.Account != o.fold.self && m.Removed == nil && m.Known && p.Readers.Includes(m.Account) {
			list = append(list, m)
		}
	}
	return list
}

// grant lets organisations read, and perhaps publish. It changes nothing for those who may already: a new key would cost
// a transaction and shut nobody out.
func (o *owner) grant(ctx context.Context, id string, g Grant) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		added, err := o.accounts(g.Organisations)
		if err != nil {
			return change{}, err
		}
		if len(g.Organisations) == 0 {
			return change{}, errors.New("name the organisations")
		}
		if c.Properties.AdHoc {
			return change{}, errors.New("the collection is for the recipients that were named for its objects, and no others")
		}
		p := c.Properties
		p.Readers = union(p.Readers, added)
		if g.Contribute {
			p.Contributors = union(p.Contributors, added)
		}
		next := change{properties: p, to: o.readers(wire.Collection{Readers: added})}
		switch g.From {
		case "", "now":
			if sameAccounts(p.Readers, c.Properties.Readers) {
				return change{properties: p, from: c.Epoch, none: sameAccounts(p.Contributors, c.Properties.Contributors)}, nil
			}
			next.rotate, next.to = true, o.readers(p)
			return next, nil
		case allMembers:
			next.from = 1
		default:
			epoch, err := strconv.ParseUint(g.From, 10, 32)
			if err != nil || epoch < 1 || epoch > uint64(c.Epoch) {
				return change{}, fmt.Errorf("from %.20q: it is now, all, or an epoch from 1 to %d", g.From, c.Epoch)
			}
			next.from = uint32(epoch)
		}
		return next, o.mayDisclose(c, p)
	})
}

func union(a, b wire.Accounts) wire.Accounts {
	if a.Members || b.Members {
		return wire.Accounts{Members: true}
	}
	named := slices.Concat(a.Named, b.Named)
	slices.Sort(named)
	return wire.Accounts{Named: slices.Compact(named)}
}

func sameAccounts(a, b wire.Accounts) bool {
	return a.Members == b.Members && slices.Equal(a.Named, b.Named)
}

func minus(a wire.Accounts, removed []string) wire.Accounts {
	return wire.Accounts{Members: a.Members, Named: slices.DeleteFunc(slices.Clone(a.Named), func(account string) bool {
		return slices.Contains(removed, account)
	})}
}

// mayDisclose refuses to give keys of the past to an audience that objects published then must not reach.
func (o *owner) mayDisclose(c consortium.Collection, to wire.Collection) error {
	wider := c
	wider.Properties = to
	known := map[string]*markings{} // by publisher: each says what the markings of its objects mean
	query := repo.Query{Collection: c.ID, Versions: repo.Versions{All: true}, Limit: 1000, WithObjects: true}
	for {
		entries, more, err := o.view.Page(query)
		if err != nil {
			return err
		}
		for _, e := range entries {
			object, err := stix.Parse(e.Object)
			if err != nil {
				return fmt.Errorf("reading object %s: %w", e.ID, err)
			}
			if known[e.Publisher] == nil {
				known[e.Publisher] = o.fold.markings(o.outbox, o.view, e.Publisher)
			}
			says := known[e.Publisher]
			if _, err := o.fold.permit(object, wider, says.levels()); err != nil {
				return fmt.Errorf("object %s must not reach them, grant from now instead: %w", e.ID, err)
			}
			if says.err != nil {
				return says.err
			}
			query.After = e.DateAdded
		}
		if !more {
			return nil
		}
	}
}

// revoke takes organisations out of a collection's readers: a new key epoch begins without them. What they could read
// before, they can.
func (o *owner) revoke(ctx context.Context, id string, names []string) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		removed, err := o.accounts(names)
		switch {
		case err != nil:
			return change{}, err
		case c.Properties.Readers.Members && !removed.Members:
			return change{}, errors.New("every member may read the collection; make one for those who shall, or remove the member")
		case removed.Members:
			removed.Named = slices.Concat(c.Properties.Readers.Named, c.Properties.Contributors.Named)
		case !slices.ContainsFunc(removed.Named, c.Properties.Readers.Includes):
			return change{}, errors.New("none of them is a reader")
		}
		p := c.Properties
		p.Readers, p.Contributors = minus(p.Readers, removed.Named), minus(p.Contributors, removed.Named)
		if removed.Members {
			p.Readers, p.Contributors = wire.Accounts{}, wire.Accounts{}
		}
		return change{properties: p, rotate: true, to: o.readers(p)}, nil
	})
}

// rotate begins a key epoch for the same readers.
func (o *owner) rotate(ctx context.Context, id string) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		return change{properties: c.Properties, rotate: true, to: o.readers(c.Properties)}, nil
	})
}

// set changes what a collection is called and how its objects are treated from now on.
func (o *owner) set(ctx context.Context, id string, s CollectionChange) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		p := c.Properties
		for _, field := range []struct {
			to  *string
			set *string
		}{{&p.Title, s.Title}, {&p.Alias, s.Alias}, {&p.Description, s.Description}, {&p.DefaultLevel, s.DefaultLevel}, {&p.Metadata, s.Metadata}, {&p.Padding, s.Padding}} {
			if field.set != nil {
				*field.to = *field.set
			}
		}
		return change{properties: p, from: c.Epoch}, nil
	})
}

// change is what the next record of a collection says.
type change struct {
	properties wire.Collection
	rotate     bool                // it begins a key epoch; those whom it is given to get that key only
	from       uint32              // else: the first epoch whose key they get
	to         []consortium.Member // who gets keys, beside the owner
	none       bool                // all of it is so already: there is no next record
}

// update changes a collection of ours, given by id or alias, and waits until the change is on the chain. If the
// context ends before that, the change happens all the same.
func (o *owner) update(ctx context.Context, idOrAlias string, decide func(consortium.Collection) (change, error)) (consortium.Collection, error) {
	for {
		c, begun, err := o.beginUpdate(ctx, idOrAlias, decide)
		if err != nil {
			return c, err
		}
		if c, err = o.await(ctx, c.ID, c.Revision); err != nil || begun {
			return c, err
		}
	}
}

// beginUpdate stores the next record of a collection, unless it has to wait for one that is on its way. It returns the
// collection as it will be.
func (o *owner) beginUpdate(ctx context.Context, idOrAlias string, decide func(consortium.Collection) (change, error)) (c consortium.Collection, begun bool, err error) {
	if err := o.turn.take(ctx); err != nil {
		return c, false, err
	}
	defer o.turn.give()
	if c, err = o.find(idOrAlias); err != nil {
		return c, false, input(err)
	}
	pending, err := o.pending(c)
	if err != nil {
		return c, false, err
	}
	if pending {
		c.Revision++
	}
	if pending || c.Pending {
		return c, false, nil
	}
	o.begins()
	next, err := decide(c)
	if err == nil {
		err = o.check(c, next.properties)
	}
	if err != nil {
		return c, false, input(fmt.Errorf("collection %q: %w", c.Properties.Title, err))
	}
	if next.none {
		return c, true, nil
	}
	if c, err = o.publish(ctx, c, next); err != nil {
		return c, false, fmt.Errorf("changing the collection %q: %w", next.properties.Title, err)
	}
	return c, true, nil
}

// find gives a collection of this organisation.
func (o *owner) find(idOrAlias string) (consortium.Collection, error) {
	c, err := o.fold.called(idOrAlias)
	if err == nil && c.Owner != o.fold.self {
		err = fmt.Errorf("the collection %q belongs to another organisation", c.Properties.Title)
	}
	return c, err
}

func (o *owner) pending(c consortium.Collection) (bool, error) {
	_, found, err := o.outbox.Find(recordKey(c.ID, c.Revision+1))
	return found, err
}

// publish stores the next record of a collection and takes it into the outbox. It returns the collection as it will be.
func (o *owner) publish(ctx context.Context, c consortium.Collection, next change, also ...[]byte) (consortium.Collection, error) {
	keys := map[uint32]*seal.EpochKey{}
	if next.rotate {
		key, err := seal.NewEpochKey()
		if err != nil {
			return c, err
		}
		if next.to, err = o.supplied(c, next); err != nil {
			return c, err
		}
		c.Epoch, c.Key, next.from = c.Epoch+1, key, c.Epoch+1
		keys[c.Epoch] = key
		if err := setGiven(o.outbox, c, o.asOf); err != nil {
			return c, err
		}
	} else {
		keys = o.keys(c, next.from)
	}
	c.Revision, c.Properties = c.Revision+1, next.properties
	recipients := []string{o.recipient}
	for _, m := range next.to {
		recipients = append(recipients, m.Recipient)
		also = append(also, keyringKey(c, m.ID, m.Recipient))
		if err := o.setSince(c, m.ID, next.from); err != nil {
			return c, err
		}
	}
	draft, err := consortium.DraftCollection(o.consortium, c.ID, c.Epoch, c.Properties, keys, recipients, now())
	if err != nil {
		return c, err
	}
	if _, err := o.records.store(ctx, recordKey(c.ID, c.Revision), draft, also...); err != nil {
		return c, err
	}
	o.log.Info("a collection is changed", "collection", c.ID, "title", c.Properties.Title, "epoch", c.Epoch, "keys_for", len(next.to))
	return c, nil
}

// supplied leaves out those who have no keys at all yet and are to get older ones too: they get all at once, see supply.
func (o *owner) supplied(c consortium.Collection, next change) ([]consortium.Member, error) {
	if c.Epoch == 0 || !o.wholeHistory(next.properties) {
		return next.to, nil
	}
	var failed error
	to := slices.DeleteFunc(slices.Clone(next.to), func(m consortium.Member) bool {
		since, err := o.since(c, m.ID)
		failed = errors.Join(failed, err)
		return since == 0
	})
	return to, failed
}

// wholeHistory reports whether newcomers get the keys of all epochs of a collection: as the charter says.
func (o *owner) wholeHistory(p wire.Collection) bool {
	charter := o.fold.charter()
	return charter != nil && charter.History && p.Readers.Members
}

// keys gives a collection's keys from an epoch on.
func (o *owner) keys(c consortium.Collection, from uint32) map[uint32]*seal.EpochKey {
	keys := map[uint32]*seal.EpochKey{}
	o.fold.read(func(s *consortium.State) {
		for epoch, key := range s.Keys(c.ID) {
			if epoch >= from {
				keys[epoch] = key
			}
		}
	})
	return keys
}

// await waits until a collection has a revision.
func (o *owner) await(ctx context.Context, id string, revision int) (consortium.Collection, error) {
	for {
		changed := o.fold.changed.changed()
		if o.fold.taken(id) {
			return consortium.Collection{}, fmt.Errorf("collection %s: %w", id, errTaken)
		}
		if c, found := o.fold.collection(id); found && c.Revision >= revision && !c.Pending {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return consortium.Collection{}, errors.Join(
				fmt.Errorf("the change of collection %s is stored and will be on the chain, but isn't yet: %w", id, ctx.Err()), o.problem())
		}
	}
}

// sinceMemo is the name under which the first epoch is kept that a reader was given the key of: should it ever need its
// keys again, it gets the same. The member is given by its ID, which stays when its keys change.
func sinceMemo(c consortium.Collection, member string) string {
	return "since/" + c.ID + "/" + member
}

func (o *owner) setSince(c consortium.Collection, member string, epoch uint32) error {
	before, err := o.since(c, member)
	if err != nil || before != 0 && before <= epoch {
		return err
	}
	return o.outbox.SetMemo(sinceMemo(c, member), []byte(strconv.FormatUint(uint64(epoch), 10)))
}

// since is the first epoch that a reader was given the key of; 0 if it is not known.
func (o *owner) since(c consortium.Collection, member string) (uint32, error) {
	data, err := o.outbox.Memo(sinceMemo(c, member))
	if err != nil || data == nil {
		return 0, err
	}
	epoch, err := strconv.ParseUint(string(data), 10, 32)
	return uint32(epoch), err
}

// adHocPlan is the collection for a set of recipients.
type adHocPlan struct {
	collection consortium.Collection
	key        []byte // names its first record in the outbox, beside its recordKey
	exists     bool   // it is on the chain, or on its way
}

// AdHoc gives the collection for named recipients: the one that there is for the same ones, or a new one. A new one is
// stored when it returns; what is published in it waits until the chain has it.
func (o *owner) AdHoc(ctx context.Context, names []string) (consortium.Collection, error) {
	if err := o.turn.take(ctx); err != nil {
		return consortium.Collection{}, err
	}
	defer o.turn.give()
	o.begins()
	plan, err := o.planAdHoc(names)
	if err != nil || plan.exists {
		return plan.collection, err
	}
	c, err := o.begin(ctx, plan.collection.ID, plan.collection.Properties, plan.key)
	if err != nil {
		return c, fmt.Errorf("making a collection for %s: %w", strings.Join(names, ", "), err)
	}
	return c, nil
}

// planAdHoc finds the collection for named recipients, or says what it would be.
func (o *owner) planAdHoc(names []string) (adHocPlan, error) {
	readers, err := o.accounts(names)
	switch {
	case err != nil:
		return adHocPlan{}, input(fmt.Errorf("recipients: %w", err))
	case readers.Members:
		return adHocPlan{}, input(errors.New("recipients: name the organisations; for every member there are collections"))
	}
	title := []rune("For " + strings.Join(o.fold.names(readers), ", "))
	properties := wire.Collection{
		Title: string(title[:min(len(title), 200)]), Readers: readers, DefaultLevel: "red", Metadata: wire.MetadataSealed, AdHoc: true,
	}
	// A set of recipients has more than one collection if the first lost a reader, who is a recipient again.
	for n := 0; ; n++ {
		key := hashOf(append([]string{"ad hoc", strconv.Itoa(n)}, readers.Named...)...)
		item, found, err := o.outbox.Find(key)
		if err != nil {
			return adHocPlan{}, err
		}
		if found && o.fold.taken(item.Note.Collection) {
			continue // what was to be ours is another member's: nothing may go there
		}
		if !found {
			id := uuid.NewString()
			return adHocPlan{collection: consortium.Collection{ID: id, Owner: o.fold.self, Properties: properties}, key: key}, nil
		}
		c, known := o.fold.collection(item.Note.Collection)
		if !known { // on its way
			c = consortium.Collection{ID: item.Note.Collection, Owner: o.fold.self, Properties: properties}
		}
		if slices.Equal(c.Properties.Readers.Named, readers.Named) {
			return adHocPlan{collection: c, key: key, exists: true}, nil
		}
	}
}

// found stores the first record of the collection that a consortium is founded with.
func (o *owner) found(ctx context.Context, id string, properties wire.Collection) error {
	o.begins()
	_, err := o.begin(ctx, id, properties)
	return err
}

// PlanAdHoc tells in which collection objects for named recipients would be, and whether there is that one already.
func (o *owner) PlanAdHoc(names []string) (c consortium.Collection, exists bool, err error) {
	plan, err := o.planAdHoc(names)
	return plan.collection, plan.exists, err
}
