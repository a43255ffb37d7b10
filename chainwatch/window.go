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

// window is the events of the rounds first to last, in chain order, and nothing missing between.
type window struct {
	first, last uint64
	events      []consortium.Event
}

// filters are the parameters of /v2/transactions that an indexer may refuse: as released, it refuses both.
type filters struct{ txType, notePrefix bool }

// reader asks the indexer.
type reader struct {
	client  *indexer.Client
	decode  decoder
	filters filters
	tip     uint64 // the indexer's last round, as far as it has told
	most    int    // events held in memory at once
	report  func(t models.Transaction, err error)
}

// collect decodes a page's transactions into events.
func (r *reader) collect(events []consortium.Event, transactions []models.Transaction) []consortium.Event {
	for _, t := range transactions {
		e, err := r.decode.event(t)
		switch {
		case err == nil:
			events = append(events, e)
		case !errors.Is(err, errForeign):
			r.report(t, err)
		}
	}
	return events
}

// byRounds reads the rounds from first on with one query a page, whoever the senders are: right at the tip of the
// chain. The window ends at last, at the indexer's own last round, or where it holds enough.
func (r *reader) byRounds(ctx context.Context, first, last uint64) (window, error) {
	w := window{first: first, last: last}
	next := ""
	for {
		page, err := r.page(ctx, first, last, next)
		if err != nil {
			return window{}, fmt.Errorf("asking the indexer for rounds %d to %d: %w", first, last, err)
		}
		r.tip = page.CurrentRound
		// The indexer gives what it has: beyond its own last round there may be more tomorrow.
		w.last = min(w.last, page.CurrentRound)
		w.events = r.collect(w.events, page.Transactions)
		if page.NextToken == "" || page.NextToken == next || len(page.Transactions) == 0 {
			break
		}
		next = page.NextToken
		// Pages come in ascending order: every round before the last transaction's is complete.
		if reached := page.Transactions[len(page.Transactions)-1].ConfirmedRound; len(w.events) >= r.most && reached > first {
			w.last = min(w.last, reached-1)
			break
		}
	}
	return w, w.trim()
}

// page asks for one page and finds out, once, which parameters the indexer takes.
func (r *reader) page(ctx context.Context, first, last uint64, next string) (models.TransactionsResponse, error) {
	for {
		query := r.client.SearchForTransactions().MinRound(first).MaxRound(last).Limit(pageLimit)
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

// byAccounts reads the rounds first to last account by account: right for history, where the rounds are many and ours
// are few. Publishers tells which accounts count, given the events found so far, since a window can admit new ones.
// An account's transactions come newest first, so that nothing may be concluded before all of its pages were read;
// where they are too many, the window is made shorter.
func (r *reader) byAccounts(ctx context.Context, first, last uint64, publishers func([]consortium.Event) []string) (window, error) {
	w := window{first: first, last: last}
	for done := map[string]bool{}; ; {
		account, more := nextAccount(publishers(w.events), done)
		if !more {
			break
		}
		done[account] = true
		next := ""
		for {
			page, err := r.accountPage(ctx, account, first, w.last, next)
			if err != nil {
				return window{}, fmt.Errorf("asking the indexer for the history of %s: %w", account, err)
			}
			r.tip = page.CurrentRound
			w.last = min(w.last, page.CurrentRound)
			w.events = r.collect(w.events, page.Transactions)
			if len(w.events) > r.most && w.last > first {
				return r.byAccounts(ctx, first, first+(w.last-first)/2, publishers)
			}
			if page.NextToken == "" || page.NextToken == next || len(page.Transactions) == 0 {
				break
			}
			next = page.NextToken
		}
	}
	return w, w.trim()
}

func nextAccount(accounts []string, done map[string]bool) (string, bool) {
	for _, account := range accounts {
		if !done[account] {
			return account, true
		}
	}
	return "", false
}

func (r *reader) accountPage(ctx context.Context, account string, first, last uint64, next string) (models.TransactionsResponse, error) {
	for {
		query := r.client.LookupAccountTransactions(account).MinRound(first).MaxRound(last).Limit(pageLimit)
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
		if algorand.NotFound(err) { // an account that was never used
			return models.TransactionsResponse{CurrentRound: last}, nil
		}
		return page, err
	}
}

// trim takes events off that are beyond the window's end, and puts the others in chain order: an indexer that gives them
// in another must not make the fold take the later ones for replays. One that gives two the same place must be asked
// again: of the two, one would be lost.
func (w *window) trim() error {
	w.events = slices.DeleteFunc(w.events, func(e consortium.Event) bool { return e.Round > w.last || e.Round < w.first })
	slices.SortFunc(w.events, func(a, b consortium.Event) int {
		return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.TxID, b.TxID))
	})
	w.events = slices.CompactFunc(w.events, func(a, b consortium.Event) bool { return a.Position == b.Position && a.TxID == b.TxID })
	for i := 1; i < len(w.events); i++ {
		if a, b := w.events[i-1], w.events[i]; a.Position == b.Position {
			return fmt.Errorf("the indexer gives transactions %s and %s the same place, %s", a.TxID, b.TxID, a.Position)
		}
	}
	return nil
}

// charter finds the account that minted the charter, and the round. The event itself is verified like every other.
func (r *reader) charter(ctx context.Context) (creator string, round uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, asset, err := r.client.LookupAssetByID(r.decode.consortium).IncludeAll(true).Do(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("asking the indexer for the charter (asset %d): %w", r.decode.consortium, err)
	}
	r.tip = response
	if asset.CreatedAtRound == 0 || asset.Params.Creator == "" {
		return "", 0, fmt.Errorf("the indexer doesn't say when the charter (asset %d) was minted", r.decode.consortium)
	}
	return asset.Params.Creator, asset.CreatedAtRound, nil
}

// transaction looks one transaction up. Found is false if the indexer, whose last round is given, doesn't have it.
func (r *reader) transaction(ctx context.Context, txid string) (t models.Transaction, found bool, round uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := r.client.SearchForTransactions().TXID(txid).Do(ctx)
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
