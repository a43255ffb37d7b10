package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
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

// rotationPlan is kept from the moment when a change of our own keys is stored until it is carried out.
type rotationPlan struct {
	Key     []byte `json:"key"`     // of the record, in the outbox
	Account string `json:"account"` // the next one
}

const rotationMemo = "rotation"

func (p rotationPlan) store(outbox *repo.Outbox) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("storing a change of keys: %w", err)
	}
	return outbox.SetMemo(rotationMemo, data)
}

func readRotation(outbox *repo.Outbox) (*rotationPlan, error) {
	data, err := outbox.Memo(rotationMemo)
	if err != nil || data == nil {
		return nil, err
	}
	var p rotationPlan
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("reading a change of keys: %w", err)
	}
	return &p, nil
}

// newAccountNeeds is what a new account must have before it takes over, in microalgo: Algorand's own minimum and a few
// records.
const newAccountNeeds = 500_000

// RotateKeys gives this organisation other keys, signed with the old ones, and returns when the chain has them. The node
// then ends with [ErrRotated]. Interrupted, it goes on by itself; repeating it is harmless.
func (n *Node) RotateKeys(ctx context.Context, c repo.Change) (Rotated, error) {
	if err := n.awaitFold(ctx); err != nil {
		return Rotated{}, err
	}
	if !n.fold.active() {
		return Rotated{}, &InputError{errors.New("this organisation is not a member of the consortium")}
	}
	if c == (repo.Change{}) {
		return Rotated{}, &InputError{errors.New("say which keys: the account, the peer key, the identity")}
	}
	next, err := n.repo.Keys.Prepare(c)
	if err != nil {
		return Rotated{}, &InputError{err}
	}
	document, err := Document(n.repo.Config, next)
	if err != nil {
		return Rotated{}, err
	}
	if c.Account {
		if err := n.mayTakeOver(ctx, document.Account); err != nil {
			return Rotated{}, err
		}
	}
	item, err := n.storeRotation(ctx, document, next.Account.PrivateKey)
	if err != nil {
		return Rotated{}, fmt.Errorf("changing the keys: %w", err)
	}
	n.minter.work.notify()
	for {
		changed := n.rotated.changed()
		if err := n.rotationFailed(item.Key); err != nil {
			return Rotated{}, err
		}
		if n.switching.Load() {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Rotated{}, errors.Join(fmt.Errorf("the change of keys is stored and will be on the chain, but isn't yet: %w", ctx.Err()), n.publishingProblem())
		}
	}
	if item, _, err = n.repo.Outbox.Find(item.Key); err != nil {
		return Rotated{}, err
	}
	return Rotated{
		Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient,
		TxID: item.TxID, Round: item.Round, Advice: n.adviceOn(c),
	}, nil
}

// mayTakeOver refuses a new account that could not pay for anything.
func (n *Node) mayTakeOver(ctx context.Context, account string) error {
	funds, err := n.ledger.FundsOf(ctx, account)
	if err != nil {
		return err
	}
	if funds.Amount < newAccountNeeds {
		return &InputError{fmt.Errorf("the new account %s has %s ALGO: send it at least %s, then repeat the command", account, algo(funds.Amount), algo(newAccountNeeds))}
	}
	return nil
}

// storeRotation takes the record into the outbox and, where this organisation is the governor by itself, the amendment
// by which the new account is. The new account's key consents.
func (n *Node) storeRotation(ctx context.Context, document wire.Member, account ed25519.PrivateKey) (repo.Item, error) {
	var governor string
	n.fold.read(func(s *consortium.State) { governor = s.Governor() })
	if governor == n.fold.self && document.Account != n.fold.self {
		amendment, err := n.amendment(GovernorChange{Threshold: 1, Accounts: []string{document.Account}})
		if err != nil {
			return repo.Item{}, err
		}
		draft, err := consortium.DraftAmendment(n.consortium.ID, amendment, now())
		if err != nil {
			return repo.Item{}, err
		}
		if _, err := storeRecord(ctx, n.repo.Outbox, n.host, n.fresh, hashOf("amendment for", document.Account), draft); err != nil {
			return repo.Item{}, err
		}
	}
	key := hashOf("rotation", n.fold.self, document.Account, document.Peer, document.Recipient)
	// First the plan: once the record is stored it can be signed at any time.
	if err := (rotationPlan{Key: key, Account: document.Account}).store(n.repo.Outbox); err != nil {
		return repo.Item{}, err
	}
	draft, err := consortium.DraftRotation(n.consortium.ID, n.fold.self, document, account, now())
	if err != nil {
		return repo.Item{}, err
	}
	return storeRecord(ctx, n.repo.Outbox, n.host, n.fresh, key, draft)
}

// beginWithKeys makes the outbox that of the account that this node has now.
func (n *Node) beginWithKeys() error {
	if err := n.repo.Outbox.SetPublisher(n.fold.self); err != nil {
		return err
	}
	plan, err := readRotation(n.repo.Outbox)
	if err != nil || plan == nil {
		return err
	}
	if plan.Account == n.fold.self {
		if err := n.sole.rotated(); err != nil {
			return err
		}
	}
	if _, prepared, err := n.repo.Keys.Next(); err != nil || prepared {
		return err // it is on its way
	}
	return n.repo.Outbox.ForgetMemo(rotationMemo)
}

// adviceOn says what a change of keys doesn't do by itself.
func (n *Node) adviceOn(c repo.Change) (advice []string) {
	var quorum *wire.Quorum
	n.fold.read(func(s *consortium.State) { quorum = s.Quorum() })
	if c.Account {
		advice = append(advice, "the old account keeps what ALGO it has, and what its NFTs keep locked")
		if quorum != nil && len(quorum.Accounts) > 1 && slices.ContainsFunc(quorum.Accounts, n.fold.ours) {
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
func (n *Node) rotationFailed(key []byte) error {
	if failed := n.failed.Load(); failed != nil && bytes.Equal(failed.key, key) {
		return failed.err
	}
	return nil
}

// followRotation waits until the chain has a change of our own keys, decides that they are switched, and ends the node.
func (n *Node) followRotation(ctx context.Context) error {
	for {
		changed, confirmed := n.fold.changed.changed(), n.done.changed()
		done, err := n.rotationDone(ctx)
		if err != nil {
			return err
		}
		if done {
			if err := n.repo.Keys.Switch(); err != nil {
				return err
			}
			n.switching.Store(true)
			n.rotated.notify()
			n.log.Info("the chain has this organisation's other keys; the node begins anew with them")
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
func (n *Node) rotationDone(ctx context.Context) (bool, error) {
	plan, err := readRotation(n.repo.Outbox)
	if err != nil || plan == nil {
		return false, err
	}
	next, found, err := n.repo.Keys.Next()
	if err != nil || !found { // carried out before
		return false, err
	}
	id, err := peer.IDFromPrivateKey(next.Peer)
	if err != nil {
		return false, err
	}
	m, known := n.fold.member(n.fold.self)
	if known && m.Known && m.Rotated != nil && m.Account == next.Address() && m.Peer == id.String() && m.Recipient == next.Identity.Recipient() {
		return true, nil
	}
	item, found, err := n.repo.Outbox.Find(plan.Key)
	if err != nil || !found || item.State < repo.Confirmed || n.watcher.State().Cursor < item.Round {
		return false, err
	}
	if _, counts, err := n.repo.View.Event(item.TxID); err != nil || counts {
		return false, err
	}
	failed := fmt.Errorf("transaction %s is on the chain and counts for nothing: the keys stay as they were", item.TxID)
	n.log.Error("a change of keys came to nothing", "error", failed)
	if err := errors.Join(n.repo.Keys.Abandon(), n.repo.Outbox.ForgetMemo(rotationMemo)); err != nil {
		return false, err
	}
	n.failed.Store(&failedRotation{key: plan.Key, err: failed})
	n.rotated.notify()
	n.minter.work.notify()
	return false, nil
}

// beforeRotation gives the items that may be signed now. A change of this organisation's account is signed when
// nothing else of the old account is on its way, and nothing after it: that would not count.
func (m *minter) beforeRotation(items []repo.Item) ([]repo.Item, error) {
	plan, err := readRotation(m.outbox)
	if err != nil || plan == nil || plan.Account == m.fold.self {
		return items, err
	}
	record, found, err := m.outbox.Find(plan.Key)
	switch {
	case err != nil || !found:
		return items, err
	case record.State > repo.Stored:
		return nil, nil
	}
	at := slices.IndexFunc(items, func(item repo.Item) bool { return !item.Before(record) })
	switch {
	case at < 0: // it is further behind
		return items, nil
	case at > 0:
		return items[:at], nil
	case len(m.inFlight()) > 0 || items[0].Number != record.Number:
		return nil, nil
	}
	return items[:1], nil
}

// otherKeys gives the change of this organisation's own keys, if one is waiting and nothing is on its way: all that is signed
// while another node has the same ones.
func (m *minter) otherKeys() ([]repo.Item, error) {
	plan, err := readRotation(m.outbox)
	if err != nil || plan == nil || plan.Account != m.fold.self && len(m.inFlight()) > 0 {
		return nil, err
	}
	record, found, err := m.outbox.Find(plan.Key)
	if err != nil || !found || record.State != repo.Stored {
		return nil, err
	}
	return []repo.Item{record}, nil
}

// ReplaceKeys gives a member other keys that can't do it itself, because it has lost the old ones: those of a request that
// it made with the new ones. Where the governor is several accounts, it gives a proposal for them.
func (n *Node) ReplaceKeys(ctx context.Context, name string, request []byte) (Rotated, error) {
	document, err := wire.ParseMember(request)
	if err != nil {
		return Rotated{}, &InputError{err}
	}
	a, err := n.authority(ctx, "replace a member's keys")
	if err != nil {
		return Rotated{}, err
	}
	m, err := n.replaceable(name, document)
	if err != nil {
		return Rotated{}, &InputError{err}
	}
	answer := Rotated{Organisation: document.Organisation, Account: document.Account, Peer: document.Peer, Recipient: document.Recipient}
	if m.Known && m.Account == document.Account && m.Peer == document.Peer && m.Recipient == document.Recipient && m.Rotated != nil {
		answer.TxID, answer.Round = m.Rotated.TxID, m.Rotated.Round
		answer.Invite, err = n.invite(document)
		return answer, err
	}
	draft, err := consortium.DraftRotation(n.consortium.ID, m.Account, document, nil, now())
	if err != nil {
		return answer, err
	}
	if a.quorum != nil {
		signed, err := n.propose(ctx, a, draft, n.purposeOf(wire.KindRotation, document.Account)...)
		if err != nil {
			return answer, fmt.Errorf("proposing other keys for %s: %w", name, err)
		}
		answer.Proposal = signed.File
		return answer, nil
	}
	item, err := n.mintRecord(ctx, hashOf("rotation", m.Account, document.Account, document.Peer, document.Recipient), draft)
	if err != nil {
		return answer, fmt.Errorf("replacing the keys of %s: %w", name, err)
	}
	answer.TxID, answer.Round = item.TxID, item.Round
	answer.Invite, err = n.invite(document)
	return answer, err
}

// replaceable finds a member and refuses a document that can't be its own.
func (n *Node) replaceable(name string, document wire.Member) (m consortium.Member, err error) {
	for _, one := range n.fold.members() {
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
	case m.Account == n.fold.self:
		return m, errors.New("this organisation changes its own keys with \"slnode member rotate\"")
	case slices.Contains(m.Former, document.Account):
		return m, fmt.Errorf("the account %s was replaced before", document.Account)
	}
	return m, nil
}
