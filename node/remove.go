package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// Removal is a membership that was ended.
type Removal struct {
	MemberInfo
	Proposal []byte `json:"proposal,omitempty"` // where the governor is several: what they sign for it to end
}

// Remove ends the membership of an organisation, and returns when that is on the chain. Repeating it is harmless. Where
// the governor is several accounts, it gives a proposal for them.
func (n *Node) Remove(ctx context.Context, name string) (Removal, error) {
	a, err := n.authority(ctx, "remove members")
	if err != nil {
		return Removal{}, err
	}
	m, err := n.removable(name)
	if err != nil {
		return Removal{}, &InputError{err}
	}
	switch {
	case m.Removed != nil:
		return Removal{MemberInfo: n.describeMember(m)}, nil
	case a.quorum != nil:
		return n.removeTogether(ctx, a, m)
	}
	if err := n.endMembership(ctx, m); err != nil {
		return Removal{}, fmt.Errorf("removing %s: %w", m.Name, err)
	}
	n.minter.work.notify()
	for {
		changed := n.fold.changed.changed()
		if one, _ := n.fold.member(m.Account); one.Removed != nil {
			return Removal{MemberInfo: n.describeMember(one)}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Removal{}, errors.Join(fmt.Errorf("removing %s: %w", m.Name, ctx.Err()), n.publishingProblem())
		}
	}
}

// removable finds a member by its name or account.
func (n *Node) removable(name string) (m consortium.Member, err error) {
	for _, one := range n.fold.members() {
		if one.Name == name || one.Account == name {
			m = one
		}
	}
	switch {
	case m.Account == "":
		return m, fmt.Errorf("no member is called %.60q", name)
	case m.Account == n.fold.self:
		return m, errors.New("this organisation would remove itself; let another one of the governor's do it")
	}
	return m, nil
}

// endMembership takes into the outbox what ends a membership: the destruction of the member NFT, which frees its 0.1
// ALGO, or, where that would not do, a record.
func (n *Node) endMembership(ctx context.Context, m consortium.Member) error {
	var since consortium.Position
	n.fold.read(func(s *consortium.State) { since = s.InOffice() })
	if m.InForce == 1 && m.Admitted.Sender == n.fold.self && since.Before(m.Admitted.Position) {
		_, err := n.withdrawer.destroy(m.Admitted.Asset)
		return err
	}
	draft, err := consortium.DraftRemoval(n.consortium.ID, m.Account, now())
	if err != nil {
		return err
	}
	_, err = storeRecord(ctx, n.repo.Outbox, n.host, n.fresh, hashOf(n.purposeOf(wire.KindRemoval, m.Account)...), draft)
	return err
}

func (n *Node) removeTogether(ctx context.Context, a authority, m consortium.Member) (Removal, error) {
	answer := Removal{MemberInfo: n.describeMember(m)}
	draft, err := consortium.DraftRemoval(n.consortium.ID, m.Account, now())
	if err != nil {
		return answer, err
	}
	signed, err := n.propose(ctx, a, draft, n.purposeOf(wire.KindRemoval, m.Account)...)
	if err != nil {
		return answer, fmt.Errorf("proposing to remove %s: %w", m.Name, err)
	}
	answer.Proposal = signed.File
	return answer, nil
}
