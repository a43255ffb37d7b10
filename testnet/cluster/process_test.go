package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// sleeper is a process that does nothing for a while.
func sleeper(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", args...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended already
		_ = command.Wait()
	})
	return command
}

func TestAPIDFileNamesOnlyTheProcessThatWasStarted(t *testing.T) {
	process := sleeper(t, "600", "601")
	pid := process.Process.Pid
	for what, c := range map[string]struct {
		content string
		args    []string
		found   bool
	}{
		"it":                    {strconv.Itoa(pid) + "\n", []string{"600", "601"}, true},
		"it by the first words": {strconv.Itoa(pid), []string{"600"}, true},
		"somebody else's":       {strconv.Itoa(pid), []string{"600", "602"}, false},
		"more words":            {strconv.Itoa(pid), []string{"600", "601", "602"}, false},
		"this process":          {strconv.Itoa(os.Getpid()), []string{"600", "601"}, false},
		"the system":            {"1", nil, false},
		"a group":               {"-" + strconv.Itoa(pid), []string{"600", "601"}, false},
		"every process":         {"-1", nil, false},
		"nothing":               {"", nil, false},
		"no number":             {"all", nil, false},
		"none":                  {strconv.Itoa(1 << 30), []string{"600", "601"}, false},
	} {
		f := PIDFile{Path: filepath.Join(t.TempDir(), "pid"), Args: c.args}
		if err := os.WriteFile(f.Path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := f.PID(); (got == pid) != c.found || !c.found && got != 0 {
			t.Errorf("%s: found %d, want %d: %t", what, got, pid, c.found)
		}
		if c.found {
			continue
		}
		if err := f.Stop(syscall.SIGKILL, time.Minute); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !Running(pid) {
			t.Fatalf("%s: the process of somebody else was ended", what)
		}
	}
	if f := (PIDFile{Path: filepath.Join(t.TempDir(), "none"), Args: nil}); f.PID() != 0 || f.Stop(syscall.SIGTERM, 0) != nil {
		t.Error("without a file there is a process")
	}
}

func TestAProcessIsEndedAndForgotten(t *testing.T) {
	for what, c := range map[string]struct {
		script   string
		patience time.Duration
	}{
		"that obeys":       {"while :; do sleep 0.01; done", time.Hour},
		"that is stubborn": {`trap "" TERM; touch "$1"; while :; do sleep 0.01; done`, 50 * time.Millisecond},
	} {
		ready := filepath.Join(t.TempDir(), "ready")
		command := exec.Command("/bin/sh", "-c", c.script, "sh", ready)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		if c.patience < time.Hour {
			for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
				time.Sleep(time.Millisecond)
			}
		}
		f := PIDFile{Path: filepath.Join(t.TempDir(), "pid"), Args: []string{"-c"}}
		if err := f.Write(command.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if err := f.Stop(syscall.SIGTERM, c.patience); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_ = command.Wait() // it was killed
		want := syscall.SIGTERM
		if c.patience < time.Hour {
			want = syscall.SIGKILL
		}
		if got := command.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != want {
			t.Errorf("%s ended by %v, want %v", what, got, want)
		}
		if _, err := os.Stat(f.Path); err == nil {
			t.Errorf("%s is remembered", what)
		}
	}
}

// A process that has ended does not run, though nobody has asked how.
func TestAProcessThatNobodyWaitedForDoesNotRun(t *testing.T) {
	process := sleeper(t, "0")
	for Running(process.Process.Pid) {
		time.Sleep(time.Millisecond)
	}
	if err := process.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("it was waited for: %v", err)
	}
}
