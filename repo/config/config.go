// Package config is a node's configuration, the file config.toml in its repository: config.go reads, checks and writes
// it, environment.go lets variables override it, edit.go changes the text of the file and leaves the rest of it as it
// is, feeds.go and webhook.go have the feeds and webhooks in it, publish.go how objects go onto the chain, limits.go
// how much a day may bring, retention.go when what has expired is taken back, sightings.go what is told of what was
// seen, console.go what browsers are shown, decay.go how scores fall, follow.go by what the chain is followed,
// reload.go tells what has changed.
package config

import (
	"bytes"
	_ "embed"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/net/http/httpguts"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
)

// Config is the node's configuration, as config.toml has it.
type Config struct {
	Organisation struct {
		Name  string `toml:"name"`
		Title string `toml:"title"`
		// Identity is the STIX identity in whose name the node writes; one of its own if it is empty.
		Identity string `toml:"identity"`
	} `toml:"organisation"`
	TAXII struct {
		Listen           string   `toml:"listen"` // host:port
		PublishWait      Duration `toml:"publish_wait"`
		MaxContentLength int64    `toml:"max_content_length"` // bytes
		Session          Duration `toml:"session"`
		RateLimit        int64    `toml:"rate_limit"` // requests a second of one credential or address; 0: no limit
		TrustedProxies   []string `toml:"trusted_proxies"`
		TLS              string   `toml:"tls"` // one of the TLS constants
		TLSCertificate   string   `toml:"tls_certificate"`
		TLSKey           string   `toml:"tls_key"`
		TLSNames         []string `toml:"tls_names"`
		ACMEEmail        string   `toml:"acme_email"`
		ACMEDirectory    string   `toml:"acme_directory"` // URL
		ACMECA           string   `toml:"acme_ca"`
		ACMEListen       string   `toml:"acme_listen"`     // host:port
		AuditFileSize    int64    `toml:"audit_file_size"` // bytes
		AuditFiles       int64    `toml:"audit_files"`
		AuditForward     string   `toml:"audit_forward"` // see [ParseForward]
	} `toml:"taxii"`
	IPFS struct {
		Listen   []string `toml:"listen"` // multiaddresses
		Announce []string `toml:"announce"`
		Gateway  string   `toml:"gateway"` // host:port
		Network  string   `toml:"network"` // "private" or "public"
	} `toml:"ipfs"`
	Algorand struct {
		AlgodURL           string   `toml:"algod_url"`
		AlgodToken         string   `toml:"algod_token"`
		AlgodTokenHeader   string   `toml:"algod_token_header"` // empty: algod's own
		IndexerURL         string   `toml:"indexer_url"`
		IndexerToken       string   `toml:"indexer_token"`
		IndexerTokenHeader string   `toml:"indexer_token_header"` // empty: the indexer's own
		Indexers           []string `toml:"indexers"`             // URLs of further ones
		Follow             string   `toml:"follow"`               // one of the Follow constants
		Poll               Duration `toml:"poll"`
		MaxFee             uint64   `toml:"max_fee"` // microalgo for one transaction
		Explorer           string   `toml:"explorer"`
	} `toml:"algorand"`
	Publish   Publish   `toml:"publish"`
	Retention Retention `toml:"retention"`
	Limits    Limits    `toml:"limits"`
	Console   Console   `toml:"console"`
	Storage   struct {
		MinFree int64    `toml:"min_free"` // bytes; 0: the free space is not looked at
		Reclaim Duration `toml:"reclaim"`  // how often the space of what was deleted is given back
	} `toml:"storage"`
	View struct {
		Mistrust []string `toml:"mistrust"` // members whose lines never lead
	} `toml:"view"`
	Metrics struct {
		Listen string `toml:"listen"` // host:port
	} `toml:"metrics"`
	Log struct {
		Level  string `toml:"level"`
		Format string `toml:"format"`
	} `toml:"log"`
	TLP struct {
		// Markings says what markings count as that are no TLP: their type or id -> a TLP level, or "none".
		Markings map[string]string `toml:"markings"`
	} `toml:"tlp"`
	Quality   Quality   `toml:"quality"`
	Sightings Sightings `toml:"sightings"`
	Webhooks  []Webhook `toml:"webhook"`
	Feeds     []Feed    `toml:"feed"`
	Decay     []Decay   `toml:"decay"`
}

// Where the certificate of the TAXII server comes from.
const (
	TLSOff        = "off"
	TLSFiles      = "files"
	TLSSelfSigned = "self-signed"
	TLSACME       = "acme"
)

// By what the end of the chain is followed.
const (
	FollowAuto    = "auto"    // both where algod is on this machine or network
	FollowBoth    = "both"    // algod's blocks, and the indexers
	FollowIndexer = "indexer" // the indexers alone
)

// Duration is a time.Duration that is written as "10s".
type Duration struct{ time.Duration }

var _ encoding.TextUnmarshaler = (*Duration)(nil)

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

// MarshalText writes the same.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Default is what a new repository is configured as, save for the organisation's name.
func Default() Config {
	var c Config
	c.TAXII.Listen = "127.0.0.1:9440"
	c.TAXII.PublishWait.Duration = 10 * time.Second
	c.TAXII.MaxContentLength = 100 << 20
	c.TAXII.Session.Duration = 24 * time.Hour
	c.TAXII.RateLimit = 10_000
	c.TAXII.TLS = TLSOff
	c.TAXII.ACMEDirectory = "https://acme-v02.api.letsencrypt.org/directory"
	c.TAXII.AuditFileSize = 64 << 20
	c.TAXII.AuditFiles = 16
	c.IPFS.Listen = []string{"/ip4/0.0.0.0/tcp/4002"}
	c.IPFS.Gateway = "127.0.0.1:9441"
	c.IPFS.Network = wire.NetworkPrivate
	c.Algorand.AlgodURL = "http://127.0.0.1:4001"
	c.Algorand.IndexerURL = "http://127.0.0.1:8980"
	c.Algorand.Follow = FollowAuto
	c.Algorand.Poll.Duration = 5 * time.Second
	c.Algorand.MaxFee = 10_000
	c.Algorand.Explorer = "https://lora.algokit.io/{network}/transaction/{txid}"
	c.Publish.Anchor = AnchorAuto
	c.Publish.BatchFrom = 101
	c.Publish.Feeds = AnchorBatch
	c.Publish.Reserve = microalgo.Text(2 * microalgo.PerAsset)
	c.Retention.Objects = leastRetention
	c.Sightings = Sightings{Share: ShareNo, Every: Duration{30 * 24 * time.Hour}, MaxPerDay: 20}
	c.Console.Enabled = true
	c.Storage.MinFree = 256 << 20
	c.Storage.Reclaim.Duration = 10 * time.Minute
	c.Log.Level = "info"
	c.Log.Format = "text"
	return c
}

// Path is where the configuration of a repository is.
func Path(dir string) string { return filepath.Join(dir, "config.toml") }

//go:embed config.toml
var configTemplate string

// encode writes the commented config file.
func (c Config) encode() ([]byte, error) {
	feeds, err := encodeFeeds(c.Feeds)
	if err != nil {
		return nil, err
	}
	quote := func(s string) string { return strconv.Quote(s) }
	list := func(items []string) string {
		quoted := make([]string, len(items))
		for i, item := range items {
			quoted[i] = quote(item)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	parsed, err := template.New("config.toml").Funcs(template.FuncMap{"quote": quote, "list": list}).Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("reading the config template: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, c); err != nil {
		return nil, fmt.Errorf("writing the config: %w", err)
	}
	decays, err := encodeDecays(c.Decay)
	return slices.Concat(out.Bytes(), decays, feeds), err
}

// Error is what is wrong with the config file, or with what overrides it in the environment.
type Error struct{ error }

func (e *Error) Unwrap() error { return e.error }

// Load reads config.toml over the defaults and applies the environment's overrides. Its error is a [ConfigError].
func Load(path string, environ []string) (_ Config, err error) {
	defer func() {
		if err != nil {
			err = &Error{err}
		}
	}()
	c := Default()
	meta, err := toml.DecodeFile(path, &c)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, fmt.Errorf("%w: put it back from a backup, or write it anew: \"slnode init\" in another folder makes one to go by", err)
	case err != nil:
		return Config{}, fmt.Errorf("reading %s: %w", path, inWords(err))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fmt.Errorf("reading %s: the key %s is not known%s", path, unknown[0], meant(unknown[0].String()))
	}
	for i := range c.Feeds {
		c.Feeds[i].setDefaults()
	}
	if err := c.override(environ); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("in %s: %w", path, err)
	}
	return c, nil
}

func set(field reflect.Value, text string) (err error) {
	switch value := field.Addr().Interface().(type) {
	case *string:
		*value = text
	case *[]string:
		*value = slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
	case *int64:
		*value, err = strconv.ParseInt(text, 10, 64)
	case *uint64:
		*value, err = strconv.ParseUint(text, 10, 64)
	case *bool:
		*value, err = strconv.ParseBool(text)
	case encoding.TextUnmarshaler:
		err = value.UnmarshalText([]byte(text))
	default:
		err = fmt.Errorf("a value of type %s can't be set from the environment", field.Type())
	}
	return err
}

// Validate names all keys whose values can't be used, a line each.
func (c *Config) Validate() error {
	var level slog.Level
	checks := []struct {
		key string
		err error
	}{
		{"organisation.name", wire.CheckOrganisation(c.Organisation.Name)},
		{"taxii.listen", checkHostPort(c.TAXII.Listen, false)},
		{"ipfs.gateway", checkHostPort(c.IPFS.Gateway, true)},
		{"metrics.listen", checkHostPort(c.Metrics.Listen, true)},
		{"algorand.algod_url", checkURL(c.Algorand.AlgodURL)},
		{"algorand.indexer_url", checkURL(c.Algorand.IndexerURL)},
		{"algorand.indexers", checkIndexers(c.Algorand.IndexerURL, c.Algorand.Indexers)},
		{"algorand.follow", oneOf(c.Algorand.Follow, FollowAuto, FollowBoth, FollowIndexer)},
		{"algorand.algod_token_header", checkHeader(c.Algorand.AlgodTokenHeader)},
		{"algorand.indexer_token_header", checkHeader(c.Algorand.IndexerTokenHeader)},
		{"log.level", level.UnmarshalText([]byte(c.Log.Level))},
		{"log.format", oneOf(c.Log.Format, "text", "json")},
		{"ipfs.network", oneOf(c.IPFS.Network, wire.NetworkPrivate, wire.NetworkPublic)},
		{"taxii.publish_wait", between(c.TAXII.PublishWait.Duration, 0, 10*time.Minute)},
		{"taxii.session", between(c.TAXII.Session.Duration, time.Minute, 366*24*time.Hour)},
		{"algorand.poll", between(c.Algorand.Poll.Duration, 10*time.Millisecond, time.Hour)},
		{"taxii.rate_limit", between(c.TAXII.RateLimit, 0, 1_000_000)},
		{"taxii.trusted_proxies", checkNetworks(c.TAXII.TrustedProxies)},
		{"taxii.tls", oneOf(c.TAXII.TLS, TLSOff, TLSFiles, TLSSelfSigned, TLSACME)},
		{"taxii.tls_certificate", c.ofFiles(c.TAXII.TLSCertificate)},
		{"taxii.tls_key", c.ofFiles(c.TAXII.TLSKey)},
		{"taxii.tls_names", neededFor(c.TAXII.TLS == TLSACME, c.TAXII.TLSNames...)},
		{"taxii.tls_names", certifiable(c.TAXII.TLS == TLSACME, c.TAXII.TLSNames)},
		{"taxii.acme_directory", checkURL(c.TAXII.ACMEDirectory)},
		{"taxii.acme_listen", checkHostPort(c.TAXII.ACMEListen, true)},
		{"taxii.audit_file_size", between(c.TAXII.AuditFileSize, 1<<12, 1<<40)},
		{"taxii.audit_files", between(c.TAXII.AuditFiles, 1, 1_000_000)},
		{"taxii.audit_forward", checkForward(c.TAXII.AuditForward)},
		{"taxii.max_content_length", between(c.TAXII.MaxContentLength, 1<<10, 1<<30)},
		{"console.origins", checkOrigins(c.Console.Origins)},
		{"storage.min_free", between(c.Storage.MinFree, 0, 1<<50)},
		{"storage.reclaim", between(c.Storage.Reclaim.Duration, 100*time.Millisecond, 24*time.Hour)},
		{"algorand.max_fee", between(c.Algorand.MaxFee, 1000, 1_000_000)},
		{"publish.anchor", oneOf(c.Publish.Anchor, AnchorAuto, AnchorSingle, AnchorBatch)},
		{"publish.feeds", oneOf(c.Publish.Feeds, AnchorAuto, AnchorSingle, AnchorBatch)},
		{"publish.batch_from", between(c.Publish.BatchFrom, 2, 1_000_000)},
		{"quality.own_networks", checkNetworks(c.Quality.OwnNetworks)},
		{"quality.own_domains", checkDomains(c.Quality.OwnDomains)},
		{"quality.benign_from", checkMembers(c.Quality.BenignFrom)},
		{"quality.disputed_by", between(c.Quality.DisputedBy, 0, 1_000)},
		{"organisation.identity", checkIdentity(c.Organisation.Identity)},
		{"publish.release_after", checkRelease(c.Publish.ReleaseAfter)},
	}
	var wrong []error
	for _, check := range checks {
		if check.err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", check.key, check.err))
		}
	}
	if len(c.IPFS.Listen) == 0 {
		wrong = append(wrong, errors.New("ipfs.listen: no address"))
	}
	return errors.Join(append(wrong, validateWebhooks(c.Webhooks), checkFeeds(c.Feeds), checkDecays(c.Decay), c.checkApart(), c.Limits.check(), c.Retention.check(), c.Sightings.check())...)
}

func checkHostPort(address string, optional bool) error {
	if address == "" && optional {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err
}

// checkNetworks checks a list of addresses and networks in CIDR notation.
func checkNetworks(list []string) error {
	_, err := ParseNetworks(list)
	return err
}

// ParseNetworks reads a list of addresses and of networks in CIDR notation.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, addressErr := netip.ParseAddr(text)
			if addressErr != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// checkURL doesn't repeat the text: a key can be in it.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("this is not an http or https URL")
	}
	return nil
}

// maxIndexers bounds the indexers: each is asked for all of the history.
const maxIndexers = 8

func checkIndexers(first string, more []string) error {
	if len(more) >= maxIndexers {
		return fmt.Errorf("at most %d indexers can be followed", maxIndexers)
	}
	seen := []string{first}
	for i, text := range more {
		if err := checkURL(text); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		if slices.Contains(seen, text) {
			return fmt.Errorf("entry %d is there twice", i+1)
		}
		seen = append(seen, text)
	}
	return nil
}

// checkHeader takes what can be the name of an HTTP header, or nothing.
func checkHeader(name string) error {
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of an HTTP header", name)
	}
	return nil
}

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return nil
}

func between[T int64 | uint64 | time.Duration](value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%v is not between %v and %v", value, least, most)
	}
	return nil
}

// Write writes the configuration of a repository that has none.
func (c Config) Write(dir string) error {
	text, err := c.encode()
	if err != nil {
		return err
	}
	return disk.WriteFile(Path(dir), text)
}

// Read reads the configuration of the repository in dir without opening it.
func Read(dir string) (Config, error) {
	return Load(Path(dir), os.Environ())
}
