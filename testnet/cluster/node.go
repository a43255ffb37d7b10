package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Node is the node of an organisation: a repository and, while it runs, a daemon.
type Node struct {
	Program  string // slnode
	Name     string
	Dir      string // the repository
	Log      string // the file that gets what the daemon says
	Record   string // the file that gets what the commands say by which the node is made and admitted; "" for none
	User     string // of the first account at its TAXII server
	Password string
	Shell    string // what a shell does before it becomes the daemon: "ulimit -n 256"
	Detached bool   // the daemon outlives this process

	Process *exec.Cmd // the daemon, if this process has started it and has not waited for its end
	Daemon  Daemon    // where the daemon is reached, once it is ready
}

// Said is what a command has said.
type Said struct {
	Stdout, Stderr string
	Code           int
}

// CommandError is a command of slnode that did not succeed.
type CommandError struct {
	Node string
	Args []string
	Said
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("slnode %s as %s exits with %d: %s", strings.Join(e.Args, " "), e.Node, e.Code, e.Stderr)
}

// Command is a command of slnode on the repository, to be run.
func (n *Node) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, n.Program, append([]string{"--repo", n.Dir}, meant(args)...)...)
}

// Asking are the commands that may ask before they do what can't be taken back.
func Asking() []string {
	return []string{
		"member admit", "member remove", "member replace", "member rotate", "governor set", "governor sign", "governor submit", "collection grant",
		"withdraw", "keys sole", "account role", "account remove", "apikey remove", "feed remove", "restore",
	}
}

// meant answers the commands that ask before they do what can't be taken back: who drives nodes is nobody to ask.
func meant(args []string) []string {
	words := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	for _, command := range Asking() {
		if begin := strings.Fields(command); len(words) >= len(begin) && slices.Equal(words[:len(begin)], begin) {
			return append(slices.Clone(args), "--yes")
		}
	}
	return args
}

// Run runs a command, whatever it exits with.
func (n *Node) Run(ctx context.Context, args ...string) (Said, error) {
	command := n.Command(ctx, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return Said{}, fmt.Errorf("slnode %s: %w", strings.Join(args, " "), err)
	}
	if err := ctx.Err(); err != nil {
		return Said{}, fmt.Errorf("slnode %s: %w", strings.Join(args, " "), err)
	}
	return Said{out.String(), errs.String(), command.ProcessState.ExitCode()}, nil
}

// Succeed runs a command that must succeed, and returns what it prints.
func (n *Node) Succeed(ctx context.Context, args ...string) (string, error) {
	said, err := n.Run(ctx, args...)
	if err == nil && said.Code != 0 {
		err = &CommandError{Node: n.Name, Args: args, Said: said}
	}
	return said.Stdout, err
}

// Read runs a command with --json that must succeed, and reads what it prints.
func (n *Node) Read(ctx context.Context, into any, args ...string) error {
	out, err := n.Succeed(ctx, append([]string{"--json"}, args...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("slnode %s printed %q: %w", strings.Join(args, " "), out, err)
	}
	return nil
}

// do runs a command that must succeed, and keeps what it says in the record.
func (n *Node) do(ctx context.Context, args ...string) error {
	_, err := n.recorded(ctx, args...)
	return err
}

// recorded is do, and returns what the command prints.
func (n *Node) recorded(ctx context.Context, args ...string) (string, error) {
	said, err := n.Run(ctx, args...)
	if err != nil {
		return "", err
	}
	if err := n.record(said.Stdout + said.Stderr); err != nil {
		return "", err
	}
	if said.Code != 0 {
		return "", &CommandError{Node: n.Name, Args: args, Said: said}
	}
	return said.Stdout, nil
}

func (n *Node) record(text string) error {
	if n.Record == "" {
		return nil
	}
	file, err := openLog(n.Record)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Listen is where a node listens. The zero value takes free ports of loopback, others at each start.
type Listen struct{ TAXII, Gateway, IPFS string }

// Init makes the repository of an organisation on a chain, and returns its account there.
func (n *Node) Init(ctx context.Context, title string, chain Chain, at Listen, options ...string) (account string, err error) {
	const anyPort = "127.0.0.1:0"
	if at == (Listen{}) {
		at = Listen{TAXII: anyPort, Gateway: anyPort, IPFS: "/ip4/127.0.0.1/tcp/0"}
	}
	out, err := n.recorded(ctx, append([]string{
		"--json", "init", "--org", n.Name, "--title", title, "--taxii-listen", at.TAXII, "--gateway", at.Gateway, "--ipfs-listen", at.IPFS,
		"--algod", chain.Algod, "--algod-token", chain.AlgodToken, "--indexer", chain.Indexer, "--indexer-token", chain.IndexerToken,
	}, options...)...)
	if err != nil {
		return "", &Failure{What: "initialising " + n.Name + " failed", Log: n.Log, Err: err}
	}
	var made struct{ Account string }
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return "", fmt.Errorf("slnode init printed %q: %w", out, err)
	}
	return made.Account, nil
}

// Account is the node's account on the chain.
func (n *Node) Account(ctx context.Context) (string, error) {
	var wallet struct{ Account string }
	err := n.Read(ctx, &wallet, "wallet")
	return wallet.Account, err
}

// Start starts the daemon, with further environment variables. See [Node.Ready].
func (n *Node) Start(environment ...string) error {
	log, err := openLog(n.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(n.Program, "--repo", n.Dir, "daemon")
	if n.Shell != "" {
		command = exec.Command("/bin/sh", append([]string{"-c", `eval "$1"; shift; exec "$@"`, "sh", n.Shell}, command.Args...)...)
	}
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), environment...)
	if n.Detached {
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := command.Start(); err != nil {
		return err
	}
	n.Process = command
	return nil
}

// Ready waits until the daemon is that was started.
func (n *Node) Ready(ctx context.Context) error {
	err := Until(ctx, func(context.Context) (bool, error) {
		daemon, err := readDaemon(n.Dir)
		if err == nil && daemon.PID == n.Process.Process.Pid {
			n.Daemon = daemon
			return true, nil
		}
		if !Running(n.Process.Process.Pid) {
			return false, &Failure{What: "the daemon of " + n.Name + " did not start", Log: n.Log}
		}
		return false, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &Failure{What: "the daemon of " + n.Name + " did not start in time", Log: n.Log}
	}
	return err
}

// End sends a signal to the daemon, if it runs, and waits for its end.
func (n *Node) End(signal syscall.Signal) {
	if n.Process == nil {
		return
	}
	_ = n.Process.Process.Signal(signal) // it may have ended already
	_ = n.Process.Wait()                 // its exit code is that of the signal
	n.Process = nil
}
