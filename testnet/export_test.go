package testnet

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// addressIndicator is an indicator for an address.
func addressIndicator(n int) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
		`"modified":"2026-01-02T03:04:05.678Z","confidence":80,"pattern":"[ipv4-addr:value = '198.51.100.%d']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}`, n, n)
}

// stream reads events of a collection at a node.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	scan *bufio.Scanner
	last string // the id of the last event
}

func (o *organisation) stream(t *testing.T, collection, last string) *stream {
	t.Helper()
	o.client()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.Daemon.TAXII+"/"+o.Name+"/collections/"+collection+"/stream", nil)
	must(t, err)
	request.SetBasicAuth(o.User, o.Password)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the stream is answered %s", response.Status)
	}
	s := &stream{t: t, body: response.Body, scan: bufio.NewScanner(response.Body), last: last}
	s.scan.Buffer(nil, 1<<20)
	for s.scan.Scan() && s.scan.Text() != "" { // the event that says where it begins
		s.note(s.scan.Text())
	}
	return s
}

func (s *stream) note(line string) {
	if id, found := strings.CutPrefix(line, "id: "); found {
		s.last = id
	}
}

// next gives the data of the next event.
func (s *stream) next() string {
	s.t.Helper()
	for s.scan.Scan() {
		s.note(s.scan.Text())
		if data, found := strings.CutPrefix(s.scan.Text(), "data: "); found {
			return data
		}
	}
	s.t.Fatalf("the stream ended: %v", s.scan.Err())
	return ""
}

// Out to where it is acted on: what one member publishes is in the other's lists, streams and webhooks.
func TestWhatAMemberPublishesReachesTheOthersDefences(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]

	var mu sync.Mutex
	var received []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Data struct{ Objects []json.RawMessage }
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil || !strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v1,") {
			t.Errorf("the webhook got %v, %v", r.Header, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, o := range event.Data.Objects {
			received = append(received, string(o))
		}
	}))
	t.Cleanup(receiver.Close)
	bravo.stop()
	config, err := os.OpenFile(filepath.Join(bravo.Dir, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = fmt.Fprintf(config, "\n[[webhook]]\nname = \"siem\"\nurl = %q\nsecret = %q\ntypes = [\"indicator\"]\nallow_private = true\n",
		receiver.URL, base64.StdEncoding.EncodeToString([]byte("a secret of at least 24 bytes")))
	must(t, err)
	must(t, config.Close())
	bravo.start()

	events := bravo.stream(t, n.collection, "")
	alpha.post(n.collection, addressIndicator(7), addressIndicator(8), indicator(9))
	got := []string{events.next(), events.next(), events.next()}
	slices.Sort(got)
	if want := []string{addressIndicator(7), addressIndicator(8), indicator(9)}; !slices.Equal(got, want) {
		t.Errorf("the stream has %s", got)
	}

	path := "/bravo/collections/" + n.collection + "/export?format="
	hash := fmt.Sprintf("%032x", 9)
	for format, want := range map[string][]string{
		"plain": {"198.51.100.7\n198.51.100.8\n" + hash + "\n"}, "plain&kind=ip&min_confidence=80": {"198.51.100.7\n198.51.100.8\n"},
		"csv": {"ipv4,198.51.100.7,indicator--00000007-27d4-4cbf-938f-98ee46b3cd3f,80,\n"}, "hosts": {"# 3 indicators are not"},
		"rpz": {"32.7.100.51.198.rpz-ip CNAME .\n"}, "suricata": {"alert ip $HOME_NET any <> [198.51.100.7] any "},
		"zeek": {"198.51.100.7\tIntel::ADDR\t", hash + "\tIntel::FILE_HASH\t"}, "stix": {addressIndicator(7), indicator(9)},
	} {
		status, header, body := bravo.get(path + format)
		for _, part := range want {
			if status != http.StatusOK || !strings.Contains(body, part) || header.Get("X-Slnode-Skipped") == "" {
				t.Errorf("%s is answered %d %v: %s", format, status, header, body)
			}
		}
	}
	_, header, _ := bravo.get(path + "plain")
	unchanged := func() int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+bravo.Daemon.TAXII+path+"plain", nil)
		must(t, err)
		request.SetBasicAuth(bravo.User, bravo.Password)
		request.Header.Set("If-None-Match", header.Get("ETag"))
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	if status := unchanged(); status != http.StatusNotModified {
		t.Errorf("a poll is answered %d", status)
	}
	if out := bravo.cli("export", "--format", "plain", "--kind", "ip", "--min-confidence", "80"); out != "198.51.100.7\n198.51.100.8\n" {
		t.Errorf("the command line exports %q", out)
	}
	if _, stderr, code := bravo.try("export", "--format", "exe"); code != 2 {
		t.Errorf("an unknown format exits with %d: %s", code, stderr)
	}

	// The node may stop while somebody listens, and nothing is lost to those who come again.
	bravo.stop()
	if _, err := io.ReadAll(events.body); err != nil {
		t.Errorf("the stream does not end well: %v", err)
	}
	alpha.post(n.collection, addressIndicator(10))
	bravo.start()
	if status := unchanged(); status != http.StatusNotModified && status != http.StatusOK {
		t.Errorf("a poll after a restart is answered %d", status)
	}
	if got := bravo.stream(t, n.collection, events.last).next(); got != addressIndicator(10) {
		t.Errorf("the resumed stream has %s", got)
	}
	if status := unchanged(); status != http.StatusOK {
		t.Errorf("a poll after a change is answered %d", status)
	}

	alpha.cli("withdraw", "indicator--00000007-27d4-4cbf-938f-98ee46b3cd3f")
	eventually(t, func() (bool, string) {
		_, _, body := bravo.get(path + "plain")
		return body == "198.51.100.10\n198.51.100.8\n"+hash+"\n", body
	})
	want := []string{addressIndicator(7), addressIndicator(8), indicator(9), addressIndicator(10)}
	slices.Sort(want)
	eventually(t, func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		distinct := slices.Compact(slices.Sorted(slices.Values(received))) // it may be sent something twice
		return slices.Equal(distinct, want), fmt.Sprintf("the webhook got %d objects", len(received))
	})
}
