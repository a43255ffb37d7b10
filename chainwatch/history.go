package chainwatch

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
)

// history reads many rounds account by account: right where the rounds are many and ours are few. It goes on page by
// page, and what was read is kept when a page can't be had: with an indexer that gives one page a second it ends all
// the same.
//
// An account's transactions come newest first, so that nothing may be concluded before all of its pages were read. What
// doesn't fit into memory is forgotten from the newer end, and read again as a window of its own.
type history struct {
	window
	reader     *reader
	publishers func([]consortium.Event) []consortium.Publisher
	after      []uint64            // the ends of the windows that come after this one, the next one last
	stretches  map[string]*stretch // by account
	given      map[string]bool     // accounts that were given up
}

// stretch is what was read of an account's transactions: the rounds from the first to the window's last.
type stretch struct {
	first uint64
	upTo  uint64 // … or to here, if it was read from a later round on before
	book  book
	done  bool
	ours  bool // something of the consortium was among them
}

// maxForeign is how many pages of an account are read without any note of the consortium: then it is somebody else's,
// whose history would hold up everything for as long as it is.
const maxForeign = 200

func newHistory(r *reader, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher) *history {
	return &history{reader: r, window: window{first: first, last: last}, publishers: publishers, given: map[string]bool{}, stretches: map[string]*stretch{}}
}

// step reads one page. Done is true when the window is whole. An account that is given up is named once.
func (h *history) step(ctx context.Context) (done bool, givenUp string, err error) {
	account, s := h.open()
	if s == nil {
		h.cut(h.last)
		h.sort()
		return true, "", nil
	}
	page, err := h.reader.accountPage(ctx, account, s.first, min(h.last, s.upTo), s.book.next)
	if err != nil {
		return false, "", err
	}
	if page.CurrentRound < h.last {
		// A server that is behind, or one wrong answer: what it doesn't have may be missing in this page.
		return false, "", fmt.Errorf("the indexer says that round %d is the last; it said before that it has round %d", page.CurrentRound, h.last)
	}
	ended, err := s.book.turn(page)
	if err != nil {
		s.book = book{} // from its beginning
		return false, "", fmt.Errorf("reading the history of %.60s: %w", account, err)
	}
	known := len(h.events)
	h.reader.take(&h.window, page.Transactions)
	s.ours = s.ours || len(h.events) > known
	switch {
	case ended:
		s.done = true
	case !s.ours && s.book.pages >= h.reader.foreign:
		s.done, h.given[account], givenUp = true, true, account
	case len(h.events) > h.reader.most && h.last > h.first:
		h.shorten(s, page.Transactions[len(page.Transactions)-1].ConfirmedRound)
	}
	return false, givenUp, nil
}

// open gives the next account that has not been read whole, given the events found so far, since these can make further
// accounts count.
func (h *history) open() (string, *stretch) {
	for _, p := range h.publishers(h.events) {
		first := max(h.first, p.Since)
		if h.given[p.Account] || first > h.last {
			continue
		}
		s := h.stretches[p.Account]
		switch {
		case s == nil:
			s = &stretch{first: first, upTo: h.last}
			h.stretches[p.Account] = s
		case s.done && first < s.first: // it counts from an earlier round on than was known
			*s = stretch{first: first, upTo: s.first - 1, ours: s.ours}
		}
		if !s.done {
			return p.Account, s
		}
	}
	return "", nil
}

// shorten ends the window before the transactions of an account that were read so far, so that less is to be kept.
func (h *history) shorten(s *stretch, reached uint64) {
	h.after = append(h.after, h.last)
	h.cut(max(h.first, min(reached, h.last)-1))
	s.book = book{} // the next page is the first of the shorter window
}

// advance makes the window that comes after this one was delivered. It reports whether there is one.
func (h *history) advance() bool {
	if len(h.after) == 0 {
		return false
	}
	last := h.after[len(h.after)-1]
	h.after = h.after[:len(h.after)-1]
	h.window = window{first: h.last + 1, last: last}
	clear(h.stretches)
	if h.first > h.last {
		return h.advance()
	}
	return true
}
