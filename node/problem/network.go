package problem

import (
	"bytes"
	"errors"
	"fmt"
)

// OtherNetwork says that algod is of another network than the consortium's, by the ids of the two and the hashes of
// their first blocks; "" if it isn't. Networks of one's own often have the same id.
func OtherNetwork(id string, hash []byte, consortium string, consortiumHash []byte) string {
	if bytes.Equal(hash, consortiumHash) {
		return ""
	}
	says := fmt.Sprintf("algod is of the network %s, the consortium lives on %s", id, consortium)
	if id == consortium {
		says += fmt.Sprintf(", and they are not the same: the genesis hash of the one is %.4x…, of the other %.4x…; was the network made anew, or is algorand.algod_url another one's?", hash, consortiumHash)
	}
	return says
}

// CheckNetwork is [OtherNetwork] as an error.
func CheckNetwork(id string, hash []byte, consortium string, consortiumHash []byte) error {
	if other := OtherNetwork(id, hash, consortium, consortiumHash); other != "" {
		return errors.New(other)
	}
	return nil
}
