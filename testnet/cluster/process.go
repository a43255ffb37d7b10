package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Running reports whether a process runs: one that nobody has waited for yet doesn't. Its arguments would not tell: it
// has none for a moment while it begins.
func Running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" ")) // a name may hold anything
	return found && len(rest) > 0 && !bytes.ContainsRune([]byte("ZX"), rune(rest[0]))
}

// arguments is the command line of a process; none if it has ended.
func arguments(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(line) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
}

// PIDFile remembers a process that outlives who started it. The number alone may be somebody else's after a while: the
// process is the one that is meant only if it has the arguments that it was started with.
type PIDFile struct {
	Path string
	Args []string // the first arguments of the program, enough to tell it from any other process
}

// Write remembers a process.
func (f PIDFile) Write(pid int) error {
	return os.WriteFile(f.Path, []byte(strconv.Itoa(pid)+"\n"), 0o644)
}

// PID is the number of the process if it runs, and 0 if it doesn't.
func (f PIDFile) PID() int {
	process := f.find()
	if process == nil {
		return 0
	}
	defer process.Release()
	return process.Pid
}

// find gives a handle of the process if it runs. The handle is taken before it is looked whose it is, so that it can't
// become another's in between.
func (f PIDFile) find() *os.Process {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return nil
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	if !f.meant(pid) {
		_ = process.Release()
		return nil
	}
	return process
}

// meant reports whether a process that runs is the one that was started.
func (f PIDFile) meant(pid int) bool {
	line := arguments(pid)
	return len(line) > len(f.Args) && slices.Equal(line[1:1+len(f.Args)], f.Args)
}

// Stop ends the process with a signal, waits up to a time, ends it with SIGKILL if it has not ended by then, and
// forgets it. Without such a process it does nothing.
func (f PIDFile) Stop(signal syscall.Signal, patience time.Duration) error {
	process := f.find()
	if process == nil {
		return nil
	}
	defer process.Release()
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", filepath.Base(f.Path), err)
	}
	for end := time.Now().Add(patience); f.meant(process.Pid); time.Sleep(pace) {
		if time.Now().After(end) {
			_ = process.Signal(syscall.SIGKILL) // it may have ended just now
			break
		}
	}
	return os.Remove(f.Path)
}
