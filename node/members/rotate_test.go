package members

import (
	"errors"
	"testing"

	"github.com/serviceledger/slnode/node/publish"
)

// A change of keys that came to nothing fails who asked for it, and not who asks for another one later.
func TestAFailedRotationFailsNoOther(t *testing.T) {
	n := &Registrar{}
	first, second := publish.KeyOf("rotation", "first"), publish.KeyOf("rotation", "second")
	if err := n.rotationFailed(first); err != nil {
		t.Error(err)
	}
	failure := errors.New("it counts for nothing")
	n.failed.Store(&failedRotation{key: first, err: failure})
	if err := n.rotationFailed(first); !errors.Is(err, failure) {
		t.Errorf("who asked for it is told %v", err)
	}
	if err := n.rotationFailed(second); err != nil {
		t.Errorf("the next one is told %v", err)
	}
}
