package p2p

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

func TestAStoreIsReadWhileNoHostRuns(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	h := startOn(t, c, vfs.Default)
	small, large := directory(t), directoryOf(t, 3*unixfs.ChunkSize+1, "large")
	put(t, h, small, large)
	closeHost(t, h)

	o, err := OpenOffline(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range []unixfs.Directory{small, large} {
		want, err := d.Files()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Read(t.Context(), d.Root()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %d files, %v", len(got), err)
		}
	}
	if _, err := o.Read(t.Context(), directoryOf(t, 10, "absent").Root()); !errors.Is(err, unixfs.ErrNotFound) {
		t.Errorf("reading what is not there: %v", err)
	}
}
