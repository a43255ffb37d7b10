package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// ErrRotated means that the node ended because its organisation has other keys now: it has to be opened again.
var ErrRotated = errors.New("the organisation has other keys now")

// Rotated is a member that has other keys.
type Rotated struct {
	Organisation string   `json:"organisation"`
	Account      string   `json:"account"`
	Peer         string   `json:"peer"`
	Recipient    string   `json:"recipient"`
	TxID         string   `json:"txid"`
	Round        uint64   `json:"round"`
	Advice       []string `json:"advice,omitempty"` // what else is to be done
	Invite       []byte   `json:"invite,omitempty"`
	Proposal     []byte   `json:"proposal,omitempty"` // where the governor is several: what they sign for it
}

// newAccountNeeds is what a new account must have before it takes over, in microalgo: Algorand's own minimum and a few
// records.
const newAccountNeeds = 500_000

// RotateKeys gives this organisation other keys, signed with the old ones, and returns when the chain has them. The node
// then ends with [ErrRotated]. Interrupted, it goes on by itself; repeating it is harmless.
func (r *registrar) RotateKeys(ctx context.Context, c repo.Change) (Rotated, error) {
	if err := awaitTip(ctx, r.watcher); err != nil {
		return Rotated{}, err
	}
	if !r.fold.active() {
		return Rotated{}, input(errors.New("this organisation is not a member of the consortium"))
	}
	if c == (repo.Change{}) {
		return Rotated{}, input(errors.New("say which keys: the account, the peer key, the identity"))
	}
	next, err := r.repo.Keys.Prepare(c)
	if err != nil {
		return Rotated{}, input(err)
	}
	document, err := Document(r.repo.Config, next)
	if err != nil {
		return Rotated{}, err
	}
	if c.Account {
		if err := r.mayTakeOver(ctx, document.Account); err != nil {
			return Rotated{}, err
		}
	}
	item, err := r.storeRotation(ctx, document, next.Account.PrivateKey)
	if err != nil {
		return Rotated{}, fmt.Errorf("changing the keys: %w", err)
	}
	for {
		changed := r.rotated.changed()
		if err := r.rotationFailed(item.Key); err != nil {
			return Rotated{}, err
		}
		if r.switching.Load() {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Rotated{}, errors.Join(fmt.Errorf("the change of keys is stored and will be on the chain, but isn't yet: %w", ctx.Err()), r.problem())
		}
	}
	if item, _, err = r.repo.Outbox.Find(item.Key); err != nil {
		return Rotated{}, err
	}
	return Rotated{
		Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient,
		TxID: item.TxID, Round: item.Round, Advice: r.adviceOn(c),
	}, nil
}

// mayTakeOver refuses a new account that could not pay for anything.
func (r *registrar) mayTakeOver(ctx context.Context, account string) error {
	funds, err := r.ledger.FundsOf(ctx, account)
	if err != nil {
		return err
	}
	if funds.Amount < newAccountNeeds {
		return input(fmt.Errorf("the new account %s has %s ALGO: send it at least %s, then repeat the command", account, algo(funds.Amount), algo(newAccountNeeds)))
	}
	return nil
}

// storeRotation takes the record into the outbox and, where this organisation is the governor by itself, the amendment
// by which the new account is. The new account's key consents.
func (r *registrar) storeRotation(ctx context.Context, document wire.Member, account ed25519.PrivateKey) (repo.Item, error) {
	var governor string
	r.fold.read(func(s *consortium.State) { governor = s.Governor() })
	if governor == r.fold.self && document.Account != r.fold.self {
		amendment, err := r.amendment(GovernorChange{Threshold: 1, Accounts: []string{document.Account}})
		if err != nil {
			return repo.Item{}, err
		}
		draft, err := consortium.DraftAmendment(r.consortium.ID, amendment, now())
		if err != nil {
			return repo.Item{}, err
		}
		if _, err := r.records.store(ctx, hashOf("amendment for", document.Account), draft); err != nil {
			return repo.Item{}, err
		}
	}
	key := hashOf("rotation", r.fold.self, document.Account, document.Peer, document.Recipient)
	// First the plan: once the record is stored it can be signed at any time.
	if err := (rotationPlan{Key: key, Account: document.Account}).keep(r.repo.Outbox); err != nil {
		return repo.Item{}, err
	}
	draft, err := consortium.DraftRotation(r.consortium.ID, r.fold.self, document, account, now())
	if err != nil {
		return repo.Item{}, err
	}
	return r.records.store(ctx, key, draft)
}

// adviceOn says what a change of keys doesn't do by itself.
func (r *registrar) adviceOn(c repo.Change) (advice []string) {
	var quorum *wire.Quorum
	r.fold.read(func(s *consortium.State) { quorum = s.Quorum() })
	if c.Account {
		advice = append(advice, "the old account keeps what ALGO it has, and what its NFTs keep locked")
		if quorum != nil && len(quorum.Accounts) > 1 && slices.ContainsFunc(quorum.Accounts, r.fold.ours) {
			advice = append(advice, "the governor is made up of the old account still: change that with \"slnode governor set\"")
		}
	}
	return advice
}

// failedRotation is a change of keys that came to nothing: which one, and why.
type failedRotation struct {
	key []byte // of the record, in the outbox
	err error
}

// rotationFailed tells whether the change of keys that a record says came to nothing. What became of an earlier one is
// no matter.
func (r *registrar) rotationFailed(key []byte) error {
	if failed := r.failed.Load(); failed != nil && bytes.Equal(failed.key, key) {
		return failed.err
	}
	return nil
}

// followRotation waits until the chain has a change of our own keys, decides that they are switched, and ends the node.
func (r *registrar) followRotation(ctx context.Context) error {
	for {
		changed, confirmed := r.fold.changed.changed(), r.done.changed()
		done, err := r.rotationDone(ctx)
		if err != nil {
			return err
		}
		if done {
			if err := r.repo.Keys.Switch(); err != nil {
				return err
			}
			r.switching.Store(true)
			r.rotated.notify()
			r.log.Info("the chain has this organisation's other keys; the node begins anew with them")
			return ErrRotated
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-confirmed:
		}
	}
}

// rotationDone reports whether the chain has the keys that were prepared. If it has the record and does not count it,
// they are forgotten.
func (r *registrar) rotationDone(ctx context.Context) (bool, error) {
	plan, err := readRotation(r.repo.Outbox)
	if err != nil || plan == nil {
		return false, err
	}
	next, found, err := r.repo.Keys.Next()
	if err != nil || !found { // carried out before
		return false, err
	}
	id, err := peer.IDFromPrivateKey(next.Peer)
	if err != nil {
		return false, err
	}
	m, known := r.fold.member(r.fold.self)
	if known && m.Known && m.Rotated != nil && m.Account == next.Address() && m.Peer == id.String() && m.Recipient == next.Identity.Recipient() {
		return true, nil
	}
	item, found, err := r.repo.Outbox.Find(plan.Key)
	if err != nil || !found || item.State < repo.Confirmed || r.watcher.State().Cursor < item.Round {
		return false, err
	}
	if _, counts, err := r.repo.View.Event(item.TxID); err != nil || counts {
		return false, err
	}
	failed := fmt.Errorf("transaction %s is on the chain and counts for nothing: the keys stay as they were", item.TxID)
	r.log.Error("a change of keys came to nothing", "error", failed)
	if err := errors.Join(r.repo.Keys.Abandon(), r.repo.Outbox.ForgetMemo(rotationMemo)); err != nil {
		return false, err
	}
	r.failed.Store(&failedRotation{key: plan.Key, err: failed})
	r.rotated.notify()
	r.records.wake()
	return false, nil
}

// ReplaceKeys gives a member other keys that can't do it itself, because it has lost the old ones: those of a request that
// it made with the new ones. Where the governor is several accounts, it gives a proposal for them.
func (r *registrar) ReplaceKeys(ctx context.Context, name string, request []byte) (Rotated, error) {
	document, err := wire.ParseMember(request)
	if err != nil {
		return Rotated{}, input(err)
	}
	a, err := r.authority(ctx, "replace a member's keys")
	if err != nil {
		return Rotated{}, err
	}
	m, err := r.replaceable(name, document)
	if err != nil {
		return Rotated{}, input(err)
	}
	answer := Rotated{Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient}
	if m.Known && m.Account == document.Account && m.Peer == document.Peer && m.Recipient == document.Recipient && m.Rotated != nil {
		answer.TxID, answer.Round = m.Rotated.TxID, m.Rotated.Round
		answer.Invite, err = r.invite(document)
		return answer, err
	}
	draft, err := consortium.DraftRotation(r.consortium.ID, m.Account, document, nil, now())
	if err != nil {
		return answer, err
	}
	if a.quorum != nil {
		signed, err := r.propose(ctx, a, draft, r.purposeOf(wire.KindRotation, document.Account)...)
		if err != nil {
			return answer, fmt.Errorf("proposing other keys for %s: %w", name, err)
		}
		answer.Proposal = signed.File
		return answer, nil
	}
	item, err := r.mintRecord(ctx, hashOf("rotation", m.Account, document.Account, document.Peer, document.Recipient), draft)
	if err != nil {
		return answer, fmt.Errorf("replacing the keys of %s: %w", name, err)
	}
	answer.TxID, answer.Round = item.TxID, item.Round
	answer.Invite, err = r.invite(document)
	return answer, err
}

// replaceable finds a member and refuses a document that can't be its own.
func (r *registrar) replaceable(name string, document wire.Member) (m consortium.Member, err error) {
	for _, one := range r.fold.members() {
		switch {
		case one.Name == name || one.Account == name:
			m = one
		case one.Account == document.Account || slices.Contains(one.Former, document.Account):
			return m, fmt.Errorf("the account %s belongs to another member, %s", document.Account, one.Name)
		case one.Peer == document.Peer:
			return m, fmt.Errorf("the peer id %s belongs to another member, %s", document.Peer, one.Name)
		}
	}
	switch {
	case m.Account == "" || m.Removed != nil:
		return m, fmt.Errorf("no member is called %.60q", name)
	case document.Organisation != m.Name:
		return m, fmt.Errorf("the request is of %s: a member can't take another name", document.Organisation)
	case m.Account == r.fold.self:
		return m, errors.New("this organisation changes its own keys with \"slnode member rotate\"")
	case slices.Contains(m.Former, document.Account):
		return m, fmt.Errorf("the account %s was replaced before", document.Account)
	}
	return m, nil
}

// beginWithKeys makes the outbox that of the account that this node has now.
func beginWithKeys(r *repo.Repo, self string, s *sole) error {
	if err := r.Outbox.SetPublisher(self); err != nil {
		return err
	}
	plan, err := readRotation(r.Outbox)
	if err != nil || plan == nil {
		return err
	}
	if plan.Account == self {
		if err := s.rotated(); err != nil {
			return err
		}
	}
	if _, prepared, err := r.Keys.Next(); err != nil || prepared {
		return err // it is on its way
	}
	return r.Outbox.ForgetMemo(rotationMemo)
}
