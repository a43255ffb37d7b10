// Command testnet keeps a consortium on this machine for people: one process per organisation, made as real members
// would make it. scripts/testnet.sh builds and calls it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/serviceledger/slnode/testnet/cluster"
)

const usage = `usage: scripts/testnet.sh COMMAND

  up [--nodes N]          bring up a development chain and N organisations (default 3), publish a sample bundle, stay up
     [--round-time D]     let the chain close a round every D (such as 3s) instead of with every transaction group
     [--algod URL --algod-token T --indexer URL [--indexer-token T] --funder-file FILE [--algo N]]
                          use this Algorand network instead; the account of the 25 words in FILE gives each organisation
                          N ALGO (default 10, enough for some 85 NFTs; 10000 on the development chain)
  down                    stop everything and delete it
  status                  what runs, and how it is
  logs [n]                the end of the logs, of all or of organisation n
  restart n               stop organisation n and start it again
  kill n                  end organisation n with SIGKILL
  fund n [ALGO]           send organisation n some more ALGO
  add ORG                 make one more organisation, admit it, start it
  demo sharing            a scenario to watch: create, publish, grant late, revoke, publish again, withdraw
  demo console            fill three organisations with some hundred objects, made up, and say where their consoles are
`

func main() {
	dir := os.Getenv("SL_TESTNET")
	if dir == "" {
		dir = ".testnet"
	}
	os.Exit(run(context.Background(), dir, os.Args[1:], os.Stdout, os.Stderr))
}

// misuse is a command that is none: the usage tells which there are.
var errMisuse = errors.New("misuse")

// refusal is why a command does nothing.
type refusal struct {
	code int // to exit with
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// run is main for tests: it returns the exit code.
func run(ctx context.Context, dir string, args []string, stdout, stderr io.Writer) int {
	t := &testnet{dir: dir, bin: "bin", out: stdout, errs: stderr, tokens: map[int]string{}}
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	command, known := t.commands()[name]
	if !known {
		fmt.Fprint(stdout, usage)
		if name == "help" || name == "--help" {
			return 0
		}
		return 2
	}
	return t.tell(command(ctx, args))
}

func (t *testnet) commands() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"up": t.up, "down": t.down, "status": t.status, "logs": t.logs, "restart": t.restart, "kill": t.kill, "fund": t.fund, "add": t.add, "demo": t.demo,
	}
}

// tell says what went wrong and where to look, and gives the exit code for it.
func (t *testnet) tell(err error) int {
	var refused *refusal
	var failed *cluster.Failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errMisuse):
		fmt.Fprint(t.errs, usage)
		return 2
	case errors.As(err, &refused):
		if refused.text != "" {
			fmt.Fprintln(t.errs, "testnet:", refused.text)
		}
		return refused.code
	case !errors.As(err, &failed):
		failed = &cluster.Failure{What: err.Error()}
	}
	fmt.Fprintf(t.errs, "\ntestnet: %s\n", failed.What)
	if log, err := os.ReadFile(failed.Log); err == nil && len(log) > 0 {
		fmt.Fprintf(t.errs, "the end of %s:\n%s", failed.Log, indent(tail(log, 15), "    "))
	}
	return 1
}

// tail is the last lines of a text.
func tail(text []byte, lines int) string {
	all := bytes.SplitAfter(text, []byte("\n"))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return string(bytes.Join(all[max(0, len(all)-lines):], nil))
}

// indent puts something before each line of a text, and ends the last one.
func indent(text, before string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(before + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

func (t *testnet) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

func (t *testnet) step(format string, args ...any) { fmt.Fprintf(t.out, "\n== "+format+"\n", args...) }
