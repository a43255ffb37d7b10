// Package scratch gives tests folders whose files are in memory, where there is much of it: a test that opens hundreds
// of stores would wait for the disk most of the time.
package scratch

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// memory is where Linux has a file system in memory.
const memory = "/dev/shm"

// enough is how many bytes must be free there. In containers there are often 64 MiB.
const enough = 2 << 30

// Dir is a folder that is deleted at the end of the test, like testing.TB.TempDir.
func Dir(tb testing.TB) string {
	tb.Helper()
	var at unix.Statfs_t
	if err := unix.Statfs(memory, &at); err != nil || at.Type != unix.TMPFS_MAGIC || at.Bavail*uint64(at.Bsize) < enough {
		return tb.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "slnode-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}
