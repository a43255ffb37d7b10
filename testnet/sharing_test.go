package testnet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/proof"
)

// sampleBundle is the bundle that the project ships.
func sampleBundle(t testing.TB) (objects []string, ids []string) {
	t.Helper()
	return bundleObjects(t, "../internal/stix/testdata/sample-bundle.json")
}

// bundleObjects reads the objects of a bundle, byte for byte.
func bundleObjects(t testing.TB, path string) (objects []string, ids []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	var bundle struct{ Objects []json.RawMessage }
	must(t, json.Unmarshal(data, &bundle))
	for _, raw := range bundle.Objects {
		var object struct{ ID string }
		must(t, json.Unmarshal(raw, &object))
		objects, ids = append(objects, string(raw)), append(ids, object.ID)
	}
	return objects, ids
}

func TestABundlePostedAtOneMemberIsReadAtAllOthers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	objects, ids := sampleBundle(t)
	status := n.members[0].post(n.collection, objects...)
	if status.Status != "complete" || status.SuccessCount != len(objects) || status.TotalCount != len(objects) {
		t.Fatalf("the status is %+v", status)
	}
	for _, o := range n.members {
		o.shows(n.collection, objects...)
	}
	for i, detail := range status.Successes {
		if detail.ID != ids[i] || len(detail.Message) != 52 || detail.Message != detail.TxID || detail.AssetID == 0 || detail.CID == "" {
			t.Errorf("detail %d is %+v", i, detail)
		}
		for _, o := range n.members {
			v := cliJSON[proof.Verification](o, "verify", detail.ID)
			if !v.Passed || v.TxID != detail.Message || len(v.Steps) != 8 {
				t.Errorf("%s verifies %s: %+v", o.Name, detail.ID, v)
			}
		}
	}

	t.Run("every member may publish", func(t *testing.T) {
		for i, o := range n.members[1:] {
			o.post(n.collection, indicator(i))
			n.members[0].shows(n.collection, indicator(i))
		}
	})
	t.Run("posting again costs nothing and returns the first transaction", func(t *testing.T) {
		before := n.members[0].status()
		again := n.members[0].post(n.collection, objects...)
		if again.SuccessCount != len(objects) {
			t.Fatalf("the status is %+v", again)
		}
		for i, detail := range again.Successes {
			if detail.Message != status.Successes[i].Message {
				t.Errorf("%s has the transaction %s, it had %s", detail.ID, detail.Message, status.Successes[i].Message)
			}
		}
		if after := n.members[0].status(); after.Publishing.Free != before.Publishing.Free {
			t.Errorf("it cost %d microalgo", before.Publishing.Free-after.Publishing.Free)
		}
	})
	t.Run("posted by another member it is that one's too, by its own transaction", func(t *testing.T) {
		other := n.members[1].post(n.collection, objects...)
		if other.SuccessCount != len(objects) || other.Successes[0].Message == status.Successes[0].Message || other.Successes[0].Publisher != "bravo" {
			t.Errorf("the status is %+v", other)
		}
	})
	t.Run("the gateway gives the NFT's files", func(t *testing.T) {
		gateway := "http://" + n.members[2].Daemon.Gateway + "/ipfs/" + status.Successes[0].CID
		for _, name := range []string{"metadata.json", "object.json"} {
			response, err := http.Get(gateway + "/" + name)
			must(t, err)
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", name, response.Status)
			}
		}
		response, err := http.Post(gateway, "text/plain", strings.NewReader("x"))
		must(t, err)
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Errorf("the gateway takes a POST: %s", response.Status)
		}
	})
	t.Run("the command line publishes, lists and gets", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "object.json")
		must(t, os.WriteFile(file, []byte(indicator(77)), 0o600))
		n.members[1].cli("publish", file)
		n.members[2].shows(n.collection, indicator(77))
		if got := strings.TrimSpace(n.members[2].cli("get", "indicator--0000004d-17d4-4cbf-938f-98ee46b3cd3f")); got != indicator(77) {
			t.Errorf("got %s", got)
		}
		if list := n.members[2].cli("list", "--type", "indicator"); !strings.Contains(list, "Indicator 77") {
			t.Errorf("the list is %s", list)
		}
	})
	t.Run("one bad object loses no good one", func(t *testing.T) {
		status := n.members[0].post(n.collection, indicator(100), `{"type":"indicator"}`, indicator(101), `{"type":"x","id":"x--1"`+`}`)
		if status.SuccessCount != 2 || status.FailureCount != 2 || status.TotalCount != 4 {
			t.Errorf("the status is %+v", status)
		}
		n.members[1].shows(n.collection, indicator(100), indicator(101))
	})
	t.Run("another content of a published version is refused", func(t *testing.T) {
		status := n.members[0].post(n.collection, strings.Replace(indicator(100), "Indicator 100", "Changed", 1))
		if status.FailureCount != 1 || !strings.Contains(status.Failures[0].Message, "other content") {
			t.Errorf("the status is %+v", status)
		}
	})
	t.Run("TLP:AMBER does not leave the node", func(t *testing.T) {
		amber := strings.Replace(indicator(200), `"name"`, `"object_marking_refs":["marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"],"name"`, 1)
		status := n.members[0].post(n.collection, amber)
		if status.FailureCount != 1 || !strings.Contains(status.Failures[0].Message, "AMBER") {
			t.Errorf("the status is %+v", status)
		}
	})
	for _, o := range n.members {
		o.stop()
	}
}

func TestRealDataGoesRound(t *testing.T) {
	t.Parallel()
	dir := testData(t)
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	files, err := filepath.Glob(filepath.Join(dir, "oasis-examples", "*.json"))
	must(t, err)
	files = append(files, filepath.Join(dir, "poisonivy.json"))
	published := []string{}
	for _, file := range files {
		objects, _ := bundleObjects(t, file)
		status := n.members[0].post(n.collection, objects...)
		refused := map[string]bool{}
		for _, failure := range status.Failures {
			refused[failure.ID] = true
			if !strings.Contains(failure.Message, "TLP") {
				t.Errorf("%s: %s: %s", filepath.Base(file), failure.ID, failure.Message)
			}
		}
		for _, object := range objects {
			var o struct{ ID string }
			must(t, json.Unmarshal([]byte(object), &o))
			if !refused[o.ID] {
				published = append(published, object)
			}
		}
		t.Logf("%s: %d published, %d refused", filepath.Base(file), status.SuccessCount, status.FailureCount)
	}
	if len(published) < 150 {
		t.Errorf("only %d objects were published", len(published))
	}
	n.members[1].shows(n.collection, published...)
}

// An outsider that got hold of the swarm key and of where the consortium is: it sees the swarm, and gets nothing.
func TestAnOutsiderWithTheSwarmKeyGetsNothing(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	status := n.members[0].post(n.collection, indicator(1))
	outsider := organisationOn(t, l, "mallory", enoughAlgo)
	for _, file := range []string{"consortium.json", "keys/swarm.key"} {
		data, err := os.ReadFile(filepath.Join(n.members[1].Dir, file))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(outsider.Dir, file), data, 0o600))
	}
	outsider.start()
	eventually(t, func() (bool, string) {
		s := outsider.status()
		return s.Watching.CaughtUp && s.View.Waiting > 0, fmt.Sprintf("%+v", s)
	})
	n.members[0].post(n.collection, indicator(2))
	n.members[1].shows(n.collection, indicator(1), indicator(2))
	s := outsider.status()
	if s.Member || s.View.Objects != 0 {
		t.Errorf("the outsider's status is %+v", s)
	}
	if _, _, code := outsider.try("get", "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"); code == 0 {
		t.Error("the outsider reads an object")
	}
	if found := grep(t, filepath.Join(outsider.Dir, "blocks"), status.Successes[0].CID); len(found) > 0 {
		t.Errorf("the outsider has blocks: %v", found)
	}
	code, _, _ := outsider.get("/mallory/collections/" + n.collection + "/objects/")
	if code != http.StatusNotFound {
		t.Errorf("the outsider's TAXII server answers %d", code)
	}
}

func TestWhatAnOutsiderMintsIsIgnored(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	n.members[0].post(n.collection, indicator(1))
	forge(t, n, n.members[0])
	n.members[0].post(n.collection, indicator(2))
	n.members[1].shows(n.collection, indicator(1), indicator(2))
	for _, o := range n.members {
		if s := o.status(); s.View.Objects != 2 || s.View.Waiting != 0 || s.View.Undecided != 0 {
			t.Errorf("%s: %+v", o.Name, s.View)
		}
	}
}

func TestAnAbsentMemberGetsTheObjectFromAThird(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	publisher, third, absent := n.members[0], n.members[1], n.members[2]
	absent.stop()
	publisher.post(n.collection, indicators(0, 20)...)
	third.shows(n.collection, indicators(0, 20)...)
	publisher.kill()
	absent.start()
	absent.shows(n.collection, indicators(0, 20)...)
}

func TestTheViewComesBackFromTheChainAndThePeers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	n.members[0].post(n.collection, indicators(0, 10)...)
	n.members[1].post(n.collection, indicators(10, 10)...)
	reader := n.members[1]
	reader.shows(n.collection, indicators(0, 20)...)
	before := manifest(t, reader, n.collection)

	t.Run("rebuilt while the daemon runs", func(t *testing.T) {
		reader.cli("view", "rebuild")
		reader.shows(n.collection, indicators(0, 20)...)
		if after := manifest(t, reader, n.collection); !slices.Equal(before, after) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
	t.Run("deleted", func(t *testing.T) {
		reader.stop()
		must(t, os.RemoveAll(filepath.Join(reader.Dir, "view")))
		reader.start()
		reader.shows(n.collection, indicators(0, 20)...)
		if after := manifest(t, reader, n.collection); !slices.Equal(before, after) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
	t.Run("deleted with the blocks", func(t *testing.T) {
		reader.stop()
		must(t, os.RemoveAll(filepath.Join(reader.Dir, "view")))
		must(t, os.RemoveAll(filepath.Join(reader.Dir, "blocks")))
		reader.start()
		reader.shows(n.collection, indicators(0, 20)...)
		if after := manifest(t, reader, n.collection); !slices.Equal(before, after) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
	t.Run("posting again after all that mints nothing", func(t *testing.T) {
		free := reader.status().Publishing.Free
		reader.post(n.collection, indicators(10, 10)...)
		if now := reader.status().Publishing.Free; now != free {
			t.Errorf("it cost %d microalgo", free-now)
		}
	})
}

// manifest is what a view holds, without when it came there: sorted lines of id, version, transaction and asset.
func manifest(t testing.TB, o *organisation, collection string) (lines []string) {
	t.Helper()
	_, _, body := o.get("/" + o.Name + "/collections/" + collection + "/manifest/?limit=10000&match[version]=all")
	var m struct {
		Objects []struct {
			ID      string `json:"id"`
			Version string `json:"version"`
			TxID    string `json:"x_slnode_txid"`
			Asset   uint64 `json:"x_slnode_asset_id"`
			CID     string `json:"x_slnode_cid"`
			Stored  string `json:"x_slnode_stored_at"`
		}
	}
	must(t, json.Unmarshal([]byte(body), &m))
	for _, o := range m.Objects {
		lines = append(lines, fmt.Sprintln(o))
	}
	slices.Sort(lines)
	return lines
}

func TestOneDaemonPerRepository(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha")
	_, stderr, code := n.members[0].try("daemon")
	if code != 1 || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("a second daemon exits with %d: %s", code, stderr)
	}
	n.members[0].stop()
}
