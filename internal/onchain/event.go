package onchain

import (
	"errors"
	"fmt"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// Confirmed is a signed transaction, with what is known of its confirmation beside what was signed.
type Confirmed struct {
	types.SignedTxn
	TxID     string
	Position consortium.Position
	Time     time.Time // of the block
	Asset    uint64    // that it made; 0 if it made none
}

// Event checks the signature and the form of a transaction of this protocol on the network with the given genesis hash,
// and reads it. It returns an error wrapping [wire.ErrNotOurs] for what is none of this protocol's, one wrapping
// [ErrForged] for what the sender didn't sign, and another error for what breaks the protocol's form. The identifier,
// the position, the time and the asset are taken as they are.
func (c Confirmed) Event(network [32]byte) (consortium.Event, error) {
	if c.Txn.Type != types.AssetConfigTx {
		return consortium.Event{}, wire.ErrNotOurs
	}
	id, note, err := wire.ParseNote(c.Txn.Note)
	if err != nil {
		return consortium.Event{}, err
	}
	if c.Txn.GenesisHash != network {
		return consortium.Event{}, fmt.Errorf("of another network (genesis hash %x)", c.Txn.GenesisHash)
	}
	if err := CheckSignature(c.SignedTxn); err != nil {
		return consortium.Event{}, err
	}
	e := consortium.Event{
		Position: c.Position, Time: c.Time.UTC(), TxID: c.TxID, Sender: c.Txn.Sender.String(), Consortium: id, Note: note,
		Fee: uint64(c.Txn.Fee),
	}
	if c.Txn.Lease != ([32]byte{}) {
		e.Lease = c.Txn.Lease[:]
	}
	if note.Kind == wire.KindDestroy || note.Kind == wire.KindRelease {
		e.Asset, err = destroyed(c.Txn)
		return e, err
	}
	e.Asset = c.Asset
	e.Directory, e.MetadataHash, err = minted(c.Txn, c.Asset)
	return e, err
}

// destroyed gives the asset that a transaction destroys: one that names an asset and gives no parameters at all.
func destroyed(t types.Transaction) (uint64, error) {
	if t.ConfigAsset == 0 || t.AssetParams != (types.AssetParams{}) {
		return 0, errors.New("its note says that it destroys an asset, but it doesn't")
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
