package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// agreement is whether a person agreed to what can't be taken back.
type agreement struct{ yes bool }

// asks gives a command the flag --yes.
func asks(c *cobra.Command) *agreement {
	var a agreement
	c.Flags().BoolVar(&a.yes, "yes", false, "don't ask")
	return &a
}

// asking reports whether a person will be asked.
func (a *agreement) asking(c *cobra.Command) bool {
	input, ok := c.InOrStdin().(*os.File)
	return !a.yes && ok && isTerminal(input)
}

// confirm asks whether to do what can't be taken back, after it was shown. What is asked goes to standard error, so
// that the result stays alone on standard output. Without a terminal there is nobody to ask, and --yes is needed.
func (a *agreement) confirm(c *cobra.Command, question string, show func(io.Writer)) error {
	if a.yes {
		return nil
	}
	if !a.asking(c) {
		return fmt.Errorf("%w: %s This can't be taken back, and standard input is no terminal to ask on: say --yes if it is meant", errUsage, question)
	}
	w := tabwriter.NewWriter(c.ErrOrStderr(), 0, 0, 2, ' ', 0)
	if show != nil {
		show(w)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s [y/N] ", question)
	if err := w.Flush(); err != nil {
		return err
	}
	answer, err := readLine(c.Context(), c.InOrStdin())
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &noError{"nothing was done"}
}

// readLine reads a line from a terminal, until the context ends.
func readLine(ctx context.Context, input io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() { // after an interrupt it reads on, and ends with the program
		text, err := bufio.NewReader(input).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		lines <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-lines:
		if l.err != nil {
			return "", fmt.Errorf("reading the answer: %w", l.err)
		}
		return l.text, nil
	}
}
