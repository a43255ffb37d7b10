package withdraw

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
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

func acknowledgedMemo(asset uint64) string { return fmt.Sprintf(withdrawnPrefix+"%020d", asset) }

func (w *Withdrawer) remember(one Withdrawal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open != nil && len(w.open) < maxOpen {
		w.open[one.Asset] = true
	}
	kept, err := w.recall(one.Asset)
	if err != nil || kept != nil {
		return err
	}
	return w.keep(acknowledged{Withdrawal: one})
}

func (w *Withdrawer) recall(asset uint64) (*acknowledged, error) {
	data, err := w.Outbox.Memo(acknowledgedMemo(asset))
	if err != nil || data == nil {
		return nil, err
	}
	var kept acknowledged
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, fmt.Errorf("reading who knows that asset %d is withdrawn: %w", asset, err)
	}
	return &kept, nil
}

func (w *Withdrawer) keep(a acknowledged) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("storing who knows that asset %d is withdrawn: %w", a.Asset, err)
	}
	return w.Outbox.SetMemo(acknowledgedMemo(a.Asset), data)
}

// IsWithdrawn is what other members are told.
func (w *Withdrawer) IsWithdrawn(asset uint64) bool {
	event, found, err := w.View.EventOf(asset)
	return err == nil && found && event.State == view.Ended
}

// maxOpen is how many withdrawals are asked about at a time.
const maxOpen = 1000

// askEvery is how often members are asked that have not acknowledged a withdrawal.
const askEvery = time.Minute

// Run asks around until the context ends: after every withdrawal, and now and then.
func (w *Withdrawer) Run(ctx context.Context) error {
	return signal.Each(ctx, w.Done, askEvery, func() error { return w.askAround(ctx) })
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
	news := map[uint64]*acknowledged{}
	for _, m := range w.others() {
		id, found := connected[m.Peer]
		list := missing[m.Account]
		if !found || len(list) == 0 {
			continue
		}
		assets := make([]uint64, len(list))
		for i, one := range list {
			assets[i] = one.Asset
		}
		seen, err := w.Peers.AskWithdrawn(ctx, id, assets)
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
			news[one.Asset] = one
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
	for _, asset := range open {
		kept, err := w.recall(asset)
		if err != nil {
			return nil, err
		}
		if kept == nil || !w.IsWithdrawn(asset) {
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
			w.close(asset)
		}
	}
	return missing, nil
}

// unacknowledged lists the open withdrawals.
func (w *Withdrawer) unacknowledged() ([]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		assets, err := w.withdrawals()
		if err != nil {
			return nil, err
		}
		w.open = map[uint64]bool{}
		for _, asset := range assets {
			w.open[asset] = true
		}
	}
	return slices.Collect(maps.Keys(w.open)), nil
}

func (w *Withdrawer) close(asset uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, asset)
}

// withdrawals lists the last withdrawals of this organisation.
func (w *Withdrawer) withdrawals() (assets []uint64, err error) {
	names, err := w.Outbox.Memos(withdrawnPrefix, maxOpen)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		asset, err := strconv.ParseUint(strings.TrimPrefix(name, withdrawnPrefix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the memo %s: %w", name, err)
		}
		assets = append(assets, asset)
	}
	return assets, nil
}

// others lists the members beside this organisation.
func (w *Withdrawer) others() []consortium.Member {
	return slices.DeleteFunc(w.State.Members(), func(m consortium.Member) bool {
		return m.Account == w.State.Self || m.Removed != nil
	})
}
