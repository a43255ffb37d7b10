// Package consortium is the rules of a Service Ledger consortium as a pure state machine: which accounts were members
// at which point of the chain, which collections there are, who may read and who may publish in them, and which
// object counts. It does no I/O and reads no clock.
//
// It is fed from two sides. [State.Apply] takes the chain's events, in chain order. Membership follows from the notes
// of the governor's transactions alone, so that a fold never has to wait for IPFS. [State.Take] takes the content of
// records (names, keys, properties of collections) as it arrives from IPFS, in any order. Once every content has been
// taken, the state depends on the chain only: every node that can open the same keyrings has the same state.
//
// Everybody who may mint can make everybody else read its records. So what a record can cost is bounded, in bytes and
// in keys that are tried, and reading one ([Reader.Read]) needs no state: it is done beside it.
package consortium

import (
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// Grace is the number of rounds after the end of a key epoch during which objects sealed to it still count: the longest
// time that a transaction signed before can take to be confirmed, however many epochs begin meanwhile.
const Grace = 1000

// State is what a consortium is at one point of the chain. It is not safe for concurrent use.
type State struct {
	id       uint64
	charter  string // transaction id
	identity *seal.Identity

	position    Position
	founded     *charterRecord
	terms       []*term               // who was the governor when; none before the charter was applied
	members     map[string]*member    // by every account that they have or had
	admissions  map[uint64]*admission // by the member NFT's asset id
	collections map[string]*collection
	records     map[string]record // by transaction id: where content belongs
	sequences   map[string]*Sequence

	organisations int      // that were ever admitted
	wanted        []string // see Wanted
	spare         int      // bytes of sealed and replaced properties that are kept, see maxSpare
}

// New begins the fold of the consortium with the given id (the asset id of its charter), whose charter was minted by
// the given transaction. The identity opens the keyrings that are meant for this organisation.
func New(id uint64, charterTxID string, identity *seal.Identity) *State {
	return &State{
		id: id, charter: charterTxID, identity: identity,
		members:     map[string]*member{},
		admissions:  map[uint64]*admission{},
		collections: map[string]*collection{},
		records:     map[string]record{},
		sequences:   map[string]*Sequence{},
	}
}

// Effect says what an event does.
type Effect int

// The effects of events.
const (
	Nothing    Effect = iota // it doesn't count
	Record                   // it changes the consortium; its content is wanted, see [State.Attach]
	Object                   // it publishes an object, or a batch of them; [State.Rule] decides once its metadata is known
	Withdrawal               // it ends an NFT that isn't a member's: what it published, if its publisher is the sender
	Release                  // it destroys an NFT and ends nothing
)

// Apply folds the next event in. Events must come in chain order; one that is not later than the last is a replay and
// does nothing. The reason says in words why an event does nothing.
func (s *State) Apply(e Event) (effect Effect, reason string) {
	if !s.position.Before(e.Position) { // zero before the charter
		return Nothing, "replayed"
	}
	effect, reason = s.apply(e)
	if len(s.terms) > 0 {
		s.position = e.Position
	}
	return effect, reason
}

func (s *State) apply(e Event) (Effect, string) {
	if len(s.terms) == 0 {
		if e.Note.Kind != wire.KindCharter || e.Asset != s.id || e.TxID != s.charter {
			return Nothing, "before the charter"
		}
		return s.found(e)
	}
	if e.Consortium != s.id {
		return Nothing, "of another consortium"
	}
	if s.members[e.Sender] == nil && !s.wasGovernor(e.Sender) {
		return Nothing, "the sender was never a member"
	}
	s.sequence(e.Sender).Saw(e.Note.Sequence, e.Position)
	switch e.Note.Kind {
	case wire.KindMember:
		return s.admit(e)
	case wire.KindRemoval:
		return s.remove(e)
	case wire.KindRotation:
		return s.rotate(e)
	case wire.KindAmendment:
		return s.amend(e)
	case wire.KindDestroy:
		return s.destroy(e)
	case wire.KindRelease:
		return Release, ""
	}
	if !s.memberNow(e.Sender) {
		return Nothing, "the sender was not a member in that round"
	}
	switch e.Note.Kind {
	case wire.KindCollection, wire.KindKeyring:
		return s.record(e)
	case wire.KindObject, wire.KindBatch:
		return Object, ""
	}
	return Nothing, "of a kind that is not known"
}

// ID is the consortium's id: the asset id of its charter.
func (s *State) ID() uint64 { return s.id }

// Position is where the fold stands.
func (s *State) Position() Position { return s.position }
