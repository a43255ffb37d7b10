package consortium

import (
	"errors"

	"github.com/serviceledger/slnode/internal/wire"
)

// charterRecord is the record that founded the consortium.
type charterRecord struct {
	event   Event
	content *wire.Charter
}

// term is a stretch of the chain, up to the next one, with one governor and one name: it begins with the charter or
// with an amendment. Who the governor is follows from the note alone; the content tells the rest.
type term struct {
	event   Event
	account string
	content *wire.Amendment // nil as long as it isn't known, and where the charter began the term
}

// found begins the fold with the charter.
func (s *State) found(e Event) (Effect, string) {
	s.founded = &charterRecord{event: e}
	s.terms = []*term{{event: e, account: e.Sender}}
	s.records[e.TxID] = s.founded
	return Record, ""
}

// amend makes the account that the note names the governor. It can be the same as before.
func (s *State) amend(e Event) (Effect, string) {
	if e.Sender != s.Governor() {
		return Nothing, "only the governor amends the charter"
	}
	t := &term{event: e, account: e.Note.Account}
	s.terms = append(s.terms, t)
	s.records[e.TxID] = t
	return Record, ""
}

func readCharter(payload []byte) (*wire.Charter, error) {
	charter, err := wire.ParseCharter(payload)
	if err != nil {
		return nil, err
	}
	return &charter, nil
}

func (c *charterRecord) reader() Reader { return Reader{event: c.event} }

func (c *charterRecord) take(_ *State, content *Content) {
	if content != nil {
		c.content = content.Charter
	}
}

// readAmendment reads an amendment. Where it is void, the governor is the one that the note names all the same, and
// nothing else changes.
func (r Reader) readAmendment(payload []byte) (*wire.Amendment, error) {
	content, err := wire.ParseAmendment(payload)
	if err != nil {
		return nil, err
	}
	if governor, err := content.Governor.Address(); err != nil || governor != r.event.Note.Account {
		return nil, errors.Join(errors.New("the record names another governor than its note"), err)
	}
	return &content, nil
}

func (t *term) reader() Reader { return Reader{event: t.event} }

func (t *term) take(_ *State, content *Content) {
	if content != nil {
		t.content = content.Amendment
	}
}

// Governor is the account that admits and removes members; "" until the charter was seen.
func (s *State) Governor() string {
	if len(s.terms) == 0 {
		return ""
	}
	return s.terms[len(s.terms)-1].account
}

// GovernorAt is the account that was the governor just before a position of the chain that has been applied; "" before
// the charter. The charter itself, and nothing else, is the governor's at its own position.
func (s *State) GovernorAt(at Position) string {
	governor, _ := s.TermAt(at)
	return governor
}

// TermAt is the governor just before a position, as [State.GovernorAt] says, and since when it had been.
func (s *State) TermAt(at Position) (governor string, since Position) {
	for i, t := range s.terms {
		if !t.event.Position.Before(at) && !(i == 0 && t.event.Position == at) {
			break
		}
		if t.account != governor {
			governor, since = t.account, t.event.Position
		}
	}
	return governor, since
}

// Amendments counts how often the charter was amended.
func (s *State) Amendments() int { return max(len(s.terms)-1, 0) }

// InOffice is when the governor last took office: with the charter, or with the amendment that put it in the place of
// another account.
func (s *State) InOffice() (since Position) {
	for i, t := range s.terms {
		if i == 0 || s.terms[i-1].account != t.account {
			since = t.event.Position
		}
	}
	return since
}

// Quorum is which accounts make up the governor, or nil as long as it isn't known.
func (s *State) Quorum() *wire.Quorum {
	switch n := len(s.terms); {
	case n == 0:
		return nil
	case n == 1: // who could mint the charter alone
		return &wire.Quorum{Threshold: 1, Accounts: []string{s.terms[0].account}}
	default:
		if content := s.terms[n-1].content; content != nil {
			return &content.Governor
		}
		return nil
	}
}

// wasGovernor reports whether an account is or was the governor.
func (s *State) wasGovernor(account string) bool {
	for _, t := range s.terms {
		if t.account == account {
			return true
		}
	}
	return false
}

// Charter is the charter's content as amended, or nil as long as it isn't known.
func (s *State) Charter() *wire.Charter {
	if s.founded == nil || s.founded.content == nil {
		return nil
	}
	charter := *s.founded.content
	for _, t := range s.terms {
		if t.content != nil {
			charter.Name, charter.History = t.content.Name, t.content.History
		}
	}
	return &charter
}
