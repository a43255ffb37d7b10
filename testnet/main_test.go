package testnet

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// slnode is the program under test, built once.
var slnode string

// together is how many tests run at once, unless the command line says: they wait for rounds and for one another's
// processes most of the time, and hardly for a processor.
const together = 4

func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	os.Exit(func() int {
		if !told {
			if err := flag.Set("test.parallel", strconv.Itoa(max(together, runtime.GOMAXPROCS(0)))); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		dir, err := os.MkdirTemp("", "slnode-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if slnode = os.Getenv("SLNODE_TEST_PROGRAM"); slnode != "" { // another build, to compare it with
			return m.Run()
		}
		slnode = filepath.Join(dir, "slnode")
		build := compile("-o", slnode, "../cmd/slnode")
		if os.Getenv("SLNODE_TEST_RACE") != "" { // three times as slow; see "make race"
			build = exec.Command("go", "build", "-race", "-o", slnode, "../cmd/slnode")
		}
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building slnode: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// compile builds programs as they are released, without cgo: the tests themselves have it for the race detector.
func compile(args ...string) *exec.Cmd {
	build := exec.Command("go", append([]string{"build"}, args...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	return build
}
