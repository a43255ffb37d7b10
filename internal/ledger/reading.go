package ledger

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/onchain"
)

// Who follows the chain and who waits for what it submitted read the same blocks: each is asked for once.

// Read reads a round's block. Found is false if algod says that it doesn't have it. A reading that is kept is given
// again; use Forget to have algod asked anew.
func (l *Ledger) Read(ctx context.Context, round uint64) (r onchain.Reading, found bool, err error) {
	if r, found = l.readings.get(round); found {
		return r, true, nil
	}
	r, err = l.reads.do(ctx, round, func(ctx context.Context) (onchain.Reading, error) { return l.read(ctx, round) })
	if algorand.NotFound(err, algorand.NoBlock) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("reading block %d: %w", round, err)
	}
	return r, true, nil
}

func (l *Ledger) read(ctx context.Context, round uint64) (onchain.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := l.algod.BlockRaw(round).Do(ctx)
	if err != nil {
		return onchain.Reading{}, err
	}
	block, known, err := decodeBlock(raw)
	if err == nil && uint64(block.Round) != round {
		err = fmt.Errorf("algod gave block %d", block.Round)
	}
	if err != nil {
		return onchain.Reading{}, err
	}
	r := onchain.Read(&block, known)
	l.readings.put(r)
	return r, nil
}

// decodeBlock reads what algod gives for a block. Known is false if there is something in the block that this program
// doesn't know, as after an upgrade of the network.
func decodeBlock(raw []byte) (block types.Block, known bool, err error) {
	// The certificate, which comes after it, is of no use and larger than most blocks.
	for _, head := range []string{"\x82\xa5block", "\x81\xa5block"} {
		if rest, found := bytes.CutPrefix(raw, []byte(head)); found {
			if err := msgpack.NewDecoder(bytes.NewReader(rest)).Decode(&block); err == nil {
				return block, true, nil
			}
		}
	}
	var response models.BlockResponse
	if err := msgpack.NewLenientDecoder(bytes.NewReader(raw)).Decode(&response); err != nil {
		return types.Block{}, false, &algorand.ForeignError{Server: "algod", What: "a block that can't be read"}
	}
	return response.Block, false, nil
}

// What is kept of the blocks that were read last: as many as two readers can be apart.
const (
	keptReadings     = 32
	keptTransactions = 4096
)

// readings are those that were read last.
type readings struct {
	mu   sync.Mutex
	list []onchain.Reading
	held int // transactions
}

func (k *readings) get(round uint64) (onchain.Reading, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.list, func(r onchain.Reading) bool { return r.Round == round })
	if i < 0 {
		return onchain.Reading{}, false
	}
	return k.list[i], true
}

func (k *readings) put(r onchain.Reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list, k.held = append(k.list, r), k.held+len(r.Transactions)
	for len(k.list) > keptReadings || len(k.list) > 1 && k.held > keptTransactions {
		k.held -= len(k.list[0].Transactions)
		k.list = slices.Delete(k.list, 0, 1)
	}
}

// forget drops a round's.
func (k *readings) forget(round uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = slices.DeleteFunc(k.list, func(r onchain.Reading) bool {
		if r.Round == round {
			k.held -= len(r.Transactions)
		}
		return r.Round == round
	})
}

// Forget has algod asked anew for a round's block, when it is read next.
func (l *Ledger) Forget(round uint64) { l.readings.forget(round) }

// joined are requests, by their round, that several may wait for and one makes.
type joined[T any] struct {
	mu    sync.Mutex
	calls map[uint64]*call[T]
}

type call[T any] struct {
	done  chan struct{}
	value T
	err   error
	gone  bool // who made it had no time for it any more
}

// do makes a request, or waits for the one that somebody else makes.
func (j *joined[T]) do(ctx context.Context, round uint64, ask func(context.Context) (T, error)) (T, error) {
	for {
		j.mu.Lock()
		c, under := j.calls[round]
		if !under {
			c = &call[T]{done: make(chan struct{})}
			if j.calls == nil {
				j.calls = map[uint64]*call[T]{}
			}
			j.calls[round] = c
			j.mu.Unlock()
			c.value, c.err = ask(ctx)
			c.gone = ctx.Err() != nil
			j.mu.Lock()
			delete(j.calls, round)
			j.mu.Unlock()
			close(c.done)
			return c.value, c.err
		}
		j.mu.Unlock()
		select {
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		case <-c.done:
			if !c.gone {
				return c.value, c.err
			}
		}
	}
}
