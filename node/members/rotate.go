package members

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
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

// RotateKeys gives this organisation other keys, signed with the old ones, and returns when the chain has them. The
// node then ends with [ErrRotated]. Interrupted, it goes on by itself; repeating it is harmless.
func (r *Registrar) RotateKeys(ctx context.Context, c keys.Change) (Rotated, error) {
	if err := state.AwaitTip(ctx, r.Watcher); err != nil {
		return Rotated{}, err
	}
	if why := r.State.Excluded(); why != "" {
		return Rotated{}, problem.Input(errors.New(why))
	}
	if c == (keys.Change{}) {
		return Rotated{}, problem.Input(errors.New("say which keys: the account, the peer key, the identity"))
	}
	next, err := r.Repo.Keys.Prepare(c)
	if err != nil {
		return Rotated{}, problem.Input(err)
	}
	document, err := Document(r.Repo.Config, next)
	if err != nil {
		return Rotated{}, err
	}
	if err := r.affordRotation(ctx, document); err != nil {
		return Rotated{}, err
	}
	item, err := r.storeRotation(ctx, document, next.Account.PrivateKey)
	if err != nil {
		return Rotated{}, fmt.Errorf("changing the keys: %w", err)
	}
	err = signal.Until(ctx, func() (bool, error) { return r.switching.Load(), r.rotationFailed(item.Key) }, &r.rotated)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = publish.NotYet("the change of keys", err, r.Problem)
	}
	if err != nil {
		return Rotated{}, err
	}
	if item, _, err = r.Outbox.Find(item.Key); err != nil {
		return Rotated{}, err
	}
	return Rotated{
		Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient,
		TxID: item.TxID, Round: item.Round, Advice: r.adviceOn(c),
	}, nil
}

// affordRotation refuses a change that can't be paid for: the account that is replaced pays for the records, and the
// one that we have then for other keys of our collections.
func (r *Registrar) affordRotation(ctx context.Context, document wire.Member) error {
	var was consortium.Member
	records, keys, other := 1, 0, document.Account != r.State.Self
	if was, _ = r.State.Member(r.State.Self); was.Recipient != document.Recipient {
		keys = r.keysWithout(r.State.Self)
	}
	if other {
		if err := r.mayTakeOver(ctx, document.Account, keys); err != nil {
			return err
		}
		keys = 0
		if r.governs() {
			records++
		}
	}
	if begun, err := r.isStored(r.rotationKey(document)); err != nil || begun {
		return err
	}
	return r.afford(ctx, records+keys, 0)
}

// mayTakeOver refuses a new account that could not pay for so many keys, and for anything beside.
func (r *Registrar) mayTakeOver(ctx context.Context, account string, keys int) error {
	funds, err := r.Ledger.FundsOf(ctx, account)
	if err != nil {
		return err
	}
	needs := microalgo.Amount(newAccountNeeds).Plus(microalgo.PerNFT.Times(uint64(keys)))
	if has := microalgo.Amount(funds.Amount); has < needs {
		return problem.Input(fmt.Errorf("the new account %s has %s ALGO: send it at least %s, then repeat the command", account, has, needs))
	}
	return nil
}

// governs reports whether this organisation is the governor by itself.
func (r *Registrar) governs() (is bool) {
	r.State.Read(func(s *consortium.State) { is = s.Governor() == r.State.Self })
	return is
}

func (r *Registrar) rotationKey(document wire.Member) []byte {
	return publish.KeyOf("rotation", r.State.Self, document.Account, document.Peer, document.Recipient)
}

// storeRotation takes the record into the outbox and, where this organisation is the governor by itself, the amendment
// by which the new account is. The new account's key consents.
func (r *Registrar) storeRotation(ctx context.Context, document wire.Member, account ed25519.PrivateKey) (outbox.Item, error) {
	if r.governs() && document.Account != r.State.Self {
		amendment, err := r.amendment(GovernorChange{Threshold: 1, Accounts: []string{document.Account}})
		if err != nil {
			return outbox.Item{}, err
		}
		draft, err := consortium.DraftAmendment(r.Consortium.ID, amendment, state.Now())
		if err != nil {
			return outbox.Item{}, err
		}
		if _, err := r.Records.Store(ctx, publish.KeyOf("amendment for", document.Account), draft); err != nil {
			return outbox.Item{}, err
		}
	}
	key := r.rotationKey(document)
	// First the plan: once the record is stored it can be signed at any time.
	if err := (publish.RotationPlan{Key: key, Account: document.Account}).Keep(r.Repo.Outbox); err != nil {
		return outbox.Item{}, err
	}
	draft, err := consortium.DraftRotation(r.Consortium.ID, r.State.Self, document, account, state.Now())
	if err != nil {
		return outbox.Item{}, err
	}
	return r.Records.Store(ctx, key, draft)
}

// adviceOn says what a change of keys doesn't do by itself.
func (r *Registrar) adviceOn(c keys.Change) (advice []string) {
	var quorum *wire.Quorum
	r.State.Read(func(s *consortium.State) { quorum = s.Quorum() })
	if c.Account {
		advice = append(advice, "the old account keeps what ALGO it has, and what its NFTs keep locked")
		if quorum != nil && len(quorum.Accounts) > 1 && slices.ContainsFunc(quorum.Accounts, r.State.Ours) {
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
func (r *Registrar) rotationFailed(key []byte) error {
	if failed := r.failed.Load(); failed != nil && bytes.Equal(failed.key, key) {
		return failed.err
	}
	return nil
}

// FollowRotation waits until the chain has a change of our own keys, decides that they are switched, and ends the node.
func (r *Registrar) FollowRotation(ctx context.Context) error {
	for {
		changed, confirmed := r.State.Changed.Changed(), r.Outbox.Done.Changed()
		done, err := r.rotationDone(ctx)
		if err != nil {
			return err
		}
		if done {
			if err := r.Repo.Keys.Switch(); err != nil {
				return err
			}
			r.switching.Store(true)
			r.rotated.Notify()
			r.Log.Info("the chain has this organisation's other keys; the node begins again with them")
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

// rotationDone reports whether the chain has the keys that were prepared, by whichever node: one that lost its outbox,
// or was restored from a backup, knows of no plan. If the chain has the record and does not count it, they are
// forgotten.
func (r *Registrar) rotationDone(ctx context.Context) (bool, error) {
	next, found, err := r.Repo.Keys.Next()
	if err != nil || !found { // nothing was prepared, or it was carried out
		return false, err
	}
	id, err := peer.IDFromPrivateKey(next.Peer)
	if err != nil {
		return false, err
	}
	m, known := r.State.Member(r.State.Self)
	if known && m.Known && m.Rotated != nil && m.Account == next.Address() && m.Peer == id.String() && m.Recipient == next.Identity.Recipient() {
		return true, nil
	}
	plan, err := publish.ReadRotation(r.Repo.Outbox)
	if err != nil || plan == nil {
		return false, err
	}
	item, found, err := r.Outbox.Find(plan.Key)
	if err != nil || !found || item.State < outbox.Confirmed || r.Watcher.State().Cursor < item.Round {
		return false, err
	}
	if _, counts, err := r.Repo.View.Event(item.TxID); err != nil || counts {
		return false, err
	}
	failed := fmt.Errorf("transaction %s is on the chain and counts for nothing: the keys stay as they were", item.TxID)
	r.Log.Error("a change of keys came to nothing", "error", failed)
	if err := errors.Join(r.Repo.Keys.Abandon(), r.Repo.Outbox.ForgetMemo(publish.RotationMemo)); err != nil {
		return false, err
	}
	r.failed.Store(&failedRotation{key: plan.Key, err: failed})
	r.rotated.Notify()
	r.Outbox.Stored.Notify() // it kept others from being signed
	return false, nil
}

// ReplaceKeys gives a member other keys that can't do it itself, because it has lost the old ones: those of a request
// that it made with the new ones. Where the governor is several accounts, it gives a proposal for them.
func (r *Registrar) ReplaceKeys(ctx context.Context, name string, request []byte) (Rotated, error) {
	document, err := wire.ParseMember(request)
	if err != nil {
		return Rotated{}, problem.Input(err)
	}
	a, err := r.authority(ctx, "replace a member's keys")
	if err != nil {
		return Rotated{}, err
	}
	m, err := r.replaceable(name, document)
	if err != nil {
		return Rotated{}, problem.Input(err)
	}
	answer := Rotated{Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient}
	if m.Known && m.Account == document.Account && m.Peer == document.Peer && m.Recipient == document.Recipient && m.Rotated != nil {
		answer.TxID, answer.Round = m.Rotated.TxID, m.Rotated.Round
		answer.Invite, err = r.invite(document)
		return answer, err
	}
	draft, err := consortium.DraftRotation(r.Consortium.ID, m.Account, document, nil, state.Now())
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
	keys := 0
	if m.Recipient != document.Recipient {
		keys = r.keysWithout(m.Account)
	}
	if err := r.afford(ctx, 1+keys, 0); err != nil {
		return answer, err
	}
	item, err := r.mintRecord(ctx, publish.KeyOf("rotation", m.Account, document.Account, document.Peer, document.Recipient), draft)
	if err != nil {
		return answer, fmt.Errorf("replacing the keys of %s: %w", name, err)
	}
	answer.TxID, answer.Round = item.TxID, item.Round
	answer.Invite, err = r.invite(document)
	return answer, err
}

// replaceable finds a member and refuses a document that can't be its own.
func (r *Registrar) replaceable(name string, document wire.Member) (m consortium.Member, err error) {
	for _, one := range r.State.Members() {
		switch {
		case one.Name == name || one.Account == name || slices.Contains(one.Former, name): // an interrupted order is repeated as it was
			m = one
		case one.Account == document.Account || slices.Contains(one.Former, document.Account):
			return m, fmt.Errorf("the account %s belongs to another member, %s", document.Account, one.Name)
		case one.Peer == document.Peer:
			return m, fmt.Errorf("the peer id %s belongs to another member, %s", document.Peer, one.Name)
		}
	}
	switch {
	case m.Account == "" || m.Removed != nil:
		return m, r.State.NoMember(name)
	case document.Organisation != m.Name:
		return m, fmt.Errorf("the request is of %s: a member can't take another name", document.Organisation)
	case m.Account == r.State.Self:
		return m, errors.New("this organisation changes its own keys with \"slnode member rotate\"")
	case slices.Contains(m.Former, document.Account):
		return m, fmt.Errorf("the account %s was replaced before", document.Account)
	}
	return m, nil
}

// BeginWithKeys makes the outbox that of the account that this node has now.
func BeginWithKeys(r *repo.Repo, self string, s *sole.Sole) error {
	if err := r.Outbox.SetPublisher(self); err != nil {
		return err
	}
	plan, err := publish.ReadRotation(r.Outbox)
	if err != nil || plan == nil {
		return err
	}
	if plan.Account == self {
		if err := s.Rotated(); err != nil {
			return err
		}
	}
	if _, prepared, err := r.Keys.Next(); err != nil || prepared {
		return err // it is on its way
	}
	return r.Outbox.ForgetMemo(publish.RotationMemo)
}
