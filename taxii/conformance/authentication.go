package conformance

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

var authentication = []Check{
	{"1.6.9", Must, "answers requests without credentials with 401 and WWW-Authenticate, or 404", func(t *trial) {
		for _, path := range append(t.endpoints()[1:], t.root+"status/"+uuid.NewString()+"/") {
			t.turnsAway(request{path: path, anonymous: true})
		}
		objects := t.session.collection + "objects/"
		t.turnsAway(request{method: http.MethodPost, path: objects, body: strings.NewReader("{}"), anonymous: true})
		t.turnsAway(request{method: http.MethodDelete, path: objects + newID("malware") + "/", anonymous: true})
	}},
	{"1.6.9", Must, "answers wrong credentials the same way", func(t *trial) {
		// Few times: servers limit how often a password may be guessed.
		wrong := []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(uuid.NewString()+":wrong"))}
		t.turnsAway(request{path: t.root, headers: wrong})
		t.turnsAway(request{path: t.session.collection + "objects/", headers: wrong})
		t.turnsAway(request{method: http.MethodPost, path: t.session.collection + "objects/", body: strings.NewReader("{}"), headers: wrong})
	}},
	{"8.2.2", Should, "takes HTTP Basic", func(t *trial) {
		t.want(t.get(t.root, t.basic("Basic")), http.StatusOK)
	}},
	{"1.6.9", Interop, "takes the scheme's name in any case (MISP)", func(t *trial) {
		t.want(t.get(t.root, t.basic("basic")), http.StatusOK)
	}},
	{"1.6.9", Interop, "takes a token under the scheme Token (taxii2client)", func(t *trial) {
		if t.Target.Token == "" {
			t.skip("no token is given")
		}
		t.want(t.get(t.root, "Authorization: Token "+t.Target.Token), http.StatusOK)
	}},
}

func (t *trial) basic(scheme string) string {
	if t.User == "" {
		t.skip("no user is given")
	}
	return "Authorization: " + scheme + " " + base64.StdEncoding.EncodeToString([]byte(t.User+":"+t.Password))
}

// turnsAway wants a request, whose credentials are no good, not to be let in.
func (t *trial) turnsAway(q request) {
	a := t.do(q)
	if a.status == http.StatusOK && t.User == "" && t.Target.Token == "" {
		t.skip("the server lets everybody in")
	}
	t.want(a, http.StatusUnauthorized, http.StatusNotFound)
	if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		t.fail("%s %s: 401 without WWW-Authenticate", a.method, shown(a.path))
	}
}
