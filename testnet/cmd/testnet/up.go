package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/serviceledger/slnode/testnet/cluster"
)

var names = []string{
	"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima", "mike",
	"november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu",
}

// nameOf is the name of organisation n, as long as nobody names it.
func nameOf(n int) string {
	if n <= len(names) {
		return names[n-1]
	}
	return fmt.Sprintf("org%d", n)
}

// plan is what is to be brought up.
type plan struct {
	nodes     int
	real      bool // on a network that is there, in place of a development chain
	roundTime string
	env
}

// parseUp reads the flags of up.
func parseUp(args []string) (*plan, error) {
	p := &plan{roundTime: "0s"}
	nodes := "3"
	flags := map[string]*string{
		"--nodes": &nodes, "--round-time": &p.roundTime, "--algod": &p.algod, "--algod-token": &p.algodToken, "--indexer": &p.indexer,
		"--indexer-token": &p.indexerToken, "--funder-file": &p.funder, "--algo": &p.amount,
	}
	for ; len(args) > 0; args = args[2:] {
		value, known := flags[args[0]]
		if len(args) < 2 || !known {
			return nil, errMisuse
		}
		*value = args[1]
		p.real = p.real || args[0] == "--algod"
	}
	var err error
	if p.nodes, err = strconv.Atoi(nodes); err != nil || p.nodes < 1 || p.nodes > 99 || nodes != strconv.Itoa(p.nodes) {
		return nil, refuse(2, "--nodes %s is not a number from 1 to 99", nodes)
	}
	if p.real && (p.indexer == "" || !readable(p.funder)) {
		return nil, refuse(2, "--algod needs --indexer and a readable --funder-file")
	}
	if p.amount == "" {
		p.amount = "10000"
		if p.real {
			p.amount = "10"
		}
	}
	return p, nil
}

func readable(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	return file.Close() == nil
}

// up brings a testnet up. When it does not come up, nothing of it goes on running.
func (t *testnet) up(ctx context.Context, args []string) error {
	p, err := parseUp(args)
	if err != nil {
		return err
	}
	if err := t.clear(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := t.build(ctx); err != nil {
		return err
	}
	if err := t.bringUp(ctx, p); err != nil {
		if ctx.Err() != nil {
			err = &cluster.Failure{What: "interrupted or failed; the logs are in " + t.path("logs")}
		}
		return errors.Join(err, t.stopAll())
	}
	t.table()
	return nil
}

// clear makes room for a new testnet where none runs.
func (t *testnet) clear() error {
	if _, err := os.Stat(t.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := t.ours(); err != nil {
		return err
	}
	list, err := t.processes()
	if err != nil {
		return err
	}
	for _, process := range list {
		if process.PID() != 0 {
			return refuse(1, "it is up already; scripts/testnet.sh down ends it")
		}
	}
	return os.RemoveAll(t.dir)
}

func (t *testnet) bringUp(ctx context.Context, p *plan) error {
	for _, dir := range []string{t.path("pids"), t.path("logs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(t.dir, 0o700); err != nil {
		return err
	}
	t.env = &p.env
	if !p.real {
		t.step("starting a development chain")
		if err := t.startChain(ctx, p.roundTime); err != nil {
			return err
		}
		t.say("  algod %s, indexer %s", t.algod, t.indexer)
	}
	t.amount = p.amount
	t.step("initialising %d organisations", p.nodes)
	for n := 1; n <= p.nodes; n++ {
		if err := t.makeNode(ctx, nameOf(n)); err != nil {
			return err
		}
	}
	if err := t.found(ctx); err != nil {
		return err
	}
	if err := t.save(); err != nil {
		return err
	}
	return t.demonstrate(ctx)
}

// found founds the consortium: the first organisation governs it and admits the others.
func (t *testnet) found(ctx context.Context) error {
	t.step("founding the consortium")
	founder := t.node(1)
	if err := founder.Found(ctx, "Testnet"); err != nil {
		return err
	}
	if err := t.startNode(ctx, 1); err != nil {
		return err
	}
	t.say("  %s has founded it, and is its governor", founder.Name)
	for n := 2; n <= len(t.organisations); n++ {
		if err := t.admit(ctx, n); err != nil {
			return err
		}
		if err := t.startNode(ctx, n); err != nil {
			return err
		}
	}
	for n := range t.organisations {
		if err := t.complete(ctx, n+1); err != nil {
			return err
		}
	}
	return nil
}
