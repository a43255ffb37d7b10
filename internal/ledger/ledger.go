// Package ledger writes to Algorand: it builds and signs the transactions that mint NFTs, submits them in atomic
// groups, and finds out what became of them. It keeps nothing; what must survive a crash is stored by the caller
// between [Ledger.Sign] and [Ledger.Submit].
package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
)

const (
	// MaxGroup is the most transactions that a group can have.
	MaxGroup = 16
	// Window is for how many rounds a transaction can be confirmed. It is half of Algorand's longest, so that algod,
	// which remembers the transactions of a thousand rounds, can tell for a while that one was never confirmed.
	Window = 500
	// LowestFee is the least that a transaction costs on Algorand's networks, in microalgo.
	LowestFee = uint64(microalgo.PerTransaction)
	// callTimeout bounds one call of algod.
	callTimeout = 30 * time.Second
)

// Ledger signs with one account and talks to one algod. It is safe for concurrent use.
type Ledger struct {
	algod   *algod.Client
	account crypto.Account
	maxFee  uint64
	clock   clock

	readings readings
	reads    joined[onchain.Reading]
	waits    joined[uint64]
}

// New makes a ledger for an account. MaxFee is the most that one transaction may cost, in microalgo.
func New(client *algod.Client, account crypto.Account, maxFee uint64) *Ledger {
	return &Ledger{algod: client, account: account, maxFee: maxFee}
}

// Address is the account's address.
func (l *Ledger) Address() string { return l.account.Address.String() }

// Params are what the network wants of a transaction now.
type Params struct {
	Round       uint64 // the last one
	GenesisID   string
	GenesisHash [32]byte
	MinFee      uint64 // microalgo
	FeePerByte  uint64 // microalgo; 0 unless the network is congested
}

// Params asks algod.
func (l *Ledger) Params(ctx context.Context) (Params, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := l.algod.SuggestedParams().Do(ctx)
	if err != nil {
		if said, refused := algorand.BadRequest(err); refused { // of a request in which there is nothing to refuse
			err = &algorand.ForeignError{Server: "algod", Status: http.StatusBadRequest, What: said}
		}
		return Params{}, fmt.Errorf("asking algod for the transaction parameters: %w", err)
	}
	if len(p.GenesisHash) != 32 {
		return Params{}, fmt.Errorf("algod gave a genesis hash of %d bytes", len(p.GenesisHash))
	}
	// A transaction that is signed for rounds that are far away is stuck for as long.
	round, err := l.clock.check(uint64(p.FirstRoundValid), func() (uint64, error) { return l.lastRound(ctx) })
	if err != nil {
		return Params{}, err
	}
	return Params{
		Round: round, GenesisID: p.GenesisID, GenesisHash: [32]byte(p.GenesisHash),
		MinFee: max(p.MinFee, LowestFee), FeePerByte: uint64(p.Fee),
	}, nil
}

// Fee is what a transaction that mints has to pay now.
func (p Params) Fee() uint64 { return p.feeOf(txSize) }

// feeOf is what a transaction of so many bytes has to pay; the greatest number stands for what is greater.
func (p Params) feeOf(size uint64) uint64 {
	return max(p.MinFee, p.FeePerByte*min(size, math.MaxUint64/max(p.FeePerByte, 1)))
}

// Mint is an NFT to be made or, if Destroys names one, to be destroyed, which frees what it keeps locked.
type Mint struct {
	URL          string
	MetadataHash [32]byte
	Destroys     uint64 // asset id
	Note         []byte
	Lease        [32]byte
}

// Group is signed transactions that are confirmed together or not at all.
type Group struct {
	TxIDs      []string
	Raw        []byte // concatenated, as algod takes them
	FirstValid uint64 // rounds
	LastValid  uint64
	Fee        uint64 // of each transaction, in microalgo
}

// CongestedError means that the network asks for a higher fee than the configuration allows.
type CongestedError struct{ Fee, MaxFee uint64 }

func (e *CongestedError) Error() string {
	return fmt.Sprintf("the network is congested: a transaction costs %d microalgo now, at most %d may be spent", e.Fee, e.MaxFee)
}

// feeFor is the fee of a transaction, or a [CongestedError] if that is more than may be paid.
func (l *Ledger) feeFor(p Params) (uint64, error) {
	fee := p.Fee()
	if fee > l.maxFee {
		return 0, &CongestedError{Fee: fee, MaxFee: l.maxFee}
	}
	return fee, nil
}

// Sign builds a group of at most [MaxGroup] mints. Fees are flat: what the SDK makes of the suggested fee under load
// can cost a fortune. It returns a [CongestedError] if the fee would be too high.
func (l *Ledger) Sign(p Params, mints []Mint) (Group, error) {
	fee, err := l.feeFor(p)
	if err != nil {
		return Group{}, err
	}
	transactions := make([]types.Transaction, len(mints))
	for i, m := range mints {
		transactions[i] = transaction(p, l.account.Address, Window, m)
		transactions[i].Fee = types.MicroAlgos(fee)
	}
	return l.signed(transactions)
}

// Raise signs a group anew with the fee that the network asks for now, or with what it may cost at most if that is less
// than twice as much, so that it need not be done often. It returns a [CongestedError] if that is more than may be
// spent, and an empty group if the fee is high enough.
//
// Nothing else changes: with the same leases and the same rounds, only one of the two can ever be confirmed. A lease is
// held until the last round of the transaction that was confirmed with it, and after that round the other is over, too.
func (l *Ledger) Raise(p Params, raw []byte) (Group, error) {
	transactions, err := decode(raw)
	if err != nil {
		return Group{}, err
	}
	need, err := l.feeFor(p)
	if err != nil || need <= uint64(transactions[0].Fee) {
		return Group{}, err
	}
	for i := range transactions {
		if transactions[i].Lease == [32]byte{} {
			return Group{}, errors.New("a transaction without a lease can't be signed anew")
		}
		transactions[i].Fee = types.MicroAlgos(min(2*need, l.maxFee))
		transactions[i].Group = types.Digest{}
	}
	return l.signed(transactions)
}

// decode reads a group that was signed.
func decode(raw []byte) (list []types.Transaction, err error) {
	rest := bytes.NewReader(raw)
	decoder := msgpack.NewDecoder(rest)
	for rest.Len() > 0 { // the end within a transaction is an error
		var s types.SignedTxn
		if err := decoder.Decode(&s); err != nil {
			return nil, fmt.Errorf("reading a signed group: %w", err)
		}
		list = append(list, s.Txn)
	}
	if len(list) == 0 {
		return nil, errors.New("reading a signed group: it is empty")
	}
	return list, nil
}

// signed groups transactions and signs them.
func (l *Ledger) signed(transactions []types.Transaction) (Group, error) {
	if len(transactions) == 0 || len(transactions) > MaxGroup {
		return Group{}, fmt.Errorf("signing a group of %d, want 1 to %d", len(transactions), MaxGroup)
	}
	if len(transactions) > 1 {
		id, err := crypto.ComputeGroupID(transactions)
		if err != nil {
			return Group{}, fmt.Errorf("computing the group id: %w", err)
		}
		for i := range transactions {
			transactions[i].Group = id
		}
	}
	g := Group{FirstValid: uint64(transactions[0].FirstValid), LastValid: uint64(transactions[0].LastValid), Fee: uint64(transactions[0].Fee)}
	for _, t := range transactions {
		txid, raw, err := crypto.SignTransaction(l.account.PrivateKey, t)
		if err != nil {
			return Group{}, fmt.Errorf("signing a transaction: %w", err)
		}
		g.TxIDs = append(g.TxIDs, txid)
		g.Raw = append(g.Raw, raw...)
	}
	return g, nil
}

// txSize is more than a mint's signed transaction has, in bytes, with the longest note that is written.
const txSize = 600

// transaction builds a mint for an account, without its fee. It can be confirmed for so many rounds.
func transaction(p Params, sender types.Address, rounds uint64, m Mint) types.Transaction {
	first := max(p.Round, 1)
	t := types.Transaction{
		Type: types.AssetConfigTx,
		Header: types.Header{
			Sender: sender, Note: m.Note, Lease: m.Lease,
			FirstValid: types.Round(first), LastValid: types.Round(first + rounds),
			GenesisID: p.GenesisID, GenesisHash: p.GenesisHash,
		},
	}
	if m.Destroys != 0 {
		t.ConfigAsset = types.AssetIndex(m.Destroys) // and no parameters at all
		return t
	}
	t.AssetParams = types.AssetParams{
		Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: m.URL, MetadataHash: m.MetadataHash,
		Manager: sender,
	}
	return t
}

// RefusedError is algod's refusal of a group.
type RefusedError struct {
	Reason  Reason
	Message string // algod's
}

func (e *RefusedError) Error() string { return "algod refused the group: " + e.Message }

// Reason classifies a refusal by what can be done about it.
type Reason int

// The reasons.
const (
	Other     Reason = iota // nothing is known that would help; it may be tried again until the group expires
	Expired                 // its rounds are over: it can never be confirmed
	NoFunds                 // the account needs more ALGO
	Congested               // the pool wants a higher fee for now
	LeaseHeld               // the same is on its way, or was published, in a transaction that we don't know
)

// Submit sends a group. Sending the same bytes again is harmless. It returns nil if algod has taken the group or knows
// it already (which doesn't mean that it is confirmed), a [RefusedError] if it won't have it, and any other error if
// algod could not be asked.
func (l *Ledger) Submit(ctx context.Context, raw []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := l.algod.SendRawTransaction(raw).Do(ctx)
	if err == nil {
		return nil
	}
	message, refused := algorand.BadRequest(err)
	if !refused {
		return fmt.Errorf("submitting a group: %w", err)
	}
	if strings.Contains(message, "already in ledger") {
		return nil
	}
	return &RefusedError{Reason: classify(message), Message: shorten(message)}
}

// classify reads algod's message. The texts were recorded from a real one.
func classify(message string) Reason {
	for _, known := range []struct {
		text   string
		reason Reason
	}{
		{"txn dead", Expired},
		{"overlapping lease", LeaseHeld},
		{"below min", NoFunds},
		{"overspend", NoFunds},
		{"below threshold", Congested},
		{"fees is less than", Congested},
	} {
		if strings.Contains(message, known.text) {
			return known.reason
		}
	}
	return Other
}

// shorten bounds a message that goes to logs and to clients.
func shorten(message string) string {
	const most = 300
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

// Funds are an account's, in microalgo.
type Funds struct {
	Amount uint64
	Locked uint64 // the minimum balance
}

// Cost is what n NFTs take out of the account at the lowest fee: the fee and what is locked until they are destroyed.
func Cost(n int, minFee uint64) uint64 { return uint64(n) * (uint64(microalgo.PerAsset) + minFee) }

// Locked is what n NFTs keep locked.
func Locked(n int) uint64 { return uint64(n) * uint64(microalgo.PerAsset) }

// Free is what can be spent.
func (f Funds) Free() uint64 {
	if f.Amount < f.Locked {
		return 0
	}
	return f.Amount - f.Locked
}

// Funds asks algod for the account's balance. Transactions that are not confirmed yet are not in it.
func (l *Ledger) Funds(ctx context.Context) (Funds, error) { return l.FundsOf(ctx, l.Address()) }

// FundsOf asks algod for the balance of any account.
func (l *Ledger) FundsOf(ctx context.Context, account string) (Funds, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// Without exclude=all algod refuses accounts with more than 100,000 assets.
	info, err := l.algod.AccountInformation(account).Exclude([]string{"all"}).Do(ctx)
	if err == nil && info.Address != account {
		err = &algorand.ForeignError{Server: "algod", What: "an account of another address"}
	}
	if err != nil {
		return Funds{}, fmt.Errorf("asking algod for the balance: %w", err)
	}
	return Funds{Amount: info.Amount, Locked: info.MinBalance}, nil
}

// ErrNoBlock means that algod doesn't have a block: it keeps only the last thousand, unless it is an archival node.
var ErrNoBlock = errors.New("algod does not have the block")

// Minted reads a block and gives the NFTs of the protocol that the account made or destroyed in it.
func (l *Ledger) Minted(ctx context.Context, round uint64) ([]consortium.Place, error) {
	block, found, err := l.Read(ctx, round)
	if err == nil && !found {
		err = fmt.Errorf("reading block %d: %w", round, ErrNoBlock)
	}
	if err != nil {
		return nil, err
	}
	var list []consortium.Place
	for _, t := range block.Transactions {
		if t.Txn.Sender == l.account.Address {
			list = append(list, consortium.Place{TxID: t.TxID, Round: round, Asset: t.Asset})
		}
	}
	return list, nil
}
