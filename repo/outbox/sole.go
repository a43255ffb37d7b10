package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Sole is what an outbox knows of who else signs with its account. There is one node with an identity: what others
// signed with it, after this outbox began, shows that there are two.
type Sole struct {
	Account string `json:"account"`
	// From is the round after which every transaction of the account is this outbox's. What was signed before may be
	// that of a node that was lost.
	From uint64 `json:"from"`
	// Foreign is what was confirmed after it and is not.
	Foreign Foreign `json:"foreign,omitzero"`
}

// Foreign is transactions of an own account that this outbox has not signed.
type Foreign struct {
	Count    uint64 `json:"count"`
	TxID     string `json:"txid"` // the last of them
	Sequence uint64 `json:"sequence"`
	Round    uint64 `json:"round"`
}

var soleKey = store.Key(store.TableMemo, []byte("sole"))

// Sole gives it; the zero value if nothing is known.
func (o *Outbox) Sole() (sole Sole, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		_, err := store.GetJSON(txn, soleKey, &sole)
		return err
	})
	if err != nil {
		return Sole{}, fmt.Errorf("reading who signs with this account: %w", err)
	}
	return sole, nil
}

// SetSole changes it.
func (o *Outbox) SetSole(sole Sole) error {
	if err := o.store.Write(func(txn *kv.Txn) error { return store.SetJSON(txn, soleKey, sole) }); err != nil {
		return fmt.Errorf("recording who signs with this account: %w", err)
	}
	return nil
}

// Unsigned gives those of some transactions that were never signed here.
func (o *Outbox) Unsigned(txids []string) (unsigned []string, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		for _, txid := range txids {
			known := false
			for _, table := range []byte{store.TableTx, store.TableExpired} {
				_, found, err := store.Get(txn, store.Key(table, []byte(txid)))
				if err != nil {
					return err
				}
				known = known || found
			}
			if !known {
				unsigned = append(unsigned, txid)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading which transactions are our own: %w", err)
	}
	return unsigned, nil
}
