package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"
)

// service is what scripts/docker/compose.yaml says of a container, as far as it can be done without one.
type service struct {
	Entrypoint  []string
	Command     []string
	Volumes     []string
	NetworkMode string `yaml:"network_mode"`
	Healthcheck struct{ Test []string }
}

func composed(t *testing.T) map[string]service {
	t.Helper()
	text, err := os.ReadFile("../scripts/docker/compose.yaml")
	must(t, err)
	var file struct{ Services map[string]service }
	must(t, yaml.Unmarshal(text, &file))
	return file.Services
}

// There is no Docker here: the containers' commands are run on this machine, whose network stands for the one that they
// share.
func TestTheCommandsOfTheComposeFileBringAConsortiumUp(t *testing.T) {
	t.Parallel()
	services, bin, here := composed(t), filepath.Join(checkout(t), "bin"), t.TempDir()
	for _, dir := range []string{"chain", "alpha", "bravo", "charlie"} {
		must(t, os.Mkdir(filepath.Join(here, dir), 0o700))
	}
	run := func(name string, s service, environment ...string) *exec.Cmd {
		line := append(slices.Clone(s.Entrypoint), s.Command...)
		for i, word := range line {
			line[i] = strings.NewReplacer("/rehearsal", here, "/usr/bin/found", "../scripts/docker/found.sh", "/usr/bin/", bin+"/").Replace(word)
		}
		command := exec.Command(line[0], line[1:]...)
		command.Env = append(os.Environ(), append(environment, "PATH="+bin+":"+os.Getenv("PATH"))...)
		log, err := os.Create(filepath.Join(here, name+".log"))
		must(t, err)
		t.Cleanup(func() { must(t, log.Close()) })
		command.Stdout, command.Stderr = log, log
		return command
	}
	said := func(name string) string {
		log, _ := os.ReadFile(filepath.Join(here, name+".log"))
		return string(log)
	}

	chain := services["chain"]
	chain.Command = append(chain.Command, "--algod", "127.0.0.1:0", "--indexer", "127.0.0.1:0") // other tests run beside
	development := run("chain", chain)
	must(t, development.Start())
	t.Cleanup(func() {
		must(t, development.Process.Signal(syscall.SIGTERM))
		if err := development.Wait(); err != nil {
			t.Errorf("the chain ends with %v: %s", err, said("chain"))
		}
	})

	const password = "a password of the rehearsal"
	for range 2 { // as it is when the containers are started again
		if err := run("found", services["found"], "REHEARSAL="+here, "PASSWORD="+password, "LISTEN=127.0.0.1", "ANY_PORT=0").Run(); err != nil {
			t.Fatalf("founding: %v: %s", err, said("found"))
		}
	}
	var members []*organisation
	for _, name := range []string{"alpha", "bravo", "charlie"} {
		s := services[name]
		if !slices.Equal(s.Command, []string{"daemon"}) || s.NetworkMode != "service:chain" ||
			!slices.Equal(s.Volumes, []string{name + ":/var/lib/slnode"}) ||
			!slices.Contains(services["found"].Volumes, fmt.Sprintf("%s:/rehearsal/%[1]s", name)) {
			t.Fatalf("%s is %+v", name, s)
		}
		o := organisationAt(t, name, filepath.Join(here, name))
		o.User, o.Password = "alice", password
		o.start()
		t.Cleanup(o.stop)
		members = append(members, o)
	}
	n := &network{t: t, members: members}
	n.settled(members...)
	o := members[0]
	o.post(n.collection, indicator(1))
	for _, reader := range members[1:] {
		eventually(t, func() (bool, string) {
			list, err := reader.tryObjects(n.collection)
			return err == nil && len(list) == 1, fmt.Sprintf("%s shows %v, %v", reader.Name, list, err)
		})
	}
	eventually(t, func() (bool, string) {
		test := services["alpha"].Healthcheck.Test
		healthy := exec.CommandContext(t.Context(), slnode, test[2:]...)
		healthy.Env = append(os.Environ(), "SLNODE_REPO="+o.Dir)
		out, err := healthy.CombinedOutput()
		return slices.Equal(test[:2], []string{"CMD", "/usr/bin/slnode"}) && err == nil, fmt.Sprintf("%v: %v: %s", test, err, out)
	})
}

// A Dockerfile can't be tried without Docker, but what it names can be looked for.
func TestTheDockerfileNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../scripts/docker/Dockerfile")
	must(t, err)
	packages, sources := 0, 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case strings.Contains(line, "go build"):
			for _, word := range words {
				if strings.HasPrefix(word, "./") {
					packages++
					must(t, exec.Command("go", "list", "../"+word).Run())
				}
			}
		case len(words) > 2 && words[0] == "COPY" && !strings.HasPrefix(words[1], "--"):
			for _, source := range words[1 : len(words)-1] {
				sources++
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if packages != 2 || sources < 3 {
		t.Errorf("%d packages and %d sources were found", packages, sources)
	}
}
