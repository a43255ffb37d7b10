package testnet

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/taxii"
)

// integrator speaks to a node as a client of the first Service Ledger does: plain JSON, a token, no trailing slashes.
type integrator struct {
	t      *testing.T
	base   string
	token  string
	client *http.Client
}

// ask makes a request, wants it to be answered with a status, and returns the answer.
func (i *integrator) ask(status int, method, path, body string) string {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), method, i.base+path, strings.NewReader(body))
	must(i.t, err)
	r.Header.Set("Accept", "application/json")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if i.token != "" {
		r.Header.Set("Authorization", "Bearer "+i.token)
	}
	response, err := i.client.Do(r)
	must(i.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	must(i.t, err)
	if response.StatusCode != status {
		i.t.Fatalf("%s %s: %s, want %d: %s", method, path, response.Status, status, data)
	}
	return string(data)
}

// login gets a token for a user.
func (i *integrator) login(user, password string) *integrator {
	i.t.Helper()
	answer := i.ask(http.StatusOK, http.MethodPost, "/v1/login", fmt.Sprintf(`{"username":%q,"password":%q}`, user, password))
	as := *i
	as.token = field(i.t, answer, "sl_token")
	return &as
}

// field finds a value in a JSON object by the names on its way.
func field(t *testing.T, text string, names ...string) string {
	t.Helper()
	var value any
	must(t, json.Unmarshal([]byte(text), &value))
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	found, ok := value.(string)
	if !ok {
		t.Fatalf("no %v in %s", names, text)
	}
	return found
}

// The steps of the first Service Ledger's own example, test/hospital-example, with passwords as long as they must be.
func TestAnIntegratorOfTheFirstServiceLedgerRunsUnchanged(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "hospital")
	o := n.members[0]
	anyone := &integrator{t: t, base: o.Daemon.URL, client: http.DefaultClient}
	signup := `{"org_name":"hospital","username":"hospital_admin","password":"hospital admin"}`
	signed := anyone.ask(200, http.MethodPost, "/v1/signup/admin", signup)
	if field(t, signed, "organisation", "name") != "hospital" || field(t, signed, "organisation", "algorand", "account_address") != o.account() ||
		field(t, signed, "entity", "metadata", "role") != "admin" || field(t, signed, "entity", "id") == "" {
		t.Errorf("signed up as %s", signed)
	}
	refusal := anyone.ask(409, http.MethodPost, "/v1/signup/admin", `{"org_name":"sogei","username":"sogei_admin","password":"sogei admin"}`)
	if !strings.Contains(refusal, "every organisation runs its own") {
		t.Errorf("a second organisation is told %s", refusal)
	}
	admin := anyone.login("hospital_admin", "hospital admin")
	if got := admin.ask(200, http.MethodGet, "/v1/hospital/algo_account", ""); field(t, got, "algorand", "account_address") != o.account() {
		t.Errorf("the account is %s", got)
	}
	for _, user := range []string{"hospital_user1", "hospital_user2"} {
		admin.ask(200, http.MethodPost, "/v1/signup/hospital/user", fmt.Sprintf(`{"username":%q,"password":"password"}`, user))
	}
	if got := admin.ask(200, http.MethodGet, "/v1/hospital/users", ""); got != `{"users":["hospital_admin","hospital_user1","hospital_user2"]}` {
		t.Errorf("the users are %s", got)
	}
	leaver := anyone.login("hospital_user2", "password")
	admin.ask(200, http.MethodDelete, "/v1/hospital/users/hospital_user2", "")
	leaver.ask(401, http.MethodGet, "/hospital", "")

	root := admin.ask(200, http.MethodPost, "/hospital", `{"title":"The Hospital","description":"Hospital Group"}`)
	if field(t, root, "apiroot", "slug") != "hospital" || field(t, root, "apiroot", "domain") != o.Daemon.URL {
		t.Errorf("the root is %s", root)
	}
	made := admin.ask(200, http.MethodPost, "/hospital/collections", `{"title":"Attacks","alias":"attack"}`)
	admin.ask(409, http.MethodPost, "/hospital/collections", `{"title":"Attacks","alias":"attack"}`)
	for _, c := range o.consortium().Collections {
		if c.ID == field(t, made, "collection", "id") && len(c.Readers)+len(c.Contributors) > 0 {
			t.Errorf("others read it: %+v", c)
		}
	}

	user := anyone.login("hospital_user1", "password")
	user.ask(403, http.MethodPost, "/hospital/collections", `{"title":"More"}`)
	posted := user.ask(202, http.MethodPost, "/hospital/collections/attack/objects", string(envelope(indicator(1))))
	o.User, o.Password = "hospital_user1", "password"
	o.complete(field(t, posted, "id"))
	o.shows(field(t, made, "collection", "id"), indicator(1))
	if got := user.ask(200, http.MethodGet, "/hospital/collections/attack/objects?added_after=2023/01/01&limit=2&match[type]=indicator", ""); !strings.Contains(got, indicator(1)) {
		t.Errorf("read %s", got)
	}

	// What the node is told outlives it.
	o.stop()
	o.start()
	user.base = o.Daemon.URL
	if got := user.ask(200, http.MethodGet, "/hospital", ""); field(t, got, "title") != "The Hospital" || field(t, got, "description") != "Hospital Group" {
		t.Errorf("after a restart the root is %s", got)
	}
	for _, secret := range []string{"hospital admin", admin.token, user.token} {
		if files := grep(t, o.Dir, secret); len(files) > 0 {
			t.Errorf("a secret is in %v", files)
		}
	}
}

// withInput runs a command of slnode that reads something.
func (o *organisation) withInput(input string, args ...string) string {
	o.t.Helper()
	command := exec.CommandContext(o.t.Context(), slnode, append([]string{"--repo", o.Dir}, args...)...)
	command.Stdin = strings.NewReader(input)
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		o.t.Fatalf("slnode %v: %v: %s", args, err, &errs)
	}
	return string(out)
}

// What an operator does with the command line counts for the daemon that runs, at once and over HTTPS.
func TestAnOperatorLooksAfterAccountsOverHTTPS(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	o := organisationOn(t, l, "acme", enoughAlgo)
	info := cliJSON[control.ConsortiumInfo](o, "consortium", "create", "--name", "The Testers")
	o.start("SLNODE_TAXII_TLS=self-signed", "SLNODE_TAXII_TLS_NAMES=taxii.acme.example")
	pool := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(o.Dir, "tls", "certificate.pem"))
	must(t, err)
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	web := &http.Client{Transport: transport}
	if !strings.HasPrefix(o.Daemon.URL, "https://") {
		t.Fatalf("the daemon serves %s", o.Daemon.URL)
	}
	get := func(user, password, path string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.Daemon.URL+path, nil)
		must(t, err)
		if user != "" || password != "" {
			r.SetBasicAuth(user, password)
		}
		response, err := web.Do(r)
		must(t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	want := func(got, want int, what string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	objects := "/acme/collections/" + info.DefaultCollection + "/objects/"

	o.withInput("correct horse\n", "account", "add", "alice", "--role", "admin")
	anyone := &integrator{t: t, base: o.Daemon.URL, client: web}
	anyone.ask(409, http.MethodPost, "/v1/signup/admin", `{"org_name":"acme","username":"eve","password":"correct horse"}`)
	want(get("alice", "correct horse", objects), 200, "alice")
	alice := anyone.login("alice", "correct horse")

	// A forgotten password is no loss; the old one and its logins are good no longer, although they were remembered.
	o.withInput("battery staple\n", "account", "passwd", "alice")
	want(get("alice", "correct horse", objects), 401, "the old password")
	want(get("alice", "battery staple", objects), 200, "the new password")
	alice.ask(401, http.MethodGet, "/acme", "")

	alice = anyone.login("alice", "battery staple")
	o.cli("account", "restrict", "alice", "--read", "everything", "--write", "none")
	want(get("alice", "battery staple", objects), 404, "what alice is restricted from")
	want(get("alice", "battery staple", "/consortium/collections/everything/objects/"), 200, "what is left to alice")
	alice.ask(403, http.MethodPost, "/acme/collections", `{"title":"More"}`)
	o.cli("account", "restrict", "alice")
	want(get("alice", "battery staple", objects), 200, "alice without restrictions")
	o.cli("account", "role", "alice", "reader")
	alice.ask(403, http.MethodGet, "/v1/acme/users", "")

	tokens := cliJSON[[]struct{ ID, User string }](o, "token", "list")
	if len(tokens) != 1 || tokens[0].User != "alice" {
		t.Fatalf("the logins are %+v", tokens)
	}
	o.cli("token", "revoke", tokens[0].ID)
	alice.ask(401, http.MethodGet, "/acme", "")

	key := cliJSON[clients.NewKey](o, "apikey", "add", "siem", "--role", "publisher", "--write", info.DefaultCollection, "--expires", "1h").Secret
	client, err := taxii.NewClient(o.Daemon.URL, taxii.ClientConfig{Token: key, HTTP: web})
	must(t, err)
	status, err := client.Add(t.Context(), "/acme/", info.DefaultCollection, envelope(indicator(7)))
	must(t, err)
	want(get("whoever", key, objects), 200, "a key as the password of Basic")
	o.cli("apikey", "remove", "siem")
	want(get("whoever", key, objects), 401, "a key that was removed")

	certificate, file := clientCertificate(t)
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	transport.CloseIdleConnections()
	want(get("", "", objects), 401, "a certificate that nobody knows")
	o.cli("account", "certificate", "alice", file)
	want(get("", "", objects), 200, "alice's certificate")
	o.cli("account", "remove", "alice")
	want(get("", "", objects), 401, "the certificate of an account that was removed")

	// All of it can be read afterwards.
	eventually(t, func() (bool, string) {
		log := o.cli("audit-log", "--json")
		for _, line := range []string{
			`"event":"sign-up","user":"operator"`, `"event":"set-password","user":"operator"`, `"subject":"alice","detail":"admin, read only [`,
			`"event":"login","user":"alice"`, `"event":"refused","user":"alice"`, `"event":"revoke-token"`, `"event":"add-certificate"`,
			`"event":"publish","user":"key:siem","role":"publisher","credential":"API key","remote":"127.0.0.1"`, `"status":"` + status.ID + `"`,
		} {
			if !strings.Contains(log, line) {
				return false, fmt.Sprintf("%s is not in\n%s", line, log)
			}
		}
		return true, ""
	})
	for _, secret := range []string{"correct horse", "battery staple", key, alice.token} {
		if files := grep(t, o.Dir, secret); len(files) > 0 {
			t.Errorf("a secret is in %v", files)
		}
	}
	text, err := os.ReadFile(o.Log)
	must(t, err)
	if sum := sha256.Sum256(decodePEM(t, authority)); !strings.Contains(strings.ToLower(strings.ReplaceAll(string(text), ":", "")), fmt.Sprintf("%x", sum)) {
		t.Error("the log does not show the certificate's fingerprint")
	}
}

func decodePEM(t *testing.T, data []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

// clientCertificate makes a certificate that signed itself, and its PEM file.
func clientCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "client.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
