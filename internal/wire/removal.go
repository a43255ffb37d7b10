package wire

import "errors"

// Removal is the record that ends what can't be ended by destroying its NFT: a membership that another governor began
// (Account), a publication of a member that has another account now (Asset), or one object of a batch (Asset and
// Index).
type Removal struct {
	Format  string `json:"format"`
	Kind    Kind   `json:"kind"`
	Account string `json:"account,omitzero"`
	Asset   uint64 `json:"asset,omitzero"`
	Index   uint32 `json:"index,omitzero"`
}

// Encode writes record.json.
func (r Removal) Encode() ([]byte, error) {
	r.Format, r.Kind = Format, KindRemoval
	return encodeRecord(r.Kind, r, r.check)
}

// ParseRemoval reads a removal's record.json.
func ParseRemoval(data []byte) (Removal, error) {
	return parseRecord(data, KindRemoval, func(r *Removal) (string, Kind) { return r.Format, r.Kind }, (*Removal).check)
}

func (r *Removal) check() error {
	switch {
	case r.Asset == 0 && r.Index != 0:
		return errNoBatch
	case r.Asset == 0:
		return checkAccount(r.Account)
	case r.Account != "":
		return errors.New("it removes an account and an asset at once")
	case r.Index != 0:
		return CheckIndex(r.Index)
	}
	return nil
}
