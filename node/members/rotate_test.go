package members

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

var allKeys = keys.Change{Account: true, Peer: true, Identity: true}

// follows lets the chain take what is stored and the change of keys be followed, while an order is carried out.
func (o *office) follows(order func(context.Context) error) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- o.FollowRotation(ctx) }()
	go func() {
		ended <- signal.Each(ctx, &o.Outbox.Stored, 0, func() error {
			_, err := o.mine()
			return err
		})
	}()
	err := order(ctx)
	stop()
	return errors.Join(err, <-ended, <-ended)
}

// rotates changes keys with all that belongs to it, up to the end of the node.
func (o *office) rotates(c keys.Change) (r Rotated) {
	o.T.Helper()
	if err := o.follows(func(ctx context.Context) (err error) {
		r, err = o.RotateKeys(ctx, c)
		return err
	}); !errors.Is(err, ErrRotated) {
		o.T.Fatalf("the node does not end to begin again with its other keys: %v", err)
	}
	return r
}

// isSelf checks that the node's keys are those that the chain has, and that nothing is left of a change.
func (o *office) isSelf(what string) {
	o.T.Helper()
	document, err := o.memberDocument()
	nodetest.Must(o.T, err)
	m := o.member(o.R.Keys.Address())
	if !o.State.Active() || m.Account != document.Account || m.Peer != document.Peer || m.Recipient != document.Recipient {
		o.T.Errorf("%s: the chain has %+v, the node %+v", what, m, document)
	}
	if done, err := o.rotationDone(o.T.Context()); err != nil || done {
		o.T.Errorf("%s: it would begin again with the keys that it has (%v)", what, err)
	}
	plan, err := publish.ReadRotation(o.R.Outbox)
	_, prepared, nextErr := o.R.Keys.Next()
	if err = errors.Join(err, nextErr); err != nil || plan != nil || prepared {
		o.T.Errorf("%s: a change is on its way still: %+v, prepared %v (%v)", what, plan, prepared, err)
	}
}

// Any of the keys can be changed, by itself or with others; the organisation stays what it was, the governor too.
func TestAnOrganisationStaysTheSameWithOtherKeys(t *testing.T) {
	for n := 1; n < 8; n++ {
		c := keys.Change{Account: n&1 != 0, Peer: n&2 != 0, Identity: n&4 != 0}
		what := fmt.Sprintf("%+v", c)
		o := newOffice(t, true)
		before, err := o.memberDocument()
		nodetest.Must(t, err)
		secret, err := seal.SealTo([]string{before.Recipient}, []byte("of old"))
		nodetest.Must(t, err)
		told := o.rotates(c)
		advised := strings.Contains(strings.Join(told.Advice, "\n"), "the old account keeps what ALGO it has")
		if (told.Account != before.Account) != c.Account || (told.Peer != before.Peer) != c.Peer || (told.Recipient != before.Recipient) != c.Identity ||
			told.TxID != o.member(told.Account).Rotated.TxID || told.Round != o.member(told.Account).Rotated.Round || advised != c.Account || len(told.Advice) > 1 {
			t.Errorf("%s: told %+v, it was %+v", what, told, before)
		}
		o = o.restarts()
		o.isSelf(what)
		var governor string
		o.State.Read(func(s *consortium.State) { governor = s.Governor() })
		if now := o.R.Keys.Address(); now != told.Account || governor != now || o.member(now).ID != before.Account || o.member(now).Name != "self" {
			t.Errorf("%s: the account is %s, the governor %s, the member %+v", what, now, governor, o.member(now))
		}
		if read, err := o.R.Keys.Identity.Open(secret); err != nil || string(read) != "of old" {
			t.Errorf("%s: what was sealed to the old identity does not open: %v", what, err)
		}
		if sole, err := o.R.Outbox.Sole(); err != nil || sole.Account != told.Account || sole.From != 0 {
			t.Errorf("%s: of the account it is known %+v (%v), and not that all of its transactions are this node's", what, sole, err)
		}
		o.restarts().isSelf(what + ", restarted")
	}
}

// A change of keys can be interrupted after every step: repeated it is the same change, with the same keys, and there
// is one record of it.
func TestAChangeOfKeysGoesOnAfterACrashAtAnyStep(t *testing.T) {
	for _, step := range []struct {
		crash  string
		until  func(*office)
		asking bool // the user has to repeat the order
		plan   bool // the outbox knows which record it is
	}{
		{"when the keys are made", func(o *office) {
			_, err := o.R.Keys.Prepare(allKeys)
			nodetest.Must(t, err)
		}, true, false},
		{"before the amendment is stored", func(o *office) { o.rotatesWithDiskFor(0) }, true, false},
		{"before the record is stored", func(o *office) { o.rotatesWithDiskFor(1) }, true, true},
		{"when the record is stored", func(o *office) { o.rotatesUntilStored() }, false, true},
		{"when it is on the chain", func(o *office) {
			o.rotatesUntilStored()
			_, err := o.mine()
			nodetest.Must(t, err)
		}, false, true},
	} {
		t.Run(step.crash, func(t *testing.T) {
			o := newOffice(t, true)
			minted := o.N
			step.until(o)
			next, prepared, err := o.R.Keys.Next()
			if err != nil || !prepared {
				t.Fatal(err)
			}
			o = o.restarts()
			if _, prepared, err := o.R.Keys.Next(); err != nil || !prepared {
				t.Fatalf("the prepared keys are gone (%v)", err)
			}
			if plan, err := publish.ReadRotation(o.R.Outbox); err != nil || (plan != nil) != step.plan {
				t.Errorf("the plan is %+v (%v)", plan, err)
			}
			order := func(ctx context.Context) error { // nobody asks: the node goes on by itself
				return signal.Until(ctx, func() (bool, error) { return o.switching.Load(), nil }, &o.rotated)
			}
			if step.asking {
				order = func(ctx context.Context) error { _, err := o.RotateKeys(ctx, allKeys); return err }
			}
			if err := o.follows(order); !errors.Is(err, ErrRotated) {
				t.Fatal(err)
			}
			o = o.restarts()
			o.isSelf("at the end")
			if o.R.Keys.Address() != next.Address() || o.R.Keys.Identity.Recipient() != next.Identity.Recipient() {
				t.Errorf("the account is %s, the one that was made first %s", o.R.Keys.Address(), next.Address())
			}
			if o.N != minted+2 || len(o.stored()) != 0 {
				t.Errorf("%d records were minted, and %v wait; want the amendment and the rotation", o.N-minted, o.stored())
			}
		})
	}
}

// rotatesUntilStored changes all keys up to the moment when the record is stored.
func (o *office) rotatesUntilStored() {
	o.T.Helper()
	_, err := o.RotateKeys(o.waits(2), allKeys)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the change of keys is stored and will be on the chain") || !strings.Contains(err.Error(), "the account is empty") {
		o.T.Fatalf("who does not wait for the chain is told %v", err)
	}
}

// rotatesWithDiskFor changes all keys with a disk that is full after so many records.
func (o *office) rotatesWithDiskFor(records int) {
	o.T.Helper()
	blocks := &smallDisk{Blocks: o.Blocks, room: records}
	o.Records = publish.NewRecords(o.State.Self, o.Outbox, blocks, publish.NewFresh(blocks))
	if _, err := o.RotateKeys(o.T.Context(), allKeys); !errors.Is(err, errNoRoom) || len(o.stored()) != records {
		o.T.Fatalf("%v are stored (%v)", o.stored(), err)
	}
}

// smallDisk has room for a few directories.
type smallDisk struct {
	publish.Blocks
	room int
}

var errNoRoom = errors.New("no room")

func (d *smallDisk) Put(ctx context.Context, directories []unixfs.Directory) error {
	if d.room--; d.room < 0 {
		return errNoRoom
	}
	return d.Blocks.Put(ctx, directories)
}

// The keys are switched once the chain has them, whatever this node knows of how they came there: it may have been
// restored from a backup that was made while a change waited for ALGO, or have lost its outbox.
func TestANodeTakesThePreparedKeysThatTheChainHasThoughItKnowsOfNoPlan(t *testing.T) {
	o := newOffice(t, true)
	next, err := o.R.Keys.Prepare(allKeys)
	nodetest.Must(t, err)
	document, err := Document(o.R.Config, next)
	nodetest.Must(t, err)
	if done, err := o.rotationDone(t.Context()); err != nil || done {
		t.Errorf("before the chain has them they are taken: %v", err)
	}
	draft, err := consortium.DraftRotation(o.ID, o.Self.Address(), document, next.Account.PrivateKey, state.Now())
	o.sees(o.Self, draft, err) // signed by the node that was lost
	if done, err := o.rotationDone(t.Context()); err != nil || !done {
		t.Fatalf("the keys that the chain has are not taken (%v)", err)
	}
	if err := o.FollowRotation(t.Context()); !errors.Is(err, ErrRotated) {
		t.Fatal(err)
	}
	o = o.restarts()
	o.isSelf("restored")
	if sole, err := o.R.Outbox.Sole(); err != nil || sole.Account == o.R.Keys.Address() {
		t.Errorf("%+v: what the lost node has signed with the new account is taken for another node's (%v)", sole, err)
	}
}

// Somebody who gave the organisation keys that this node doesn't have, on another machine, makes it end nothing and
// take none.
func TestKeysThatAnotherMachineHasAreNotTaken(t *testing.T) {
	founder := nodetest.NewOrg(t, "founder")
	o := newOffice(t, false, founder)
	_, err := o.R.Keys.Prepare(allKeys)
	nodetest.Must(t, err)
	other := nodetest.NewOrg(t, "self")
	draft, err := consortium.DraftRotation(o.ID, o.Self.Address(), other.Document, nil, state.Now())
	o.sees(founder, draft, err)
	if done, err := o.rotationDone(t.Context()); err != nil || done {
		t.Errorf("the keys are switched: %v", err)
	}
	_, err = o.RotateKeys(t.Context(), allKeys)
	wantRefusal(t, "with keys that were replaced", err, "this organisation has another account now, and this node is without its key")
}

// With each of the three keys it has to be what was prepared.
func TestOnlyThePreparedKeysAreSwitched(t *testing.T) {
	for n := range 3 {
		o := newOffice(t, true)
		next, err := o.R.Keys.Prepare(allKeys)
		nodetest.Must(t, err)
		on := &nodetest.Org{Account: next.Account, PeerKey: next.Peer, Identity: next.Identity}
		other := nodetest.NewOrg(t, "self")
		switch n {
		case 0:
			on.Account = other.Account
		case 1:
			on.PeerKey = other.PeerKey
		case 2:
			on.Identity = other.Identity
		}
		on.Signs(t, "self")
		draft, err := consortium.DraftRotation(o.ID, o.Self.Address(), on.Document, on.Account.PrivateKey, state.Now())
		o.sees(o.Self, draft, err)
		if done, err := o.rotationDone(t.Context()); err != nil || done {
			t.Errorf("with another key (%d) they are switched: %v", n, err)
		}
	}
}

// Until the record's content is there, nobody knows that the keys on the chain are the prepared ones.
func TestKeysAreSwitchedWhenTheChainsRecordIsRead(t *testing.T) {
	o := newOffice(t, true)
	o.rotatesUntilStored()
	items, err := o.R.Outbox.Queue(outbox.Stored, 0, 2)
	nodetest.Must(t, err)
	root, err := cid.Decode(items[1].Directory)
	nodetest.Must(t, err)
	nodetest.Must(t, o.Deliver(o.MintDirectory(o.Self, items[1].Note, root, items[1].MetadataHash)))
	if done, err := o.rotationDone(t.Context()); err != nil || done {
		t.Errorf("before it is read they are switched: %v", err)
	}
	o.Drain()
	if done, err := o.rotationDone(t.Context()); err != nil || !done {
		t.Errorf("when it is read they are not switched: %v", err)
	}
}

// A change that the chain does not count leaves the keys as they were; the next one is with others.
func TestAChangeOfKeysThatDoesNotCountIsForgotten(t *testing.T) {
	founder := nodetest.NewOrg(t, "founder")
	o := newOffice(t, false, founder)
	address := o.R.Keys.Address()
	_, err := o.RotateKeys(o.waits(1), allKeys)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	next, _, err := o.R.Keys.Next()
	nodetest.Must(t, err)
	draft, err := consortium.DraftRemoval(o.ID, address, state.Now())
	o.sees(founder, draft, err)
	var told error
	err = o.follows(func(ctx context.Context) error {
		// It was asked for while the organisation was a member, and comes to the chain when it is none.
		told = signal.Until(ctx, func() (bool, error) {
			plan, err := publish.ReadRotation(o.R.Outbox)
			return plan == nil, err
		}, &o.rotated)
		return nil
	})
	nodetest.Must(t, errors.Join(err, told))
	key := publish.KeyOf("rotation", address, next.Address(), documentOf(t, o, next).Peer, next.Identity.Recipient())
	wantRefusal(t, "who asked for it", o.rotationFailed(key), "is on the chain and counts for nothing: the keys stay as they were")
	if _, prepared, err := o.R.Keys.Next(); err != nil || prepared {
		t.Errorf("the keys are prepared still (%v)", err)
	}
	draft, err = consortium.DraftMember(o.ID, o.Self.Document, state.Now())
	o.sees(founder, draft, err)
	again := o.rotates(keys.Change{Account: true})
	if again.Account == next.Address() || again.Account == address {
		t.Errorf("the next change is with the keys of the one that failed: %+v", again)
	}
}

func documentOf(t *testing.T, o *office, keys keys.Keys) wire.Member {
	t.Helper()
	document, err := Document(o.R.Config, keys)
	nodetest.Must(t, err)
	return document
}

// What algod has confirmed and the indexer has not told of is not over.
func TestAChangeOfKeysIsNotGivenUpBeforeTheIndexerHasToldOfIt(t *testing.T) {
	o := newOffice(t, true)
	o.rotatesUntilStored()
	items, err := o.R.Outbox.Queue(outbox.Stored, 0, 2)
	nodetest.Must(t, err)
	_, err = o.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{"A"}}, {TxIDs: []string{"B"}}}, items)
	nodetest.Must(t, err)
	look := func() bool {
		t.Helper()
		done, err := o.rotationDone(t.Context())
		_, prepared, nextErr := o.R.Keys.Next()
		if err = errors.Join(err, nextErr); err != nil || done {
			t.Errorf("done %v, %v", done, err)
		}
		return prepared
	}
	if !look() {
		t.Error("it is given up while it is signed")
	}
	_, err = o.R.Outbox.Confirm([]consortium.Place{{TxID: "B", Round: o.Round + 1, Asset: 1}})
	nodetest.Must(t, err)
	if !look() {
		t.Error("it is given up before the indexer was there")
	}
	nodetest.Must(t, o.Replicator.Deliver(t.Context(), o.Round+1, nil))
	if look() {
		t.Error("it is not given up")
	}
}

func TestAChangeOfKeysThatCantBeIsRefusedBeforeAnythingIsDone(t *testing.T) {
	o := newOffice(t, true)
	_, err := o.RotateKeys(t.Context(), keys.Change{})
	wantRefusal(t, "no keys", err, "say which keys: the account, the peer key, the identity")
	o.watcher.lost = errors.New("a timeout")
	_, err = o.RotateKeys(t.Context(), allKeys)
	wantRefusal(t, "no indexer", err, "a timeout")
	if _, prepared, err := o.R.Keys.Next(); err != nil || prepared {
		t.Errorf("keys are prepared (%v)", err)
	}
	o.watcher.lost = nil

	o.chain.funds = ledger.Funds{Amount: newAccountNeeds - 1}
	_, err = o.RotateKeys(t.Context(), keys.Change{Account: true})
	next, _, nextErr := o.R.Keys.Next()
	nodetest.Must(t, nextErr)
	wantRefusal(t, "a poor account", err, "the new account "+next.Address()+" has 0.499999 ALGO: send it at least 0.5, then repeat the command")
	o.chain.does = func() fault { return fails }
	if _, err := o.RotateKeys(t.Context(), keys.Change{Account: true}); !errors.Is(err, errDown) {
		t.Errorf("without algod: %v", err)
	}
	o.chain.does = nil
	_, err = o.RotateKeys(t.Context(), keys.Change{Peer: true})
	wantRefusal(t, "another change", err, "a change of other keys (account.mnemonic) was begun and is not finished")
	if len(o.stored()) != 0 {
		t.Errorf("%v are stored", o.stored())
	}
	o.chain.funds = ledger.Funds{Amount: newAccountNeeds} // the same account, with what it needs
	if told := o.rotates(keys.Change{Account: true}); told.Account != next.Address() {
		t.Errorf("%+v takes over, ALGO was sent to %s", told, next.Address())
	}
}

// Of several governors an account can't change who they are by itself: they are told to.
func TestWhoIsOneOfTheGovernorIsToldToChangeThatToo(t *testing.T) {
	founder := nodetest.NewOrg(t, "founder")
	for account, want := range map[bool]int{true: 2, false: 0} {
		o := newOffice(t, false, founder)
		draft, err := consortium.DraftAmendment(o.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 2, Accounts: []string{founder.Address(), o.Self.Address()}}}, state.Now())
		o.sees(founder, draft, err)
		told := o.rotates(keys.Change{Account: account, Peer: true})
		if len(told.Advice) != want || account && !strings.Contains(told.Advice[1], "slnode governor set") {
			t.Errorf("it is told %q", told.Advice)
		}
		founder.Sequence = 0
	}
}

// A change of keys that came to nothing fails who asked for it, and not who asks for another one later.
func TestAFailedRotationFailsNoOther(t *testing.T) {
	n := &Registrar{}
	first, second := publish.KeyOf("rotation", "first"), publish.KeyOf("rotation", "second")
	if err := n.rotationFailed(first); err != nil {
		t.Error(err)
	}
	failure := errors.New("it counts for nothing")
	n.failed.Store(&failedRotation{key: first, err: failure})
	if err := n.rotationFailed(first); !errors.Is(err, failure) {
		t.Errorf("who asked for it is told %v", err)
	}
	if err := n.rotationFailed(second); err != nil {
		t.Errorf("the next one is told %v", err)
	}
}
