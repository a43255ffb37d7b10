package members

import (
	"context"
	"errors"
	"testing"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/keys"
)

var errPoor = errors.New("the account is empty")

// empty is an account that can pay for nothing, and notes what it was asked for.
type empty struct{ nfts, ends int }

func (e *empty) Afford(_ context.Context, nfts, ends int) error {
	e.nfts, e.ends = nfts, ends
	return errPoor
}

// What an admission costs is known before anybody is asked whether it is meant, and what can't be done is refused then.
func TestThePriceOfAnAdmissionIsToldBeforeIt(t *testing.T) {
	t.Parallel()
	o, newcomer := newOffice(t, true), nodetest.NewOrg(t, "borealis")
	price, err := o.PriceOfAdmission(t.Context(), request(t, newcomer))
	if want := (Price{Fees: 2000, Locked: 200_000}); err != nil || price != want {
		t.Errorf("%+v, %v, want %+v", price, err, want)
	}
	o.Money = &empty{}
	if _, err := o.PriceOfAdmission(t.Context(), request(t, newcomer)); !errors.Is(err, errPoor) {
		t.Errorf("without money: %v", err)
	}
	if _, err := o.PriceOfAdmission(t.Context(), []byte("{")); err == nil {
		t.Error("what is no request has a price")
	}
}

// What is done in the consortium's name is refused before it is begun if the account can't pay for all that follows:
// the record, and the keys of each collection of ours that is concerned.
func TestWhatCantBePaidForMembersIsNotBegun(t *testing.T) {
	t.Parallel()
	newcomer := nodetest.NewOrg(t, "borealis")
	for _, c := range []struct {
		what       string
		nfts, ends int
		do         func(o *office, member *nodetest.Org) error
	}{
		{"an admission", 2, 0, func(o *office, _ *nodetest.Org) error {
			_, err := o.Admit(t.Context(), request(t, newcomer))
			return err
		}},
		{"a removal", 1, 1, func(o *office, member *nodetest.Org) error {
			_, err := o.Remove(t.Context(), member.Document.Organisation)
			return err
		}},
		{"other keys of a member", 2, 0, func(o *office, member *nodetest.Org) error {
			other := nodetest.NewOrg(t, member.Document.Organisation)
			_, err := o.ReplaceKeys(t.Context(), member.Document.Organisation, request(t, other))
			return err
		}},
		{"an amendment", 1, 0, func(o *office, _ *nodetest.Org) error {
			name := "Otherwise"
			_, err := o.SetGovernor(t.Context(), GovernorChange{Name: &name})
			return err
		}},
		{"another peer key", 1, 0, func(o *office, _ *nodetest.Org) error {
			_, err := o.RotateKeys(t.Context(), keys.Change{Peer: true})
			return err
		}},
		{"another identity", 2, 0, func(o *office, _ *nodetest.Org) error {
			_, err := o.RotateKeys(t.Context(), keys.Change{Identity: true})
			return err
		}},
		{"all keys, of which the new account pays the collection's", 2, 0, func(o *office, _ *nodetest.Org) error {
			_, err := o.RotateKeys(t.Context(), allKeys)
			return err
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			member := nodetest.NewOrg(t, "cobalt")
			o := newOffice(t, true, member)
			purse := &empty{}
			o.Registrar.Money = purse
			before := o.stored()
			if err := c.do(o, member); !errors.Is(err, errPoor) || purse.nfts != c.nfts || purse.ends != c.ends {
				t.Errorf("%v; the account is to pay for %d NFTs and %d that are destroyed, want %d and %d", err, purse.nfts, purse.ends, c.nfts, c.ends)
			}
			if now := o.stored(); len(now) != len(before) {
				t.Errorf("%v is stored", now)
			}
		})
	}
}

// What was begun is repeated without another look at the money: it is paid for already, or waits.
func TestWhatIsOnItsWayIsNotPaidForTwice(t *testing.T) {
	t.Parallel()
	o := newOffice(t, true)
	newcomer := nodetest.NewOrg(t, "borealis")
	_, err := o.storeMember(t.Context(), newcomer.Document)
	nodetest.Must(t, err)
	o.Registrar.Money = &empty{}
	o.opens()
	if _, err := o.Admit(t.Context(), request(t, newcomer)); err != nil {
		t.Error(err)
	}
}

func TestANewAccountNeedsTheMoneyForTheKeysOfCollections(t *testing.T) {
	t.Parallel()
	o := newOffice(t, true)
	o.chain.funds = ledger.Funds{Amount: newAccountNeeds}
	_, err := o.RotateKeys(t.Context(), allKeys)
	wantRefusal(t, "without the money for a key", err, "has 0.5 ALGO: send it at least 0.601, then repeat the command")
	var input *problem.InputError
	if !errors.As(err, &input) {
		t.Errorf("it is no mistake of the operator's: %v", err)
	}
	o.chain.funds.Amount += uint64(microalgo.PerNFT)
	o.Registrar.Money = &empty{}
	if _, err := o.RotateKeys(t.Context(), allKeys); !errors.Is(err, errPoor) {
		t.Errorf("with it, the account of before is looked at: %v", err)
	}
	if kinds := o.stored(); len(kinds) != 0 && kinds[0] == wire.KindRotation {
		t.Errorf("%v is stored", kinds)
	}
}
