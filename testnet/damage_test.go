package testnet

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/taxii"
)

// flip damages the files that match a pattern, in many places, as a bad disk does.
func flip(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	must(t, err)
	if len(paths) == 0 {
		t.Fatalf("there is no %s", pattern)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		must(t, err)
		for at := len(data) / 3; at < len(data); at += 97 {
			data[at] ^= 0x10
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // in place: a daemon may have it open
		must(t, err)
		_, err = file.Write(data)
		must(t, err)
		must(t, file.Close())
	}
}

// showsAgain waits until the objects are served, however often the node begins again meanwhile.
func (o *organisation) showsAgain(collection string, objects ...string) {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		list, err := o.read(collection)
		for _, object := range objects {
			if !slices.Contains(list, object) {
				return false, fmt.Sprintf("%s serves %d objects, want %d: %s", o.Name, len(list), len(objects), errorText(err))
			}
		}
		return true, ""
	})
}

// read reads a collection of a node that may be about to begin again.
func (o *organisation) read(collection string) (list []string, err error) {
	client, err := taxii.NewClient("http://"+o.Daemon.TAXII, taxii.ClientConfig{User: o.User, Password: o.Password})
	if err != nil {
		return nil, err
	}
	for page, err := range client.Objects(o.t.Context(), "/"+o.Name+"/", collection, taxii.Filter{Version: "all"}) {
		if err != nil {
			return nil, err
		}
		for _, object := range page.Objects {
			list = append(list, string(object))
		}
	}
	return list, nil
}

// What can be derived is derived again when it is damaged, without anybody's help; what can't be is refused, with what
// to do about it, and that does it.
func TestDamageIsMendedOrRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, development(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	large := strings.Replace(indicator(99), `"name":"Indicator 99"`, `"description":"`+strings.Repeat("long ", 40<<10)+`"`, 1)
	objects := append(indicators(0, 10), large)
	var cids []string
	for _, status := range []taxii.StatusResource{
		alpha.post(n.collection, indicators(0, 5)...), bravo.post(n.collection, append(indicators(5, 5), large)...),
	} {
		for _, detail := range status.Successes {
			cids = append(cids, detail.CID)
		}
	}
	if len(cids) != len(objects) || slices.Contains(cids, "") {
		t.Fatalf("the directories are %q", cids)
	}
	bravo.shows(n.collection, objects...)
	alpha.shows(n.collection, objects...)

	said := func(what string) {
		t.Helper()
		log, err := os.ReadFile(bravo.Log)
		must(t, err)
		if !strings.Contains(string(log), what) {
			bravo.showLog()
			t.Errorf("the log says nothing of %q", what)
		}
	}
	t.Run("while the node runs", func(t *testing.T) {
		flip(t, filepath.Join(bravo.Dir, "view", "large", "*"))
		_, _ = bravo.read(n.collection) // who reads it finds it damaged
		bravo.showsAgain(n.collection, objects...)
		said("the node begins again")
		if bravo.Process.ProcessState != nil || bravo.status().Organisation != "bravo" {
			t.Error("the process has ended")
		}
	})
	t.Run("the view", func(t *testing.T) {
		bravo.kill()
		flip(t, filepath.Join(bravo.Dir, "view", "MANIFEST"))
		bravo.start()
		bravo.showsAgain(n.collection, objects...)
		said("the view is damaged, and derived again")
	})
	t.Run("the blocks", func(t *testing.T) {
		bravo.kill()
		flip(t, filepath.Join(bravo.Dir, "blocks", "MANIFEST-*"))
		bravo.start()
		said("the block store is damaged")
		eventually(t, func() (bool, string) {
			_, err := os.Stat(filepath.Join(bravo.Dir, "blocks.damaged"))
			return os.IsNotExist(err), "the damaged blocks are still there"
		})
		alpha.stop() // who could still give what is missing
		for _, cid := range cids {
			answer, err := http.Get("http://" + bravo.Daemon.Gateway + "/ipfs/" + cid + "/object.json")
			must(t, err)
			must(t, answer.Body.Close())
			if answer.StatusCode != http.StatusOK {
				t.Errorf("the block store has no %s: %s", cid, answer.Status)
			}
		}
		alpha.start()
	})
	t.Run("the state", func(t *testing.T) {
		bravo.stop()
		flip(t, filepath.Join(bravo.Dir, "state", "*.sst"))
		_, stderr, code := bravo.try("daemon")
		if code == 0 || !strings.Contains(stderr, "damaged") || !strings.Contains(stderr, "slnode restore") {
			t.Errorf("the daemon exits with %d: %s", code, stderr)
		}
		bravo.cli("restore", "--empty-state")
		bravo.start()
		eventually(t, func() (bool, string) {
			s := bravo.status()
			return s.Publishing.Problem == "restored", fmt.Sprintf("a node with an empty state says of publishing %+v", s.Publishing)
		})
	})
}
