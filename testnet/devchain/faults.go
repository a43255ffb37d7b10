package devchain

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Faults are what the chain is told to do wrong. The zero value is a healthy chain. They can be switched at any time
// with Chain.SetFaults, and by other processes over the control address.
type Faults struct {
	Algod   EndpointFaults `json:"algod"`
	Indexer EndpointFaults `json:"indexer"`

	// FeePerByte is the fee that algod suggests and its pool demands, in microalgos per byte, as under load.
	FeePerByte uint64 `json:"fee_per_byte"`
	// DropNext groups are accepted and then forgotten: their transactions become unknown when the round closes.
	DropNext int `json:"drop_next"`
	// FailNext groups are accepted and then evicted with FailError as their pool error.
	FailNext  int    `json:"fail_next"`
	FailError string `json:"fail_error,omitempty"`

	// IndexerLag is how many rounds the indexer stays behind the chain, at most 1,000.
	IndexerLag int `json:"indexer_lag"`
	// IndexerFrozen stops the indexer at the round it has reached; when it is lifted the indexer jumps ahead.
	IndexerFrozen bool `json:"indexer_frozen"`
	// IndexerReleased makes the indexer refuse the parameters that it refuses as shipped.
	IndexerReleased bool `json:"indexer_released"`

	// AlgodKeeps is how many of the latest blocks algod has, as a node that is not archival; 0 is for all.
	AlgodKeeps int `json:"algod_keeps"`

	// Hide are the ids of transactions that the indexer leaves out of every answer.
	Hide []string `json:"hide,omitempty"`
	// Forge are lies in the indexer's answers.
	Forge []Forgery `json:"forge,omitempty"`
}

// EndpointFaults are what can be wrong with algod or the indexer as a server.
type EndpointFaults struct {
	// Down refuses connections and resets those that are open. The address stays reserved for the return.
	Down bool `json:"down"`
	// Latency passes before each answer.
	Latency Duration `json:"latency"`
	// Status, if not 0, answers requests instead of the server: 429, 403, 503 and the like.
	Status int `json:"status"`
	// RetryAfter, in seconds, goes with the status as a header unless it is 0.
	RetryAfter int `json:"retry_after"`
	// Next bounds the status to that many requests. With 0 it stays.
	Next int `json:"next"`
	// Share is the part of the requests that get the status, spread evenly; 0 stands for all of them.
	Share float64 `json:"share"`
}

// Forgery replaces one value wherever the indexer's answers describe a transaction.
type Forgery struct {
	TxID string `json:"txid"`
	// Field is a path in the transaction's JSON: "confirmed-round", "asset-config-transaction.params.url".
	Field string `json:"field"`
	// Value is what stands there instead. Null removes the field.
	Value any `json:"value"`
}

// Duration is a time.Duration that JSON holds as text, such as "150ms".
type Duration time.Duration

func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// maxFeePerByte is well above 2^40, the highest that was seen on a real network under load.
const maxFeePerByte = 1 << 48

func (f Faults) validate() error {
	if err := f.Algod.validate(); err != nil {
		return fmt.Errorf("algod: %w", err)
	}
	if err := f.Indexer.validate(); err != nil {
		return fmt.Errorf("indexer: %w", err)
	}
	if f.FeePerByte > maxFeePerByte {
		return fmt.Errorf("a fee of %d microalgos per byte is more than there are ALGO", f.FeePerByte)
	}
	if f.AlgodKeeps < 0 {
		return errors.New("a number of blocks can't be negative")
	}
	if f.DropNext < 0 || f.FailNext < 0 {
		return errors.New("a number of groups can't be negative")
	}
	if f.IndexerLag < 0 || f.IndexerLag > 1000 {
		return fmt.Errorf("an indexer lag of %d rounds is not between 0 and 1000", f.IndexerLag)
	}
	for _, id := range f.Hide {
		if _, err := parseTxid(id); err != nil {
			return fmt.Errorf("hide: %w", err)
		}
	}
	for _, lie := range f.Forge {
		if _, err := parseTxid(lie.TxID); err != nil {
			return fmt.Errorf("forge: %w", err)
		}
		if lie.Field == "" {
			return errors.New("forge: no field named")
		}
	}
	return nil
}

func (f EndpointFaults) validate() error {
	switch {
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status %d is not an error", f.Status)
	case f.Share < 0 || f.Share > 1:
		return fmt.Errorf("a share of %v is not between 0 and 1", f.Share)
	case f.Next < 0 || f.RetryAfter < 0 || f.Latency < 0:
		return errors.New("next, retry_after and latency can't be negative")
	}
	return nil
}

// defaultPoolError is what a congested pool says when it evicts.
const defaultPoolError = "transaction evicted from the pool"

// faultBoard is the faults in force.
type faultBoard struct {
	mu     sync.Mutex
	faults Faults
	hidden map[txid]bool
	carry  map[*EndpointFaults]float64 // what is owed of a share
}

func newFaultBoard() *faultBoard { return &faultBoard{carry: map[*EndpointFaults]float64{}} }

// set expects valid faults.
func (b *faultBoard) set(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.Hide, f.Forge = slices.Clone(f.Hide), slices.Clone(f.Forge)
	b.faults = f
	clear(b.carry)
	b.hidden = map[txid]bool{}
	for _, s := range f.Hide {
		id, _ := parseTxid(s)
		b.hidden[id] = true
	}
}

func (b *faultBoard) get() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.faults
	f.Hide, f.Forge = slices.Clone(f.Hide), slices.Clone(f.Forge)
	return f
}

func (b *faultBoard) feePerByte() uint64 { return b.get().FeePerByte }

func (b *faultBoard) algodKeeps() int { return b.get().AlgodKeeps }

func (b *faultBoard) nextFate() fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch f := &b.faults; {
	case f.DropNext > 0:
		f.DropNext--
		return fate{dropped: true}
	case f.FailNext > 0:
		f.FailNext--
		if f.FailError != "" {
			return fate{poolError: f.FailError}
		}
		return fate{poolError: defaultPoolError}
	}
	return fate{}
}

func (b *faultBoard) hides(id txid) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hidden[id]
}

// hindrance is what stands between one request and its answer.
type hindrance struct {
	latency    time.Duration
	status     int // 0 lets the request through
	retryAfter int
}

// hinder decides about one request to the endpoint that which selects.
func (b *faultBoard) hinder(which func(*Faults) *EndpointFaults) hindrance {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := which(&b.faults)
	h := hindrance{latency: time.Duration(f.Latency)}
	if f.Status == 0 {
		return h
	}
	if f.Share > 0 {
		b.carry[f] += f.Share
		if b.carry[f] < 1 {
			return h
		}
		b.carry[f]--
	}
	h.status, h.retryAfter = f.Status, f.RetryAfter
	if f.Next > 0 {
		if f.Next--; f.Next == 0 {
			f.Status = 0
		}
	}
	return h
}

func algodFaults(f *Faults) *EndpointFaults   { return &f.Algod }
func indexerFaults(f *Faults) *EndpointFaults { return &f.Indexer }
