package doctor

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newRepo makes a repository whose algod and indexer are at a URL.
func newRepo(t *testing.T, url string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r")
	c := config.Default()
	c.Organisation.Name, c.Algorand.AlgodURL, c.Algorand.IndexerURL = "acme", url, url
	_, err := repo.Init(dir, c, "")
	must(t, err)
	return dir
}

func TestAServerThatHangsHoldsNothingUp(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	defer server.Close()
	defer close(ended)
	dir := newRepo(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	list, err := Examine(ctx, dir)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ends with %v", err)
	}
	found := map[string]Level{}
	for _, f := range list {
		found[f.What] = f.Level
	}
	if found["algod"] != Wrong || found["indexer "+server.URL] != Wrong || found["disk"] != OK || found["files"] != OK {
		t.Errorf("it found %+v", found)
	}
}

func TestAnIndexerIsComparedWithAlgodAndTheConsortium(t *testing.T) {
	ours, theirs := make([]byte, 32), append(make([]byte, 31), 1)
	for name, c := range map[string]struct {
		round  uint64
		hash   []byte
		algod  uint64
		status int
		level  Level
		says   string
	}{
		"in step":              {1000, ours, 1002, 200, OK, "it is at round 1000"},
		"behind":               {1000, ours, 1031, 200, Wrong, "31 behind algod"},
		"ahead":                {1031, ours, 1000, 200, Warning, "31 ahead of algod"},
		"without algod":        {1000, ours, 0, 200, Unknown, "can't be told without algod"},
		"of another network":   {1000, theirs, 1000, 200, Wrong, "it is of the network"},
		"one that has nothing": {0, ours, 1000, 200, Wrong, "it answers, and has no round"},
		"one that refuses":     {1000, ours, 1000, 403, Wrong, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				if strings.HasPrefix(r.URL.Path, "/health") {
					fmt.Fprintf(w, `{"round":%d,"db-available":true,"is-migrating":false,"message":"","version":"3"}`, c.round)
					return
				}
				fmt.Fprintf(w, `{"round":%d,"genesis-id":"x-v1","genesis-hash":%q,"timestamp":1}`, c.round, base64.StdEncoding.EncodeToString(c.hash))
			}))
			defer server.Close()
			p := &patient{consortium: &repo.Consortium{GenesisHash: ours}}
			f := p.indexer(t.Context(), server.URL, "", "", genesis{hash: ours, round: c.algod})
			if f.Level != c.level || !strings.Contains(f.Says, c.says) || f.Level == Wrong && f.Remedy == "" {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestTheNetworkTheClockAndTheCertificateAreJudged(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := &patient{consortium: &repo.Consortium{GenesisHash: []byte("a"), GenesisID: "testnet-v1.0"}}
	day := 24 * time.Hour
	ends := func(from, to time.Duration) Finding {
		return ending(&x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}, now)
	}
	for name, c := range map[string]struct {
		Finding
		level Level
		says  string
	}{
		"our network":           {p.network("testnet-v1.0", []byte("a")), OK, "algod is of TestNet"},
		"another network":       {p.network("mainnet-v1.0", []byte("b")), Wrong, "algod is of MainNet (mainnet-v1.0), and the consortium lives on testnet-v1.0"},
		"a network of no name":  {(&patient{}).network("x", []byte("b")), OK, "a network of its own"},
		"the right time":        {clockOf(now, now.Add(20*time.Second), true), OK, "-20s"},
		"a wrong time":          {clockOf(now, now.Add(-6*time.Minute), true), Wrong, "6m0s off the chain's"},
		"a chain that rests":    {clockOf(now, now.Add(-6*time.Minute), false), Unknown, "makes no rounds"},
		"a good certificate":    {ends(-day, 15*day), OK, "until"},
		"one that soon ends":    {ends(-300*day, 13*day), Warning, "ends on"},
		"one that has ended":    {ends(-9*day, -day), Wrong, "has ended"},
		"one that will be good": {ends(day, 99*day), Wrong, "from"},
	} {
		if c.Level != c.level || !strings.Contains(c.Says, c.says) || c.Level == Wrong && c.Remedy == "" {
			t.Errorf("%s: %+v", name, c.Finding)
		}
	}
}

// All that is wrong is said at once, and no secret with it.
func TestAConfigurationIsLookedAtToItsEnd(t *testing.T) {
	dir := newRepo(t, "http://127.0.0.1:9")
	path := config.Path(dir)
	text, err := os.ReadFile(path)
	must(t, err)
	if list := CheckConfig(path, dir); len(list) != 1 || list[0].Level != OK {
		t.Errorf("a good one: %+v", list)
	}
	bad := strings.NewReplacer(`tls = "off"`, `tls = "files"`, `tls_certificate = ""`, `tls_certificate = "nowhere.pem"`, `tls_key = ""`, `tls_key = "nowhere.key"`,
		`announce = []`, `announce = ["/ip4/nowhere"]`).Replace(string(text)) + `
[[feed]]
name = "misp"
kind = "misp"
url = "https://misp.example"
api_key = "file:/nowhere/misp.key"
into = "default"
interval = "1h"
`
	must(t, os.WriteFile(path, []byte(bad), 0o600))
	said := fmt.Sprint(CheckConfig(path, dir))
	for _, want := range []string{"ipfs.announce", "taxii.tls_certificate", "nowhere.pem", "the credentials of feed misp"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
}

func TestFilesOfAnotherUserAreNamed(t *testing.T) {
	dir := newRepo(t, "http://127.0.0.1:9")
	if list := ownership(dir); len(list) != 1 || list[0].Level != OK {
		t.Errorf("a new repository: %+v", list)
	}
	must(t, os.Chmod(dir, 0o755))
	if list := ownership(dir); len(list) != 1 || list[0].Level != Warning || list[0].Remedy != "chmod 700 "+dir {
		t.Errorf("one that is open: %+v", list)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	strange := filepath.Join(dir, "keys", "account.mnemonic")
	must(t, os.Chown(strange, 12345, 12345))
	if list := ownership(dir); len(list) != 1 || list[0].Level != Wrong || !strings.Contains(list[0].Says, strange) || !strings.Contains(list[0].Remedy, "chown -R") {
		t.Errorf("one with a file of another user: %+v", list)
	}
}
