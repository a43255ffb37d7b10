package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Recovery is what a node has before it that was restored from a backup: after the backup was made, the lost node may
// have signed what this outbox doesn't know of. Nothing may be signed before the chain has shown all of it.
type Recovery struct {
	// Until is the last round in which anything that the lost node signed can be confirmed; 0 as long as it is not known.
	Until uint64 `json:"until,omitzero"`
	// Disputed says that the other is no lost node: it had this one's keys at the same time.
	Disputed bool `json:"disputed,omitzero"`
}

// BeginRecovery puts everything before the node, in a transaction of the caller.
func BeginRecovery(txn *kv.Txn) error { return store.SetJSON(txn, recoveryKey, Recovery{}) }

var recoveryKey = store.Key(store.TableMemo, []byte("recovery"))

// Recovery gives what is before a restored node; nil if nothing is.
func (o *Outbox) Recovery() (recovery *Recovery, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		var r Recovery
		found, err := store.GetJSON(txn, recoveryKey, &r)
		if found {
			recovery = &r
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is to be recovered: %w", err)
	}
	return recovery, nil
}

// SetRecovery changes what is before a restored node; nil ends it.
func (o *Outbox) SetRecovery(recovery *Recovery) error {
	err := o.store.Write(func(txn *kv.Txn) error {
		if recovery == nil {
			return txn.Delete(recoveryKey)
		}
		return store.SetJSON(txn, recoveryKey, recovery)
	})
	if err != nil {
		return fmt.Errorf("recording what is to be recovered: %w", err)
	}
	return nil
}
