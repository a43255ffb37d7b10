package members

import (
	"context"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
)

// Removal is a membership that was ended.
type Removal struct {
	Info
	Proposal []byte `json:"proposal,omitempty"` // where the governor is several: what they sign for it to end
}

// Remove ends the membership of an organisation, and returns when that is on the chain. Repeating it is harmless. Where
// the governor is several accounts, it gives a proposal for them.
func (r *Registrar) Remove(ctx context.Context, name string) (Removal, error) {
	a, err := r.authority(ctx, "remove members")
	if err != nil {
		return Removal{}, err
	}
	m, err := r.removable(name)
	if err != nil {
		return Removal{}, problem.Input(err)
	}
	switch {
	case m.Removed != nil:
		return Removal{Info: Describe(r.State, m)}, nil
	case a.quorum != nil:
		return r.removeTogether(ctx, a, m)
	}
	if err := r.endMembership(ctx, m); err != nil {
		return Removal{}, fmt.Errorf("removing %s: %w", m.Name, err)
	}
	removed := m
	err = signal.Until(ctx, func() (bool, error) {
		removed, _ = r.State.Member(m.Account)
		return removed.Removed != nil, nil
	}, &r.State.Changed)
	if err != nil {
		return Removal{}, errors.Join(fmt.Errorf("removing %s: %w", m.Name, err), r.Problem())
	}
	return Removal{Info: Describe(r.State, removed)}, nil
}

// removable finds a member by its name or account.
func (r *Registrar) removable(name string) (m consortium.Member, err error) {
	for _, one := range r.State.Members() {
		if one.Name == name || one.Account == name {
			m = one
		}
	}
	switch {
	case m.Account == "":
		return m, r.State.NoMember(name)
	case m.Account == r.State.Self:
		return m, problem.Input(errors.New("this organisation would remove itself: another account of the governor can do it or, where there is none, whom slnode governor set makes the governor"))
	}
	return m, nil
}

// endMembership takes into the outbox what ends a membership: the destruction of the member NFT, which frees its 0.1
// ALGO, or, where that would not do, a record.
func (r *Registrar) endMembership(ctx context.Context, m consortium.Member) error {
	keys := r.keysWithout(m.Account)
	var since consortium.Position
	r.State.Read(func(s *consortium.State) { since = s.InOffice() })
	if m.InForce == 1 && m.Admitted.Sender == r.State.Self && since.Before(m.Admitted.Position) {
		if err := r.afford(ctx, keys, 1); err != nil {
			return err
		}
		_, err := r.Withdrawer.Destroy(ctx, m.Admitted.Asset)
		return err
	}
	if err := r.afford(ctx, 1+keys, 0); err != nil {
		return err
	}
	draft, err := consortium.DraftRemoval(r.Consortium.ID, m.Account, state.Now())
	if err != nil {
		return err
	}
	_, err = r.Records.Store(ctx, publish.KeyOf(r.purposeOf(wire.KindRemoval, m.Account)...), draft)
	return err
}

func (r *Registrar) removeTogether(ctx context.Context, a authority, m consortium.Member) (Removal, error) {
	answer := Removal{Info: Describe(r.State, m)}
	draft, err := consortium.DraftRemoval(r.Consortium.ID, m.Account, state.Now())
	if err != nil {
		return answer, err
	}
	signed, err := r.propose(ctx, a, draft, r.purposeOf(wire.KindRemoval, m.Account)...)
	if err != nil {
		return answer, fmt.Errorf("proposing to remove %s: %w", m.Name, err)
	}
	answer.Proposal = signed.File
	return answer, nil
}
