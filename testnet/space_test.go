package testnet

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/withdraw"
)

// takes is how much the stores of a node take on the disk, in bytes.
func (o *organisation) takes() (n int64) {
	o.t.Helper()
	for _, store := range []string{"state", "view"} {
		err := filepath.WalkDir(filepath.Join(o.Dir, store), func(_ string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // the node removes files
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				n += info.Size()
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return err
		})
		must(o.t, err)
	}
	return n
}

// What was published and withdrawn takes no space in the stores any more, neither at who published it nor at another
// member: soon, and without a restart.
func TestWithdrawnObjectsGiveTheirSpaceBack(t *testing.T) {
	t.Parallel()
	const objects, size = 24, 2 << 20
	n := newNetwork(t, development(t), "alpha", "bravo")
	for _, o := range n.members {
		o.stop()
		o.edit(`reclaim = "10m0s"`, `reclaim = "200ms"`)
		o.start()
	}
	alpha, bravo := n.members[0], n.members[1]
	before := map[*organisation]int64{alpha: alpha.takes(), bravo: bravo.takes()}
	noise := make([]byte, size*3/4)
	for i := range objects {
		_, _ = rand.Read(noise)
		large := strings.Replace(indicator(i), fmt.Sprintf(`"name":"Indicator %d"`, i), `"description":"`+base64.StdEncoding.EncodeToString(noise)+`"`, 1)
		status := alpha.post(n.collection, large)
		if len(status.Successes) != 1 {
			t.Fatalf("posting object %d: %+v", i, status)
		}
	}
	for o := range before {
		eventually(t, func() (bool, string) {
			shown, more := o.status().View.Objects, o.takes()-before[o]
			return shown == objects && more > objects*size, fmt.Sprintf("%s has %d objects, and takes %d MiB more than before", o.Name, shown, more>>20)
		})
	}
	for i := range objects {
		cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", objectID(i))
	}
	for o := range before {
		eventually(t, func() (bool, string) {
			shown, more := o.status().View.Objects, o.takes()-before[o]
			return shown == 0 && more < 20<<20, fmt.Sprintf("%s has %d objects, and takes %d MiB more than before", o.Name, shown, more>>20)
		})
	}
}
