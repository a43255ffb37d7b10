package wire

import "fmt"

// Rotation is the record by which a member gets other keys, in the place of those that it has: another account, peer
// key or identity. It goes on being the same member.
type Rotation struct {
	Format string `json:"format"`
	Kind   Kind   `json:"kind"`
	Member Member `json:"member"` // what the organisation says of itself now, proved with the new keys
}

// Encode writes record.json.
func (r Rotation) Encode() ([]byte, error) {
	r.Format, r.Kind = Format, KindRotation
	r.Member.Format, r.Member.Kind = Format, KindMember
	return encodeRecord(r.Kind, r, r.check)
}

// ParseRotation reads a rotation's record.json, and verifies both signatures in it.
func ParseRotation(data []byte) (Rotation, error) {
	return parseRecord(data, KindRotation, func(r *Rotation) (string, Kind) { return r.Format, r.Kind }, (*Rotation).check)
}

func (r *Rotation) check() error {
	if r.Member.Format != Format || r.Member.Kind != KindMember {
		return fmt.Errorf("its member document says format %.40q and kind %.40q", r.Member.Format, r.Member.Kind)
	}
	return r.Member.check()
}
