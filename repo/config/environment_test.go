package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/disk"
)

func TestAMistypedVariableIsNotIgnored(t *testing.T) {
	config := Default()
	config.Organisation.Name = "acme"
	config.Feeds = []Feed{Feed{Name: "otx", URL: "https://otx.example/taxii/", Collection: "c", User: "env:SLNODE_OTX_KEY"}.WithDefaults()}
	text, err := config.encode()
	must(t, err)
	path := filepath.Join(t.TempDir(), "config.toml")
	must(t, disk.WriteFile(path, text))
	for _, c := range []struct {
		variable string
		meant    string // "" if it is no mistake
	}{
		{"SLNODE_TAXII_LISTEN=127.0.0.1:1", ""},
		{"SLNODE_REPO=/var/lib/slnode", ""},
		{"SLNODE_PASSPHRASE=secret", ""},
		{"SLNODE_PASSPHRASE_FILE=secret", ""},
		{"SLNODE_NEW_PASSPHRASE_FILE=secret", ""},
		{"SLNODE_BACKUP_PASSPHRASE=", ""},
		{"SLNODE_TEST_ALGOD_URL=http://127.0.0.1:1", ""},
		{"SLNODE_BENCH_STORE=1000", ""},
		{"SLNODE_OTX_KEY=secret", ""}, // a feed of the config's
		{"SLNODE_SERVICE_HOST=10.0.0.1", ""},
		{"SLNODE_PORT=tcp://10.0.0.1:9440", ""},
		{"SLNODE_PORT_9440_TCP_ADDR=10.0.0.1", ""},
		{"SLNODES_TAXII_LISTEN=x", ""}, // not ours
		{"slnode_taxii_listen=x", ""},
		{"HOME=/nowhere", ""},
		{"SLNODE_TAXII_LISTN=secret", "SLNODE_TAXII_LISTEN"},
		{"SLNODE_TAXI_LISTEN=secret", "SLNODE_TAXII_LISTEN"},
		{"SLNODE_BIN=/usr/bin/slnode", ""}, // a script's
		{"SLNODE_LISTEN=secret", ""},       // of which section?
		{"SLNODE_ALGOD_TOKEN=secret", "SLNODE_ALGORAND_ALGOD_TOKEN"},
		{"SLNODE_ALGORAND_ALGODTOKEN=secret", "SLNODE_ALGORAND_ALGOD_TOKEN"},
		{"SLNODE_PASPHRASE=secret", "SLNODE_PASSPHRASE"},
		{"SLNODE_PASPHRASE_FILE=secret", "SLNODE_PASSPHRASE_FILE"},
		{"SLNODE_REP=secret", "SLNODE_REPO"},
		{"SLNODE_TAXII_PORT=secret", "SLNODE_TAXII_TLS"}, // there is no such key
		{"SLNODE_=x", ""},
		{"SLNODE_" + strings.Repeat("X", 100_000) + "=x", ""},
		{"SLNODE_TAXII_" + strings.Repeat("X", 100_000) + "=secret", "any"},
	} {
		_, err := Load(path, []string{"HOME=/nowhere", c.variable})
		name, _, _ := strings.Cut(c.variable, "=")
		switch {
		case len(name) > 1000:
			if (err != nil) != (c.meant != "") || err != nil && len(err.Error()) > 500 {
				t.Errorf("a long name: %.200v", err)
			}
		case c.meant == "":
			if err != nil {
				t.Errorf("%s: %v", c.variable, err)
			}
		case err == nil:
			t.Errorf("%s is taken", c.variable)
		case !strings.Contains(err.Error(), name+":") || !strings.Contains(err.Error(), "is "+c.meant) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v", c.variable, err)
		}
	}
}
