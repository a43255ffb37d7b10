package repo

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Peers remembers where other members' nodes were last reached.
type Peers struct{ store *store }

const tablePeer = 'n'

// Save remembers a peer's addresses.
func (p *Peers) Save(info peer.AddrInfo) error {
	data, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("remembering peer %s: %w", info.ID, err)
	}
	return p.store.db.Update(func(txn *badger.Txn) error {
		return txn.Set(key(tablePeer, []byte(info.ID)), data)
	})
}

// All gives every peer that is remembered.
func (p *Peers) All() (list []peer.AddrInfo, err error) {
	err = p.store.db.View(func(txn *badger.Txn) error {
		return scan(txn, key(tablePeer), nil, true, func(_ []byte, item *badger.Item) (bool, error) {
			var info peer.AddrInfo
			if err := item.Value(func(data []byte) error { return json.Unmarshal(data, &info) }); err != nil {
				return false, err
			}
			list = append(list, info)
			return true, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the remembered peers: %w", err)
	}
	return list, nil
}
