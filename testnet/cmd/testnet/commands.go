package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func (t *testnet) down(context.Context, []string) error {
	if _, err := os.Stat(t.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := t.ours(); err != nil {
		return err
	}
	if err := errors.Join(t.stopAll(), os.RemoveAll(t.dir)); err != nil {
		return err
	}
	t.say("everything is stopped and deleted")
	return nil
}

// status tells what runs, and how it is. It exits as the first "slnode status" that finds something wrong.
func (t *testnet) status(ctx context.Context, _ []string) error {
	if err := t.load(); err != nil {
		return err
	}
	if t.control != "" {
		how := "does not run"
		if t.chainProcess().PID() != 0 {
			how = fmt.Sprintf("runs, algod %s, indexer %s", t.algod, t.indexer)
		}
		t.say("chain: %s", how)
	}
	code := 0
	for i, o := range t.organisations {
		t.say("")
		pid := t.daemon(o).PID()
		if pid == 0 {
			t.say("%d  %s  does not run", i+1, o.Org)
			continue
		}
		t.say("%d  %s  runs (pid %d), %s", i+1, o.Org, pid, o.URL)
		said, err := t.node(i+1).Run(ctx, "status")
		if err != nil {
			return err
		}
		fmt.Fprint(t.out, indent(said.Stdout+said.Stderr, "   "))
		if code == 0 {
			code = said.Code
		}
	}
	if code != 0 {
		return &refusal{code: code}
	}
	return nil
}

func (t *testnet) logs(_ context.Context, args []string) error {
	if err := t.load(); err != nil {
		return err
	}
	wanted := t.organisations
	if len(args) > 0 {
		n, err := t.number(args)
		if err != nil {
			return err
		}
		wanted = wanted[n-1 : n]
	}
	for _, o := range wanted {
		log, err := os.ReadFile(t.log(o.Org))
		if err != nil {
			return err
		}
		t.say("== %s", t.log(o.Org))
		fmt.Fprint(t.out, tail(log, 40))
	}
	return nil
}

func (t *testnet) restart(ctx context.Context, args []string) error {
	n, err := t.loadNumber(args)
	if err != nil {
		return err
	}
	o := t.organisations[n-1]
	if err := t.daemon(o).Stop(syscall.SIGTERM, goodbye); err != nil {
		return err
	}
	if err := errors.Join(t.startNode(ctx, n), t.save()); err != nil {
		return err
	}
	t.say("%s runs again: %s", o.Org, o.URL)
	return nil
}

// loadNumber reads what is up, and which organisation of it is meant.
func (t *testnet) loadNumber(args []string) (int, error) {
	if err := t.load(); err != nil {
		return 0, err
	}
	return t.number(args)
}

func (t *testnet) kill(_ context.Context, args []string) error {
	n, err := t.loadNumber(args)
	if err != nil {
		return err
	}
	o := t.organisations[n-1]
	if err := t.daemon(o).Stop(syscall.SIGKILL, goodbye); err != nil {
		return err
	}
	t.say("%s was ended with SIGKILL", o.Org)
	return nil
}

func (t *testnet) fund(ctx context.Context, args []string) error {
	n, err := t.loadNumber(args)
	if err != nil {
		return err
	}
	amount := t.amount
	if len(args) > 1 && args[1] != "" {
		amount = args[1]
	}
	if _, err := t.pay(ctx, n, amount); err != nil {
		return err
	}
	return t.passOn(t.node(n).Command(ctx, "wallet"))
}

// passOn runs a command of slnode for who gave the command of ours.
func (t *testnet) passOn(command *exec.Cmd) error {
	command.Stdout, command.Stderr = t.out, t.errs
	err := command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return &refusal{code: exit.ExitCode()}
	}
	return err
}

func (t *testnet) add(ctx context.Context, args []string) error {
	if err := t.load(); err != nil {
		return err
	}
	if len(args) == 0 || args[0] == "" {
		return errMisuse
	}
	name := args[0]
	if _, err := os.Stat(t.path(name)); err == nil {
		return refuse(2, "the name %s is taken", name)
	}
	if name != filepath.Base(name) {
		return refuse(2, "%s is not a name", name)
	}
	if err := t.makeNode(ctx, name); err != nil {
		return err
	}
	n := len(t.organisations)
	for _, step := range []func(context.Context, int) error{t.admit, t.startNode, t.complete} {
		if err := step(ctx, n); err != nil {
			return err
		}
	}
	if err := t.save(); err != nil {
		return err
	}
	t.table()
	return nil
}

func (t *testnet) demo(ctx context.Context, args []string) error {
	scenarios := map[string]func(context.Context) error{"sharing": t.demonstrateSharing, "console": t.demonstrateConsole}
	if len(args) == 0 || scenarios[args[0]] == nil {
		return errMisuse
	}
	if _, err := os.Stat(t.path("env")); errors.Is(err, fs.ErrNotExist) {
		if err := t.up(ctx, nil); err != nil {
			return err
		}
	}
	if err := t.load(); err != nil {
		return err
	}
	return scenarios[args[0]](ctx)
}
