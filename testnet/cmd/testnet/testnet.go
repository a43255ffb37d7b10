package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/serviceledger/slnode/testnet/cluster"
	"github.com/serviceledger/slnode/testnet/devchain"
)

// testnet is a consortium in a directory: a repository and a log for each organisation, the numbers of the processes,
// and the env file.
type testnet struct {
	dir  string
	bin  string // where the programs are
	out  io.Writer
	errs io.Writer
	*env
	tokens map[int]string // of sessions, by the organisations' numbers
}

const (
	chainName = "chain"
	patience  = 5 * time.Minute  // for what comes in a second on a machine that has nothing else to do
	goodbye   = 10 * time.Second // what a process has to end after SIGTERM
)

// log is where the log of a process of ours is.
func (t *testnet) log(name string) string { return t.path("logs", name+".log") }

// node is organisation number n, which is counted from 1.
func (t *testnet) node(n int) *cluster.Node {
	o := t.organisations[n-1]
	log := t.log(o.Org)
	return &cluster.Node{
		Program: filepath.Join(t.bin, "slnode"), Name: o.Org, Dir: o.Repo, Log: log, Record: log, User: o.User, Password: o.Password, Detached: true,
		Daemon: cluster.Daemon{TAXII: strings.TrimPrefix(o.URL, "http://")},
	}
}

// daemon is the process of an organisation.
func (t *testnet) daemon(o *organisation) cluster.PIDFile {
	return cluster.PIDFile{Path: t.path("pids", o.Org), Args: []string{"--repo", o.Repo, "daemon"}}
}

// chainProcess is the process of the development chain.
func (t *testnet) chainProcess() cluster.PIDFile {
	dir, err := filepath.Abs(t.path(chainName))
	if err != nil {
		dir = t.path(chainName)
	}
	return cluster.PIDFile{Path: t.path("pids", chainName), Args: []string{"serve", "--dir", dir}}
}

// root is the directory as the processes are told of it, wherever who calls is.
func (t *testnet) root() (string, error) {
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// processes are those whose numbers are written down.
func (t *testnet) processes() (list []cluster.PIDFile, err error) {
	entries, err := os.ReadDir(t.path("pids"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name() == chainName { // on a network that is there, an organisation may have that name
			list = append(list, t.chainProcess())
		}
		list = append(list, t.daemon(&organisation{Org: entry.Name(), Repo: filepath.Join(root, entry.Name())}))
	}
	return list, nil
}

// ours refuses a directory that is not a testnet's: SL_TESTNET may name any, and a testnet's is deleted.
func (t *testnet) ours() error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(t.path("pids")); len(entries) > 0 && (err != nil || !info.IsDir()) {
		return refuse(1, "%s is not empty, and not the directory of a testnet", t.dir)
	}
	return nil
}

func (t *testnet) stopAll() error {
	list, err := t.processes()
	for _, process := range list {
		err = errors.Join(err, process.Stop(syscall.SIGTERM, goodbye))
	}
	return err
}

// number reads which organisation is meant.
func (t *testnet) number(args []string) (int, error) {
	text := ""
	if len(args) > 0 {
		text = args[0]
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > len(t.organisations) || strings.ContainsAny(text, "+-") {
		return 0, refuse(2, "'%s' is not a number from 1 to %d", text, len(t.organisations))
	}
	return n, nil
}

// build makes the programs if they are not there.
func (t *testnet) build(ctx context.Context) error {
	missing := false
	for _, program := range []string{"slnode", "devchain"} {
		info, err := os.Stat(filepath.Join(t.bin, program))
		missing = missing || err != nil || info.Mode()&0o111 == 0
	}
	if !missing {
		return nil
	}
	t.step("building")
	command := exec.CommandContext(ctx, "make", "build")
	command.Stdout, command.Stderr = t.out, t.errs
	if command.Run() != nil {
		return &cluster.Failure{What: "the build failed"}
	}
	return nil
}

// startChain starts a development chain and waits until it answers.
func (t *testnet) startChain(ctx context.Context, roundTime string) error {
	process, ready, log := t.chainProcess(), t.path("chain.ready"), t.log(chainName)
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	const anyPort = "127.0.0.1:0"
	command := exec.Command(filepath.Join(t.bin, "devchain"), append(process.Args,
		"--algod", anyPort, "--indexer", anyPort, "--control", anyPort, "--round-time", roundTime, "--ready-file", ready)...)
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	if err := process.Write(command.Process.Pid); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = cluster.Until(limited, func(context.Context) (bool, error) {
		if text, err := os.ReadFile(ready); err == nil {
			t.env, err = parseReady(string(text))
			return true, err
		}
		if process.PID() == 0 {
			return false, &cluster.Failure{What: "the development chain did not start", Log: log}
		}
		return false, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &cluster.Failure{What: "the development chain did not start in a minute", Log: log}
	}
	return err
}

// chain is the Algorand network of the testnet.
func (t *testnet) chain() (cluster.Chain, error) {
	words, err := os.ReadFile(t.funder)
	if err != nil {
		return cluster.Chain{}, fmt.Errorf("reading the funder's mnemonic: %w", err)
	}
	return cluster.Chain{Algod: t.algod, AlgodToken: t.algodToken, Indexer: t.indexer, IndexerToken: t.indexerToken, Funder: string(words)}, nil
}

// pay sends an organisation some ALGO, and returns its account.
func (t *testnet) pay(ctx context.Context, n int, amount string) (account string, err error) {
	node := t.node(n)
	if account, err = node.Account(ctx); err != nil {
		t.note(node.Log, cause(err))
		return "", &cluster.Failure{What: "algod can't be asked for the balance of " + node.Name, Log: node.Log, Err: err}
	}
	txid, err := t.transfer(ctx, account, amount)
	if err != nil {
		t.note(node.Log, cause(err))
		return "", &cluster.Failure{What: "funding " + node.Name + " failed", Log: node.Log, Err: err}
	}
	t.note(node.Log, txid)
	return account, nil
}

// transfer pays an account from the funder's.
func (t *testnet) transfer(ctx context.Context, account, amount string) (txid string, err error) {
	microalgo, err := devchain.ParseAlgo(amount)
	if err != nil {
		return "", err
	}
	chain, err := t.chain()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chain.Fund(ctx, account, microalgo)
}

// note adds a line to a log.
func (t *testnet) note(log, text string) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // what matters is told all the same
	}
	defer file.Close()
	fmt.Fprintln(file, strings.TrimSuffix(text, "\n"))
}

// cause is what a log is to say of a step that failed.
func cause(err error) string {
	if failed := (*cluster.CommandError)(nil); errors.As(err, &failed) {
		return failed.Stderr
	}
	return "testnet: " + err.Error()
}

// makeNode makes the repository of one more organisation, with funds.
func (t *testnet) makeNode(ctx context.Context, name string) error {
	dir, err := t.root()
	if err != nil {
		return err
	}
	t.organisations = append(t.organisations, &organisation{Org: name, Repo: filepath.Join(dir, name), User: "admin", Password: rand.Text()[:20]})
	n := len(t.organisations)
	chain, err := t.chain()
	if err != nil {
		return err
	}
	if _, err := t.node(n).Init(ctx, capital(name)+" CERT", chain, cluster.Listen{}); err != nil {
		return err
	}
	account, err := t.pay(ctx, n, t.amount)
	if err == nil {
		t.say("  %s has the account %s", name, account)
	}
	return err
}

// capital is a name with its first letter in upper case.
func capital(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// startNode starts the daemon of an organisation and waits until it answers.
func (t *testnet) startNode(ctx context.Context, n int) error {
	o, node := t.organisations[n-1], t.node(n)
	if err := node.Start(); err != nil {
		return err
	}
	if err := t.daemon(o).Write(node.Process.Process.Pid); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := node.Ready(limited); errors.Is(err, context.DeadlineExceeded) {
		return &cluster.Failure{What: "the daemon of " + o.Org + " did not start in a minute", Log: node.Log}
	} else if err != nil {
		return err
	}
	o.URL, o.Gateway, o.PID = "http://"+node.Daemon.TAXII, "http://"+node.Daemon.Gateway, strconv.Itoa(node.Daemon.PID)
	return nil
}

// admit lets organisation n in.
func (t *testnet) admit(ctx context.Context, n int) error {
	newcomer := t.node(n)
	if err := t.node(1).Admit(ctx, newcomer); err != nil {
		return err
	}
	t.say("  %s is admitted and has joined", newcomer.Name)
	return nil
}

// complete makes the first account of an organisation's node, and waits until it has the keys of the default
// collection.
func (t *testnet) complete(ctx context.Context, n int) error {
	node := t.node(n)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := node.SignUp(limited); err != nil {
		return err
	}
	if err := node.Find(); err != nil {
		return err
	}
	collection, err := node.Settled(limited, 0)
	if errors.Is(err, context.DeadlineExceeded) {
		return &cluster.Failure{What: node.Name + " did not get the keys of the default collection in a minute", Log: node.Log, Err: err}
	}
	t.organisations[n-1].Collection = collection
	return err
}
