package withdraw

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
)

// Acknowledgement is what another member says of a withdrawn object.
type Acknowledgement struct {
	Member  string    `json:"member"`
	Account string    `json:"account"`
	At      time.Time `json:"at,omitzero"` // when it said that its view and its blocks are rid of it; zero if it hasn't
}

// acknowledged is what is kept of one withdrawal.
type acknowledged struct {
	Withdrawal
	By map[string]time.Time `json:"by"` // account -> when
}

const withdrawnPrefix = "withdrawn/"

func acknowledgedMemo(of swarm.Published) string {
	return fmt.Sprintf(withdrawnPrefix+"%020d/%04d", of.Asset, of.Index)
}

// Name is how people name what is withdrawn.
func (w Withdrawal) Name() string { return wire.Publication{TxID: w.TxID, Index: w.Index}.String() }

// of is what is withdrawn.
func (w Withdrawal) of() swarm.Published { return swarm.Published{Asset: w.Asset, Index: w.Index} }

func (w *Withdrawer) remember(one Withdrawal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open != nil && len(w.open) < maxOpen {
		w.open[one.of()] = true
	}
	kept, err := w.recall(one.of())
	if err != nil || kept != nil {
		return err
	}
	return w.keep(acknowledged{Withdrawal: one})
}

func (w *Withdrawer) recall(of swarm.Published) (*acknowledged, error) {
	data, err := w.Outbox.Memo(acknowledgedMemo(of))
	if err != nil || data == nil {
		return nil, err
	}
	var kept acknowledged
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, fmt.Errorf("reading who knows that asset %d is withdrawn: %w", of.Asset, err)
	}
	return &kept, nil
}

func encodeAcknowledged(a acknowledged) ([]byte, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("storing who knows that asset %d is withdrawn: %w", a.Asset, err)
	}
	return data, nil
}

func (w *Withdrawer) keep(a acknowledged) error {
	data, err := encodeAcknowledged(a)
	if err != nil {
		return err
	}
	return w.Outbox.SetMemo(acknowledgedMemo(a.of()), data)
}

// IsWithdrawn is what other members are told.
func (w *Withdrawer) IsWithdrawn(of swarm.Published) bool {
	event, found, err := w.View.EventOf(of.Asset)
	return err == nil && found && event.HasWithdrawn(of.Index)
}

// maxOpen is how many withdrawals are asked about at a time.
const maxOpen = 1000

// askEvery is how often members are asked that have not acknowledged a withdrawal.
const askEvery = time.Minute

// Run asks around until the context ends: after every withdrawal, and now and then.
func (w *Withdrawer) Run(ctx context.Context) error {
	return signal.Each(ctx, w.Done, askEvery, func() error {
		if err := w.endEmpty(ctx); err != nil {
			return err
		}
		return w.askAround(ctx)
	})
}

// askAround asks every connected member about the withdrawals that it hasn't acknowledged.
func (w *Withdrawer) askAround(ctx context.Context) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	missing, err := w.missing()
	if err != nil || len(missing) == 0 {
		return err
	}
	connected := map[string]peer.ID{}
	for id := range w.Peers.Connected() {
		connected[id.String()] = id
	}
	news := map[swarm.Published]*acknowledged{}
	for _, m := range w.others() {
		id, found := connected[m.Peer]
		list := missing[m.Account]
		if !found || len(list) == 0 {
			continue
		}
		asked := make([]swarm.Published, len(list))
		for i, one := range list {
			asked[i] = one.of()
		}
		seen, err := w.Peers.AskWithdrawn(ctx, id, asked)
		if err != nil {
			w.Log.Debug("a member does not say what it has seen withdrawn", "member", m.Name, "error", err)
			continue
		}
		for i, one := range list {
			if !seen[i] {
				continue
			}
			if one.By == nil {
				one.By = map[string]time.Time{}
			}
			one.By[m.Account] = state.Now()
			news[one.of()] = one
		}
	}
	for _, one := range news {
		if err := w.keep(*one); err != nil {
			return err
		}
	}
	return nil
}

// missing gives the withdrawals on the chain that other members have not acknowledged, by their accounts. What all of
// them have is not open any more.
func (w *Withdrawer) missing() (map[string][]*acknowledged, error) {
	open, err := w.unacknowledged()
	if err != nil {
		return nil, err
	}
	missing, others := map[string][]*acknowledged{}, w.others()
	for _, of := range open {
		kept, err := w.recall(of)
		if err != nil {
			return nil, err
		}
		if kept == nil || !w.IsWithdrawn(of) {
			continue // not on the chain yet
		}
		complete := true
		for _, m := range others {
			if _, known := kept.By[m.Account]; !known {
				missing[m.Account] = append(missing[m.Account], kept)
				complete = false
			}
		}
		if complete {
			w.close(of)
		}
	}
	return missing, nil
}

// unacknowledged lists the open withdrawals.
func (w *Withdrawer) unacknowledged() ([]swarm.Published, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		all, err := w.withdrawals()
		if err != nil {
			return nil, err
		}
		w.open = map[swarm.Published]bool{}
		for _, of := range all {
			w.open[of] = true
		}
	}
	return slices.Collect(maps.Keys(w.open)), nil
}

func (w *Withdrawer) close(of swarm.Published) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, of)
}

// withdrawals lists the last withdrawals of this organisation.
func (w *Withdrawer) withdrawals() (list []swarm.Published, err error) {
	names, err := w.Outbox.Memos(withdrawnPrefix, maxOpen)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var of swarm.Published
		if _, err := fmt.Sscanf(name, withdrawnPrefix+"%d/%d", &of.Asset, &of.Index); err != nil {
			return nil, fmt.Errorf("the memo %s: %w", name, err)
		}
		list = append(list, of)
	}
	return list, nil
}

// others lists the members beside this organisation.
func (w *Withdrawer) others() []consortium.Member {
	return slices.DeleteFunc(w.State.Members(), func(m consortium.Member) bool {
		return m.Account == w.State.Self || m.Removed != nil
	})
}
