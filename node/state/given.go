package state

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// KeysGiven is that this organisation gave keys of a collection of its own to members, by one record. Its keyrings are
// sealed, and nobody else can tell whose they are: it is kept when the record is made.
type KeysGiven struct {
	Record  []byte    `json:"record"`  // what the outbox publishes the record as
	Members []string  `json:"members"` // by their first accounts, which stay; this organisation's own is not among them
	From    uint32    `json:"from"`    // the first epoch
	To      uint32    `json:"to"`      // … and the last
	By      string    `json:"by,omitempty"`
	Made    time.Time `json:"made"`
}

func keysGivenPrefix(collection string) string { return "keys-given/" + collection + "/" }

// SetKeysGiven keeps who was given keys. It is called before the record is in the outbox: what never is there was not
// given.
func SetKeysGiven(outbox memos, collection string, g KeysGiven) error {
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return outbox.SetMemo(keysGivenPrefix(collection)+hex.EncodeToString(g.Record), data)
}

// AllKeysGiven lists who was given keys of a collection, in no order.
func AllKeysGiven(outbox interface {
	memos
	Memos(prefix string, limit int) ([]string, error)
}, collection string) (list []KeysGiven, err error) {
	err = EachMemo(outbox, keysGivenPrefix(collection), math.MaxInt, func(_ string, g KeysGiven) { list = append(list, g) })
	if err != nil {
		return nil, fmt.Errorf("reading who was given keys of collection %s: %w", collection, err)
	}
	return list, nil
}
