package accept

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// signer is a ledger that signs, and confirms nothing.
type signer struct {
	free uint64 // microalgo

	mu    sync.Mutex
	mints []ledger.Mint
}

func (s *signer) Address() string { return "SELF" }

func (s *signer) Params(context.Context) (ledger.Params, error) {
	return ledger.Params{Round: 1, MinFee: ledger.LowestFee}, nil
}

func (s *signer) Funds(context.Context) (ledger.Funds, error) {
	return ledger.Funds{Amount: s.free}, nil
}

func (s *signer) Sign(_ ledger.Params, mints []ledger.Mint) (g ledger.Group, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range mints {
		s.mints = append(s.mints, m)
		g.TxIDs = append(g.TxIDs, fmt.Sprint("SIGNED", time.Now().UnixNano(), len(s.mints)))
	}
	g.FirstValid, g.LastValid = 1, 1000
	return g, nil
}

func (s *signer) Raise(ledger.Params, []byte) (g ledger.Group, _ error) { return g, nil }

func (s *signer) Submit(context.Context, []byte) error { return nil }

func (s *signer) Fate(context.Context, string, uint64, uint64) (ledger.Fate, consortium.Place, error) {
	return ledger.Pending, consortium.Place{}, nil
}

func (s *signer) Minted(context.Context, uint64) ([]consortium.Place, error) { return nil, nil }

func (s *signer) Round(context.Context) (uint64, error) { return 1, nil }

func (s *signer) Tip(context.Context) (uint64, error) { return 1, nil }

func (s *signer) WaitAfter(ctx context.Context, _ uint64) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (s *signer) Find(context.Context, string) (f chainwatch.Finding, _ error) { return f, nil }

func (s *signer) Trace(context.Context, string, string, uint64, uint64) (f chainwatch.Finding, _ error) {
	return f, nil
}

func (s *signer) Announce(context.Context, uint64, []unixfs.Directory) error { return nil }

func (s *signer) Hint(context.Context, uint64) error { return nil }

// signs has what is stored signed, as far as that goes with so much to spend, and gives the notes and what the rest
// waits for.
func (h *publishersWorld) signs(free uint64) (kinds []wire.Kind, waits problem.Condition) {
	h.T.Helper()
	box := publish.NewOutbox(h.R.Outbox)
	condition := problem.NewMonitor("", nodetest.Discard)
	s := &signer{free: free}
	m := publish.NewMinter(publish.Config{
		Outbox: box, View: h.R.View, State: h.State, Fresh: publish.NewFresh(h.Blocks), Ledger: s, Finder: s, Announcer: s, Hint: func(uint64) {},
		GenesisHash: make([]byte, 32), Consortium: h.ID, LeaseKey: []byte("key"), Condition: condition, Log: nodetest.Discard, Timeout: time.Hour,
		Sole: &sole.Sole{Outbox: h.R.Outbox, Self: h.Self.Address(), Condition: condition, Log: nodetest.Discard},
	})
	ctx, stop := context.WithCancel(h.T.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	waiting.Until(h.T, "what may be signed is", func() bool {
		waits = condition.Get()
		counts := h.R.Outbox.Count()
		return waits.Problem != "" || counts[outbox.Stored] == 0
	})
	stop()
	nodetest.Must(h.T, <-ended)
	for _, mint := range s.mints {
		_, note, err := wire.ParseNote(mint.Note)
		nodetest.Must(h.T, err)
		kinds = append(kinds, note.Kind)
	}
	return kinds, waits
}

// seals has what was accepted sealed and stored, as far as that may be now.
func (h *publishersWorld) seals() {
	h.T.Helper()
	s := &publish.Sealer{Outbox: publish.NewOutbox(h.R.Outbox), State: h.State, Blocks: h.Blocks, Fresh: publish.NewFresh(h.Blocks), Consortium: h.ID,
		Memory: publish.SealBytes, Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	ctx, stop := context.WithCancel(h.T.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	waiting.Until(h.T, "what was accepted is sealed", func() bool {
		return s.Condition.Get().Problem != "" || h.R.Outbox.Count()[outbox.Accepted] == 0
	})
	stop()
	nodetest.Must(h.T, errors.Join(<-ended))
}

// mintsRecords puts the records that wait on the chain, and into the view.
func (h *publishersWorld) mintsRecords() {
	h.T.Helper()
	items, err := h.R.Outbox.Queue(outbox.Stored, 0, 100)
	nodetest.Must(h.T, err)
	h.Records()
	for _, item := range items {
		nodetest.Must(h.T, h.R.Outbox.Resolve(item, consortium.Place{TxID: "RECORD", Round: h.Round}, ""))
	}
}
