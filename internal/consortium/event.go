package consortium

import (
	"cmp"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
)

// Position is an event's place on the chain.
type Position struct {
	Round uint64 `json:"round"`
	Intra uint64 `json:"intra"` // offset within the round
}

// Compare orders positions as the chain does.
func (p Position) Compare(other Position) int {
	return cmp.Or(cmp.Compare(p.Round, other.Round), cmp.Compare(p.Intra, other.Intra))
}

// Before reports whether p is earlier on the chain.
func (p Position) Before(other Position) bool { return p.Compare(other) < 0 }

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Round, p.Intra) }

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
	Lease        []byte    `json:"-"` // 32 bytes; only its sender knows what they stand for
}

// Place is where on the chain something is: the transaction, its round, and the NFT that it made.
type Place struct {
	TxID      string
	Round     uint64
	Asset     uint64 // 0 if it destroyed one
	Directory string // CID; "" if that is known from elsewhere
}

// Place is where the event is.
func (e Event) Place() Place {
	return Place{TxID: e.TxID, Round: e.Round, Asset: e.Asset, Directory: e.Directory}
}

// Ends is the asset id of the NFT that the event ends, or 0 if it ends none.
func (e Event) Ends() uint64 {
	switch e.Note.Kind {
	case wire.KindDestroy:
		return e.Asset
	case wire.KindRemoval:
		return e.Note.Asset
	}
	return 0
}
