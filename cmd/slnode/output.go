package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/serviceledger/slnode/internal/disk"
)

// output is a file that a command writes, or standard output for "-". What is there already stays, unless --force is
// said.
type output struct {
	name   string
	force  bool
	public bool // there is no secret in it, and people send it on who are not the service's user
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
	case err == nil, errors.Is(err, fs.ErrNotExist):
		err = mayWriteIn(filepath.Dir(o.name))
	}
	if err != nil {
		return fmt.Errorf("%w: writing %s: %w", errUsage, o.name, err)
	}
	return nil
}

// mayWriteIn reports why no file can be made in a folder.
func mayWriteIn(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return fmt.Errorf("the user %s may not write in the folder %s: name a file elsewhere, such as in /tmp, or - for standard output", userName(), dir)
	}
	return &fs.PathError{Op: "looking at the folder", Path: dir, Err: err}
}

// userName is who runs the command.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// unreadable says of a file that is not this user's to read what to do about it.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the user %s may not read it; give it on standard input, with - in its place: slnode ... - < FILE", err, userName())
	}
	return err
}

// write writes the file, for its owner only unless it is public.
func (o *output) write(c *cobra.Command, data []byte) error {
	err := o.stream(c, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if info, statErr := os.Stat(o.name); err == nil && o.public && !o.stdout() && statErr == nil && info.Mode().IsRegular() {
		err = os.Chmod(o.name, 0o644)
	}
	return err
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
