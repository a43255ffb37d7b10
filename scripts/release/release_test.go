package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// made is a target, and a folder that "make install" could have made under a umask.
func made(t *testing.T, mode os.FileMode) (built target, root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"usr/bin/slnode": "program", "usr/share/man/man1/slnode.1": ".TH SLNODE 1", "usr/share/doc/slnode/README.md": "# slnode",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), mode|0o700); err != nil {
			t.Fatal(err)
		}
		bits := mode &^ 0o111
		if name == "usr/bin/slnode" {
			bits = mode | 0o700
		}
		if err := os.WriteFile(path, []byte(text), bits); err != nil {
			t.Fatal(err)
		}
	}
	date := time.Date(2026, 11, 30, 2, 32, 31, 0, time.UTC)
	return target{arch: runtime.GOARCH, program: filepath.Join(root, "usr/bin/slnode"), version: "1.2.3-rc.1", date: date, source: "../.."}, root
}

// kinds are what is made for a target.
var kinds = map[string]func(t target, root, path string) error{
	".tar.gz": func(t target, root, path string) error { return writeArchive(path, root, "slnode_1.2.3", t.date) },
	".deb": func(t target, root, path string) error {
		return writePackage(path, root, "Tester <tester@localhost>", t)
	},
	".oci.tar": func(t target, _, path string) error { return writeImage(t, path) },
	".cdx.json": func(t target, _, path string) (err error) {
		if t.program, err = os.Executable(); err != nil { // it must be Go's
			return err
		}
		return writeComponents(t, path)
	},
}

func TestWhatIsMadeTwiceIsTheSame(t *testing.T) {
	for suffix, write := range kinds {
		var sums [][sha256.Size]byte
		for _, mode := range []os.FileMode{0o755, 0o700} {
			target, root := made(t, mode)
			path := filepath.Join(t.TempDir(), "made")
			if err := write(target, root, path); err != nil {
				t.Fatalf("%s: %v", suffix, err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, sha256.Sum256(data))
			time.Sleep(1100 * time.Millisecond) // what has the time of a file, or of now, in seconds, has another
		}
		if sums[0] != sums[1] {
			t.Errorf("%s has other bytes the second time", suffix)
		}
	}
}

func TestAnArchiveHasNothingOfThisMachine(t *testing.T) {
	target, root := made(t, 0o700)
	path := filepath.Join(t.TempDir(), "made.tar.gz")
	if err := writeArchive(path, root, "slnode_1.2.3", target.date); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || !header.ModTime.Equal(target.date) {
			t.Errorf("%+v", header)
		}
		modes[header.Name] = header.Mode
	}
	if len(modes) != 11 || modes["slnode_1.2.3/usr/bin/slnode"] != 0o755 || modes["slnode_1.2.3/usr/share/doc/slnode/README.md"] != 0o644 || modes["slnode_1.2.3/usr/"] != 0o755 {
		t.Errorf("%v", modes)
	}
}

func TestAPackageIsWhatDpkgTakesItFor(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("there is no dpkg-deb")
	}
	target, root := made(t, 0o700)
	path := filepath.Join(t.TempDir(), "made.deb")
	if err := writePackage(path, root, "Tester <tester@localhost>", target); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ how, want string }{
		{"--field", "Version: 1.2.3~rc.1\n"},
		{"--field", "Architecture: " + runtime.GOARCH + "\n"},
		{"--field", "Depends: adduser\n"},
		{"--contents", "-rwxr-xr-x root/root"},
		{"--contents", "./usr/share/man/man1/slnode.1.gz\n"},
		{"--contents", "-rw-r--r-- root/root"},
		{"--contents", "drwxr-xr-x root/root"},
		{"--info", "postinst"},
		{"--info", "prerm"},
		{"--info", "postrm"},
	} {
		out, err := exec.Command("dpkg-deb", c.how, path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s has no %q: %v: %s", c.how, c.want, err, out)
		}
	}
}

func TestVersionsAreInDebiansOrder(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("there is no dpkg")
	}
	order := []string{
		"0.0.0-20261130023231-4507eca1b2c3", "0.1.0-rc.1", "0.1.0", "0.1.1-0.20261201000000-0123456789ab", "0.1.1", "0.10.0", "1.0.0-alpha", "1.0.0-rc.1.0.20270101000000-0123456789ab", "1.0.0",
	}
	for i := range order[1:] {
		before, after := debianVersion(order[i]), debianVersion(order[i+1])
		if err := exec.Command("dpkg", "--compare-versions", before, "lt", after).Run(); err != nil {
			t.Errorf("%s does not come before %s: %v", before, after, err)
		}
	}
}

// The Dockerfile makes the same image by other means.
func TestTheImageIsTheDockerfiles(t *testing.T) {
	target, _ := made(t, 0o755)
	path := filepath.Join(t.TempDir(), "made.oci.tar")
	if err := writeImage(target, path); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(path, nil) // as Docker reads it
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, err := os.ReadFile("../docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	list := func(words []string) string {
		text, _ := json.Marshal(words)
		return string(text)
	}
	for _, line := range []string{
		"ENTRYPOINT " + list(config.Config.Entrypoint), "CMD " + list(config.Config.Cmd), "USER " + config.Config.User, "WORKDIR " + config.Config.WorkingDir,
		"ENV " + config.Config.Env[1],
	} {
		if !strings.Contains(string(dockerfile), "\n"+line+"\n") {
			t.Errorf("the Dockerfile has no line %q", line)
		}
	}
	names := []string{}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		files, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(files); ; {
			header, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, header.Name)
			if text, err := io.ReadAll(r); err != nil || header.Name == "etc/ssl/certs/ca-certificates.crt" && bytes.Count(text, []byte("BEGIN CERTIFICATE")) < 100 {
				t.Errorf("%s, %d bytes: %v", header.Name, len(text), err)
			}
		}
	}
	for _, name := range []string{"usr/bin/slnode", "etc/ssl/certs/ca-certificates.crt", "etc/passwd", "var/lib/slnode/", "tmp/"} {
		if !slices.Contains(names, name) {
			t.Errorf("the image has no %s: %v", name, names)
		}
	}
	if config.Architecture != runtime.GOARCH || config.OS != "linux" || !config.Created.Equal(target.date) {
		t.Errorf("%+v", config)
	}
}

func TestTheListOfComponentsHasTheModulesOfTheProgram(t *testing.T) {
	target, root := made(t, 0o755)
	path := filepath.Join(t.TempDir(), "made.cdx.json")
	if err := kinds[".cdx.json"](target, root, path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Format     string `json:"bomFormat"`
		Metadata   struct{ Timestamp string }
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range list.Components {
		found[c.Name] = c.Version != "" && c.PURL != ""
	}
	if list.Format != "CycloneDX" || list.Metadata.Timestamp != "2026-11-30T02:32:31Z" || !found["github.com/google/go-containerregistry"] || !found["std"] {
		t.Errorf("%s", text)
	}
}
