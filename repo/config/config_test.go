package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newConfigured is a folder with a configuration.
func newConfigured(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := Default()
	config.Organisation.Name, config.Organisation.Title = "acme", `ACME "CERT"`
	must(t, config.Write(dir))
	return dir
}

func TestTheConfigFileIsReadAsItWasWritten(t *testing.T) {
	read, err := Read(newConfigured(t))
	must(t, err)
	want := Default()
	want.Organisation.Name, want.Organisation.Title = "acme", `ACME "CERT"`
	want.IPFS.Announce, want.Algorand.Indexers = []string{}, []string{}
	want.Quality.OwnNetworks, want.Quality.OwnDomains = []string{}, []string{}
	if fmt.Sprintf("%+v", read) != fmt.Sprintf("%+v", want) {
		t.Errorf("read\n%+v\nwant\n%+v", read, want)
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	dir := newConfigured(t)
	good, err := os.ReadFile(Path(dir))
	must(t, err)
	for change, want := range map[[2]string]string{
		{"listen = \"127.0.0.1:9440\"", "listen = \"nowhere\""}:                              "taxii.listen",
		{"publish_wait", "publish_weight"}:                                                   "taxii.publish_weight is not known",
		{"name = \"acme\"", "name = \"ACME\""}:                                               "organisation.name",
		{"level = \"info\"", "level = \"loud\""}:                                             "log.level",
		{"max_fee = 10000", "max_fee = 1"}:                                                   "algorand.max_fee",
		{"poll = \"5s\"", "poll = \"often\""}:                                                "often",
		{"anchor = \"auto\"", "anchor = \"each\""}:                                           "publish.anchor",
		{"feeds = \"batch\"", "feeds = \"\""}:                                                "publish.feeds",
		{"batch_from = 101", "batch_from = 1"}:                                               "publish.batch_from",
		{"release_after = \"\"", "release_after = \"23h59m\""}:                               "publish.release_after: 23h59m0s is less than 24h0m0s",
		{"release_after = \"\"", "release_after = \"a month\""}:                              "a month",
		{"release_after = \"\"", "release_after = \"-720h\""}:                                "publish.release_after",
		{"own_networks = []", "own_networks = [\"here\"]"}:                                   "quality.own_networks",
		{"own_domains = []", "own_domains = [\"https://a.example\"]"}:                        "quality.own_domains",
		{"follow = \"auto\"", "follow = \"all\""}:                                            "algorand.follow",
		{"indexers = []", "indexers = [\"https://a.example/KEY\", \"ftp://b.example/KEY\"]"}: "algorand.indexers: entry 2",
		{"indexers = []", "indexers = [\"http://127.0.0.1:8980\"]"}:                          "algorand.indexers: entry 1 is there twice",
		{`tls_key = ""`, `tls_key = "tls/taxii.key"`}:                                        `taxii.tls_key: is not used where taxii.tls is "off"`,
		{`tls_certificate = ""`, `tls_certificate = "tls/taxii.crt"`}:                        `taxii.tls_certificate: is not used where taxii.tls is "off"`,
		{"batch_from = 101", `batch_from = "101"`}:                                           "publish.batch_from has to be a whole number, without quotes, and is a text in quotes",
		{"batch_from = 101", "batch_from = true"}:                                            "publish.batch_from has to be a whole number, without quotes, and is true or false",
		{"level = \"info\"", "level = 3"}:                                                    "log.level has to be a text in quotes, and is a whole number",
		{"own_domains = []", `own_domains = "a.example"`}:                                    "quality.own_domains has to be a list in brackets, and is a text in quotes",
		{"own_domains = []", "own_domains = [3]"}:                                            "has to be a text in quotes, and is a whole number",
		{"own_domains = []", "own_domains = {}"}:                                             "quality.own_domains has to be a list in brackets, and is a table",
		{"indexers = []", "indexers = [" + strings.Repeat(`"https://a.example",`, 8) + "]"}:  "algorand.indexers: at most 8",
	} {
		must(t, os.WriteFile(Path(dir), []byte(strings.Replace(string(good), change[0], change[1], 1)), 0o600))
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to name %s", change[1], err, want)
		} else if strings.Contains(err.Error(), "KEY") {
			t.Errorf("a key is shown: %v", err)
		}
	}
}

func TestTheEnvironmentOverridesTheConfigFile(t *testing.T) {
	dir := newConfigured(t)
	c, err := Load(Path(dir), []string{
		"SLNODE_ALGORAND_ALGOD_TOKEN=secret", "SLNODE_TAXII_PUBLISH_WAIT=1m", "SLNODE_IPFS_LISTEN=/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2",
		"SLNODE_ALGORAND_MAX_FEE=2000", "HOME=/nowhere",
	})
	must(t, err)
	if c.Algorand.AlgodToken != "secret" || c.TAXII.PublishWait.Duration != time.Minute || len(c.IPFS.Listen) != 2 || c.Algorand.MaxFee != 2000 {
		t.Errorf("got %+v", c)
	}
	if _, err := Load(Path(dir), []string{"SLNODE_ALGORAND_MAX_FEE=much"}); err == nil || !strings.Contains(err.Error(), "SLNODE_ALGORAND_MAX_FEE") {
		t.Errorf("a value that isn't one: %v", err)
	}
}

func TestHowObjectsGoOntoTheChainIsConfigured(t *testing.T) {
	dir := newConfigured(t)
	c, err := Read(dir)
	must(t, err)
	if c.Publish != (Publish{Anchor: AnchorAuto, BatchFrom: 101, Feeds: AnchorBatch, Reserve: 200_000}) {
		t.Errorf("by default it is %+v", c.Publish)
	}
	c, err = Load(Path(dir), []string{"SLNODE_PUBLISH_ANCHOR=single", "SLNODE_PUBLISH_BATCH_FROM=2", "SLNODE_PUBLISH_FEEDS=auto", "SLNODE_PUBLISH_RELEASE_AFTER=24h"})
	must(t, err)
	if want := (Publish{Anchor: AnchorSingle, BatchFrom: 2, Feeds: AnchorAuto, ReleaseAfter: Optional{24 * time.Hour}, Reserve: 200_000}); c.Publish != want {
		t.Errorf("it is %+v, want %+v", c.Publish, want)
	}
	if text, err := c.Publish.ReleaseAfter.MarshalText(); err != nil || string(text) != "24h0m0s" {
		t.Errorf("it is written as %q (%v)", text, err)
	}
}
