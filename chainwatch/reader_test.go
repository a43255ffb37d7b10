package chainwatch

import (
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
)

func at(round, intra uint64, txid string) consortium.Event {
	return consortium.Event{Position: consortium.Position{Round: round, Intra: intra}, TxID: txid}
}

func TestAWindowIsInChainOrderWhateverTheIndexersOrderIs(t *testing.T) {
	w := window{first: 2, last: 4, events: []consortium.Event{at(5, 0, "F"), at(3, 1, "D"), at(4, 0, "E"), at(3, 1, "D"), at(2, 0, "B"), at(3, 0, "C"), at(1, 0, "A")}}
	w.cut(4)
	if err := w.order(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range w.events {
		got = append(got, e.TxID)
	}
	if want := []string{"B", "C", "D", "E"}; !slices.Equal(got, want) {
		t.Errorf("the window is %q, want %q", got, want)
	}
}

func TestAnIndexerThatGivesTwoTransactionsOnePlaceIsAskedAgain(t *testing.T) {
	w := window{first: 1, last: 9, events: []consortium.Event{at(3, 1, "A"), at(4, 0, "B"), at(3, 1, "C")}}
	if err := w.order(); err == nil || !strings.Contains(err.Error(), "A and C the same place, 3:1") {
		t.Errorf("the error is %v", err)
	}
}
