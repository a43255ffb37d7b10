package desk

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/arrivals"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/taxii"
)

// news tells what came in.
type news struct {
	*Desk
	find     finder
	observer taxii.Observer
	book     *arrivals.Book
}

// Changed is closed when something comes into the view or leaves it.
func (n news) Changed() <-chan struct{} { return n.observer.Changes() }

// Since counts what came in after a moment.
func (n news) Since(ctx context.Context, by console.By, after time.Time, most int) (console.Came, error) {
	came, err := n.find.Since(ctx, by.Principal, after, most)
	return console.Came{Objects: came.Objects, Types: came.Types, Members: came.Members, More: came.More}, err
}

// countTime bounds how long a page waits for what is not counted yet.
const countTime = time.Second

// Arrivals tells what came in by days.
func (n news) Arrivals(ctx context.Context, by console.By) (console.Arrivals, error) {
	if err := n.book.Count(ctx, countTime); err != nil {
		return console.Arrivals{}, err
	}
	everything := by
	if by.Limits.MayRead(clients.EverythingID(n.api.Consortium)) {
		everything.Limits.Read = nil
	}
	t := n.book.Tell(func(collection string) bool { return everything.Limits.MayRead(collection) }).Recent(30)
	a := console.Arrivals{Days: t.Days, Types: t.Types, Members: map[string][]int{}, All: t.All, Back: t.Back}
	for account, row := range t.Publishers {
		member := n.api.State.Name(account)
		if a.Members[member] == nil {
			a.Members[member] = make([]int, len(row))
		}
		for i, count := range row {
			a.Members[member][i] += count
		}
	}
	rest := t.All
	for i, step := range arrivals.Steps {
		a.Waits = append(a.Waits, console.Wait{Within: step, N: t.Within[i]})
		rest -= t.Within[i]
	}
	a.Waits = append(a.Waits, console.Wait{N: rest})
	return a, nil
}
