package devchain

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// ledger is the chain: its closed rounds, the state after the last of them, and the pool of what waits for the next.
type ledger struct {
	genesis *types.Genesis
	rules   *rules
	devMode bool // a round closes with every group
	now     func() time.Time
	faults  poolFaults
	log     *blockLog // nil keeps the chain in memory only
	onClose func(snapshot)
	issued  uint64 // microalgos that exist

	mu       sync.RWMutex
	history  history
	state    *state // after the last round; shared with readers
	pool     pool
	closedAt time.Time     // when the last round did
	advanced chan struct{} // closed when a round closes
}

// poolFaults are what a pool can be told to do wrong.
type poolFaults interface {
	// feePerByte is the fee in microalgos per byte below which a group is refused, 0 when the pool is idle.
	feePerByte() uint64
	// nextFate decides what becomes of the group that is about to enter the pool.
	nextFate() fate
}

// fate is what becomes of a group in the pool.
type fate struct {
	dropped   bool   // forgotten without a trace
	poolError string // evicted with this message
}

func (f fate) confirmed() bool { return f == fate{} }

// snapshot is the chain at the end of a round.
type snapshot struct {
	round types.Round
	state *state
}

// newLedger starts a chain with the block that comes before its first round.
func newLedger(g *types.Genesis, r *rules, faults poolFaults) (*ledger, error) {
	balances, err := g.Balances()
	if err != nil {
		return nil, fmt.Errorf("reading the genesis: %w", err)
	}
	s := newState()
	issued := uint64(0)
	for addr, allocated := range balances.Balances {
		s.accounts.ReplaceOrInsert(addr, account{balance: allocated.MicroAlgos})
		issued += allocated.MicroAlgos
	}
	first := genesisBlock(g, r)
	s.counter = first.header.TxnCounter
	l := &ledger{
		genesis:  g,
		rules:    r,
		devMode:  g.DevMode,
		now:      time.Now,
		faults:   faults,
		onClose:  func(snapshot) {},
		issued:   issued,
		history:  newHistory(first),
		state:    s,
		closedAt: time.Unix(g.Timestamp, 0),
		advanced: make(chan struct{}),
	}
	l.pool.reset(s)
	return l, nil
}

// submit takes a group that passed rules.check. In DevMode it is confirmed when submit returns.
func (l *ledger) submit(g group) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool.size+len(g) > maxPoolSize {
		return fmt.Errorf("TransactionPool.checkPendingQueueSize: transaction pool has reached capacity")
	}
	if err := l.admit(g); err != nil {
		return fmt.Errorf("TransactionPool.Remember: %w", err)
	}
	if !l.devMode {
		return nil
	}
	if settled := l.settle(); len(settled.applied) > 0 {
		return l.closeRound(settled)
	}
	return nil
}

// admit puts a group into the pool if the state after all that waits there allows it.
func (l *ledger) admit(g group) error {
	perByte := l.faults.feePerByte()
	for i := range g {
		if need := perByte * uint64(g[i].size); uint64(g[i].Txn.Fee) < need {
			return fmt.Errorf("fee %d below threshold %d (%d per byte * %d bytes)", g[i].Txn.Fee, need, perByte, g[i].size)
		}
	}
	next, _, err := l.evaluate(l.pool.state, l.history.tip().round()+1, g, l.pool.known)
	if err != nil {
		return err
	}
	l.pool.add(g, l.faults.nextFate(), next)
	return nil
}

// refusal is why a group can't be in a round. The messages are algod's.
type refusal struct {
	at      int // the member that was looked at
	applied []appliedTxn
	cause   error
}

func (r *refusal) Error() string { return r.cause.Error() }

func (r *refusal) Unwrap() error { return r.cause }

// evaluate applies a group to a copy of a state. Its error is a *refusal.
func (l *ledger) evaluate(
	base *state, round types.Round, g group, known map[txid]*signedTxn,
) (*state, []appliedTxn, error) {
	next := application{state: base.clone(), rules: l.rules, round: round}
	applied := make([]appliedTxn, 0, len(g))
	for i := range g {
		tx := &g[i]
		data, err := l.evaluateOne(&next, tx, g[:i], known)
		if err != nil {
			return nil, nil, &refusal{i, applied, err}
		}
		applied = append(applied, appliedTxn{*tx, data})
	}
	if err := l.rules.checkFees(g); err != nil {
		return nil, nil, &refusal{0, applied, err}
	}
	return next.state, applied, nil
}

func (l *ledger) evaluateOne(
	next *application, tx *signedTxn, before group, known map[txid]*signedTxn,
) (types.ApplyData, error) {
	if err := l.rules.alive(&tx.Txn, next.round); err != nil {
		return types.ApplyData{}, err
	}
	_, confirmed := l.history.where[tx.id]
	if confirmed || known[tx.id] != nil || before.has(tx.id) {
		return types.ApplyData{}, fmt.Errorf("transaction already in ledger: %v", tx.id)
	}
	if err := next.permit(tx); err != nil {
		return types.ApplyData{}, err
	}
	data, err := next.apply(&tx.SignedTxn)
	if err != nil {
		return data, fmt.Errorf("transaction %v: %w", tx.id, err)
	}
	return data, nil
}

// simulate tells what would come of a group if it were in the next block.
func (l *ledger) simulate(g group) (types.Round, []appliedTxn, *refusal) {
	l.mu.Lock() // a clone of the state is taken
	defer l.mu.Unlock()
	last := l.history.tip().round()
	_, applied, err := l.evaluate(l.state, last+1, g, nil)
	var refused *refusal
	if errors.As(err, &refused) {
		return last, refused.applied, refused
	}
	return last, applied, nil
}

// settled is what the pool gives to the next block.
type settled struct {
	state   *state
	applied []appliedTxn
}

// settle takes out of the pool what fits into the next block and what is not to be confirmed.
func (l *ledger) settle() settled {
	round := l.history.tip().round() + 1
	done := settled{state: l.state}
	waiting := l.pool.groups
	l.pool.reset(nil)
	space := l.rules.MaxTxnBytesPerBlock
	for i, p := range waiting {
		if !p.fate.confirmed() {
			l.pool.evict(p.group, p.fate.poolError)
			continue
		}
		if space -= p.group.size(); space < 0 {
			l.pool.groups = append(l.pool.groups, waiting[i:]...)
			break
		}
		next, applied, err := l.evaluate(done.state, round, p.group, nil)
		if err != nil { // an earlier group that it built on was dropped
			l.pool.evict(p.group, err.Error())
			continue
		}
		done.state, done.applied = next, append(done.applied, applied...)
	}
	l.refill(done.state, round+1)
	return done
}

// refill puts what is left in the pool on top of a new state.
func (l *ledger) refill(base *state, round types.Round) {
	waiting := l.pool.groups
	l.pool.reset(base)
	for _, p := range waiting {
		next, _, err := l.evaluate(l.pool.state, round, p.group, nil)
		if err != nil {
			l.pool.evict(p.group, err.Error())
			continue
		}
		l.pool.add(p.group, p.fate, next)
	}
}

// closeRound makes the next block. When it can't be stored the round stays open and its transactions are lost.
func (l *ledger) closeRound(s settled) error {
	b := nextBlock(l.rules, l.history.tip(), l.now(), s.state.counter, s.applied)
	if l.log != nil {
		if err := l.log.append(b.raw); err != nil {
			l.refill(l.state, b.round())
			return &storageError{b.round(), err}
		}
	}
	parties := make([][]types.Address, len(s.applied))
	for i := range s.applied {
		parties[i] = participants(&s.applied[i].Txn)
	}
	l.install(b, s.state, parties)
	return nil
}

// storageError is a round that could not be stored: the chain's fault, not the transactions'.
type storageError struct {
	round types.Round
	cause error
}

func (e *storageError) Error() string { return fmt.Sprintf("storing round %d: %v", e.round, e.cause) }

func (e *storageError) Unwrap() error { return e.cause }

func (l *ledger) install(b *block, s *state, parties [][]types.Address) {
	l.history.add(b, parties)
	l.state, l.closedAt = s, l.now()
	l.onClose(snapshot{b.round(), s})
	close(l.advanced)
	l.advanced = make(chan struct{})
}

// tick closes a round with what is in the pool, be it nothing.
func (l *ledger) tick() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeRound(l.settle())
}

// replay takes a stored block back. Its transactions were checked when it was made.
func (l *ledger) replay(raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var stored types.Block
	if err := msgpack.Decode(raw, &stored); err != nil {
		return fmt.Errorf("decoding a stored block: %w", err)
	}
	prev := l.history.tip()
	if stored.Round != prev.round()+1 || stored.Branch != types.BlockHash(prev.hash) {
		return fmt.Errorf("stored block %d does not follow block %d", stored.Round, prev.round())
	}
	next := application{state: l.state.clone(), rules: l.rules, round: stored.Round}
	txns, parties := make([]blockTxn, len(stored.Payset)), make([][]types.Address, len(stored.Payset))
	for i, s := range stored.Payset {
		signed := l.rules.restore(s).SignedTxn
		txns[i] = blockTxn{id: newSignedTxn(signed).id, kind: signed.Txn.Type, encoded: msgpack.Encode(&s)}
		parties[i] = participants(&signed.Txn)
		if _, err := next.apply(&signed); err != nil {
			return fmt.Errorf("stored block %d: transaction %v: %w", stored.Round, txns[i].id, err)
		}
	}
	if next.counter != stored.TxnCounter {
		return fmt.Errorf("stored block %d has counter %d, its transactions lead to %d",
			stored.Round, stored.TxnCounter, next.counter)
	}
	b := sealBlock(stored.BlockHeader, txns)
	if !bytes.Equal(b.raw, raw) {
		return fmt.Errorf("stored block %d is not what this version would have written", stored.Round)
	}
	l.install(b, next.state, parties)
	l.pool.reset(next.state)
	return nil
}
