package docs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// settings are the values of a key of the unit, in their order.
func settings(t *testing.T, key string) (values []string) {
	t.Helper()
	unit := string(must[[]byte](t)(os.ReadFile("slnode.service")))
	for _, match := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(unit, -1) {
		values = append(values, match[1])
	}
	return values
}

// A crash of a Go program ends with 2 by itself, and so does slnode with a mistake in its configuration.
func TestTheUnitStartsWhatCrashedAgainAndNotWhatIsMisconfigured(t *testing.T) {
	if os.Getenv("SLNODE_TEST_CRASH") != "" {
		panic("as a fault of the program would")
	}
	if !slices.Equal(settings(t, "Restart"), []string{"always"}) || !slices.Equal(settings(t, "RestartPreventExitStatus"), []string{"2"}) ||
		!slices.Equal(settings(t, "LimitCORE"), []string{"0"}) {
		t.Error("the unit starts again what it should not, or the other way round, or writes cores")
	}
	crash := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	crash.Env = append(append(os.Environ(), "SLNODE_TEST_CRASH=1"), settings(t, "Environment")...)
	out, err := crash.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGABRT || !strings.Contains(string(out), "as a fault") {
		t.Errorf("a crash ends with %v: %s", err, out)
	}
}

func TestSystemdUnderstandsTheUnitAndItsDropIn(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	unit, dropIn := string(must[[]byte](t)(os.ReadFile("slnode.service"))), string(must[[]byte](t)(os.ReadFile("slnode-port443.conf")))
	// The program and the pages need not be installed here.
	text := regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(unit, "")
	text = strings.ReplaceAll(text, "/usr/local/bin/slnode", "/bin/true")
	path := filepath.Join(t.TempDir(), "slnode.service")
	for name, data := range map[string]string{path: text, filepath.Join(path+".d", "port443.conf"): dropIn} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "slnode") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=20", path).CombinedOutput()
	if err != nil {
		t.Errorf("the hardening is less than it was: %v: %s", err, out)
	}
}
