package disclosure

import (
	"cmp"
	"slices"
	"sort"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Readers is who could read what was published in a collection, and who can: whoever has the key of the epoch that it
// is sealed to. They are members by name, in alphabetical order; this organisation is not among them. A key that
// somebody was given can't be taken back, so that whoever could read something can read it still.
type Readers struct {
	// Then are those who had the key in the round in which it was published.
	Then []string `json:"readers_then"`
	// Now are those who have it now, or had it when the object was withdrawn: those of Then, and those who were given
	// it later.
	Now []string `json:"readers_now"`
	// Removed are those of Now that are no members any more. They keep what they had.
	Removed []string `json:"readers_removed,omitempty"`
	// RemovedThen are those of Then that were no members any more in that round: the next epoch had not begun yet.
	RemovedThen []string `json:"readers_removed_then,omitempty"`
	// Stated says that this node did not give all of the keys itself, or does not know that it did: for some of the
	// readers it is what the owner's records say of who may read.
	Stated bool `json:"readers_stated,omitempty"`
}

// Includes reports whether a member could read it then, or can now.
func (r Readers) Includes(member string) bool { return slices.Contains(r.Now, member) }

// hold is that a member was given the keys of some epochs.
type hold struct {
	member   string // by its first account
	from, to uint32
	at       consortium.Position
	stated   bool
}

func (h hold) has(epoch uint32) bool { return h.from <= epoch && epoch <= h.to }

// audience answers who has the keys of one collection. It is what was known when it was made.
type audience struct {
	holds       []hold // by position
	memberships map[string][]consortium.Membership
	names       map[string]string
	latest      consortium.Position
	known       map[moment]holders
}

// moment is all that an answer depends on: the epoch, and how many of the holds and of the endings of memberships
// there were.
type moment struct {
	epoch       uint32
	holds, ends int
}

type holders struct {
	names, removed []string
	stated         bool
}

// maxMoments bounds how many answers are kept: enough for every epoch that objects of one stretch are sealed to.
const maxMoments = 4096

// readers tells who could read something that is sealed to an epoch: in the round of a position, and in that of
// another.
func (a *audience) readers(epoch uint32, then, now consortium.Position) Readers {
	first, last := a.at(epoch, then.Round), a.at(epoch, now.Round)
	return Readers{Then: first.names, Now: last.names, Removed: last.removed, RemovedThen: first.removed, Stated: first.stated || last.stated}
}

// at tells who has the key of an epoch at the end of a round.
func (a *audience) at(epoch uint32, round uint64) holders {
	n := sort.Search(len(a.holds), func(i int) bool { return a.holds[i].at.Round > round })
	asked := moment{epoch, n, a.endsBy(round)}
	if found, ok := a.known[asked]; ok {
		return found
	}
	result := holders{names: []string{}}
	given := map[string]bool{} // whether that is known, and not only stated
	for _, h := range a.holds[:n] {
		if h.has(epoch) {
			given[h.member] = given[h.member] || !h.stated
		}
	}
	for member, known := range given {
		name := a.name(member)
		result.names = append(result.names, name)
		result.stated = result.stated || !known
		if !a.isMember(member, round) {
			result.removed = append(result.removed, name)
		}
	}
	slices.Sort(result.names)
	slices.Sort(result.removed)
	if len(a.known) >= maxMoments {
		clear(a.known)
	}
	a.known[asked] = result
	return result
}

func (a *audience) name(member string) string { return cmp.Or(a.names[member], member) }

// endsBy counts how often a membership has begun or ended by the end of a round.
func (a *audience) endsBy(round uint64) (n int) {
	for _, list := range a.memberships {
		for _, m := range list {
			if m.From.Round <= round {
				n++
			}
			if m.Until != nil && m.Until.Round <= round {
				n++
			}
		}
	}
	return n
}

func (a *audience) isMember(member string, round uint64) bool {
	return slices.ContainsFunc(a.memberships[member], func(m consortium.Membership) bool {
		return m.From.Round <= round && (m.Until == nil || m.Until.Round > round)
	})
}
