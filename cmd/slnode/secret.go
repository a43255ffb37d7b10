package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

// The environment variables that hold a passphrase. With _FILE after them they name a file that does, such as a
// credential of systemd.
const (
	keysPassphrase   = config.KeysPassphraseVariable
	newPassphrase    = config.NewPassphraseVariable
	backupPassphrase = config.BackupPassphraseVariable
)

const (
	minPassphrase = 8       // characters, of a new one
	maxPassphrase = 4 << 10 // bytes
)

// errNoTerminal means that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal")

// passphrase asks for the passphrase of the repository's keys, once for a command however often it is needed.
func (a *app) passphrase(c *cobra.Command) keys.Passphrase {
	return func() (string, error) {
		if a.secret != "" {
			return a.secret, nil
		}
		secret, err := readPassphrase(c.Context(), keysPassphrase, "Passphrase of the keys")
		a.secret = secret
		return secret, err
	}
}

// readPassphrase gets a passphrase: from the environment, from a file that the environment names, or from a person.
func readPassphrase(ctx context.Context, variable, prompt string) (string, error) {
	secret, found, err := givenPassphrase(variable)
	if !found && err == nil {
		secret, err = askSecret(ctx, prompt)
		if errors.Is(err, errNoTerminal) {
			return "", fmt.Errorf("%w: set %s or %s_FILE, or run this on a terminal", errUsage, variable, variable)
		}
	}
	if err == nil && secret == "" {
		where := "the passphrase"
		if path := os.Getenv(variable + "_FILE"); path != "" {
			where = fmt.Sprintf("%s_FILE: the first line of %s", variable, path)
		}
		return "", fmt.Errorf("%w: %s is empty", errUsage, where)
	}
	return secret, err
}

// choosePassphrase is readPassphrase for a new one: a person types it twice, and it must have some length.
func choosePassphrase(ctx context.Context, variable, prompt string) (string, error) {
	secret, err := readPassphrase(ctx, variable, prompt)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(secret) < minPassphrase {
		return "", fmt.Errorf("%w: the passphrase has less than %d characters", errUsage, minPassphrase)
	}
	if _, given, err := givenPassphrase(variable); err != nil || given {
		return secret, err
	}
	return secret, askAgain(ctx, secret)
}

// givenPassphrase looks for a passphrase in the environment.
func givenPassphrase(variable string) (secret string, found bool, err error) {
	secret, path := os.Getenv(variable), os.Getenv(variable+"_FILE")
	switch {
	case secret != "" && path != "":
		return "", true, fmt.Errorf("%w: both %s and %s_FILE are set", errUsage, variable, variable)
	case path == "":
		return secret, secret != "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", true, fmt.Errorf("%w: %s_FILE: %w", errUsage, variable, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPassphrase+1))
	if err != nil {
		return "", true, fmt.Errorf("%s_FILE: %w", variable, err)
	}
	if len(text) > maxPassphrase {
		return "", true, fmt.Errorf("%w: %s_FILE names a file of more than %d bytes", errUsage, variable, maxPassphrase)
	}
	return strings.TrimRight(string(text), "\r\n"), true, nil
}

// askTwice asks for a new secret.
func askTwice(ctx context.Context, prompt string) (string, error) {
	secret, err := askSecret(ctx, prompt)
	if err != nil {
		return "", err
	}
	return secret, askAgain(ctx, secret)
}

// askAgain has a secret typed a second time.
func askAgain(ctx context.Context, secret string) error {
	again, err := askSecret(ctx, "The same again")
	if err == nil && again != secret {
		err = fmt.Errorf("%w: the two differ", errUsage)
	}
	return err
}

// askSecret asks on the terminal that the program was started from, whatever standard input and output are.
func askSecret(ctx context.Context, prompt string) (string, error) {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	defer terminal.Close()
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", errNoTerminal
	}
	fmt.Fprintf(terminal, "%s: ", prompt)
	defer fmt.Fprintln(terminal)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // after an interrupt it reads on, and ends with the program
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case a := <-answers:
		if a.err != nil {
			return "", fmt.Errorf("reading from the terminal: %w", a.err)
		}
		return string(a.text), nil
	}
}
