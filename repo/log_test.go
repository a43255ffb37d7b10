package repo

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
)

func TestTheLogIsReadInOrderPieceByPiece(t *testing.T) {
	v := newView(t)
	c := &chain{}
	var want []NewEvent
	for range 300 { // the bytes of positions cross a boundary
		want = append(want, c.event())
	}
	must(t, v.Append(want, nil))
	var after consortium.Position
	for len(want) > 0 {
		got, err := v.Log(after, 70)
		must(t, err)
		if len(got) != min(70, len(want)) {
			t.Fatalf("%d events after %s, %d are left", len(got), after, len(want))
		}
		for i, e := range got {
			if e.TxID != want[i].TxID || e.Position != want[i].Position {
				t.Fatalf("got %s at %s, want %s", e.TxID, e.Position, want[i].TxID)
			}
			after = e.Position
		}
		want = want[len(got):]
	}
	if got, err := v.Log(after, 70); err != nil || len(got) != 0 {
		t.Errorf("after the last: %d, %v", len(got), err)
	}
}
