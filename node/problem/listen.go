package problem

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrPort means that a port can't be listened on until the configuration, or what this process may do, is put right.
var ErrPort = errors.New("ports below 1024 are the superuser's: choose another one, or give the service the right to it " +
	"(docs/OPERATIONS.md, \"As a service\")")

// Listening adds to an error of listening on a port what to do about it.
func Listening(err error) error {
	if remedy := listening(err); remedy != nil {
		return fmt.Errorf("%w: %w", err, remedy)
	}
	return err
}

func listening(err error) error {
	var failed *net.OpError
	switch {
	case !errors.As(err, &failed) || failed.Op != "listen":
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("another program has it, or another node (\"ss -ltnp\" shows which): end that one, or choose another port")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return errors.New("this machine does not have that address: choose one that \"ip address\" shows, or 0.0.0.0 for all")
	case errors.Is(err, syscall.EACCES):
		return ErrPort
	}
	return nil
}
