package chainwatch

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
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
	if t.Type != string(types.AssetConfigTx) || t.ConfirmedRound == 0 {
		return consortium.Event{}, errForeign
	}
	id, note, err := wire.ParseNote(t.Note)
	if errors.Is(err, wire.ErrNotOurs) {
		return consortium.Event{}, errForeign
	}
	if err != nil {
		return consortium.Event{}, err
	}
	if id != d.consortium && (note.Kind != wire.KindCharter || t.CreatedAssetIndex != d.consortium) {
		return consortium.Event{}, errForeign
	}
	transaction, err := rebuild(t)
	if err != nil {
		return consortium.Event{}, err
	}
	if transaction.GenesisHash != d.genesisHash {
		return consortium.Event{}, fmt.Errorf("of another network (genesis hash %x)", transaction.GenesisHash)
	}
	if err := checkSignature(transaction, t); err != nil {
		return consortium.Event{}, err
	}
	e := consortium.Event{
		Position: consortium.Position{Round: t.ConfirmedRound, Intra: t.IntraRoundOffset},
		Time:     time.Unix(int64(t.RoundTime), 0).UTC(),
		TxID:     t.Id, Sender: t.Sender, Consortium: id, Note: note,
	}
	if note.Kind == wire.KindDestroy {
		e.Asset, err = destroyed(transaction)
		return e, err
	}
	e.Asset = t.CreatedAssetIndex
	e.Directory, e.MetadataHash, err = minted(transaction, t.CreatedAssetIndex)
	return e, err
}

// rebuild makes the transaction that the indexer describes.
func rebuild(t models.Transaction) (types.Transaction, error) {
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
		if len(value) != 0 && copy(b[:], value) != len(value) || len(value) != 0 && len(value) != len(b) {
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
		return types.Transaction{}, problem
	}
	if id := crypto.TransactionIDString(transaction); id != t.Id {
		return types.Transaction{}, &forgedError{fmt.Sprintf("its content has the id %s, not %.60q", id, t.Id)}
	}
	return transaction, nil
}

// exact prefers the field that also holds what isn't printable.
func exact(b64 []byte, text string) string {
	if len(b64) > 0 {
		return string(b64)
	}
	return text
}

// checkSignature accepts the sender's own signature, or that of the multisig account that the sender is.
func checkSignature(transaction types.Transaction, t models.Transaction) error {
	if t.AuthAddr != "" && t.AuthAddr != t.Sender {
		// Only the history of rekeyings could tell whether this key may sign, and the indexer could lie about it.
		return fmt.Errorf("the account %s was rekeyed; members sign with their own keys", t.Sender)
	}
	message := append([]byte("TX"), msgpack.Encode(transaction)...)
	switch {
	case len(t.Signature.Sig) > 0:
		if !ed25519.Verify(transaction.Sender[:], message, t.Signature.Sig) {
			return &forgedError{"the signature is not the sender's"}
		}
	case len(t.Signature.Multisig.Subsignature) > 0:
		if !verifyMultisig(transaction.Sender, message, t.Signature.Multisig) {
			return &forgedError{"the multisignature is not the sender's"}
		}
	default:
		return errors.New("signed in a way that a member's transaction can't be")
	}
	return nil
}

func verifyMultisig(sender types.Address, message []byte, m models.TransactionSignatureMultisig) bool {
	if len(m.Subsignature) > 255 || m.Version > 255 || m.Threshold > 255 {
		return false
	}
	signature := types.MultisigSig{Version: uint8(m.Version), Threshold: uint8(m.Threshold)}
	for _, s := range m.Subsignature {
		part := types.MultisigSubsig{Key: bytes.Clone(s.PublicKey)}
		if len(s.PublicKey) != ed25519.PublicKeySize || (len(s.Signature) != 0 && len(s.Signature) != ed25519.SignatureSize) {
			return false
		}
		copy(part.Sig[:], s.Signature)
		signature.Subsigs = append(signature.Subsigs, part)
	}
	return crypto.VerifyMultisig(sender, message, signature)
}

// destroyed gives the asset that a transaction destroys: one that names an asset and gives no parameters at all.
func destroyed(t types.Transaction) (uint64, error) {
	if t.ConfigAsset == 0 || t.AssetParams != (types.AssetParams{}) {
		return 0, errors.New("its note says destroy, but it isn't one")
	}
	return uint64(t.ConfigAsset), nil
}

// minted checks that a transaction makes an NFT of ours and gives its directory and metadata hash.
func minted(t types.Transaction, created uint64) (directory string, hash []byte, err error) {
	want := types.AssetParams{
		Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: t.AssetParams.URL, MetadataHash: t.AssetParams.MetadataHash,
		Manager: t.Sender,
	}
	if t.ConfigAsset != 0 || created == 0 || t.AssetParams != want {
		return "", nil, errors.New("it doesn't make an NFT of the form that the protocol has")
	}
	c, err := wire.ParseURL(t.AssetParams.URL)
	if err != nil {
		return "", nil, err
	}
	return c.String(), t.AssetParams.MetadataHash[:], nil
}
