package chainwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

const (
	pageLimit   = 1000             // transactions a page; released indexers give no more without being asked
	callTimeout = 35 * time.Second // the indexer itself gives up after 29 s
	maxEvents   = 10_000           // events held in memory at once
)

// filters are the parameters of /v2/transactions that an indexer may refuse: as released, it refuses both.
type filters struct{ txType, notePrefix bool }

// reader asks the indexer, one page at a time.
type reader struct {
	client   *indexer.Client
	decode   decoder
	filters  filters
	most     int               // events held in memory at once
	limit    uint64            // transactions a page
	foreign  int               // pages of an account without anything of the consortium, until it is given up
	answered func(said uint64) // is told what each answer says that the indexer's last round is
	from     string            // the indexer's name
}

// bad is a transaction that looks like the consortium's and does not count.
type bad struct {
	txid, sender string
	round        uint64
	err          error
	from         string // the name of the source
}

// window is the events of the rounds first to last, in chain order, and nothing missing between.
type window struct {
	first, last uint64
	events      []consortium.Event
	bad         []bad
}

// maxBad bounds what is remembered of a window's malformed transactions: anybody can write them.
const maxBad = 100

// take decodes a page's transactions into a window.
func (r *reader) take(w *window, transactions []models.Transaction) {
	for _, t := range transactions {
		e, err := r.decode.event(t)
		switch {
		case err == nil:
			w.events = append(w.events, e)
		case !errors.Is(err, errForeign) && len(w.bad) < maxBad:
			w.bad = append(w.bad, bad{bounded(t.Id), bounded(t.Sender), t.ConfirmedRound, err, r.from})
		}
	}
}

// cut takes off what is beyond a round, which becomes the window's last.
func (w *window) cut(last uint64) {
	w.last = min(w.last, last)
	w.events = slices.DeleteFunc(w.events, func(e consortium.Event) bool { return e.Round > w.last || e.Round < w.first })
	w.bad = slices.DeleteFunc(w.bad, func(b bad) bool { return b.round > w.last })
}

// order puts a window's events in chain order: an indexer that gives them in another must not make the fold take the
// later ones for replays. One that gives two the same place, or one two places, must be asked again: of the two, one
// would be lost.
func (w *window) order() error {
	w.sort()
	places := make(map[string]consortium.Position, len(w.events))
	for i, e := range w.events {
		if i > 0 && w.events[i-1].Position == e.Position {
			return fmt.Errorf("the indexer gives transactions %s and %s the same place, %s", w.events[i-1].TxID, e.TxID, e.Position)
		}
		if place, found := places[e.TxID]; found {
			return fmt.Errorf("the indexer gives transaction %s two places, %s and %s", e.TxID, place, e.Position)
		}
		places[e.TxID] = e.Position
	}
	return nil
}

// sort puts a window's events in order, each once.
func (w *window) sort() {
	slices.SortFunc(w.events, func(a, b consortium.Event) int {
		return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.TxID, b.TxID))
	})
	w.events = slices.CompactFunc(w.events, func(a, b consortium.Event) bool { return a.Position == b.Position && a.TxID == b.TxID })
}

// checked is a page that is an indexer's: its own words tell its last round and a list, even of nothing.
func (r *reader) checked(page models.TransactionsResponse, err error) (models.TransactionsResponse, error) {
	switch {
	case err != nil:
		return page, err
	case page.CurrentRound == 0 || page.Transactions == nil:
		return page, &algorand.ForeignError{Server: "the indexer", What: "a page without a round, or without a list of transactions"}
	}
	if r.answered != nil {
		r.answered(page.CurrentRound)
	}
	return page, nil
}

// page asks for one page of the transactions of the rounds first to last, in ascending order.
func (r *reader) page(ctx context.Context, first, last uint64, next string) (models.TransactionsResponse, error) {
	for {
		query := r.client.SearchForTransactions().MinRound(first).MaxRound(last).Limit(r.limit)
		if r.filters.txType {
			query.TxType("acfg")
		}
		if r.filters.notePrefix {
			query.NotePrefix(wire.NotePrefix(r.decode.consortium))
		}
		if next != "" {
			query.NextToken(next)
		}
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		page, err := query.Do(callCtx)
		cancel()
		if r.refusedFilter(err) {
			continue
		}
		if page, err = r.checked(page, err); err != nil {
			err = fmt.Errorf("asking the indexer for rounds %d to %d: %w", first, last, err)
		}
		return page, err
	}
}

// accountPage asks for one page of an account's transactions of the rounds first to last, in descending order.
func (r *reader) accountPage(ctx context.Context, account string, first, last uint64, next string) (models.TransactionsResponse, error) {
	for {
		query := r.client.LookupAccountTransactions(account).MinRound(first).MaxRound(last).Limit(r.limit)
		if r.filters.txType {
			query.TxType("acfg")
		}
		if next != "" {
			query.NextToken(next)
		}
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		page, err := query.Do(callCtx)
		cancel()
		if r.refusedFilter(err) {
			continue
		}
		// An account that was never used has an empty page, not a 404.
		if page, err = r.checked(page, err); err != nil {
			err = fmt.Errorf("asking the indexer for the history of %.60s: %w", account, err)
		}
		return page, err
	}
}

// refusedFilter reports whether the indexer refused one of our filters, which is then left out.
func (r *reader) refusedFilter(err error) bool {
	message, bad := algorand.BadRequest(err)
	if !bad || !strings.Contains(message, "disabled parameter") {
		return false
	}
	switch {
	case r.filters.notePrefix && strings.Contains(message, "note-prefix"):
		r.filters.notePrefix = false
	case r.filters.txType && strings.Contains(message, "tx-type"):
		r.filters.txType = false
	default:
		return false
	}
	return true
}

// book goes through the pages of one query and finds out whether they go on: an indexer that gives the same again and
// again, or a cache that overlooks which page was asked for, would never end, or seem to have ended.
type book struct {
	next  string
	pages int
	last  map[string]bool // the transactions of the page before
}

// turn takes the next page. Ended is true when there is none after it.
func (b *book) turn(page models.TransactionsResponse) (ended bool, err error) {
	if len(page.Transactions) == 0 || page.NextToken == "" {
		return true, nil
	}
	if page.NextToken == b.next {
		return false, errors.New("the indexer's pages don't go on: a page names itself as the next")
	}
	ids, news := make(map[string]bool, len(page.Transactions)), false
	for _, t := range page.Transactions {
		ids[t.Id] = true
		news = news || !b.last[t.Id]
	}
	if !news {
		return false, errors.New("the indexer's pages don't go on: a page has only what the one before had")
	}
	b.next, b.last = page.NextToken, ids
	b.pages++
	return false, nil
}

// maxPages bounds the pages of one window: of a thousand rounds with a filter, or of some without one.
const maxPages = 1000

// rounds reads some rounds whoever the senders are: right at the tip of the chain. It goes on page by page, and what
// was read is kept when a page can't be had.
type rounds struct {
	window
	reader   *reader
	asked    uint64 // the last round that is asked for, the same for all pages
	book     book
	complete uint64 // every round up to it was read
}

func newRounds(r *reader, first, last uint64) *rounds {
	return &rounds{window: window{first: first, last: last}, reader: r, asked: last, complete: first - 1}
}

// step reads one page. Done is true when the window is whole: it ends at last, at the indexer's own last round, or
// where it holds enough.
func (r *rounds) step(ctx context.Context) (done bool, err error) {
	page, err := r.reader.page(ctx, r.first, r.asked, r.book.next)
	if err != nil {
		return false, err
	}
	ended, err := r.book.turn(page)
	if err == nil && r.book.pages > maxPages {
		err = fmt.Errorf("the indexer's pages for rounds %d to %d don't end", r.first, r.last)
	}
	if err != nil {
		*r = *newRounds(r.reader, r.first, r.asked)
		return false, err
	}
	// The indexer gives what it has: beyond its own last round there may be more tomorrow.
	r.last = min(r.last, page.CurrentRound)
	r.reader.take(&r.window, page.Transactions)
	if !ended {
		r.complete = ascending(page.Transactions, r.complete)
		if len(r.events) < r.reader.most || r.complete < r.first {
			return false, nil
		}
		r.last = min(r.last, r.complete)
	}
	r.cut(r.last)
	r.sort()
	return true, nil
}

// ascending gives the round up to which everything was read, after a page in ascending order: the one before its last
// transaction's. A page in another order, which somebody made, tells nothing.
func ascending(page []models.Transaction, complete uint64) uint64 {
	for i, t := range page {
		if t.ConfirmedRound <= complete || i > 0 && t.ConfirmedRound < page[i-1].ConfirmedRound {
			return complete
		}
	}
	return page[len(page)-1].ConfirmedRound - 1
}

// transaction looks one transaction up. Found is false if the indexer, whose last round is given, doesn't have it.
func (r *reader) transaction(ctx context.Context, txid string) (t models.Transaction, found bool, round uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := r.checked(r.client.SearchForTransactions().TXID(txid).Do(ctx))
	if err != nil {
		return models.Transaction{}, false, 0, fmt.Errorf("asking the indexer for transaction %.60s: %w", txid, err)
	}
	for _, t := range page.Transactions {
		if t.Id == txid {
			return t, true, page.CurrentRound, nil
		}
	}
	return models.Transaction{}, false, page.CurrentRound, nil
}

// ofAccount looks for a transaction among those of its sender, in the rounds in which it can be.
func (r *reader) ofAccount(ctx context.Context, txid, sender string, first, last uint64) (t models.Transaction, found bool, round uint64, err error) {
	var b book
	for {
		page, err := r.accountPage(ctx, sender, first, last, b.next)
		if err != nil {
			return models.Transaction{}, false, 0, err
		}
		if round == 0 || page.CurrentRound < round {
			round = page.CurrentRound
		}
		for _, t := range page.Transactions {
			if t.Id == txid {
				return t, true, round, nil
			}
		}
		ended, err := b.turn(page)
		if err == nil && b.pages > maxPages {
			err = fmt.Errorf("the indexer's pages of %.60s don't end", sender)
		}
		if err != nil || ended {
			return models.Transaction{}, false, round, err
		}
	}
}
