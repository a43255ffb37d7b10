// Package measure is what the benchmarks of several packages have in common: how large what is compared is, and what
// the processor did.
package measure

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Sizes are the sizes of the stores that are compared: 10,000, and 100,000 unless SLNODE_BENCH_OBJECTS says otherwise.
func Sizes(b *testing.B) []int {
	b.Helper()
	large := 100_000
	if text := os.Getenv("SLNODE_BENCH_OBJECTS"); text != "" {
		var err error
		if large, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	return []int{10_000, large}
}

// Processor is the time of the processor that the process has used. On a machine that does other work, too, it says
// more than the clock.
func Processor(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
