package consortium

// maxHoles bounds what is remembered of one publisher's missing numbers: more than can be under way in another order
// than they were signed in.
const maxHoles = 128

// Sequence follows the numbers that a publisher gives its transactions. They have no holes, so that a number which
// stays missing longer than a transaction can be under way is one that the indexer left out. And none is given twice: a
// number that comes again shows that two nodes publish with one identity.
type Sequence struct {
	Highest uint64   `json:"highest"`
	Holes   []Range  `json:"holes,omitzero"` // ascending
	Last    Position `json:"last,omitzero"`  // of the last transaction that was seen
	Twice   Repeated `json:"twice,omitzero"`
	Blurred bool     `json:"blurred,omitzero"` // there were more holes than are remembered: what comes again can't be told from what fills one
}

// Repeated is numbers that were seen again.
type Repeated struct {
	Count  uint64 `json:"count"`
	Number uint64 `json:"number"` // the last of them
	Round  uint64 `json:"round"`  // … and when it came again
}

// Range is the numbers First to Last, both included, that are missing.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Since uint64 `json:"since"` // the round in which a higher number showed that they are
}

// Overdue is the number of rounds after which a number that is missing can't be confirmed any more: the longest time
// that a transaction is valid (Algorand's limit), for one that was signed just before the higher number was seen.
const Overdue = 1000

// IsOverdue reports whether at a round the numbers can only have been left out, or given to a transaction that was
// lost.
func (r Range) IsOverdue(round uint64) bool { return round > r.Since+Overdue }

// Saw notes that a transaction with a number was seen. Groups can be confirmed in another order than they were signed
// in, so that a hole is ordinary for a while. A transaction that is told again changes nothing.
func (q *Sequence) Saw(number uint64, at Position) {
	if !q.Last.Before(at) {
		return
	}
	q.Last = at
	switch {
	case number > q.Highest:
		if number > q.Highest+1 {
			if len(q.Holes) < maxHoles {
				q.Holes = append(q.Holes, Range{q.Highest + 1, number - 1, at.Round})
			} else {
				q.Blurred = true
			}
		}
		q.Highest = number
	case !q.fill(number) && number > 0 && !q.Blurred:
		q.Twice = Repeated{Count: q.Twice.Count + 1, Number: number, Round: at.Round}
	}
}

// fill takes a number out of the holes; false if it is in none.
func (q *Sequence) fill(number uint64) bool {
	for i, hole := range q.Holes {
		if number < hole.First || number > hole.Last {
			continue
		}
		rest := make([]Range, 0, len(q.Holes)+1)
		rest = append(rest, q.Holes[:i]...)
		if number > hole.First {
			rest = append(rest, Range{hole.First, number - 1, hole.Since})
		}
		if number < hole.Last {
			rest = append(rest, Range{number + 1, hole.Last, hole.Since})
		}
		q.Holes = append(rest, q.Holes[i+1:]...)
		return true
	}
	return false
}

func (s *State) sequence(account string) *Sequence {
	q := s.sequences[account]
	if q == nil {
		q = &Sequence{}
		s.sequences[account] = q
	}
	return q
}

// Sequences gives what is known of each publisher's numbers, by account. The result is the state's own; a caller
// that keeps it must copy it.
func (s *State) Sequences() map[string]*Sequence { return s.sequences }

// Resume puts the fold where it stood when it was last stored: the records have been applied again, and these
// numbers and this position stand for the objects in between, which change nothing else.
func (s *State) Resume(at Position, sequences map[string]*Sequence) {
	if s.position.Before(at) {
		s.position = at
	}
	for account, q := range sequences {
		s.sequences[account] = q
	}
}
