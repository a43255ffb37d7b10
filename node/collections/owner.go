// Package collections looks after the collections of this organisation: their properties, and who has their keys.
package collections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Owner looks after the collections that belong to this organisation: it makes and changes them, and says by keyrings
// who reads them. Every change is the collection's next record on the chain; there is one at a time.
type Owner struct {
	Outbox     *outbox.Outbox
	View       *view.View
	State      *state.Shared
	Records    *publish.Records
	Watcher    state.Follower
	Consortium uint64
	Network    string // that members' nodes are on: private or public
	Recipient  string // this organisation's public key: it is a reader of its collections like others
	Money      purse  // nil: what is stored waits for it
	Problem    func() error
	Log        *slog.Logger

	turn turn // one change at a time; nobody has it while they wait for the chain
	// Where the state stood when the change was begun, and who the members were: that decides who gets keys. What the
	// chain tells later is not in it, and is looked at afterwards.
	asOf    consortium.Position
	members []consortium.Member
}

// purse is what this organisation's account can pay.
type purse interface {
	// Afford refuses what takes so many NFTs, and destroys so many, that the account can't pay for.
	Afford(ctx context.Context, nfts, ends int) error
}

// afford refuses what can't be paid for, before anything is done.
func (o *Owner) afford(ctx context.Context, nfts int) error {
	if o.Money == nil {
		return nil
	}
	return o.Money.Afford(ctx, nfts, 0)
}

// begins is for a change that begins.
func (o *Owner) begins() {
	o.State.Read(func(s *consortium.State) { o.asOf, o.members = s.Position(), s.Members() })
}

// Create makes a collection and waits until it is on the chain. If the context ends before that, the error wraps
// [ErrOnItsWay] if the collection is made all the same.
func (o *Owner) Create(ctx context.Context, spec Spec) (consortium.Collection, error) {
	if err := state.AwaitTip(ctx, o.Watcher); err != nil {
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
			o.Log.Warn("a collection is made again, with another id", "title", spec.Title, "reason", err)
			continue
		case errors.Is(err, errTaken):
			return made, fmt.Errorf("making the collection %q: %w", spec.Title, err)
		case err != nil:
			return made, errors.Join(ErrOnItsWay, err)
		case spec.Alias != "":
			err = o.Outbox.ForgetMemo(makingMemo(spec.Alias))
		}
		return made, err
	}
}

// ErrOnItsWay means that the chain will have a collection, and does not yet.
var ErrOnItsWay = errors.New("the collection is on its way to the chain")

// beginNew stores the first record of a new collection.
func (o *Owner) beginNew(ctx context.Context, spec Spec) (consortium.Collection, error) {
	if err := o.turn.take(ctx); err != nil {
		return consortium.Collection{}, err
	}
	defer o.turn.give()
	o.begins()
	properties, err := o.properties(spec)
	if err != nil {
		return consortium.Collection{}, problem.Input(err)
	}
	if why := o.State.Excluded(); why != "" {
		return consortium.Collection{}, problem.Input(errors.New(why))
	}
	if err := o.afford(ctx, 1); err != nil {
		return consortium.Collection{}, err
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
// it is, the outbox tells: an attempt that came to nothing keeps nobody from the next, nor does a restart let two
// through.
func (o *Owner) reserve(alias, id string) error {
	if alias == "" {
		return nil
	}
	former, err := o.Outbox.Memo(makingMemo(alias))
	if err != nil {
		return err
	}
	if former != nil {
		onItsWay, err := o.isOnItsWay(string(former))
		if err != nil {
			return err
		}
		if onItsWay {
			return fmt.Errorf("the alias %q: %w", alias, ErrOnItsWay)
		}
	}
	return o.Outbox.SetMemo(makingMemo(alias), []byte(id))
}

// isOnItsWay reports whether the first record of a collection is stored, and the chain as far as it is followed doesn't
// have it.
func (o *Owner) isOnItsWay(id string) (bool, error) {
	if _, known := o.State.Collection(id); known || o.State.Taken(id) {
		return false, nil
	}
	item, found, err := o.Outbox.Find(publish.RecordKey(id, 1))
	if err != nil || !found {
		return false, err
	}
	if item.State < outbox.Confirmed {
		return true, nil
	}
	followed, err := o.View.Cursor()
	return followed < item.Round, err // else it counts for nothing
}

// errTaken means that another member was first with the id of a collection, which it saw on its way to the chain.
var errTaken = errors.New("another member has taken its id")

// creationTries is how often a collection is made: who takes an id pays as much for it as we do.
const creationTries = 5

// begin stores the first record of a collection. What it returns will be true once the record is on the chain.
func (o *Owner) begin(ctx context.Context, id string, properties wire.Collection, also ...[]byte) (consortium.Collection, error) {
	c := consortium.Collection{ID: id, Owner: o.State.Self, Properties: properties}
	return o.publish(ctx, c, change{properties: properties, rotate: true, to: o.readers(properties)}, also...)
}

func (o *Owner) pending(c consortium.Collection) (bool, error) {
	_, found, err := o.Outbox.Find(publish.RecordKey(c.ID, c.Revision+1))
	return found, err
}

// publish stores the next record of a collection and takes it into the outbox. It returns the collection as it will be.
func (o *Owner) publish(ctx context.Context, c consortium.Collection, next change, also ...[]byte) (consortium.Collection, error) {
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
		if err := state.SetGiven(o.Outbox, c, o.asOf); err != nil {
			return c, err
		}
	} else {
		keys = o.keys(c, next.from)
	}
	c.Revision, c.Properties = c.Revision+1, next.properties
	recipients := []string{o.Recipient}
	for _, m := range next.to {
		recipients = append(recipients, m.Recipient)
		also = append(also, KeyringKey(c, m.ID, m.Recipient))
		if err := o.setSince(c, m.ID, next.from); err != nil {
			return c, err
		}
	}
	draft, err := consortium.DraftCollection(o.Consortium, c.ID, c.Epoch, c.Properties, keys, recipients, state.Now())
	if err != nil {
		return c, err
	}
	record := publish.RecordKey(c.ID, c.Revision)
	if err := o.noteGiven(ctx, c, record, next.from, next.to); err != nil {
		return c, err
	}
	if _, err := o.Records.Store(ctx, record, draft, also...); err != nil {
		return c, err
	}
	o.Log.Info("a collection is changed", "collection", c.ID, "title", c.Properties.Title, "epoch", c.Epoch, "keys_for", len(next.to))
	return c, nil
}

// noteGiven keeps who gets which keys by a record that is about to be stored: those from an epoch on.
func (o *Owner) noteGiven(ctx context.Context, c consortium.Collection, record []byte, from uint32, to []consortium.Member) error {
	given := state.KeysGiven{Record: record, Members: []string{}, From: from, To: c.Epoch, By: auditlog.ActorIn(ctx).String(), Made: state.Now()}
	for _, m := range to {
		given.Members = append(given.Members, m.ID)
	}
	return state.SetKeysGiven(o.Outbox, c.ID, given)
}

// supplied leaves out those who have no keys at all yet and are to get older ones too: they get all at once, see
// supply.
func (o *Owner) supplied(c consortium.Collection, next change) ([]consortium.Member, error) {
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
func (o *Owner) wholeHistory(p wire.Collection) bool {
	charter := o.State.Charter()
	return charter != nil && charter.History && p.Readers.Members
}

// keys gives a collection's keys from an epoch on.
func (o *Owner) keys(c consortium.Collection, from uint32) map[uint32]*seal.EpochKey {
	keys := map[uint32]*seal.EpochKey{}
	o.State.Read(func(s *consortium.State) {
		for epoch, key := range s.Keys(c.ID) {
			if epoch >= from {
				keys[epoch] = key
			}
		}
	})
	return keys
}

// await waits until a collection has a revision.
func (o *Owner) await(ctx context.Context, id string, revision int) (c consortium.Collection, err error) {
	err = signal.Until(ctx, func() (is bool, err error) {
		if o.State.Taken(id) {
			return false, fmt.Errorf("collection %s: %w", id, errTaken)
		}
		c, is = o.State.Collection(id)
		return is && c.Revision >= revision && !c.Pending, nil
	}, &o.State.Changed)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = publish.NotYet("the change of collection "+id, err, o.Problem)
	}
	if err != nil {
		return consortium.Collection{}, err
	}
	return c, nil
}

// sinceMemo is the name under which the first epoch is kept that a reader was given the key of: should it ever need its
// keys again, it gets the same. The member is given by its ID, which stays when its keys change.
func sinceMemo(c consortium.Collection, member string) string {
	return "since/" + c.ID + "/" + member
}

func (o *Owner) setSince(c consortium.Collection, member string, epoch uint32) error {
	before, err := o.since(c, member)
	if err != nil || before != 0 && before <= epoch {
		return err
	}
	return o.Outbox.SetMemo(sinceMemo(c, member), []byte(strconv.FormatUint(uint64(epoch), 10)))
}

// since is the first epoch that a reader was given the key of; 0 if it is not known.
func (o *Owner) since(c consortium.Collection, member string) (uint32, error) {
	data, err := o.Outbox.Memo(sinceMemo(c, member))
	if err != nil || data == nil {
		return 0, err
	}
	epoch, err := strconv.ParseUint(string(data), 10, 32)
	return uint32(epoch), err
}

// Found stores the first record of the collection that a consortium is founded with.
func (o *Owner) Found(ctx context.Context, id string, properties wire.Collection) error {
	o.begins()
	_, err := o.begin(ctx, id, properties)
	return err
}
