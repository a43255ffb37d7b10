package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/node"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/taxii"
)

// The exit codes: one for each meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNo          = 3
	exitMissing     = 4
	exitInterrupted = 130 // as shells have it
)

// outcomes is what the exit codes are called with --json, and what they mean.
var outcomes = []struct {
	code       int
	kind, says string
}{
	{exitOK, "", "it was done"},
	{exitFailed, "failed", "the node, the network or the chain failed; the same command may work later"},
	{exitUsage, "usage", "wrong use, wrong input, a wrong configuration or too little ALGO: the same command fails again until that is put right"},
	{exitNo, "no", "the answer is no: a verification failed, objects were refused, something is wrong with the node, no daemon runs, or you said no"},
	{exitMissing, "missing", "what was named is not there: an object, transaction, member, collection, account, key, login, feed, webhook or type"},
	{exitInterrupted, "interrupted", "it was told to stop before it was done"},
}

func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("What slnode's exit codes mean:\n\n")
	for _, o := range outcomes {
		fmt.Fprintf(&text, "  %3d  %s\n", o.code, o.says)
	}
	text.WriteString(`
With --json all that goes to standard error is JSON, an object a line. The last one says why a command failed, and the
others are notes and the log of a node that the command runs itself:

  {"error":"no member is called \"nobody\"","kind":"missing","exit_code":4}
  {"note":"this may be old: ..."}

The kinds are `)
	for i, o := range outcomes[1:] {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(o.kind)
	}
	text.WriteString(", in the order of the codes.")
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean, and what errors look like with --json", Long: text.String()}
}

// noError is an answer, not a failure.
type noError struct{ reason string }

func (e *noError) Error() string { return e.reason }

// errUsage marks a wrong use of a command.
var errUsage = errors.New("wrong usage")

// exitCode is what a command's error means. Whatever goes wrong before a command has started is cobra's judgement of
// its use.
func exitCode(ctx context.Context, err error, started bool) int {
	var no *noError
	var input *problem.InputError
	var answer *taxii.ResponseError
	var config *config.Error
	var owner *repo.OwnerError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &no):
		return exitNo
	case !started:
		return exitUsage
	case errors.Is(err, problem.ErrMissing):
		return exitMissing
	case errors.As(err, &answer):
		if answer.Code == taxii.CodeMissing {
			return exitMissing
		}
		return exitCodeOf(answer.Status)
	case errors.As(err, &input), errors.As(err, &config), errors.As(err, &owner), errors.Is(err, errUsage), errors.Is(err, repo.ErrMissing),
		errors.Is(err, repo.ErrExists), errors.Is(err, repo.ErrFolder), errors.Is(err, keys.ErrPassphrase), errors.Is(err, keys.ErrUnusable), errors.Is(err, repo.ErrVersion), errors.Is(err, repo.ErrBackup),
		errors.Is(err, problem.ErrPort), errors.Is(err, p2p.ErrSwarmKey), errors.Is(err, certs.ErrFiles), errors.Is(err, node.ErrNoConsortium), errors.Is(err, errNotOurs):
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// exitCodeOf is what a status of the node's own TAXII server means.
func exitCodeOf(status int) int {
	switch status {
	case http.StatusNotFound:
		return exitMissing
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return exitUsage
	}
	return exitFailed
}

// report says on w why a command failed.
func report(w io.Writer, err error, code int, asJSON bool) {
	text := strings.TrimSpace(err.Error()) // what a server answered ends as it likes
	if !asJSON {
		fmt.Fprintln(w, "slnode:", text)
		return
	}
	kind := ""
	for _, o := range outcomes {
		if o.code == code {
			kind = o.kind
		}
	}
	writeLine(w, struct {
		Error string `json:"error"`
		Kind  string `json:"kind"`
		Code  int    `json:"exit_code"`
	}{text, kind, code})
}

// remark says something beside the result, on standard error.
func (a *app) remark(c *cobra.Command, text string) {
	if !a.json {
		fmt.Fprintln(c.ErrOrStderr(), "slnode:", text)
		return
	}
	writeLine(c.ErrOrStderr(), struct {
		Note string `json:"note"`
	}{text})
}

func writeLine(w io.Writer, value any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // there is nowhere left to say it
}

// asksForJSON finds --json in a command line that may be wrong in other ways.
func asksForJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}
