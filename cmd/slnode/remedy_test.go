package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
)

func TestErrorsOfTheSystemComeWithARemedyAndTheirExitCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"keys", "state"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(path string, errno error) error {
		return fmt.Errorf("opening: %w", &fs.PathError{Op: "open", Path: path, Err: errno})
	}
	for name, c := range map[string]struct {
		err    error
		remedy string
		code   int
	}{
		"a file of the repository":     {refused(filepath.Join(dir, "state", "x"), syscall.EACCES), "chown -R --reference=" + dir, exitUsage},
		"the folder of the repository": {refused(filepath.Join(dir, ".daemon.json.1"), syscall.EACCES), "may not use it", exitUsage},
		"a file elsewhere":             {refused(filepath.Join(t.TempDir(), "x"), syscall.EACCES), "", exitFailed},
		"a full disk":                  {refused(filepath.Join(dir, "state", "x"), syscall.ENOSPC), "the disk is full", exitFailed},
		"a full quota":                 {refused(filepath.Join(dir, "state", "x"), syscall.EDQUOT), "the disk is full", exitFailed},
		"a disk that was made safe":    {refused(filepath.Join(dir, "state", "x"), syscall.EROFS), "can only be read", exitFailed},
		"a file that was named":        {fmt.Errorf("%w: %w", errUsage, refused(dir+"/state", syscall.EACCES)), "", exitUsage},
		"another error":                {errors.New("x"), "", exitFailed},
		"keys":                         {fmt.Errorf("reading keys: %w", keys.ErrUnusable), "", exitUsage},
		"another program's repository": {fmt.Errorf("%w: 9", repo.ErrVersion), "", exitUsage},
		"a damaged backup":             {fmt.Errorf("restoring: %w", repo.ErrBackup), "", exitUsage},
		"no key of the swarm":          {fmt.Errorf("starting IPFS: %w", p2p.ErrSwarmKey), "", exitUsage},
		"a certificate":                {fmt.Errorf("HTTPS: %w", certs.ErrFiles), "", exitUsage},
		"a port below 1024":            {fmt.Errorf("listening: %w", problem.ErrPort), "", exitUsage},
	} {
		err := withRemedy(c.err)
		if !strings.Contains(err.Error(), c.remedy) || c.remedy == "" && err.Error() != c.err.Error() || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if code := exitCode(context.Background(), err, true); code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, code, c.code)
		}
	}
}
