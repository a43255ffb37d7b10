package consortium

import "slices"

// AdmissionAt gives the event by which an account was a member just before a position of the chain: of its admissions
// that were in force, the last.
func (s *State) AdmissionAt(account string, at Position) (Event, bool) {
	m := s.members[account]
	if m == nil {
		return Event{}, false
	}
	for _, a := range slices.Backward(m.admissions) {
		if a.event.Position.Before(at) && (a.until == nil || !a.until.Before(at)) {
			return a.event, true
		}
	}
	return Event{}, false
}
