package members

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
)

// Of two proposals for the same only one can be confirmed at a time, whoever made them.
func TestOfTwoProposalsForTheSameOneIsConfirmed(t *testing.T) {
	c := newCouncil(t)
	first, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	c.chain.mu.Lock()
	c.chain.pass(5) // another transaction: its rounds are others
	c.chain.mu.Unlock()
	second, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	other, err := c.Remove(t.Context(), "cobalt") // for something else
	nodetest.Must(t, err)
	if _, err := c.decides(first.Proposal); err != nil {
		t.Fatal(err)
	}
	_, err = c.decides(second.Proposal)
	wantRefusal(t, "the second one", err, "another transaction for the same purpose was confirmed, or is on its way")
	if _, err := c.SubmitProposal(t.Context(), [][]byte{c.signedBy(c.borealis, other.Proposal)}); err != nil || c.member(c.cobalt.Address()).Removed == nil {
		t.Errorf("one for something else: %v", err)
	}
}

// What is on its way to the chain goes on, whatever algod and members answer.
func TestASubmissionGoesOnThroughFaults(t *testing.T) {
	for what, test := range map[string]struct {
		prepare func(*council)
		words   string // what is told; "" if it succeeds
	}{
		"members that hear nothing":   {func(c *council) { c.host.deaf = errors.New("nobody is connected") }, ""},
		"a submission that is lost":   {func(c *council) { c.chain.does = onceIn("submit", c.chain, forgotten) }, ""},
		"an algod that is down":       {func(c *council) { c.chain.does = onceIn("submit", c.chain, fails) }, "algod is down"},
		"an algod without a round":    {func(c *council) { c.chain.does = onceIn("round", c.chain, fails) }, "algod is down"},
		"an algod without a fate":     {func(c *council) { c.chain.does = onceIn("fate", c.chain, fails) }, "algod is down"},
		"an algod that does not wait": {func(c *council) { c.chain.does = onceIn("wait", c.chain, fails) }, "algod is down"},
		"a governor without ALGO":     {func(c *council) { c.chain.funds.Amount = 0 }, "needs ALGO: a record costs 0.101, and an account 0.1"},
		"a disk that is full":         {func(c *council) { c.Blocks.PutFails = errNoRoom }, "storing the files of the proposal"},
		"an indexer that is down":     {func(c *council) { c.watcher.lost = errors.New("a timeout") }, "a timeout"},
	} {
		c := newCouncil(t)
		removal, err := c.Remove(t.Context(), "borealis")
		nodetest.Must(t, err)
		test.prepare(c)
		_, err = c.decides(removal.Proposal)
		if removed := c.member(c.borealis.Address()).Removed != nil; test.words == "" && (err != nil || !removed) {
			t.Errorf("with %s: %v", what, err)
		} else if test.words != "" {
			wantRefusal(t, what, err, test.words)
		}
	}
}

// onceIn is a fault that happens once, in one call.
func onceIn(where call, c *fakeChain, what fault) func() fault {
	var now call
	c.happens = func(one call) { now = one }
	return func() fault {
		if now != where {
			return none
		}
		where = "" // never again
		return what
	}
}

// A proposal whose rounds are over is made again; what it decides was not decided.
func TestAProposalThatTookTooLongIsRenewed(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	info, err := ReadProposal(c.Consortium, c.R.Config, removal.Proposal)
	nodetest.Must(t, err)
	c.chain.round = info.LastValid + 1
	indexer := info.LastValid
	c.watcher.trace = func(txid, sender string, first, last uint64) (chainwatch.Finding, error) {
		if txid != info.TxID || sender != info.Governor || first != info.FirstValid || last != info.LastValid {
			t.Errorf("looked for %s of %s in %d to %d", txid, sender, first, last)
		}
		return chainwatch.Finding{Round: indexer}, nil
	}
	_, err = c.decides(removal.Proposal)
	wantRefusal(t, "an indexer that is behind", err, "the result of the proposal is not known yet")
	indexer++
	_, err = c.decides(removal.Proposal)
	wantRefusal(t, "a late proposal", err, `which is over: make it again with "slnode governor renew"`)
	renewed, err := c.RenewProposal(t.Context(), removal.Proposal)
	nodetest.Must(t, err)
	if renewed.TxID == info.TxID || renewed.Kind != wire.KindRemoval || renewed.Account != c.borealis.Address() || renewed.FirstValid != c.chain.round || !renewed.Signers[0].Signed || renewed.Signers[1].Signed {
		t.Errorf("renewed it is %+v", renewed)
	}
	if _, err := c.decides(renewed.File); err != nil || c.member(c.borealis.Address()).Removed == nil {
		t.Error(err)
	}
	// algod forgets, the indexer does not.
	c.chain.round, c.chain.forgets = c.chain.round+1001, true
	c.watcher.trace = func(txid, sender string, _, _ uint64) (chainwatch.Finding, error) {
		return chainwatch.Finding{Found: true, Event: consortium.Event{Position: consortium.Position{Round: c.chain.confirmed[txid].Round}}}, nil
	}
	if done, err := c.decides(renewed.File); err != nil || done.Round != c.chain.confirmed[renewed.TxID].Round {
		t.Errorf("%+v, %v", done, err)
	}
	failure := errors.New("503")
	c.watcher.trace = func(string, string, uint64, uint64) (chainwatch.Finding, error) { return chainwatch.Finding{}, failure }
	if _, err := c.decides(renewed.File); !errors.Is(err, failure) {
		t.Error(err)
	}
}

func TestAProposalForAFormerGovernorIsRefused(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	was, _ := c.governor()
	info, err := c.SetGovernor(t.Context(), GovernorChange{Threshold: 2, Accounts: []string{"self", "borealis"}})
	nodetest.Must(t, err)
	if _, err = c.decides(info.Proposal); err != nil {
		t.Fatal(err)
	}
	is, _ := c.governor()
	_, err = c.decides(removal.Proposal)
	wantRefusal(t, "submitted", err, "the proposal is for the governor "+was+", the governor is "+is+" now")
	_, err = c.RenewProposal(t.Context(), removal.Proposal)
	wantRefusal(t, "renewed", err, "the proposal is for the governor "+was+", the governor is "+is+" now")
	_, err = c.RenewProposal(t.Context(), []byte("x"))
	wantRefusal(t, "something else", err, "a proposal")
	c.watcher.lost = errors.New("a timeout")
	if _, err := c.RenewProposal(t.Context(), removal.Proposal); !errors.Is(err, c.watcher.lost) {
		t.Error(err)
	}
	if len(c.chain.confirmed) != 1 || c.member(c.borealis.Address()).Removed != nil {
		t.Errorf("%d are on the chain", len(c.chain.confirmed))
	}
}

// What was confirmed and had been done, or came after the end of the office, counts for nothing, and it is said.
func TestWhatIsConfirmedAndDoesNotCountIsNoSuccess(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	c.chain.does = func() fault { // somebody removes it in the moment before
		if m := c.member(c.borealis.Address()); m.Removed == nil {
			_, quorum := c.governor()
			account, err := quorum.Multisig()
			nodetest.Must(t, err)
			address, err := account.Address()
			nodetest.Must(t, err)
			governor := &nodetest.Org{}
			governor.Account.Address = address
			draft, err := consortium.DraftRemoval(c.ID, c.borealis.Address(), state.Now())
			c.sees(governor, draft, err)
		}
		return none
	}
	done, err := c.decides(removal.Proposal)
	wantRefusal(t, "it was done", err, "transaction "+done.TxID+" is on the chain, in round")
	wantRefusal(t, "it was done", err, "and counts for nothing: who signed it was not the governor any more, or it had been done")
}

// Who does not wait for the indexer is told that it is on the chain all the same.
func TestWhatTheIndexerHasNotShownIsSaid(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	ctx, leave := context.WithCancel(t.Context())
	c.chain.puts = nil // it shows nothing
	c.chain.round = c.Round + 5
	c.chain.happens = func(what call) {
		if what == "fate" && len(c.chain.confirmed) > 0 {
			leave()
		}
	}
	done, err := c.SubmitProposal(ctx, [][]byte{c.signedBy(c.cobalt, removal.Proposal)})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "transaction "+done.TxID+" is on the chain, the indexer has not shown it") {
		t.Error(err)
	}
}

func TestASubmissionEndsAtItsDeadline(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c.chain.happens = func(what call) {
		if what == "wait" {
			<-ctx.Done()
		}
	}
	if done, err := c.SubmitProposal(ctx, [][]byte{c.signedBy(c.cobalt, removal.Proposal)}); err == nil || !errors.Is(err, context.DeadlineExceeded) || done.Round != 0 {
		t.Errorf("it goes on to round %d: %v", done.Round, err)
	}
}

func TestASubmissionEndsWithItsContext(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	ctx, leave := context.WithCancel(t.Context())
	c.chain.happens = func(what call) {
		if what == "wait" {
			leave()
		}
	}
	if _, err := c.SubmitProposal(ctx, [][]byte{c.signedBy(c.cobalt, removal.Proposal)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
