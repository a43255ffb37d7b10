package collections

import (
	"context"
	"errors"
	"testing"
)

// Of a free turn and an ended context a select takes either.
func TestWhoHasGoneGetsNoTurn(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	var free turn
	for range 100 {
		if err := free.take(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("the turn was taken: %v", err)
		}
	}
}
