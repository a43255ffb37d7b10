package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wrongArgs says what arguments a command takes, in place of cobra's words.
func wrongArgs(c *cobra.Command, args []string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "unknown command") {
		return err
	}
	given := "no argument was given"
	if len(args) > 0 {
		given = fmt.Sprintf("the arguments are %q", args)
	}
	return fmt.Errorf("%w: %s; it is used as \"%s\", see %s --help", errUsage, given, c.UseLine(), c.CommandPath())
}

// plainFlag says in place of Go's words what a flag takes.
func plainFlag(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	takes := map[string]string{"int": "a whole number", "int64": "a whole number", "uint64": "a whole number from 0 on", "uint": "a whole number from 0 on",
		"bool": "true or false", "duration": "a time such as 30s, 10m or 24h", "float64": "a number"}[invalid.GetFlag().Value.Type()]
	var number *strconv.NumError
	if takes == "" || !errors.As(err, &number) && invalid.GetFlag().Value.Type() != "duration" {
		return err
	}
	return fmt.Errorf("--%s takes %s, not %q", invalid.GetFlag().Name, takes, invalid.GetValue())
}
