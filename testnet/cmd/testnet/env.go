package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// organisation is what the env file says about one.
type organisation struct {
	Org, URL, User, Password, Collection, Repo, PID, Gateway string
}

// fields are the values by the names that they have in the env file, in its order.
func (o *organisation) fields() []field {
	return []field{
		{"ORG", &o.Org}, {"URL", &o.URL}, {"USER", &o.User}, {"PASSWORD", &o.Password},
		{"COLLECTION", &o.Collection}, {"REPO", &o.Repo}, {"PID", &o.PID}, {"GATEWAY", &o.Gateway},
	}
}

type field struct {
	name  string
	value *string
}

// env is what is up: for the next command, and for a shell that reads the file.
type env struct {
	organisations                                                     []*organisation
	algod, algodToken, indexer, indexerToken, control, funder, amount string
}

func (e *env) fields() []field {
	return []field{
		{"ALGOD_URL", &e.algod}, {"ALGOD_TOKEN", &e.algodToken}, {"INDEXER_URL", &e.indexer}, {"INDEXER_TOKEN", &e.indexerToken},
		{"CONTROL_URL", &e.control}, {"FUNDER_FILE", &e.funder}, {"ALGO", &e.amount},
	}
}

// text is the env file.
func (e *env) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "SL_NODES=%d\n", len(e.organisations))
	for i, o := range e.organisations {
		for _, f := range o.fields() {
			fmt.Fprintf(&b, "SL_%d_%s=%s\n", i+1, f.name, quote(*f.value))
		}
	}
	for _, f := range e.fields() {
		fmt.Fprintf(&b, "SL_%s=%s\n", f.name, quote(*f.value))
	}
	return b.String()
}

// parseEnv reads an env file.
func parseEnv(text string) (*env, error) {
	values, err := assignments(text, unquote)
	if err != nil {
		return nil, err
	}
	e := &env{}
	for _, f := range e.fields() {
		*f.value = values[f.name]
	}
	count, err := strconv.Atoi(values["NODES"])
	if err != nil || count < 0 || count > 9999 {
		return nil, fmt.Errorf("it has %q organisations", values["NODES"])
	}
	for n := 1; n <= count; n++ {
		o := &organisation{}
		for _, f := range o.fields() {
			*f.value = values[fmt.Sprintf("%d_%s", n, f.name)]
		}
		e.organisations = append(e.organisations, o)
	}
	return e, nil
}

// parseReady reads what a development chain says when it is ready, which is not quoted.
func parseReady(text string) (*env, error) {
	values, err := assignments(text, func(value string) (string, error) { return value, nil })
	e := &env{}
	for _, f := range e.fields() {
		*f.value = values[f.name]
	}
	return e, err
}

// assignments are the values of lines like SL_NAME=VALUE.
func assignments(text string, read func(string) (string, error)) (map[string]string, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		name, ours := strings.CutPrefix(name, "SL_")
		if !found || !ours {
			return nil, fmt.Errorf("%q is not a line of it", line)
		}
		value, err := read(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

// quote writes a word as a shell reads it, as printf %q does.
func quote(text string) string {
	if text == "" {
		return "''"
	}
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(" \t'\"\\|&;()<>!{}*[]?^$`,~#", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// unquote reads a word that quote wrote.
func unquote(word string) (string, error) {
	if word == "''" {
		return "", nil
	}
	var b strings.Builder
	for escaped, rest := false, word; rest != ""; rest = rest[1:] {
		switch c := rest[0]; {
		case escaped:
			escaped = false
			b.WriteByte(c)
		case c == '\\' && len(rest) > 1:
			escaped = true
		case strings.IndexByte(" \t'\"\\|&;()<>$`", c) >= 0:
			return "", fmt.Errorf("%q is not one word", word)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// load reads what is up.
func (t *testnet) load() error {
	text, err := os.ReadFile(t.path("env"))
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(1, "nothing is up; see scripts/testnet.sh up")
	}
	if err != nil {
		return err
	}
	if t.env, err = parseEnv(string(text)); err != nil {
		return fmt.Errorf("reading %s: %w", t.path("env"), err)
	}
	return nil
}

// save writes down what is up, for its owner only.
func (t *testnet) save() error {
	if err := os.WriteFile(t.path("env.new"), []byte(t.env.text()), 0o600); err != nil {
		return err
	}
	return os.Rename(t.path("env.new"), t.path("env"))
}

func (t *testnet) path(elements ...string) string {
	return filepath.Join(append([]string{t.dir}, elements...)...)
}
