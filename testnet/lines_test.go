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

	"github.com/serviceledger/slnode/node/withdraw"
)

// retold is an object as another organisation publishes it under the same id: with a creator, dates and words of its
// own. Markings have none of these that anybody may choose.
func retold(t testing.TB, object string) string {
	t.Helper()
	var members map[string]any
	must(t, json.Unmarshal([]byte(object), &members))
	if members["created"] == nil || members["type"] == "marking-definition" {
		return object
	}
	members["created"], members["modified"] = "2026-02-03T04:05:06.789Z", "2026-02-03T04:05:06.789Z"
	members["created_by_ref"] = "identity--b0b0b0b0-17d4-4cbf-938f-98ee46b3cd3f"
	members["description"] = "retold"
	text, err := json.Marshal(members)
	must(t, err)
	return string(text)
}

// serves waits until a node serves these objects in a collection, byte for byte, and no others.
func (o *organisation) serves(root, collection string, objects ...string) {
	o.t.Helper()
	want := slices.Sorted(slices.Values(objects))
	eventually(o.t, func() (bool, string) {
		got, err := o.at(root, collection)
		slices.Sort(got)
		return err == nil && slices.Equal(got, want), fmt.Sprintf("%s serves %d objects in %s and not %d (%s)", o.Name, len(got), collection, len(want), errorText(err))
	})
}

// publishers lists who published what is in a collection, by the ids of the objects.
func (o *organisation) publishers(root, collection string) map[string]string {
	o.t.Helper()
	_, _, body := o.get("/" + root + "/collections/" + collection + "/manifest/?limit=10000&match[version]=all")
	var m struct {
		Objects []struct {
			ID        string
			Publisher string `json:"x_slnode_publisher"`
		}
	}
	must(o.t, json.Unmarshal([]byte(body), &m))
	list := map[string]string{}
	for _, r := range m.Objects {
		list[r.ID] = r.Publisher
	}
	return list
}

// Two members publish the same objects, each with its own creator, dates and words, as sources of threat data do.
// Nothing of either is refused; all nodes serve the first one's and have the other's beside them.
func TestTwoMembersTellTheSameObjectsEachInItsWords(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	objects, _ := sampleBundle(t)
	if dir := os.Getenv("SLNODE_TEST_DATA"); dir != "" {
		more, _ := bundleObjects(t, filepath.Join(dir, "data", "poisonivy.json"))
		objects = append(objects, more...)
	}
	own := make([]string, len(objects))
	for i, object := range objects {
		own[i] = retold(t, object)
	}
	first := alpha.post(n.collection, objects...)
	if first.FailureCount > 0 {
		t.Fatalf("alpha's: %+v", first.Failures)
	}
	bravo.shows(n.collection, objects...)
	second := bravo.post(n.collection, own...)
	if second.FailureCount > 0 || second.SuccessCount != len(own) {
		t.Fatalf("bravo's: %+v", second.Failures)
	}
	for i, detail := range second.Successes {
		if detail.Publisher != "bravo" || detail.TxID == first.Successes[i].TxID {
			t.Errorf("bravo's %s is %s's, by transaction %s", detail.ID, detail.Publisher, detail.TxID)
		}
	}
	for _, o := range n.members {
		o.serves("consortium", "others", own...)
		o.serves("consortium", "everything", objects...)
		o.serves(o.Name, n.collection, objects...)
		for root, want := range map[string]string{"everything": "alpha", "others": "bravo"} {
			for id, publisher := range o.publishers("consortium", root) {
				if publisher != want {
					t.Errorf("%s: %s in %s is %s's", o.Name, id, root, publisher)
				}
			}
		}
	}
	t.Run("a node that mistrusts a member serves the other", func(t *testing.T) {
		charlie.stop()
		path := filepath.Join(charlie.Dir, "config.toml")
		settings, err := os.ReadFile(path)
		must(t, err)
		changed := strings.Replace(string(settings), "mistrust = []", `mistrust = ["alpha", "nobody"]`, 1)
		must(t, os.WriteFile(path, []byte(changed), 0o600))
		charlie.start()
		charlie.serves("consortium", "everything", own...)
		charlie.serves("consortium", "others", objects...)
		if s := charlie.status().View; !slices.Equal(s.Mistrusts, []string{"alpha", "nobody"}) || !slices.Equal(s.Unknown, []string{"nobody"}) {
			t.Errorf("the status says %+v", s)
		}
		must(t, os.WriteFile(path, settings, 0o600))
		charlie.stop()
		charlie.start()
		charlie.serves("consortium", "everything", objects...)
	})
	for _, o := range n.members {
		o.stop()
	}
}

// polled is what a client has that asks for what was added since, and nothing else.
func (o *organisation) polled(collection, since string) (objects []string, last string) {
	o.t.Helper()
	path := "/" + o.Name + "/collections/" + collection + "/objects/?match[version]=all&added_after=" + since
	status, header, body := o.get(path)
	if status != http.StatusOK {
		o.t.Fatalf("%s is answered %d", path, status)
	}
	var envelope struct{ Objects []json.RawMessage }
	must(o.t, json.Unmarshal([]byte(body), &envelope))
	for _, object := range envelope.Objects {
		objects = append(objects, string(object))
	}
	if last = header.Get("X-TAXII-Date-Added-Last"); last == "" {
		last = since
	}
	return objects, last
}

// publication is the transaction of the first version of an object that a node serves.
func (o *organisation) publication(collection, id string) string {
	o.t.Helper()
	_, _, body := o.get("/" + o.Name + "/collections/" + collection + "/manifest/?match[version]=first&match[id]=" + id)
	var m struct {
		Objects []struct {
			TxID string `json:"x_slnode_txid"`
		}
	}
	must(o.t, json.Unmarshal([]byte(body), &m))
	if len(m.Objects) != 1 {
		o.t.Fatalf("the manifest of %s is %s", id, body)
	}
	return m.Objects[0].TxID
}

// Mallory publishes under another's id what it likes, later versions and revocations too: what is served stays as it
// was. And who takes its own back takes nothing of the other's with it, nor is kept from it by a copy.
func TestNobodyChangesWhatAnotherPublishes(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "mallory", "charlie")
	alpha, mallory, charlie := n.members[0], n.members[1], n.members[2]
	alpha.post(n.collection, indicator(1), indicator(2))
	mallory.shows(n.collection, indicator(1), indicator(2))
	later := strings.Replace(indicator(1), `"modified":"2026-01-02`, `"revoked":true,"modified":"2026-03-04`, 1)
	if status := mallory.post(n.collection, later, indicator(2)); status.FailureCount > 0 {
		t.Fatalf("mallory's: %+v", status.Failures)
	}
	for _, o := range n.members {
		o.serves("consortium", "others", later, indicator(2))
		o.serves(o.Name, n.collection, indicator(1), indicator(2))
	}
	for _, p := range cliJSON[withdraw.Shown](charlie, "show", objectID(1)).Publications {
		if p.Apart != (p.Publisher == "mallory") {
			t.Errorf("shown is %+v", p)
		}
	}
	newer := strings.Replace(indicator(1), `"modified":"2026-01-02`, `"modified":"2026-02-03`, 1)
	if status := alpha.post(n.collection, newer); status.FailureCount > 0 {
		t.Fatalf("alpha's later version: %+v", status.Failures)
	}
	charlie.serves(charlie.Name, n.collection, indicator(1), newer, indicator(2))

	_, since := charlie.polled(n.collection, "2026-01-01T00:00:00Z")
	if status := mallory.delete("/mallory/collections/" + n.collection + "/objects/" + objectID(9) + "/"); status != http.StatusNotFound {
		t.Errorf("what nobody has is deleted: %d", status)
	}
	if status := charlie.delete("/charlie/collections/" + n.collection + "/objects/" + objectID(2) + "/"); status != http.StatusForbidden {
		t.Errorf("what only others have is deleted: %d", status)
	}
	first := alpha.publication(n.collection, objectID(1))
	if _, stderr, code := alpha.try("withdraw", first); code == 0 || !strings.Contains(stderr, "--only-this-version") {
		t.Errorf("what gives the lead away is withdrawn without a word: %d, %s", code, stderr)
	}
	alpha.cli("withdraw", objectID(2))
	charlie.serves("consortium", "others", later)
	charlie.serves(charlie.Name, n.collection, indicator(1), newer, indicator(2)) // mallory's copy of it
	if who := charlie.publishers("charlie", n.collection)[objectID(2)]; who != "mallory" {
		t.Errorf("the copy is %s's", who)
	}
	if again, _ := charlie.polled(n.collection, since); !slices.Contains(again, indicator(2)) {
		t.Errorf("who polls is told of %v", again)
	}
	if status := mallory.delete("/mallory/collections/" + n.collection + "/objects/" + objectID(1) + "/"); status >= 300 {
		t.Errorf("mallory's own, which is not served as the object, can't be deleted: %d", status)
	}
	charlie.serves("consortium", "others")
	charlie.serves(charlie.Name, n.collection, indicator(1), newer, indicator(2))
	for _, o := range n.members {
		o.stop()
	}
}
