package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/disk"
)

// output is a file that a command writes, or standard output for "-". What is there already stays, unless --force is
// said.
type output struct {
	name  string
	force bool
}

// flags gives a command -o and --force.
func (o *output) flags(c *cobra.Command, usual, usage string) {
	c.Flags().StringVarP(&o.name, "output", "o", usual, usage)
	o.forceFlag(c)
}

func (o *output) forceFlag(c *cobra.Command) {
	c.Flags().BoolVar(&o.force, "force", false, "overwrite a file that is there")
}

// or names the file unless the caller did.
func (o *output) or(usual string) {
	if o.name == "" {
		o.name = usual
	}
}

// inPlace makes it the file that the command was given, which is brought up to date, unless the caller named another.
func (o *output) inPlace(given string) {
	if o.name == "" || o.name == given {
		o.name, o.force = given, true
	}
}

// stdout reports whether there is no file.
func (o *output) stdout() bool { return o.name == "-" }

// check looks whether the file could be written, before anything is done that costs money or time.
func (o *output) check() error {
	if o.stdout() {
		return nil
	}
	info, err := os.Stat(o.name)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%w: %s is a folder", errUsage, o.name)
	case err == nil && info.Mode().IsRegular() && !o.force:
		return fmt.Errorf("%w: %s is there already; name another file, or overwrite it with --force", errUsage, o.name)
	case errors.Is(err, fs.ErrNotExist):
		_, err = os.Stat(filepath.Dir(o.name))
	}
	if err != nil {
		return fmt.Errorf("%w: writing %s: %w", errUsage, o.name, err)
	}
	return nil
}

// write writes the file for its owner only.
func (o *output) write(c *cobra.Command, data []byte) error {
	return o.stream(c, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// stream writes the file as it is made.
func (o *output) stream(c *cobra.Command, write func(io.Writer) error) error {
	if o.stdout() {
		return write(c.OutOrStdout())
	}
	if err := o.check(); err != nil {
		return err
	}
	if info, err := os.Stat(o.name); err == nil && !info.Mode().IsRegular() {
		return writeDevice(o.name, write)
	}
	return disk.WriteStream(o.name, write)
}

// writeDevice writes into what another program reads, and can't be replaced: a pipe, /dev/stdout.
func writeDevice(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return errors.Join(write(file), file.Close())
}
