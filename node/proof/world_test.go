package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo"
)

// proven is a hostile world whose transactions are signed and stand in blocks, each as the second of two.
type proven struct {
	*worldtest.HostileWorld
	chain *sources
}

// sources are algod and the indexer. They tell the truth, but for what a test changes.
type sources struct {
	t       testing.TB
	network []byte
	round   func() uint64

	mu       sync.Mutex
	blocks   map[uint64]types.Block
	findings map[string]chainwatch.Finding
	proofs   bool                     // the network makes state proofs
	block    func(round uint64) error // nil if algod gives it
	includes func(txid string) (time.Time, error)
	find     func(txid string) (chainwatch.Finding, error)
	fails    func() error // asked before everything that is told but for blocks, if not nil
	hash     error        // of CheckedHeader
	proof    error        // of InclusionProof
	attested error        // of StateProof
	behind   error        // of AwaitTip
	algod    uint64       // the round that algod is at, as the indexer's reader knows
	asked    []uint64     // the blocks that algod was asked for
	fit      onchain.Fit  // how the blocks stand to their headers; 0 for fits
	reread   func(source string, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher, take func([]consortium.Event) error) error
}

// another is the first transaction of every block.
func another(round uint64) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "another transaction of round %d", round))
	return sum[:]
}

func newProven(t *testing.T) *proven {
	t.Helper()
	self, founder, mallory := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "founder"), nodetest.NewOrg(t, "mallory")
	p := &proven{
		HostileWorld: &worldtest.HostileWorld{World: worldtest.NewWorld(t, self), Founder: founder, Mallory: mallory, Keys: map[string]*seal.EpochKey{}, Own: "ffffffff" + uuid.NewString()[8:]},
	}
	p.chain = &sources{t: t, network: bytes.Repeat([]byte{7}, 32), round: func() uint64 { return p.Round }, blocks: map[uint64]types.Block{}, findings: map[string]chainwatch.Finding{}}
	p.Signed = p.chain.sign
	events := p.Found(founder, self, mallory)
	p.Open()
	p.Takes(events...)
	p.Takes(p.CollectionOf(self, p.Own, 1, p.Named("Own", "notes")))
	return p
}

func (p *proven) notary() *Notary {
	return &Notary{
		View: p.R.View, State: p.State, Blocks: p.Blocks, Ledger: p.chain, Watcher: p.chain, ExplorerURL: "https://explorer.example/{network}/{txid}",
		Consortium: repo.Consortium{ID: p.ID, Charter: p.chain.charter(), GenesisHash: p.chain.network, GenesisID: "t-v1"},
	}
}

// charter is the first transaction that there is.
func (s *sources) charter() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for txid, f := range s.findings {
		if f.Event.Note.Kind == wire.KindCharter {
			return txid
		}
	}
	return ""
}

// sign signs what was drafted and makes a block of it.
func (s *sources) sign(sender *nodetest.Org, drafted consortium.Event) consortium.Event {
	s.t.Helper()
	encoded, err := drafted.Note.Encode(drafted.Consortium)
	nodetest.Must(s.t, err)
	transaction := types.Transaction{
		Type: types.AssetConfigTx,
		Header: types.Header{
			Sender: sender.Account.Address, Fee: 1000, FirstValid: types.Round(drafted.Round), LastValid: types.Round(drafted.Round + 500), Note: encoded,
			GenesisID: "t-v1", GenesisHash: types.Digest(s.network),
		},
	}
	var data types.ApplyData
	if drafted.Note.Kind == wire.KindDestroy {
		transaction.ConfigAsset = types.AssetIndex(drafted.Asset)
	} else {
		transaction.AssetParams = types.AssetParams{
			Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: "ipfs://" + drafted.Directory + "/metadata.json#arc3",
			MetadataHash: [32]byte(drafted.MetadataHash), Manager: sender.Account.Address,
		}
		data.ConfigAsset = types.AssetIndex(drafted.Asset)
	}
	_, raw, err := crypto.SignTransaction(sender.Account.PrivateKey, transaction)
	nodetest.Must(s.t, err)
	var signed types.SignedTxn
	nodetest.Must(s.t, msgpack.Decode(raw, &signed))
	inBlock := types.SignedTxnInBlock{SignedTxnWithAD: types.SignedTxnWithAD{SignedTxn: signed, ApplyData: data}, HasGenesisID: true}
	inBlock.Txn.GenesisID, inBlock.Txn.GenesisHash = "", types.Digest{}
	root, err := onchain.Root(onchain.Leaf(transaction, onchain.InBlockHash(msgpack.Encode(inBlock))), 1, another(drafted.Round))
	nodetest.Must(s.t, err)
	header := types.BlockHeader{
		Round: types.Round(drafted.Round), TimeStamp: drafted.Time.Unix(), GenesisID: "t-v1", GenesisHash: types.Digest(s.network),
		TxnCommitments: types.TxnCommitments{Sha256Commitment: root},
	}
	e, err := onchain.Restore(&header, inBlock, 1).Event([32]byte(s.network))
	nodetest.Must(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks[drafted.Round] = types.Block{BlockHeader: header, Payset: []types.SignedTxnInBlock{{}, inBlock}}
	s.findings[e.TxID] = chainwatch.Finding{Event: e, Signed: signed, Found: true}
	return e
}

// Block implements algod. Rounds in which nothing was confirmed have empty blocks.
func (s *sources) Block(_ context.Context, round uint64) (types.Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, round)
	if s.block != nil {
		if err := s.block(round); err != nil {
			return types.Block{}, err
		}
	}
	if block, found := s.blocks[round]; found {
		return block, nil
	}
	return types.Block{BlockHeader: types.BlockHeader{Round: types.Round(round), GenesisHash: types.Digest(s.network)}}, nil
}

// Read implements algod.
func (s *sources) Read(ctx context.Context, round uint64) (onchain.Reading, bool, error) {
	block, err := s.Block(ctx, round)
	if errors.Is(err, ledger.ErrNoBlock) {
		return onchain.Reading{}, false, nil
	}
	r := onchain.Read(&block, true)
	r.Fit = onchain.Fits // what the other transactions of the block are is made up
	if s.fit != 0 {
		r.Fit = s.fit
	}
	return r, true, err
}

// Reread implements indexer.
func (s *sources) Reread(_ context.Context, source string, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher, take func([]consortium.Event) error) error {
	return s.reread(source, first, last, publishers, take)
}

func (s *sources) CheckedHeader(_ context.Context, block *types.Block) ([]byte, error) {
	return msgpack.Encode(block.BlockHeader), errors.Join(s.hash, s.fault())
}

func (s *sources) InclusionProof(_ context.Context, round uint64, _ string) (models.TransactionProof, error) {
	return models.TransactionProof{Idx: 1, Proof: another(round)}, errors.Join(s.proof, s.fault())
}

// StateProof covers four rounds of which all but one are made up.
func (s *sources) StateProof(_ context.Context, round uint64) (proof ledger.StateProof, found bool, err error) {
	if err := errors.Join(s.attested, s.fault()); !s.proofs || err != nil {
		return proof, false, err
	}
	s.mu.Lock()
	header := s.blocks[round].BlockHeader
	s.mu.Unlock()
	index, siblings := round%4, bytes.Repeat([]byte{byte(round)}, 2*sha256.Size)
	root, err := onchain.Root(crypto.HashLightBlockHeader(onchain.LightHeader(&header, onchain.HeaderHash(msgpack.Encode(header)))), index, siblings)
	nodetest.Must(s.t, err)
	return ledger.StateProof{Header: models.LightBlockHeaderProof{Index: index, Proof: siblings}, Message: models.StateProofMessage{
		Blockheaderscommitment: root[:], Voterscommitment: bytes.Repeat([]byte{5}, 64), Lnprovenweight: 2290107,
		Firstattestedround: round - index, Lastattestedround: round - index + 3,
	}}, true, nil
}

func (s *sources) Included(ctx context.Context, round uint64, txid string, network []byte) (time.Time, error) {
	if !bytes.Equal(network, s.network) {
		return time.Time{}, errors.New("algod is asked about another network")
	}
	if s.includes != nil {
		return s.includes(txid)
	}
	block, err := s.Block(ctx, round)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(block.TimeStamp, 0).UTC(), nil
}

// Find implements indexer.
func (s *sources) Find(_ context.Context, txid string) (chainwatch.Finding, error) {
	if err := s.fault(); err != nil {
		return chainwatch.Finding{}, err
	}
	if s.find != nil {
		return s.find(txid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.findings[txid]
	f.Round = s.round()
	return f, nil
}

func (s *sources) AwaitTip(context.Context) error { return errors.Join(s.behind, s.fault()) }

func (s *sources) fault() error {
	if s.fails == nil {
		return nil
	}
	return s.fails()
}

func (s *sources) State() chainwatch.State {
	return chainwatch.State{Cursor: s.round(), Algod: s.algod}
}

// published is an object of mallory's that was taken.
func (p *proven) published(n int) consortium.Event {
	p.T.Helper()
	e := p.Mint(p.Mallory, p.Object(n))
	p.Takes(e)
	return e
}

func indicatorID(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

// outcomes are the steps of a report.
func outcomes(r evidence.Report) map[string]evidence.Outcome {
	steps := map[string]evidence.Outcome{}
	for _, s := range r.Steps {
		steps[s.Name] = s.Outcome
	}
	return steps
}

// failing are the names of the steps that fail, in order.
func failing(r evidence.Report) (names []string) {
	for _, s := range r.Steps {
		if s.Outcome == evidence.Fail {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}
