package consortium

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// Exposure is that somebody has the key of a collection's epoch who should not have it any more: a member that was
// removed, or the holder of an identity that a member had before. What is published under the key can be read by it.
type Exposure struct {
	Account string // of the member, at present
	Removed bool   // it is no member any more; else it has another identity
	Since   uint64 // the round in which that came about
	// ByItself says that the member changed its identity itself, and Before in which round it last did so before the epoch
	// began; 0 if it never did.
	ByItself bool
	Before   uint64
}

// Exposed lists who has the key of the epoch that a collection is in, and should not, in the order of their accounts:
// those whose membership ended, or whose identity is another, after one position and not after the other. The first is
// where the keys of the epoch were given out, or the beginning of the epoch if it isn't known. A change of other keys
// exposes nothing: only an identity opens what a collection's owner gives.
func (s *State) Exposed(c Collection, given, upTo Position) (list []Exposure) {
	distinct := map[*member]bool{}
	for _, m := range s.members {
		if distinct[m] || !c.MayRead(m.account()) {
			continue
		}
		distinct[m] = true
		if e, exposed := m.exposure(given, upTo, c.Began); exposed {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Exposure) int { return cmp.Compare(a.Account, b.Account) })
	return list
}

func (m *member) exposure(given, upTo, began Position) (e Exposure, exposed bool) {
	e.Account = m.account()
	after := func(p Position) bool { return given.Before(p) && !upTo.Before(p) }
	if !m.inForce() {
		for _, a := range m.admissions {
			if after(*a.until) {
				e.Removed, e.Since = true, max(e.Since, a.until.Round)
			}
		}
		return e, e.Removed
	}
	e.ByItself = true
	now := identityOf(m.describe().Recipient)
	for _, change := range m.identityChanges() {
		if change.byItself && change.at.Before(began) {
			e.Before = change.at.Round
		}
		if after(change.at) && change.from != now {
			e.Since, e.ByItself, exposed = change.at.Round, e.ByItself && change.byItself, true
		}
	}
	return e, exposed
}

// identity stands for a recipient, which is large; the zero value for none.
type identity [sha256.Size]byte

func identityOf(recipient string) (id identity) {
	if recipient != "" {
		id = sha256.Sum256([]byte(recipient))
	}
	return id
}

// identityChange is that a member has another identity than before.
type identityChange struct {
	at       Position
	from     identity
	byItself bool // by a rotation of the member's own
}

// identityChanges lists them in chain order, as far as the contents are known: a record without is no change.
func (m *member) identityChanges() (list []identityChange) {
	type keys struct {
		at    Position
		opens identity
		own   bool
	}
	var all []keys
	for _, a := range m.admissions {
		if a.content != nil {
			all = append(all, keys{at: a.event.Position, opens: identityOf(a.content.Recipient)})
		}
	}
	for _, r := range m.rotations {
		if r.opens != (identity{}) {
			all = append(all, keys{at: r.event.Position, opens: r.opens, own: r.event.Sender == r.event.Note.Former})
		}
	}
	slices.SortFunc(all, func(a, b keys) int { return a.at.Compare(b.at) })
	for i := 1; i < len(all); i++ {
		if all[i].opens != all[i-1].opens {
			list = append(list, identityChange{at: all[i].at, from: all[i-1].opens, byItself: all[i].own})
		}
	}
	return list
}
