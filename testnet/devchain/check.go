package devchain

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"reflect"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// check is everything that can be said of a group without looking at the ledger: each transaction's form, that the
// group is whole, and the signatures. It takes nearly all the time of a submission and needs no lock.
func (r *rules) check(g group) error {
	for i := range g {
		if err := r.wellFormed(&g[i].Txn); err != nil {
			return invalid(&g[i], err)
		}
	}
	if err := checkGroupID(g); err != nil {
		return err
	}
	for i := range g {
		if err := checkSignatureForm(&g[i]); err != nil {
			return invalid(&g[i], err)
		}
	}
	for i := range g {
		if !signatureHolds(&g[i]) {
			return algodError("At least one signature didn't pass verification")
		}
	}
	return nil
}

// algodError is a message that clients know in these very words, capital letter and all.
type algodError string

func (e algodError) Error() string { return string(e) }

// invalid words an error as algod does, with a dump of the whole transaction in front.
func invalid(tx *signedTxn, err error) error {
	return fmt.Errorf("transaction %+v invalid : %w", tx.SignedTxn, err)
}

func unsupportedType(t types.TxType) error {
	return fmt.Errorf("transactions of type %q are not supported by the development chain", t)
}

// wellFormed looks at one transaction by itself.
func (r *rules) wellFormed(tx *types.Transaction) error {
	if err := r.wellFormedFields(tx); err != nil {
		return err
	}
	if other := foreignFields(tx); other != "" {
		return fmt.Errorf("transaction of type %v has non-zero fields for type %v", tx.Type, other)
	}
	switch {
	case tx.LastValid < tx.FirstValid:
		return fmt.Errorf("transaction invalid range (%d--%d)", tx.FirstValid, tx.LastValid)
	case uint64(tx.LastValid-tx.FirstValid) > r.MaxTxnLife:
		return fmt.Errorf("transaction window size excessive (%d--%d)", tx.FirstValid, tx.LastValid)
	case len(tx.Note) > r.MaxAbsoluteTxnNoteBytes:
		return fmt.Errorf("transaction note too big: %d > %d", len(tx.Note), r.MaxAbsoluteTxnNoteBytes)
	case tx.Sender == r.rewardsPool:
		return errors.New("transaction from incentive pool is invalid")
	case tx.Sender == types.Address{}:
		return errors.New("transaction cannot have zero sender")
	}
	return nil
}

func (r *rules) wellFormedFields(tx *types.Transaction) error {
	switch tx.Type {
	case types.PaymentTx:
		if tx.Sender == tx.CloseRemainderTo {
			return fmt.Errorf("transaction cannot close account to its sender %v", tx.Sender)
		}
		if tx.Sender == r.feeSink {
			return fmt.Errorf("cannot spend from fee sink address %v", tx.Sender)
		}
	case types.AssetConfigTx:
		return r.wellFormedParams(&tx.AssetParams)
	case types.AssetTransferTx:
		if tx.XferAsset == 0 && tx.AssetAmount != 0 {
			return errors.New("asset ID cannot be zero")
		}
		if tx.AssetSender != (types.Address{}) && tx.AssetCloseTo != (types.Address{}) {
			return errors.New("cannot close asset by clawback")
		}
	case types.AssetFreezeTx:
		if tx.FreezeAsset == 0 {
			return errors.New("asset ID cannot be zero")
		}
		if tx.FreezeAccount == (types.Address{}) {
			return errors.New("freeze account cannot be empty")
		}
	case types.ApplicationCallTx, types.KeyRegistrationTx, types.StateProofTx, types.HeartbeatTx:
		return unsupportedType(tx.Type)
	default:
		return fmt.Errorf("unknown tx type %v", tx.Type)
	}
	return nil
}

func (r *rules) wellFormedParams(p *types.AssetParams) error {
	switch {
	case len(p.AssetName) > r.MaxAssetNameBytes:
		return fmt.Errorf("transaction asset name too big: %d > %d", len(p.AssetName), r.MaxAssetNameBytes)
	case len(p.UnitName) > r.MaxAssetUnitNameBytes:
		return fmt.Errorf("transaction asset unit name too big: %d > %d", len(p.UnitName), r.MaxAssetUnitNameBytes)
	case len(p.URL) > r.MaxAssetURLBytes:
		return fmt.Errorf("transaction asset url too big: %d > %d", len(p.URL), r.MaxAssetURLBytes)
	case p.Decimals > r.MaxAssetDecimals:
		return fmt.Errorf("transaction asset decimals is too high (max is %d)", r.MaxAssetDecimals)
	}
	return nil
}

// foreignFields names another type whose fields a transaction carries.
func foreignFields(tx *types.Transaction) types.TxType {
	for _, fields := range []struct {
		of      types.TxType
		present bool
	}{
		{types.PaymentTx, tx.PaymentTxnFields != types.PaymentTxnFields{}},
		{types.KeyRegistrationTx, tx.KeyregTxnFields != types.KeyregTxnFields{}},
		{types.AssetConfigTx, tx.AssetConfigTxnFields != types.AssetConfigTxnFields{}},
		{types.AssetTransferTx, tx.AssetTransferTxnFields != types.AssetTransferTxnFields{}},
		{types.AssetFreezeTx, tx.AssetFreezeTxnFields != types.AssetFreezeTxnFields{}},
		{types.ApplicationCallTx, !reflect.ValueOf(&tx.ApplicationFields).Elem().IsZero()},
		{types.StateProofTx, !reflect.ValueOf(&tx.StateProofTxnFields).Elem().IsZero()},
		{types.HeartbeatTx, tx.HeartbeatTxnFields != nil},
	} {
		if fields.present && fields.of != tx.Type {
			return fields.of
		}
	}
	return ""
}

// checkGroupID holds a group to its id: the hash of its members' ids, each taken with the id cleared.
func checkGroupID(g group) error {
	id := g[0].Txn.Group
	if id == (types.Digest{}) {
		if len(g) > 1 {
			return fmt.Errorf("transactionGroup: [0] had zero Group but was submitted in a group of %d", len(g))
		}
		return nil
	}
	members := types.TxGroup{TxGroupHashes: make([]types.Digest, len(g))}
	for i := range g {
		if other := g[i].Txn.Group; other != id {
			return fmt.Errorf("transactionGroup: inconsistent group values: %s != %s", formatDigest(other), formatDigest(id))
		}
		bare := g[i].Txn
		bare.Group = types.Digest{}
		copy(members.TxGroupHashes[i][:], crypto.TransactionID(bare))
	}
	computed := types.Digest(sha512.Sum512_256(append([]byte("TG"), msgpack.Encode(&members)...)))
	if computed != id {
		names := make([]string, len(g))
		for i, m := range members.TxGroupHashes {
			names[i] = formatDigest(m)
		}
		return fmt.Errorf("transactionGroup: incomplete group: %s != %s ({{} %v})", formatDigest(id), formatDigest(computed), names)
	}
	return nil
}
