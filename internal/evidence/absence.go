package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// No file can show that something is not on the chain: who makes it chooses what is in it. What a right rests on the
// absence of is a step of its own, that is trusted and never passes.

// absences names what must not have been on the chain for a member's admission to have held at a publication.
func (c *checker) absences(admission, e consortium.Event) {
	c.inOffice(admission.Position)
	c.Note(Trusted, "membership was not ended", between(admission.Position, e.Position),
		"that no removal of the member, and no destruction of its admission, is left out here"+c.numbered(admission, e.Position))
	c.Note(Trusted, "account was not replaced", between(admission.Position, e.Position),
		fmt.Sprintf("that neither the member nor the governor had given it another account than %s before: such a rotation can be left out here", e.Sender))
}

// inOffice names that who acted as the governor at a position had not been replaced before.
func (c *checker) inOffice(at consortium.Position) {
	governor, since := c.state.TermAt(at)
	c.Note(Trusted, "governor was not replaced", fmt.Sprintf("%s, %s", governor, between(since, at)),
		"that no amendment is left out here by which another account was the governor then: a former governor has no right")
}

func between(from, to consortium.Position) string {
	return fmt.Sprintf("rounds %d to %d", from.Round, to.Round)
}

// numbered says what the governor's sequence numbers tell about the time between an admission and a publication. They
// leave no hole: where the file has the transactions of all numbers from the admission's to one that came after the
// publication, nothing else was between, if the governor numbered as it should. Numbers show what was left out against
// the governor's will, and nothing against the governor.
func (c *checker) numbered(admission consortium.Event, to consortium.Position) string {
	governor := admission.Sender
	if c.state.GovernorAt(to) != governor {
		return ""
	}
	var numbers []uint64
	end := uint64(0)
	for _, e := range c.events {
		if e.Sender != governor || e.Note.Kind == wire.KindCharter {
			continue
		}
		numbers = append(numbers, e.Note.Sequence)
		if n := e.Note.Sequence; to.Before(e.Position) && (end == 0 || n < end) {
			end = n
		}
	}
	first := admission.Note.Sequence
	if end <= first {
		return "; the file has none of the governor's transactions after the publication, by whose number it could be seen"
	}
	slices.Sort(numbers)
	for n := first; n < end; n++ {
		if _, found := slices.BinarySearch(numbers, n); !found {
			return fmt.Sprintf("; of the governor's transactions with the numbers %d to %d the file does not have number %d", first, end, n)
		}
	}
	return fmt.Sprintf("; the file has all of the governor's transactions with the numbers %d to %d, of which the last came after it, so that this holds "+
		"if the governor gave no number twice", first, end)
}

// conclude says what is proved if no step fails, by whom, when, and what has to be believed for it.
func (c *checker) conclude(e consortium.Event, what string) {
	charter := c.state.Charter()
	c.Conclusion = fmt.Sprintf("Proved is that %s, %s of the consortium %q (%d), signed %s, and that the Algorand network %q confirmed it in round %d, by its "+
		"clock at %s; this rests on the following, which is not proved here: %s; what has become of it since is not shown.",
		e.Sender, c.capacity(e), charter.Name, c.state.ID(), what, charter.GenesisID, e.Round, e.Time.UTC().Format(time.RFC3339), c.assumptions())
}

// capacity is as whom an account published.
func (c *checker) capacity(e consortium.Event) string {
	for _, m := range c.state.Members() {
		if m.Account == e.Sender || slices.Contains(m.Former, e.Sender) {
			return "as the member " + m.Name
		}
	}
	return "as the governor"
}

// assumptions lists what the trusted steps leave to be believed.
func (c *checker) assumptions() string {
	var list []string
	blocks, words := 0, 0
	for _, s := range c.Steps {
		switch {
		case s.Outcome != Trusted:
		case strings.HasSuffix(s.Name, ": block"):
			blocks++
		case strings.HasSuffix(s.Name, ": confirmed"):
			words++
		default:
			list = append(list, s.Detail)
		}
	}
	if blocks > 0 {
		list = append(list, fmt.Sprintf("that the hashes of %d blocks above are the network's", blocks))
	}
	if words > 0 {
		list = append(list, fmt.Sprintf("the indexer's word about the place and time of %d transactions", words))
	}
	for i := range list {
		list[i] = fmt.Sprintf("(%d) %s", i+1, list[i])
	}
	return strings.Join(list, "; ")
}
