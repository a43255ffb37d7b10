package hostile

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// Learn folds the chain as it is now, with the contents of the records that connected nodes give: what a good member
// knows, the keys that it was given among it. It also finds out which sequence number comes next.
func (m *Member) Learn(ctx context.Context) (*consortium.State, error) {
	indexer, err := algorand.NewIndexer(m.Config.Algorand.IndexerURL, m.Config.Algorand.IndexerToken, m.Config.Algorand.IndexerTokenHeader)
	if err != nil {
		return nil, err
	}
	s := &student{state: consortium.New(m.Consortium.ID, m.Consortium.Charter, m.Keys.Identity)}
	watcher := chainwatch.New(chainwatch.Config{
		Indexers: []chainwatch.Indexer{{Name: "the indexer", Client: indexer}}, Consortium: m.Consortium.ID, Charter: m.Consortium.Charter, GenesisHash: [32]byte(m.Consortium.GenesisHash), Sink: s, Poll: time.Second,
		Log: slog.New(slog.DiscardHandler),
	})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- watcher.Run(running) }()
	err = watcher.AwaitTip(ctx)
	stop()
	if ran := <-ended; err == nil {
		err = ran
	}
	if err != nil {
		return nil, fmt.Errorf("following the chain: %w", err)
	}
	m.mu.Lock()
	if q := s.state.Sequences()[m.Address()]; q != nil {
		m.sequence = max(m.sequence, q.Highest)
	}
	m.mu.Unlock()
	return s.state, m.attach(ctx, s)
}

// student is a [chainwatch.Sink] that keeps nothing but the state.
type student struct {
	state   *consortium.State
	cursor  uint64
	records []consortium.Event
}

func (s *student) Cursor() (uint64, error) { return s.cursor, nil }

func (s *student) Publishers(next []consortium.Event) []consortium.Publisher {
	return s.state.Publishers(next)
}

func (s *student) Deliver(_ context.Context, last uint64, events []consortium.Event) error {
	for _, e := range events {
		if effect, _ := s.state.Apply(e); effect == consortium.Record && e.Directory != "" {
			s.records = append(s.records, e)
		}
	}
	s.cursor = last
	return nil
}

// attach gives the state the contents of records, as far as they are to be had. One that breaks the rules is passed
// over.
func (m *Member) attach(ctx context.Context, s *student) error {
	for some := range slices.Chunk(s.records, maxQuestion) {
		roots := make([]cid.Cid, len(some))
		for i, e := range some {
			root, err := cid.Decode(e.Directory)
			if err != nil {
				return err
			}
			roots[i] = root
		}
		held, err := m.Get(ctx, roots...)
		if err != nil {
			return err
		}
		for i, e := range some {
			d, found := held[roots[i]]
			if !found {
				continue
			}
			metadata, payload, err := open(d)
			if err != nil {
				continue
			}
			_ = s.state.Attach(e.TxID, metadata, payload)
		}
	}
	return nil
}

// open takes a directory apart.
func open(d unixfs.Directory) (m wire.Metadata, payload []byte, err error) {
	files, err := d.Files()
	if err != nil {
		return m, nil, err
	}
	for _, f := range files {
		if f.Name != unixfs.MetadataName {
			payload = f.Data
			continue
		}
		if m, err = wire.ParseMetadata(f.Data); err != nil {
			return m, nil, err
		}
	}
	return m, payload, nil
}
