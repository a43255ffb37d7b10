package members

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// GovernorInfo is who the governor is.
type GovernorInfo struct {
	Account   string            `json:"account"`
	Since     uint64            `json:"since_round"`
	Known     bool              `json:"known"` // the record that tells who makes up the account has arrived
	Threshold int               `json:"threshold,omitempty"`
	Accounts  []GovernorAccount `json:"accounts,omitempty"`
	Free      uint64            `json:"free_microalgo"` // what it can spend
	Proposal  []byte            `json:"proposal,omitempty"`
}

// GovernorAccount is one of the accounts that make up the governor.
type GovernorAccount struct {
	Account string `json:"account"`
	Member  string `json:"member,omitempty"` // the name of the member that has it now
	Self    bool   `json:"self"`
}

// GovernorChange is what an amendment says. Accounts are those of members, given by their names, or any others.
type GovernorChange struct {
	Threshold int      `json:"threshold"`
	Accounts  []string `json:"accounts"` // none: the governor stays
	Name      *string  `json:"name,omitempty"`
	History   *bool    `json:"history,omitempty"`
}

// authority is by which right this organisation can act as the governor.
type authority struct {
	governor string
	quorum   *wire.Quorum // who signs together; nil if this organisation is the governor by itself
}

// authority tells by which right this organisation could do something of the governor's, or that it has none.
func (r *Registrar) authority(ctx context.Context, what string) (a authority, err error) {
	if err := state.AwaitTip(ctx, r.Watcher); err != nil {
		return a, err
	}
	r.State.Read(func(s *consortium.State) { a.governor, a.quorum = s.Governor(), s.Quorum() })
	switch {
	case a.governor == r.State.Self:
		a.quorum = nil
		return a, nil
	case a.quorum == nil:
		return a, problem.Input(fmt.Errorf("only the governor, %s, can %s, and the record that tells who that is has not arrived", r.named(a.governor), what))
	case len(a.quorum.Accounts) > 1 && slices.ContainsFunc(a.quorum.Accounts, r.State.Ours):
		return a, nil
	}
	return a, problem.Input(fmt.Errorf("only the governor, %s, can %s", r.named(a.governor), what))
}

// named writes an account with the name of the member that has it.
func (r *Registrar) named(account string) string {
	if name := r.names()[account]; name != "" {
		return name + " (" + account + ")"
	}
	return account
}

// propose makes a proposal of a draft, with this organisation's signature, and its file. Of two proposals with the same
// purpose only one can be confirmed at a time: the network sees to it by the lease.
//
// The number is the next after those on the chain. Two proposals that are open at the same time have the same, so that
// none leaves a hole if it is never signed; numbers decide nothing.
func (r *Registrar) propose(ctx context.Context, a authority, draft consortium.Draft, purpose ...string) (ProposalInfo, error) {
	account, err := a.quorum.Multisig()
	if err != nil {
		return ProposalInfo{}, err
	}
	params, err := r.Ledger.Params(ctx)
	if err != nil {
		return ProposalInfo{}, err
	}
	if err := problem.CheckNetwork(params.GenesisID, params.GenesisHash[:], r.Consortium.GenesisID, r.Consortium.GenesisHash); err != nil {
		return ProposalInfo{}, err
	}
	highest, _ := r.State.Sequence(a.governor)
	draft.Note.Sequence = highest + 1
	note, err := draft.Note.Encode(r.Consortium.ID)
	if err != nil {
		return ProposalInfo{}, err
	}
	if draft, err = draft.By(a.governor); err != nil {
		return ProposalInfo{}, err
	}
	directory, err := publish.DirectoryOf(draft)
	if err != nil {
		return ProposalInfo{}, err
	}
	joint, err := ledger.NewJoint(params, account, ledger.Mint{
		URL: wire.URL(directory.Root()), MetadataHash: wire.MetadataHash(draft.Metadata), Note: note, Lease: proposalLease(purpose...),
	}, r.Repo.Config.Algorand.MaxFee)
	if err != nil {
		return ProposalInfo{}, err
	}
	data, err := wire.Proposal{Transaction: joint.Raw(), Metadata: draft.Metadata, Record: draft.Payload}.Encode()
	if err != nil {
		return ProposalInfo{}, err
	}
	// It is read as others will read it.
	p, err := readProposal(data, r.own(), r.Repo.Config.Algorand.MaxFee)
	if err != nil {
		return ProposalInfo{}, err
	}
	p.sign(r.Repo.Keys)
	return p.withFile()
}

// proposalLease is the same for anyone who proposes the same. It tells nothing that the note doesn't.
func proposalLease(purpose ...string) [32]byte {
	return [32]byte(publish.KeyOf(append([]string{"serviceledger/1 governor"}, purpose...)...))
}

// purposeOf says what a record of the governor's is for. It changes once that is achieved.
func (r *Registrar) purposeOf(kind wire.Kind, account string) []string {
	times := 0
	r.State.Read(func(s *consortium.State) {
		if kind == wire.KindAmendment {
			account, times = "", s.Amendments()
			return
		}
		times = s.Removals(account)
	})
	return []string{string(kind), account, strconv.Itoa(times)}
}

// Governor tells who the governor is.
func (r *Registrar) Governor(ctx context.Context) (GovernorInfo, error) {
	if err := state.AwaitTip(ctx, r.Watcher); err != nil {
		return GovernorInfo{}, err
	}
	var info GovernorInfo
	var quorum *wire.Quorum
	r.State.Read(func(s *consortium.State) {
		info.Account, info.Since, quorum = s.Governor(), s.InOffice().Round, s.Quorum()
	})
	if quorum != nil {
		info.Known, info.Threshold = true, quorum.Threshold
		for _, account := range quorum.Accounts {
			one := GovernorAccount{Account: account, Self: account == r.State.Self}
			if m, found := r.State.Member(account); found && m.Removed == nil {
				one.Member = m.Name
			}
			info.Accounts = append(info.Accounts, one)
		}
	}
	funds, err := r.Ledger.FundsOf(ctx, info.Account)
	info.Free = funds.Free()
	return info, err
}

// SetGovernor amends the charter: with this organisation's key if it is the governor, and returns when that is on the
// chain; as a proposal if it is one of several.
func (r *Registrar) SetGovernor(ctx context.Context, c GovernorChange) (GovernorInfo, error) {
	a, err := r.authority(ctx, "amend the charter")
	if err != nil {
		return GovernorInfo{}, err
	}
	amendment, err := r.amendment(c)
	if err != nil {
		return GovernorInfo{}, problem.Input(err)
	}
	draft, err := consortium.DraftAmendment(r.Consortium.ID, amendment, state.Now())
	if err != nil {
		return GovernorInfo{}, problem.Input(err)
	}
	purpose := r.purposeOf(wire.KindAmendment, "")
	if a.quorum != nil {
		signed, err := r.propose(ctx, a, draft, purpose...)
		if err != nil {
			return GovernorInfo{}, err
		}
		info, err := r.Governor(ctx)
		info.Proposal = signed.File
		return info, err
	}
	if err := r.afford(ctx, 1, 0); err != nil {
		return GovernorInfo{}, err
	}
	if _, err := r.mintRecord(ctx, publish.KeyOf(append(purpose, string(draft.Payload))...), draft); err != nil {
		return GovernorInfo{}, fmt.Errorf("amending the charter: %w", err)
	}
	return r.Governor(ctx)
}

// amendment is the charter as it is, with what is changed.
func (r *Registrar) amendment(c GovernorChange) (wire.Amendment, error) {
	charter := r.State.Charter()
	if charter == nil {
		return wire.Amendment{}, errors.New("the charter's content has not arrived")
	}
	amendment := wire.Amendment{Name: charter.Name, History: charter.History}
	if c.Name != nil {
		amendment.Name = *c.Name
	}
	if c.History != nil {
		amendment.History = *c.History
	}
	r.State.Read(func(s *consortium.State) {
		if q := s.Quorum(); q != nil {
			amendment.Governor = *q
		}
	})
	if len(c.Accounts) == 0 {
		if c.Threshold != 0 && c.Threshold != amendment.Governor.Threshold {
			return wire.Amendment{}, errors.New("a threshold needs the accounts that it is about")
		}
		return amendment, nil
	}
	amendment.Governor = wire.Quorum{Threshold: c.Threshold}
	for _, name := range c.Accounts {
		account := name
		for _, m := range r.State.Members() {
			if m.Name == name && m.Removed == nil {
				account = m.Account
			}
		}
		amendment.Governor.Accounts = append(amendment.Governor.Accounts, account)
	}
	if err := amendment.Governor.Check(); err != nil {
		return wire.Amendment{}, fmt.Errorf("the governor: %w", err)
	}
	return amendment, nil
}

// mintRecord takes a record of the governor's into the outbox, and returns when it is on the chain and counts.
func (r *Registrar) mintRecord(ctx context.Context, key []byte, draft consortium.Draft) (outbox.Item, error) {
	item, err := r.Records.Store(ctx, key, draft)
	if err != nil {
		return item, err
	}
	if item, err = r.awaitItem(ctx, item.Key); err != nil {
		return item, err
	}
	return item, r.awaitCounted(ctx, item.TxID, item.Round)
}

// awaitCounted waits until the state has come past a round, and tells whether the transaction in it counts: what the
// governor mints may come after the end of its office.
func (r *Registrar) awaitCounted(ctx context.Context, txid string, round uint64) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for r.Watcher.State().Cursor < round {
		changed := r.State.Changed.Changed()
		select {
		case <-ctx.Done():
			return fmt.Errorf("transaction %s is on the chain, the indexer has not shown it: %w", txid, ctx.Err())
		case <-changed:
		case <-ticker.C:
		}
	}
	e, counts, err := r.Repo.View.Event(txid)
	if err == nil && !counts {
		err = fmt.Errorf("transaction %s is on the chain, in round %d, and counts for nothing: who signed it was not the governor any more, or it had been done", txid, round)
	}
	if err != nil {
		return err
	}
	return signal.Until(ctx, func() (bool, error) { return r.isKnown(e.Event), nil }, &r.State.Changed)
}

// isKnown reports whether what a record of ours says is known, where who asks next depends on it. Its content is here;
// it is about to be read.
func (r *Registrar) isKnown(e consortium.Event) (known bool) {
	switch e.Note.Kind {
	case wire.KindAmendment:
		r.State.Read(func(s *consortium.State) { known = s.Quorum() != nil })
		return known
	case wire.KindRotation:
		m, _ := r.State.Member(e.Note.Account)
		return m.Known || m.Account != e.Note.Account // or it has others by now
	}
	return true
}

// Submitted is the result of a proposal.
type Submitted struct {
	ProposalInfo
	Round  uint64 `json:"round"`
	Invite []byte `json:"invite,omitempty"` // of an admission: an age file for the newcomer
}

// SubmitProposal sends a proposal that has enough signatures, given by one copy or several, and returns when it is on
// the chain. Repeating it is harmless.
func (r *Registrar) SubmitProposal(ctx context.Context, files [][]byte) (Submitted, error) {
	p, err := merge(files, r.own(), r.Repo.Config.Algorand.MaxFee)
	if err != nil {
		return Submitted{}, problem.Input(err)
	}
	done := Submitted{ProposalInfo: p.describe()}
	if !p.joint.Complete() {
		return done, problem.Input(fmt.Errorf("the proposal has too few signatures, %d are needed: %s", p.joint.Threshold(), signatures(done.Signers)))
	}
	if err := state.AwaitTip(ctx, r.Watcher); err != nil {
		return done, err
	}
	if err := r.Host.Put(ctx, []unixfs.Directory{p.directory}); err != nil {
		return done, fmt.Errorf("storing the files of the proposal: %w", err)
	}
	if done.Round, err = r.bringToChain(ctx, p); err != nil {
		return done, err
	}
	r.Watcher.Confirmed(done.Round)
	if err := r.Announcer.Announce(ctx, done.Round, []unixfs.Directory{p.directory}); err != nil && ctx.Err() == nil {
		r.Log.Warn("a record can't be announced; members will fetch it", "error", err)
	}
	if err := r.awaitCounted(ctx, done.TxID, done.Round); err != nil {
		return done, err
	}
	switch {
	case p.member != nil:
		done.Invite, err = r.invite(*p.member)
	case p.rotation != nil:
		done.Invite, err = r.invite(*p.rotation)
	}
	return done, err
}

func signatures(signers []Signer) (text string) {
	for _, s := range signers {
		state := "has not signed"
		if s.Signed {
			state = "has signed"
		}
		text += fmt.Sprintf("\n%s %s", strings.TrimSpace(s.Member+" "+s.Account), state)
	}
	return text
}

// bringToChain submits a transaction until it is confirmed, and returns the round.
func (r *Registrar) bringToChain(ctx context.Context, p *proposal) (round uint64, err error) {
	var governor string
	r.State.Read(func(s *consortium.State) { governor = s.Governor() })
	txid := p.joint.TxID()
	first, last := p.joint.Window()
	for {
		tip, err := r.Ledger.Round(ctx)
		if err != nil {
			return 0, err
		}
		switch fate, minted, err := r.Ledger.Fate(ctx, txid, first, last); {
		case err != nil:
			return 0, err
		case fate == ledger.Confirmed:
			return minted.Round, nil
		case tip > last: // algod may have forgotten it; the indexer has not
			found, err := r.Watcher.Trace(ctx, txid, p.joint.Sender(), first, last)
			if err != nil {
				return 0, err
			}
			if found.Found {
				return found.Event.Round, nil
			}
			if found.Round <= last {
				return 0, fmt.Errorf("the result of the proposal is not known yet: it could be confirmed until round %d, and the indexer is at round %d", last, found.Round)
			}
			return 0, problem.Input(fmt.Errorf("the proposal could be confirmed until round %d, which is over: make it again with \"slnode governor renew\"", last))
		case governor != p.joint.Sender():
			return 0, problem.Input(fmt.Errorf("the proposal is for the governor %s, the governor is %s now", p.joint.Sender(), governor))
		}
		var refused *ledger.RefusedError
		err = r.Ledger.Submit(ctx, p.joint.Raw())
		switch {
		case err == nil:
		case errors.As(err, &refused) && refused.Reason == ledger.Expired:
			continue // the next look at its fate tells more
		case errors.As(err, &refused) && refused.Reason == ledger.LeaseHeld:
			return 0, fmt.Errorf("another transaction for the same purpose was confirmed, or is on its way: %w", err)
		case errors.As(err, &refused) && refused.Reason == ledger.NoFunds:
			return 0, problem.Input(fmt.Errorf("the governor's account %s needs ALGO: a record costs 0.101, and an account 0.1 (%w)", p.joint.Sender(), err))
		default:
			return 0, err
		}
		if err := ledger.AwaitRound(ctx, r.Ledger, tip); err != nil {
			return 0, err
		}
	}
}

// RenewProposal makes a proposal again that took too long to be signed: the same record, to be confirmed within the
// next thousand rounds. It has this organisation's signature only.
func (r *Registrar) RenewProposal(ctx context.Context, file []byte) (ProposalInfo, error) {
	old, err := readProposal(file, r.own(), r.Repo.Config.Algorand.MaxFee)
	if err != nil {
		return ProposalInfo{}, problem.Input(err)
	}
	a, err := r.authority(ctx, "renew a proposal")
	if err != nil {
		return ProposalInfo{}, err
	}
	if a.quorum == nil || a.governor != old.joint.Sender() {
		return ProposalInfo{}, problem.Input(fmt.Errorf("the proposal is for the governor %s, the governor is %s now", old.joint.Sender(), a.governor))
	}
	return r.propose(ctx, a, old.files, r.purposeOf(old.note.Kind, old.note.Account)...)
}
