package p2p

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

func TestTheGatewayServesWhatIsHereAndNothingElse(t *testing.T) {
	h := newWorld(t).member()
	d := mustBuild(t, files(`{"name":"x"}`, "object.json", `{"sealed":"yes"}`)...)
	absent := directory(t, "absent")
	put(t, h, d)
	server := httptest.NewServer(h.Gateway())
	defer server.Close()

	identity, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: multihash.IDENTITY, MhLength: -1}.Sum([]byte("<script>"))
	if err != nil {
		t.Fatal(err)
	}
	root := "/ipfs/" + d.Root().String()
	for _, c := range []struct {
		method, path string
		status       int
		body, media  string
	}{
		{"GET", root + "/metadata.json", 200, `{"name":"x"}`, "application/json"},
		{"GET", root + "/object.json", 200, `{"sealed":"yes"}`, "application/json"},
		{"HEAD", root + "/object.json", 200, "", "application/json"},
		{"GET", root + "/", 200, "object.json", "text/html"},
		{"GET", root + "?format=raw", 200, "", "application/vnd.ipld.raw"},
		{"GET", root + "?format=car", 200, "", "application/vnd.ipld.car"},
		{"GET", root + "/other.json", 404, "", ""},
		{"GET", "/ipfs/" + absent.Root().String() + "/object.json", 404, "", ""},
		{"GET", "/ipfs/" + identity.String(), 404, "", ""},
		{"GET", "/ipfs/", 404, "", ""},
		{"GET", "/ipfs/nonsense", 404, "", ""},
		{"GET", "/ipns/" + h.ID().String(), 404, "", ""},
		{"GET", "/", 404, "", ""},
		{"POST", root + "/object.json", 405, "", ""},
		{"PUT", root + "/object.json", 405, "", ""},
		{"DELETE", root, 405, "", ""},
	} {
		t.Run(c.method+" "+strings.ReplaceAll(c.path, d.Root().String(), "<cid>"), func(t *testing.T) {
			request, err := http.NewRequest(c.method, server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status {
				t.Fatalf("status %s: %s", response.Status, body)
			}
			if !strings.Contains(string(body), c.body) {
				t.Errorf("body %q", body)
			}
			if c.status != http.StatusOK {
				return
			}
			if media := response.Header.Get("Content-Type"); !strings.HasPrefix(media, c.media) {
				t.Errorf("content type %q", media)
			}
			if !strings.Contains(response.Header.Get("Content-Security-Policy"), "sandbox") || response.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", response.Header)
			}
		})
	}
}

func TestTheGatewayFetchesNothing(t *testing.T) {
	w := newWorld(t)
	from, h := w.member(), w.member()
	d := directory(t)
	put(t, from, d)
	connect(t, from, h)
	answer := httptest.NewRecorder()
	h.Gateway().ServeHTTP(answer, httptest.NewRequest("GET", "/ipfs/"+d.Root().String()+"/object.json", nil))
	if answer.Code != http.StatusNotFound {
		t.Fatalf("status %d", answer.Code)
	}
	mustLack(t, h, d)
}

func TestTheGatewayOfAClosedHostSaysSo(t *testing.T) {
	h := newWorld(t).member()
	d := directory(t)
	put(t, h, d)
	gateway := h.Gateway()
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	gateway.ServeHTTP(answer, httptest.NewRequest("GET", "/ipfs/"+d.Root().String()+"/object.json", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Fatalf("status %d", answer.Code)
	}
}
