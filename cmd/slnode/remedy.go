package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// errNotOurs means that a file of the repository may not be used by who runs the command.
var errNotOurs = errors.New("a file of the repository is not ours to use")

// remedied is an error of the system, with what to do about it.
type remedied struct {
	error
	remedy string
	kind   error // nil: the same command may work later
}

func (e *remedied) Error() string        { return e.error.Error() + ": " + e.remedy }
func (e *remedied) Unwrap() error        { return e.error }
func (e *remedied) Is(target error) bool { return e.kind != nil && target == e.kind }

// withRemedy adds to an error of the system that ended a command what to do about it: what is done at whatever place
// of the program fails for the same reasons.
func withRemedy(err error) error {
	var file *fs.PathError
	switch {
	case err == nil || errors.Is(err, errUsage): // a file that was named; that was said where it was read or written
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &remedied{err, "the disk is full: make room, and repeat the command; nothing that was confirmed is lost", nil}
	case errors.Is(err, syscall.EROFS):
		return &remedied{err, "the disk can only be read; the system may have found it damaged: see \"dmesg\"", nil}
	case errors.As(err, &file) && errors.Is(err, fs.ErrPermission):
		if dir := repositoryOf(file.Path); dir != "" {
			return &remedied{err, fmt.Sprintf("the user %s may not use it: \"slnode --repo %s doctor\" shows what belongs to others; as root: chown -R --reference=%s %s && chmod -R u+rwX %s",
				userName(), dir, dir, dir, dir), errNotOurs}
		}
	}
	return err
}

// repositoryOf finds the repository that a file is in; "" if it is in none.
func repositoryOf(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "version")); err == nil {
			if _, err := os.Stat(filepath.Join(dir, "keys")); err == nil {
				return dir
			}
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
