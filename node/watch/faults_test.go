package watch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var errDisk = errors.New("the disk is gone")

// broken are memos that can't be written, and a view that can't be read.
type broken struct {
	memos
	pages
}

func (broken) SetMemos(map[string][]byte) error             { return errDisk }
func (broken) ForgetMemo(string) error                      { return errDisk }
func (broken) Page(view.Query) ([]*view.Entry, bool, error) { return nil, false, errDisk }

// What could not be kept is not watched for: after a restart it would be gone.
func TestWhatCanNotBeKeptIsNotWatchedFor(t *testing.T) {
	w := newWorld(t)
	w.add("kept.example")
	whole := w.room.Memos
	w.room.Memos = broken{memos: whole}
	for _, c := range []taxii.AssetChange{{Add: []string{"new.example"}}, {Remove: []string{"kept.example"}}} {
		if done, err := w.room.ChangeAssets(t.Context(), publisher, c); !errors.Is(err, errDisk) {
			t.Errorf("%+v: %+v, %v", c, done, err)
		}
	}
	w.room.Memos = whole
	assets, err := w.room.Assets(t.Context(), reader)
	nodetest.Must(t, err)
	if len(assets) != 1 || assets[0].Value != "kept.example" {
		t.Errorf("watched for is %+v", assets)
	}
	w.room.View = broken{}
	if found, err := w.room.Since(t.Context(), reader, time.Time{}, 10); !errors.Is(err, errDisk) {
		t.Errorf("found is %+v, %v", found, err)
	}
}

func TestANoteHasItsLength(t *testing.T) {
	w := newWorld(t)
	change := taxii.AssetChange{Add: []string{"a.example"}, Note: strings.Repeat("x", maxNote)}
	if done, err := w.room.ChangeAssets(t.Context(), publisher, change); err != nil || done.Added != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// Of very many that came in the newest are looked at, and it says so.
func TestWhatCameInLatelyIsLookedAtAsFarAsAsked(t *testing.T) {
	w := newWorld(t)
	w.add("acme.example")
	var ids []string
	for n := range 7 {
		ids = append(ids, w.object(fmt.Sprintf("domain-name:value = 'n%d.acme.example'", n)))
		w.object(fmt.Sprintf("domain-name:value = 'n%d.other.example'", n))
	}
	for _, c := range []struct {
		most, objects, named int
		more                 bool
	}{{1, 0, 0, true}, {2, 1, 1, true}, {4, 2, 2, true}, {14, 7, 5, false}, {100, 7, 5, false}} {
		found, err := w.room.Since(t.Context(), reader, time.Time{}, c.most)
		nodetest.Must(t, err)
		if found.Objects != c.objects || len(found.IDs) != c.named || found.More != c.more || c.named > 0 && found.IDs[0] != ids[6] {
			t.Errorf("of %d: %+v", c.most, found)
		}
	}
}
