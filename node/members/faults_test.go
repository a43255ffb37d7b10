package members

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

// faulty makes an office whose stores and whose algod fail when a test says so.
func faulty(t *testing.T, others ...*nodetest.Org) *office {
	t.Helper()
	o := newOfficeIn(worldtest.NewKeyedWorld(t, nil), true, others...)
	o.chain.does = func() fault {
		if o.Faults.Access() != nil {
			return fails
		}
		return none
	}
	return o
}

// orders carries an order out for somebody who does not wait for the chain.
func (o *office) orders(order func(context.Context) error) error {
	ctx, leave := context.WithCancel(o.T.Context())
	leave()
	if err := order(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, nodetest.ErrFault) {
		return err
	}
	return nil
}

// What a store or algod does not give is never taken for there being nothing: whoever is admitted, removed or given
// other keys is told what failed, and can ask for it again; and it comes to the chain once.
func TestNobodyComesOrGoesOnAGuess(t *testing.T) {
	mallory, borealis := nodetest.NewOrg(t, "mallory"), nodetest.NewOrg(t, "borealis")
	o := faulty(t, mallory)
	request, err := borealis.Document.Encode()
	nodetest.Must(t, err)
	other := nodetest.NewOrg(t, "mallory")
	replaced, err := other.Document.Encode()
	nodetest.Must(t, err)
	name := "Another"
	for _, one := range []struct {
		what  string
		order func(context.Context) error
		keys  []wire.Kind // what is minted then, so that readers have the keys that they should
	}{
		{"admitting", func(ctx context.Context) error { _, err := o.Admit(ctx, request); return err }, []wire.Kind{wire.KindKeyring}},
		{"replacing keys", func(ctx context.Context) error { _, err := o.ReplaceKeys(ctx, "mallory", replaced); return err },
			[]wire.Kind{wire.KindCollection, wire.KindKeyring}},
		{"amending", func(ctx context.Context) error { _, err := o.SetGovernor(ctx, GovernorChange{Name: &name}); return err }, nil},
		{"removing", func(ctx context.Context) error { _, err := o.Remove(ctx, "mallory"); return err }, []wire.Kind{wire.KindCollection}},
	} {
		o.Faults.EachIsTold(t, one.what, func() error { return o.orders(one.order) })
		minted, err := o.mine()
		if nodetest.Must(t, err); len(minted) != 1 {
			t.Errorf("%s mints %v", one.what, minted)
		}
		nodetest.Must(t, o.looksAfter(one.keys...))
	}
	o.Faults.EachIsTold(t, "who governs", func() error { _, err := o.Governor(t.Context()); return err })
	admission, err := o.Admit(t.Context(), request)
	if err != nil || admission.Asset == 0 || len(admission.Invite) == 0 {
		t.Errorf("what is done is told as %+v, %v", admission, err)
	}
	o.watcher.stands = o.Round
	o.Faults.EachIsTold(t, "waiting for what counts", func() error { return o.awaitCounted(t.Context(), admission.TxID, admission.Round) })
	o.Faults.EachIsTold(t, "waiting for what is on the chain", func() error {
		_, err := o.awaitItem(t.Context(), o.memberKey(borealis.Document))
		return err
	})
	o.Faults.EachIsTold(t, "waiting for keys", func() error { return o.awaitKeyring(t.Context(), borealis.Document) })
}

// looksAfter gives readers their keys, until all the records have come that are to come of what has happened.
func (o *office) looksAfter(want ...wire.Kind) error {
	ctx, stop := context.WithCancel(waiting.Context(o.T))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- o.owner.Run(ctx) }()
	var minted []wire.Kind
	var err error
	for err == nil && len(minted) < len(want) {
		stored := o.Outbox.Stored.Changed()
		var more []wire.Kind
		more, err = o.mine()
		if minted = append(minted, more...); err == nil && len(more) == 0 {
			select {
			case <-stored:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	stop()
	if err = errors.Join(err, <-ended); err == nil && !slices.Equal(minted, want) {
		err = fmt.Errorf("%v are minted, want %v", minted, want)
	}
	return err
}

// So it is where several govern: a proposal is made, and brought to the chain, of what is known.
func TestNoProposalIsMadeOrSubmittedOnAGuess(t *testing.T) {
	borealis, cobalt, delta := nodetest.NewOrg(t, "borealis"), nodetest.NewOrg(t, "cobalt"), nodetest.NewOrg(t, "delta")
	o := faulty(t, borealis, cobalt)
	o.isGovernedBy(2, o.Self, borealis, cobalt)
	c := &council{office: o, borealis: borealis, cobalt: cobalt}
	request, err := delta.Document.Encode()
	nodetest.Must(t, err)
	other := nodetest.NewOrg(t, "cobalt")
	replaced, err := other.Document.Encode()
	nodetest.Must(t, err)
	name := "Another"
	for what, order := range map[string]func() error{
		"a proposal to admit":        func() error { _, err := o.Admit(t.Context(), request); return err },
		"a proposal to replace keys": func() error { _, err := o.ReplaceKeys(t.Context(), "cobalt", replaced); return err },
		"a proposal to amend":        func() error { _, err := o.SetGovernor(t.Context(), GovernorChange{Name: &name}); return err },
		"a proposal to remove":       func() error { _, err := o.Remove(t.Context(), "cobalt"); return err },
	} {
		o.Faults.EachIsTold(t, what, order)
	}
	admission, err := o.Admit(t.Context(), request)
	nodetest.Must(t, err)
	file := c.signedBy(cobalt, admission.Proposal)
	o.chain.does = nil
	o.Faults.EachIsTold(t, "storing a proposal", func() error {
		ctx, stop := context.WithCancel(t.Context())
		o.chain.happens = func(call) { stop() } // at its first word with algod
		_, err := o.SubmitProposal(ctx, [][]byte{file})
		stop()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
}

// A change of keys is planned, stored and followed of what is known.
func TestNoKeysAreChangedOnAGuess(t *testing.T) {
	o := faulty(t, nodetest.NewOrg(t, "mallory"))
	o.Faults.EachIsTold(t, "changing the keys", func() error {
		return o.orders(func(ctx context.Context) error {
			_, err := o.RotateKeys(ctx, keys.Change{Account: true, Peer: true, Identity: true})
			return err
		})
	})
	plan, err := publish.ReadRotation(o.R.Outbox)
	if err != nil || plan == nil {
		t.Fatalf("nothing is planned (%v)", err)
	}
	item, found, err := o.Outbox.Find(plan.Key)
	if err != nil || !found {
		t.Fatalf("nothing is stored (%v)", err)
	}
	follows := func(when string, want bool) {
		t.Helper()
		o.Faults.EachIsTold(t, "following a change of keys that is "+when, func() error {
			done, err := o.rotationDone(t.Context())
			if err == nil && done != want {
				t.Errorf("when it is %s, it is done: %v", when, done)
			}
			return err
		})
	}
	follows("stored", false)
	// The chain has its record, which does not count.
	_, err = o.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{"VOID"}, LastValid: 1000}}, []outbox.Item{item})
	nodetest.Must(t, err)
	nodetest.Must(t, o.R.Outbox.Resolve(item, consortium.Place{TxID: "VOID", Round: o.Round, Asset: 7}, ""))
	o.watcher.stands = o.Round
	follows("void", false)
	nodetest.Must(t, BeginWithKeys(o.R, o.Self.Address(), &sole.Sole{Outbox: o.R.Outbox})) // the next start forgets the plan
	if _, prepared, err := o.R.Keys.Next(); err != nil || prepared {
		t.Errorf("the keys of a change that came to nothing are kept (%v)", err)
	}
	if plan, err := publish.ReadRotation(o.R.Outbox); err != nil || plan != nil {
		t.Errorf("so is the plan (%v)", err)
	}
}

// A founding tells what algod and the indexer don't, and goes on where it stopped.
func TestAFoundingIsNotFinishedOnAGuess(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	faults := &nodetest.Faults{}
	chain.does = func() fault {
		if faults.Access() != nil {
			return fails
		}
		return none
	}
	faults.EachIsTold(t, "founding", func() error {
		own, err := b.found(t.Context(), Charter{Name: "Test"})
		if err == nil && len(chain.confirmed) != 1 {
			t.Errorf("%d charters are on the chain of %+v", len(chain.confirmed), own)
		}
		return err
	})
}

// A charter that is with algod is not signed again, though its round is long over.
func TestACharterThatWaitsIsNotSignedAgain(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	asked := 0
	b.minted = func(context.Context, string, string, uint64, uint64) (uint64, uint64, uint64, error) {
		asked++
		return 0, 0, 1 << 40, nil
	}
	params, err := chain.Params(t.Context())
	nodetest.Must(t, err)
	f := &founding{Metadata: []byte("{}"), Payload: []byte("{}")}
	nodetest.Must(t, b.sign(f, params))
	nodetest.Must(t, chain.Submit(t.Context(), f.Group.Raw))
	chain.round = f.Group.LastValid + 1
	if fate, _, err := b.fate(t.Context(), f); err != nil || fate != ledger.Pending || asked != 0 {
		t.Errorf("its fate is %v (%v), and the indexer was asked %d times", fate, err, asked)
	}
}

// Nobody founds by addresses that are none.
func TestAFoundingNamesTheAddressThatIsNone(t *testing.T) {
	const loopback, none = "http://127.0.0.1:1", "ftp://algo.example"
	for what, addresses := range map[string][2]string{"algod": {none, loopback}, "indexer": {loopback, none}} {
		r := aRepository(t)
		r.Config.Algorand.AlgodURL, r.Config.Algorand.IndexerURL = addresses[0], addresses[1]
		if _, err := Found(t.Context(), r, Charter{Name: "Test"}); err == nil || !strings.Contains(err.Error(), "not one of http or https") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who asks with another peer, identity or name than it was admitted with is not told that it is a member already.
func TestOnlyWhoAsksWithTheSameDocumentIsAMemberAlready(t *testing.T) {
	mallory := nodetest.NewOrg(t, "mallory")
	o := newOffice(t, true, mallory)
	if m, err := o.mayAdmit(mallory.Document); err != nil || m == nil || m.Account != mallory.Address() {
		t.Errorf("with the same: %+v, %v", m, err)
	}
	other := nodetest.NewOrg(t, "another")
	for what, change := range map[string]func(*wire.Member){
		"another peer":     func(m *wire.Member) { m.Peer = other.Document.Peer },
		"another identity": func(m *wire.Member) { m.Recipient = other.Document.Recipient },
		"another name":     func(m *wire.Member) { m.Organisation = "another" },
	} {
		document := mallory.Document
		change(&document)
		if m, err := o.mayAdmit(document); err != nil || m != nil {
			t.Errorf("with %s: %+v, %v", what, m, err)
		}
	}
	if _, err := o.Admit(t.Context(), nil); err == nil {
		t.Error("nothing is admitted")
	}
}

// A governor that keeps its account stays the governor without an amendment.
func TestAGovernorThatKeepsItsAccountAmendsNothing(t *testing.T) {
	o := faulty(t, nodetest.NewOrg(t, "mallory"))
	nodetest.Must(t, o.orders(func(ctx context.Context) error { _, err := o.RotateKeys(ctx, keys.Change{Peer: true}); return err }))
	if kinds := o.stored(); len(kinds) != 1 || kinds[0] != wire.KindRotation {
		t.Errorf("%v are stored", kinds)
	}
}

// A charter that was lost is signed again when its rounds are over, of what is known then.
func TestALostCharterIsNotSignedAgainOnAGuess(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	faults, lost := &nodetest.Faults{}, false
	var now call
	chain.pace, chain.happens = 1500, func(one call) { now = one }
	chain.does = func() fault {
		switch {
		case now == "submit" && !lost:
			lost = true
			return forgotten
		case faults.Access() != nil:
			return fails
		}
		return none
	}
	faults.EachIsTold(t, "founding", func() error { _, err := b.found(t.Context(), Charter{Name: "Test"}); return err })
	if len(chain.confirmed) != 1 || !lost {
		t.Errorf("%d charters are on the chain", len(chain.confirmed))
	}
}
