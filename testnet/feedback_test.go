package testnet

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/serviceledger/slnode/taxii"
)

// toldFeedback receives what a webhook tells of feedback.
type toldFeedback struct {
	mu     sync.Mutex
	events []taxii.FeedbackEvent
}

func (r *toldFeedback) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	var event struct {
		Type string
		Data struct{ Feedback []taxii.FeedbackEvent }
	}
	if json.NewDecoder(request.Body).Decode(&event) != nil || event.Type != "feedback.added" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event.Data.Feedback...)
}

func (r *toldFeedback) got(want string) (bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if fmt.Sprintln(e.Object, e.Member, e.Opinion, e.Reason) == want+"\n" {
			return true, ""
		}
	}
	return false, fmt.Sprintf("the webhook was told %+v", r.events)
}

// A false positive on its way: bravo says it, its own list is rid of it, alpha is told and revokes, and so is every
// list.
func TestAFalsePositiveIsToldToItsProducerWhoRevokesIt(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	receiver := &toldFeedback{}
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	alpha.stop()
	config, err := os.OpenFile(filepath.Join(alpha.Dir, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = fmt.Fprintf(config, "\n[[webhook]]\nname = \"siem\"\nurl = %q\nsecret = %q\nallow_private = true\n", server.URL,
		base64.StdEncoding.EncodeToString([]byte("a secret of at least 24 bytes")))
	must(t, err)
	must(t, config.Close())
	alpha.start()

	alpha.post(n.collection, addressIndicator(7), addressIndicator(8))
	ids := []string{indicatorOf(7), indicatorOf(8)}
	for _, o := range n.members {
		o.shows(n.collection, addressIndicator(7), addressIndicator(8))
	}
	list := func(o *organisation) string {
		_, _, body := o.get("/" + o.Name + "/collections/" + n.collection + "/export?format=plain")
		return strings.Join(strings.Fields(body), " ")
	}
	if got := list(bravo); got != "198.51.100.7 198.51.100.8" {
		t.Fatalf("bravo's list is %q", got)
	}

	judged := cliJSON[[]taxii.Judged](bravo, "feedback", ids[0], "--reason", "ours", "--text", "our mail relay")[0]
	if judged.To != taxii.ToCollection || judged.Member != "alpha" {
		t.Errorf("it was said as %+v", judged)
	}
	if got := list(bravo); got != "198.51.100.8" {
		t.Errorf("bravo's list is %q", got)
	}
	eventually(t, func() (bool, string) { return receiver.got(ids[0] + " bravo strongly-disagree ours") })
	var box taxii.Inbox
	eventually(t, func() (bool, string) {
		box = cliJSON[taxii.Inbox](alpha, "inbox")
		return box.Open == 1, fmt.Sprintf("%+v", box)
	})
	if i := box.Items[0]; i.Object != ids[0] || i.Member != "bravo" || i.Reason != "ours" || i.Text != "false positive: our own: our mail relay" || i.State != taxii.InboxOpen || i.Private {
		t.Errorf("the inbox has %+v", i)
	}
	// Who says it is an identity of the organisation, which came with the opinion, in one NFT.
	var opinion, identity struct {
		ID, Name string
		Author   string `json:"created_by_ref"`
	}
	must(t, json.Unmarshal([]byte(charlie.cli("get", judged.OpinionID)), &opinion))
	must(t, json.Unmarshal([]byte(charlie.cli("get", opinion.Author)), &identity))
	if identity.ID != opinion.Author || identity.Name != "BRAVO" {
		t.Errorf("%+v is by %+v", opinion, identity)
	}
	if got := list(charlie) + "; " + list(alpha); got != "198.51.100.7 198.51.100.8; 198.51.100.7 198.51.100.8" {
		t.Errorf("what bravo says changes others' lists: %q", got)
	}

	alpha.cli("inbox", "revoke", ids[0])
	eventually(t, func() (bool, string) { got := list(charlie); return got == "198.51.100.8", got })
	if box := cliJSON[taxii.Inbox](alpha, "inbox", "--all"); box.Open != 0 || box.Items[0].State != taxii.InboxRevoked {
		t.Errorf("after it was revoked the inbox is %+v", box)
	}

	// To the producer alone: alpha reads it, and charlie does not.
	private := cliJSON[[]taxii.Judged](bravo, "feedback", ids[1], "--reason", "shared", "--to", "producer")[0]
	eventually(t, func() (bool, string) {
		box = cliJSON[taxii.Inbox](alpha, "inbox")
		return box.Open == 1 && box.Items[0].Private, fmt.Sprintf("%+v", box)
	})
	eventually(t, func() (bool, string) { return receiver.got(ids[1] + " bravo strongly-disagree shared") })
	if _, _, code := charlie.try("get", private.OpinionID); code != 4 {
		t.Errorf("charlie asks for the opinion: %d", code)
	}
	if got := list(bravo); got != "" {
		t.Errorf("bravo's list is %q", got)
	}
	bravo.cli("feedback", ids[1], "--undo")
	if got := list(bravo); got != "198.51.100.8" {
		t.Errorf("after it was taken back bravo's list is %q", got)
	}
	eventually(t, func() (bool, string) {
		box = cliJSON[taxii.Inbox](alpha, "inbox")
		return box.Open == 0, fmt.Sprintf("%+v", box)
	})
}

func indicatorOf(n int) string { return fmt.Sprintf("indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f", n) }
