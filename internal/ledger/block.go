package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/onchain"
)

// Block reads a block. The error wraps [ErrNoBlock] if algod doesn't have it.
func (l *Ledger) Block(ctx context.Context, round uint64) (types.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	block, err := l.algod.Block(round).Do(ctx)
	if algorand.NotFound(err, algorand.NoBlock) {
		err = ErrNoBlock
	}
	if err == nil && uint64(block.Round) != round {
		err = fmt.Errorf("algod gave block %d", block.Round)
	}
	if err != nil {
		return types.Block{}, fmt.Errorf("reading block %d: %w", round, err)
	}
	return block, nil
}

// CheckedHeader gives a block's header as it is hashed, after comparing its hash with the one that algod says: a header
// with a field that this program doesn't know has another.
func (l *Ledger) CheckedHeader(ctx context.Context, block *types.Block) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	said, err := l.algod.GetBlockHash(uint64(block.Round)).Do(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking algod for the hash of block %d: %w", block.Round, err)
	}
	header := msgpack.Encode(block.BlockHeader)
	if hash := onchain.FormatHash(onchain.HeaderHash(header)); "blk-"+strings.TrimPrefix(said.Blockhash, "blk-") != hash {
		return nil, fmt.Errorf("block %d has the hash %.60s, as this program reads it %s: the network may be newer than the program", block.Round, said.Blockhash, hash)
	}
	return header, nil
}

// InclusionProof asks for the proof, by SHA-256, that a transaction is in a block.
func (l *Ledger) InclusionProof(ctx context.Context, round uint64, txid string) (models.TransactionProof, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	proof, err := l.algod.GetTransactionProof(round, txid).Hashtype("sha256").Do(ctx)
	if err != nil {
		return models.TransactionProof{}, fmt.Errorf("asking algod for the proof of transaction %.60s in block %d: %w", txid, round, err)
	}
	return proof, nil
}

// StateProof is what the network attests to of a block.
type StateProof struct {
	Header  models.LightBlockHeaderProof // of the block in the message's commitment
	Message models.StateProofMessage
}

// StateProof asks for the state proof that covers a block. Found is false where algod has none: on a development
// network, and for the latest blocks of every other.
func (l *Ledger) StateProof(ctx context.Context, round uint64) (proof StateProof, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if proof.Header, err = l.algod.GetLightBlockHeaderProof(round).Do(ctx); err == nil {
		var whole models.StateProof
		whole, err = l.algod.GetStateProof(round).Do(ctx)
		proof.Message = whole.Message
		if m := whole.Message; err == nil && (round < m.Firstattestedround || round > m.Lastattestedround) {
			err = &algorand.ForeignError{Server: "algod", What: "a state proof of other blocks"}
		}
	}
	if algorand.NotFound(err, algorand.NoStateProof) {
		return StateProof{}, false, nil
	}
	if err != nil {
		return StateProof{}, false, fmt.Errorf("asking algod for the state proof of block %d: %w", round, err)
	}
	return proof, true, nil
}
