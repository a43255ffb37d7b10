package consortium

import (
	"cmp"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
)

// Position is the place on the chain of an event, or of what it publishes.
type Position struct {
	Round uint64 `json:"round"`
	Intra uint64 `json:"intra"`          // offset within the round
	Index uint32 `json:"index,omitzero"` // within a batch, from 1; an event's own is 0
}

// Compare orders positions as the chain does.
func (p Position) Compare(other Position) int {
	return cmp.Or(cmp.Compare(p.Round, other.Round), cmp.Compare(p.Intra, other.Intra), cmp.Compare(p.Index, other.Index))
}

// Before reports whether p is earlier on the chain.
func (p Position) Before(other Position) bool { return p.Compare(other) < 0 }

func (p Position) String() string {
	if p.Index == 0 {
		return fmt.Sprintf("%d:%d", p.Round, p.Intra)
	}
	return fmt.Sprintf("%d:%d/%d", p.Round, p.Intra, p.Index)
}

// Event is one transaction of this protocol as the chain has it: a confirmed, top-level asset configuration whose
// signature and identifier were verified. Whether it counts is for [State.Apply] to say.
type Event struct {
	Position
	Time         time.Time `json:"time"` // the block's timestamp; on a private chain it may lag far behind the clock
	TxID         string    `json:"txid"`
	Sender       string    `json:"sender"`     // Algorand address
	Asset        uint64    `json:"asset"`      // the asset id made or, by a destroy, ended
	Consortium   uint64    `json:"consortium"` // as the note says; 0 in a charter
	Note         wire.Note `json:"note"`
	Directory    string    `json:"directory,omitzero"` // CIDv1 of the URL; none in a destroy
	MetadataHash []byte    `json:"metadata_hash,omitzero"`
	Fee          uint64    `json:"fee,omitzero"` // that the sender paid, in microalgo
	Lease        []byte    `json:"-"`            // 32 bytes; only its sender knows what they stand for
}

// Place is where on the chain something is: the transaction, its round, and the NFT that it made.
type Place struct {
	TxID      string
	Round     uint64
	Asset     uint64 // 0 if it destroyed one
	Index     uint32 // of what it is in a batch; else 0
	Directory string // CID; "" if that is known from elsewhere
}

// Place is where the event is.
func (e Event) Place() Place {
	return Place{TxID: e.TxID, Round: e.Round, Asset: e.Asset, Index: e.Index, Directory: e.Directory}
}

// Name is the name of what was published there.
func (p Place) Name() wire.Publication { return wire.Publication{TxID: p.TxID, Index: p.Index} }

// Name is the name of what the event publishes.
func (e Event) Name() wire.Publication {
	return wire.Publication{TxID: e.TxID, Index: e.Index}
}

// Listed is an object that a batch lists, as if its transaction had published that alone. Nothing but its directory's
// CID says what its metadata.json is.
func (e Event) Listed(index uint32, directory string) Event {
	e.Index, e.Directory = index, directory
	e.Note.Kind, e.MetadataHash, e.Lease = wire.KindObject, nil, nil
	return e
}

// Ends is the asset id of the NFT that the event ends, or 0 if it ends none. An index says which of a batch's objects
// it ends; 0 is all of what the NFT published.
func (e Event) Ends() (asset uint64, index uint32) {
	switch e.Note.Kind {
	case wire.KindDestroy:
		return e.Asset, 0
	case wire.KindRemoval:
		return e.Note.Asset, e.Note.Index
	}
	return 0, 0
}
