package consortium

import "slices"

// AdmissionAt gives the event by which an account was a member just before a position of the chain: of its admissions
// that were in force, the last.
func (s *State) AdmissionAt(account string, at Position) (Event, bool) {
	m := s.members[account]
	if m == nil || m.accountAt(at) != account {
		return Event{}, false
	}
	for _, a := range slices.Backward(m.admissions) {
		if a.event.Position.Before(at) && (a.until == nil || !a.until.Before(at)) {
			return a.event, true
		}
	}
	return Event{}, false
}

// GroundsAt gives the records from which it follows that an account was a member's just before a position, in the order
// of the chain, beside the charter: its amendments, and the admission. Where the member has changed its keys, all of
// its admissions and changes are among them: each can rest on those before it.
func (s *State) GroundsAt(account string, at Position) (records []Event) {
	for _, t := range s.terms {
		if t.event.TxID != s.charter {
			records = append(records, t.event)
		}
	}
	if m := s.members[account]; m != nil && len(m.rotations) > 0 {
		for _, a := range m.admissions {
			records = append(records, a.event)
		}
		for _, r := range m.rotations {
			records = append(records, r.event)
		}
	} else if admission, found := s.AdmissionAt(account, at); found {
		records = append(records, admission)
	}
	records = slices.DeleteFunc(records, func(e Event) bool { return !e.Before(at) })
	slices.SortFunc(records, func(a, b Event) int { return a.Compare(b.Position) })
	return records
}
