package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/onchain"
)

func TestABlockIsAskedForOnceAndAgainWhenItIsForgotten(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.block(7, blockOf(7))
	for range 2 {
		if r, found, err := l.Read(t.Context(), 7); err != nil || !found || r.Round != 7 {
			t.Fatalf("%+v, %t, %v", r, found, err)
		}
		f.says["/v2/blocks/7"] = words(500, "x")
	}
	l.Forget(7)
	if _, _, err := l.Read(t.Context(), 7); err == nil || !strings.HasPrefix(err.Error(), "reading block 7: ") {
		t.Errorf("%v", err)
	}
	for message, missing := range map[string]bool{algorand.NoBlock: true, "not found": false} {
		f.says["/v2/blocks/7"] = words(404, message)
		if _, found, err := l.Read(t.Context(), 7); found || (err == nil) != missing {
			t.Errorf("%s: %t, %v", message, found, err)
		}
	}
	f.block(7, blockOf(8))
	if _, _, err := l.Read(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "algod gave block 8") {
		t.Errorf("%v", err)
	}
}

func TestABlockWithSomethingNewInItIsReadAllTheSame(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "onchain", "testdata", "block-group16.msgp"))
	if err != nil {
		t.Fatal(err)
	}
	block, known, err := decodeBlock(raw)
	if err != nil || !known || len(block.Payset) != 16 || onchain.Read(&block, known).Fit != onchain.Fits {
		t.Fatalf("as it was recorded: %t, %v, %d transactions", known, err, len(block.Payset))
	}
	newer := bytes.Replace(raw, []byte("\xa4prev"), []byte("\xa4neww"), 1)
	if block, known, err = decodeBlock(newer); err != nil || known || len(block.Payset) != 16 {
		t.Errorf("with a field that is not known: %t, %v, %d transactions", known, err, len(block.Payset))
	}
	var foreign *algorand.ForeignError
	for _, broken := range [][]byte{nil, []byte("<html>"), raw[:500], []byte("\x82\xa5block")} {
		if _, _, err := decodeBlock(broken); !errors.As(err, &foreign) {
			t.Errorf("%.20q: %v", broken, err)
		}
	}
}

func TestReadingsAreKeptUpToABound(t *testing.T) {
	var k readings
	for round := range uint64(100) {
		k.put(onchain.Reading{Round: round})
	}
	if _, found := k.get(99 - keptReadings); found || len(k.list) != keptReadings {
		t.Errorf("%d are kept", len(k.list))
	}
	k.put(onchain.Reading{Round: 100, Transactions: make([]onchain.Confirmed, keptTransactions)})
	k.put(onchain.Reading{Round: 101, Transactions: make([]onchain.Confirmed, 1)})
	if len(k.list) != 1 || k.held != 1 {
		t.Errorf("%d are kept with %d transactions", len(k.list), k.held)
	}
	k.forget(101)
	if k.put(onchain.Reading{Round: 102, Transactions: make([]onchain.Confirmed, 3)}); len(k.list) != 1 || k.held != 3 {
		t.Errorf("%d are kept with %d transactions", len(k.list), k.held)
	}
}

func TestWhoWaitsForTheSameAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j joined[int]
		var asked atomic.Int64
		ask := func(ctx context.Context) (int, error) {
			n := asked.Add(1)
			select {
			case <-time.After(time.Second):
				return int(n), nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		var group sync.WaitGroup
		hurried, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		group.Go(func() {
			if _, err := j.do(hurried, 7, ask); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		for range 3 { // the first of them asks again when who asked before has gone
			group.Go(func() {
				if got, err := j.do(t.Context(), 7, ask); err != nil || got != 2 {
					t.Errorf("%d, %v", got, err)
				}
			})
		}
		group.Wait()
		if n := asked.Load(); n != 2 || len(j.calls) != 0 {
			t.Errorf("it was asked %d times, and %d requests are under way", n, len(j.calls))
		}
		failing := errors.New("it fails")
		if _, err := j.do(t.Context(), 8, func(context.Context) (int, error) { return 0, failing }); !errors.Is(err, failing) {
			t.Errorf("%v", err)
		}
	})
}

func TestTheAccountsTransactionsAreFoundInAReading(t *testing.T) {
	f, l := newFakeAlgod(t)
	foreign := oneMint(1)
	foreign.Note = []byte("something else")
	f.block(7, blockOf(7, inBlock(transaction(params, l.account.Address, 500, foreign), 3), inBlock(transaction(params, types.Address{1}, 500, oneMint(2)), 4), inBlock(transaction(params, l.account.Address, 500, oneMint(3)), 5)))
	if got, err := l.Minted(t.Context(), 7); err != nil || len(got) != 1 || got[0].Asset != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}
