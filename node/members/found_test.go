package members

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo"
)

var genesisHash = slices.Repeat([]byte{7}, 32)

// aRepository is one of an organisation that belongs to no consortium.
func aRepository(t *testing.T) *repo.Repo { return nodetest.NewStoredChain(t, nil).R }

// aFoundation founds in a repository, on a chain of its own.
func aFoundation(r *repo.Repo) (*foundation, *fakeChain) {
	chain := newFakeChain(ledger.New(nil, r.Keys.Account, 10_000))
	return &foundation{repo: r, ledger: chain, minted: chain.minted}, chain
}

func TestWhoFoundsBelongsToWhatItsCharterSays(t *testing.T) {
	for _, network := range []string{wire.NetworkPrivate, wire.NetworkPublic} {
		r := aRepository(t)
		r.Config.IPFS.Network = network
		b, chain := aFoundation(r)
		own, err := b.found(t.Context(), Charter{Name: "Energy Sharing", History: true})
		nodetest.Must(t, err)
		kept, err := r.Consortium()
		nodetest.Must(t, err)
		minted := chain.confirmed[own.Charter]
		if own.ID != minted.Asset || own.Name != "Energy Sharing" || own.Network != network || own.GenesisID != "t-v1" || string(own.GenesisHash) != string(genesisHash) ||
			kept.ID != own.ID || kept.Charter != own.Charter {
			t.Errorf("it belongs to %+v, which is kept as %+v", own, kept)
		}
		f, err := readFounding(r)
		nodetest.Must(t, err)
		charter, err := wire.ParseCharter(f.Payload)
		nodetest.Must(t, err)
		if charter.Founder != r.Keys.Address() || !charter.History || charter.DefaultCollection == "" || charter.Network != network {
			t.Errorf("the charter says %+v", charter)
		}
		if has := len(r.Keys.SwarmKey()) > 0; has != (network == wire.NetworkPrivate) {
			t.Errorf("on the %s network there is a swarm key: %v", network, has)
		}
	}
}

func TestWhoBelongsToAConsortiumFoundsNoOther(t *testing.T) {
	r := aRepository(t)
	nodetest.Must(t, r.SetConsortium(repo.Consortium{ID: 7, Name: "First"}))
	if _, err := Found(t.Context(), r, Charter{Name: "Second"}); err == nil || !strings.Contains(err.Error(), `"First"`) {
		t.Errorf("it is told %v", err)
	}
}

func TestAFoundingWithoutMoneySaysWhatItCosts(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	chain.funds.Amount = 0
	if _, err := b.found(t.Context(), Charter{Name: "Test"}); err == nil || !strings.Contains(err.Error(), r.Keys.Address()+" needs ALGO: a consortium costs 0.303") {
		t.Errorf("it is told %v", err)
	}
	if own, err := r.Consortium(); err != nil || own != nil {
		t.Errorf("it belongs to %+v, %v", own, err)
	}
	chain.funds.Amount = 402_999 // enough for the charter, and not for what follows
	if _, err := b.found(t.Context(), Charter{Name: "Test"}); err == nil || !strings.Contains(err.Error(), "send it at least 0.000001 more, then repeat the command") || len(chain.confirmed) != 0 {
		t.Errorf("with a little less it is told %v, and there are %d charters", err, len(chain.confirmed))
	}
	chain.funds.Amount = 403_000
	if _, err := b.found(t.Context(), Charter{Name: "Test"}); err != nil || len(chain.confirmed) != 1 {
		t.Errorf("with money there are %d charters, %v", len(chain.confirmed), err)
	}
}

// A transaction is kept before anybody else has it: else one that was confirmed could be forgotten.
func TestACharterIsKeptBeforeItIsSubmitted(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	submitted := 0
	chain.happens = func(what call) {
		if what != "submit" {
			return
		}
		submitted++
		if f, err := readFounding(r); err != nil || f == nil {
			t.Errorf("submitted and not kept (%v)", err)
		}
	}
	chain.does = func() fault { // the first copy of it is lost for so long that another one is signed
		if chain.round < 600 {
			return forgotten
		}
		return none
	}
	chain.pace = 200
	own, err := b.found(t.Context(), Charter{Name: "Test"})
	nodetest.Must(t, err)
	f, err := readFounding(r)
	if err != nil || f.Group.TxIDs[0] != own.Charter || submitted < 3 || len(chain.confirmed) != 1 {
		t.Errorf("after %d submissions %s is kept and %s the charter (%v)", submitted, f.Group.TxIDs[0], own.Charter, err)
	}
}

// What neither algod nor the indexer has is signed again; while one of them can't tell, it is not.
func TestACharterIsSignedAgainOnlyWhenTheIndexerLacksItToo(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	chain.does = func() fault { return unknown }
	if _, err := b.found(t.Context(), Charter{Name: "Test"}); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	f, err := readFounding(r)
	nodetest.Must(t, err)
	txid := f.Group.TxIDs[0]
	chain.does = nil
	chain.mu.Lock()
	chain.pass(700) // its window is over
	chain.forgets, chain.lag = true, 705
	chain.mu.Unlock()
	fate := func() ledger.Fate {
		t.Helper()
		fate, _, err := b.fate(t.Context(), f)
		nodetest.Must(t, err)
		return fate
	}
	if got := fate(); got != ledger.Unknown {
		t.Errorf("an indexer that is behind makes it %v", got)
	}
	chain.lag = 0
	if own, err := b.found(t.Context(), Charter{Name: "Other"}); err != nil || own.Charter != txid || len(chain.confirmed) != 1 {
		t.Errorf("the consortium is %+v (%v), the charter is %s of %d", own, err, txid, len(chain.confirmed))
	}
	delete(chain.confirmed, txid)
	for indexer, want := range map[uint64]ledger.Fate{f.Group.LastValid: ledger.Unknown, f.Group.LastValid + 1: ledger.Absent} {
		chain.lag = chain.round - indexer
		if got := fate(); got != want {
			t.Errorf("what nobody has up to round %d is %v, it could be confirmed until %d", indexer, got, f.Group.LastValid)
		}
	}
	chain.round = f.Group.LastValid // it can be confirmed still
	if got := fate(); got != ledger.Unknown {
		t.Errorf("within its rounds it is %v", got)
	}
}

// However often a founding fails, is killed and repeated: there is one charter, and the repository belongs to it.
func TestAFoundingMintsOneCharterWhateverHappens(t *testing.T) {
	r := aRepository(t)
	rapid.Check(t, func(t *rapid.T) {
		if err := r.Outbox.ForgetMemo(foundingMemo); err != nil {
			t.Fatal(err)
		}
		_, chain := aFoundation(r)
		chain.pace = rapid.Uint64Range(1, 300).Draw(t, "rounds that pass")
		chain.forgets = rapid.Bool().Draw(t, "algod forgets")
		faults := rapid.SliceOfN(rapid.SampledFrom([]fault{none, none, none, fails, unknown, forgotten}), 0, 60).Draw(t, "faults")
		chain.does = func() fault {
			if len(faults) == 0 {
				return none
			}
			one := faults[0]
			faults = faults[1:]
			return one
		}
		var own *repo.Consortium
		for own == nil {
			b := &foundation{repo: r, ledger: chain, minted: chain.minted} // as after a crash
			got, err := b.found(t.Context(), Charter{Name: "Test"})
			switch {
			case err == nil:
				own = got
			case !errors.Is(err, errDown):
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "it takes long to repeat it") {
				chain.mu.Lock()
				chain.pass(600)
				chain.mu.Unlock()
			}
		}
		if len(chain.confirmed) != 1 || chain.confirmed[own.Charter].Asset != own.ID {
			t.Fatalf("there are %d charters, the repository belongs to %+v", len(chain.confirmed), own)
		}
	})
}

// What algod can't tell is no result.
func TestAnAlgodThatDoesNotAnswerEndsAFounding(t *testing.T) {
	for _, where := range []call{"params", "fate", "round", "submit", "wait"} {
		r := aRepository(t)
		b, chain := aFoundation(r)
		chain.does = onceIn(where, chain, fails)
		if _, err := b.found(t.Context(), Charter{Name: "Test"}); !errors.Is(err, errDown) {
			t.Errorf("without an answer to %s: %v", where, err)
		}
		if _, err := b.found(t.Context(), Charter{Name: "Test"}); err != nil || len(chain.confirmed) != 1 {
			t.Errorf("repeated: %d charters, %v", len(chain.confirmed), err)
		}
	}
	r := aRepository(t)
	b, chain := aFoundation(r)
	_, err := b.found(t.Context(), Charter{Name: "Test"})
	nodetest.Must(t, err)
	f, err := readFounding(r)
	nodetest.Must(t, err)
	chain.forgets, chain.round = true, f.Group.LastValid+1
	for _, where := range []call{"fate", "round", "indexer"} {
		chain.does = onceIn(where, chain, fails)
		if fate, _, err := b.fate(t.Context(), f); !errors.Is(err, errDown) {
			t.Errorf("without an answer to %s the fate is %v, %v", where, fate, err)
		}
	}
}

func TestAFoundingEndsAtItsDeadline(t *testing.T) {
	b, chain := aFoundation(aRepository(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	chain.happens = func(what call) {
		if what == "wait" {
			<-ctx.Done()
		}
	}
	if _, err := b.found(ctx, Charter{Name: "Test"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAFoundingEndsWithItsContext(t *testing.T) {
	b, chain := aFoundation(aRepository(t))
	ctx, leave := context.WithCancel(t.Context())
	chain.happens = func(what call) {
		if what == "wait" {
			leave()
		}
	}
	if _, err := b.found(ctx, Charter{Name: "Test"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAFoundingThatCantBeReadIsNotBegunAnew(t *testing.T) {
	r := aRepository(t)
	b, chain := aFoundation(r)
	nodetest.Must(t, r.Outbox.SetMemo(foundingMemo, []byte("{")))
	var syntax *json.SyntaxError
	if _, err := b.found(t.Context(), Charter{Name: "Test"}); !errors.As(err, &syntax) || len(chain.confirmed) != 0 {
		t.Errorf("%v, and %d charters", err, len(chain.confirmed))
	}
}
