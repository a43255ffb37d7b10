package chainwatch

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
)

// errForeign means that a transaction is none of this consortium's: the ordinary case on a public chain.
var errForeign = errors.New("not of this consortium")

// forgedError means that the indexer gave a transaction that its sender never signed.
type forgedError struct{ reason string }

func (e *forgedError) Error() string { return "forged: " + e.reason }

// decoder turns what an indexer says into events.
type decoder struct {
	consortium  uint64
	genesisHash [32]byte
}

// event checks a transaction and reads it. It returns [errForeign] for what is none of ours, a [forgedError] for what
// the sender didn't sign, and another error for what breaks the protocol's form; none of them counts.
//
// The transaction is rebuilt from the indexer's JSON, down to its bytes: only if these have the identifier that it
// claims and a signature of the sender, they are believed. So an indexer can leave out, delay, or lie about when a
// transaction was confirmed and which asset it made, but not invent or change one.
func (d decoder) event(t models.Transaction) (consortium.Event, error) {
	e, _, err := d.signedEvent(t)
	return e, err
}

// signedEvent is event with the transaction that it was read from.
func (d decoder) signedEvent(t models.Transaction) (consortium.Event, types.SignedTxn, error) {
	fail := func(err error) (consortium.Event, types.SignedTxn, error) {
		return consortium.Event{}, types.SignedTxn{}, err
	}
	if t.Type != string(types.AssetConfigTx) || t.ConfirmedRound == 0 {
		return fail(errForeign)
	}
	// First what is cheap: on a public chain nearly everything is foreign.
	id, note, err := wire.ParseNote(t.Note)
	if errors.Is(err, wire.ErrNotOurs) {
		return fail(errForeign)
	}
	if err != nil {
		return fail(err)
	}
	if id != d.consortium && (note.Kind != wire.KindCharter || t.CreatedAssetIndex != d.consortium) {
		return fail(errForeign)
	}
	signed, err := rebuild(t)
	if err != nil {
		return fail(err)
	}
	e, err := onchain.Confirmed{
		SignedTxn: signed, TxID: t.Id, Position: consortium.Position{Round: t.ConfirmedRound, Intra: t.IntraRoundOffset},
		Time: time.Unix(int64(t.RoundTime), 0), Asset: t.CreatedAssetIndex,
	}.Event(d.genesisHash)
	if errors.Is(err, onchain.ErrForged) {
		err = &forgedError{err.Error()}
	}
	if err != nil {
		return fail(err)
	}
	return e, signed, nil
}

// events reads what a block has of the consortium. What breaks the protocol's form is bad.
func (d decoder) events(r onchain.Reading) (events []consortium.Event, list []bad) {
	for _, c := range r.Transactions {
		id, note, err := wire.ParseNote(c.Txn.Note)
		if errors.Is(err, wire.ErrNotOurs) || err == nil && id != d.consortium && (note.Kind != wire.KindCharter || c.Asset != d.consortium) {
			continue
		}
		var e consortium.Event
		if err == nil {
			e, err = c.Event(d.genesisHash)
		}
		switch {
		case err == nil:
			events = append(events, e)
		case len(list) < maxBad:
			if errors.Is(err, onchain.ErrForged) {
				err = &forgedError{err.Error()}
			}
			list = append(list, bad{txid: c.TxID, sender: c.Txn.Sender.String(), round: r.Round, err: err, from: "algod"})
		}
	}
	return events, list
}

// rebuild makes the signed transaction that the indexer describes. Whether the signature is the sender's is not
// checked.
func rebuild(t models.Transaction) (types.SignedTxn, error) {
	var problem error
	address := func(name, text string) (a types.Address) {
		if text == "" {
			return a
		}
		a, err := types.DecodeAddress(text)
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("%s: %w", name, err))
		}
		return a
	}
	fixed := func(name string, value []byte) (b [32]byte) {
		copy(b[:], value)
		if len(value) != 0 && len(value) != len(b) {
			problem = errors.Join(problem, fmt.Errorf("%s has %d bytes", name, len(value)))
		}
		return b
	}
	p := t.AssetConfigTransaction.Params
	transaction := types.Transaction{
		Type: types.AssetConfigTx,
		Header: types.Header{
			Sender: address("sender", t.Sender), Fee: types.MicroAlgos(t.Fee),
			FirstValid: types.Round(t.FirstValid), LastValid: types.Round(t.LastValid), Note: t.Note,
			GenesisID: t.GenesisId, GenesisHash: fixed("genesis hash", t.GenesisHash), Group: fixed("group", t.Group),
			Lease: fixed("lease", t.Lease), RekeyTo: address("rekey-to", t.RekeyTo),
		},
		AssetConfigTxnFields: types.AssetConfigTxnFields{
			ConfigAsset: types.AssetIndex(t.AssetConfigTransaction.AssetId),
			AssetParams: types.AssetParams{
				Total: p.Total, Decimals: uint32(p.Decimals), DefaultFrozen: p.DefaultFrozen,
				UnitName: exact(p.UnitNameB64, p.UnitName), AssetName: exact(p.NameB64, p.Name), URL: exact(p.UrlB64, p.Url),
				MetadataHash: fixed("metadata hash", p.MetadataHash),
				Manager:      address("manager", p.Manager), Reserve: address("reserve", p.Reserve),
				Freeze: address("freeze", p.Freeze), Clawback: address("clawback", p.Clawback),
			},
		},
	}
	if problem != nil {
		return types.SignedTxn{}, problem
	}
	if id := crypto.TransactionIDString(transaction); id != t.Id {
		return types.SignedTxn{}, &forgedError{fmt.Sprintf("its content has the id %s, not %.60q", id, t.Id)}
	}
	signed, err := signature(t)
	signed.Txn = transaction
	return signed, err
}

// exact prefers the field that also holds what isn't printable.
func exact(b64 []byte, text string) string {
	if len(b64) > 0 {
		return string(b64)
	}
	return text
}

// signature reads a transaction's signature, in each of the forms that a member's can have.
func signature(t models.Transaction) (s types.SignedTxn, err error) {
	if t.AuthAddr != "" {
		if s.AuthAddr, err = types.DecodeAddress(t.AuthAddr); err != nil {
			return s, fmt.Errorf("auth-addr: %w", err)
		}
	}
	if n := len(t.Signature.Sig); n != 0 && n != len(s.Sig) {
		return s, &forgedError{fmt.Sprintf("the signature has %d bytes", n)}
	}
	copy(s.Sig[:], t.Signature.Sig)
	m := t.Signature.Multisig
	if len(m.Subsignature) > 255 || m.Version > 255 || m.Threshold > 255 {
		return s, &forgedError{"the multisignature is out of bounds"}
	}
	s.Msig.Version, s.Msig.Threshold = uint8(m.Version), uint8(m.Threshold)
	for _, given := range m.Subsignature {
		part := types.MultisigSubsig{Key: bytes.Clone(given.PublicKey)}
		if n := len(given.Signature); n != 0 && n != len(part.Sig) {
			return s, &forgedError{fmt.Sprintf("a part of the multisignature has %d bytes", n)}
		}
		copy(part.Sig[:], given.Signature)
		s.Msig.Subsigs = append(s.Msig.Subsigs, part)
	}
	return s, nil
}
