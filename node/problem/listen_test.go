package problem

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestAPortThatCantBeListenedOnComesWithARemedy(t *testing.T) {
	t.Parallel()
	refused := func(op string, errno syscall.Errno) error {
		return fmt.Errorf("listening for X: %w", &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError("bind", errno)})
	}
	for name, c := range map[string]struct {
		err    error
		remedy string
	}{
		"in use":                 {refused("listen", syscall.EADDRINUSE), "choose another port"},
		"no such address":        {refused("listen", syscall.EADDRNOTAVAIL), "this machine does not have that address"},
		"below 1024":             {refused("listen", syscall.EACCES), "ports below 1024"},
		"something else":         {refused("listen", syscall.EMFILE), ""},
		"a connection elsewhere": {refused("dial", syscall.EADDRNOTAVAIL), ""},
		"no error of the system": {errors.New("x"), ""},
	} {
		err := Listening(c.err)
		if !errors.Is(err, c.err) && err != c.err || !strings.Contains(err.Error(), c.remedy) || c.remedy == "" && err.Error() != c.err.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if errors.Is(Listening(refused("listen", syscall.EADDRINUSE)), ErrPort) || !errors.Is(Listening(refused("listen", syscall.EACCES)), ErrPort) {
		t.Error("only a port that this process may not have waits for the configuration")
	}
}
