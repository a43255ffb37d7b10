package testnet

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/serviceledger/slnode/"

// layers is which of our packages each package may import, and nothing else of ours: the rooms of the architecture,
// with arrows that point down only.
var layers = map[string][]string{
	"internal/door":       {},
	"internal/console":    {"internal/door", "internal/observable", "internal/quality", "internal/stix", "taxii"},
	"internal/waiting":    {}, // for tests only
	"internal/scratch":    {}, // for tests only
	"internal/measure":    {}, // for tests only
	"internal/seal":       {},
	"internal/quality":    {"internal/observable"},
	"internal/warnlist":   {"internal/observable"},
	"internal/stix":       {},
	"internal/algorand":   {"internal/retry"},
	"internal/export":     {"internal/observable", "internal/quality"},
	"internal/observable": {},
	"internal/version":    {"internal/wire"},
	"internal/splice":     {}, // for tests only
	"internal/retry":      {},
	"internal/spelling":   {},
	"internal/spool":      {},
	"internal/signal":     {},
	"internal/outbound":   {},
	"internal/certs":      {"internal/disk", "internal/retry", "internal/signal", "internal/version", "repo/config"},
	"internal/wire":       {"internal/seal"},
	"internal/consortium": {"internal/seal", "internal/wire"},
	"internal/onchain":    {"internal/consortium", "internal/wire"},
	"internal/evidence":   {"internal/consortium", "internal/onchain", "internal/seal", "internal/stix", "internal/wire"},
	"internal/feed":       {"internal/stix", "internal/version", "taxii"},
	"internal/ledger":     {"internal/algorand", "internal/consortium", "internal/microalgo", "internal/onchain", "internal/wire"},
	"internal/disk":       {},
	"internal/microalgo":  {},
	"repo": {"internal/disk", "internal/spool", "repo/accounts", "repo/auditlog", "repo/config", "repo/daybook", "repo/find", "repo/found", "repo/hits", "repo/internal/archive", "repo/internal/kv",
		"repo/internal/store", "repo/keys", "repo/outbox", "repo/view"},
	"repo/internal/kv":       {"internal/disk"},
	"repo/internal/store":    {"repo/internal/kv"},
	"repo/internal/archive":  {},
	"repo/config":            {"internal/disk", "internal/microalgo", "internal/observable", "internal/quality", "internal/spelling", "internal/wire"},
	"repo/keys":              {"internal/disk", "internal/seal", "repo/internal/archive"},
	"repo/outbox":            {"internal/consortium", "internal/microalgo", "internal/wire", "repo/daybook", "repo/internal/kv", "repo/internal/store"},
	"repo/daybook":           {"internal/microalgo", "repo/internal/kv", "repo/internal/store"},
	"repo/outbox/outboxtest": {"repo/internal/kv", "repo/internal/store", "repo/outbox"},
	"repo/repotest": {"repo", "repo/accounts", "repo/auditlog", "repo/config", "repo/daybook", "repo/find", "repo/found", "repo/hits", "repo/internal/kv", "repo/internal/store", "repo/outbox",
		"repo/view"},
	"repo/view/internal/listing":  {"repo/internal/kv", "repo/internal/store"},
	"repo/view/internal/history":  {"internal/consortium", "repo/internal/kv", "repo/internal/store", "repo/view/internal/listing"},
	"repo/view/internal/turns":    {"internal/wire", "repo/internal/store", "repo/view/internal/history", "repo/view/internal/listing"},
	"repo/view/internal/entries":  {"internal/consortium", "repo/internal/kv", "repo/internal/store", "repo/view/internal/history", "repo/view/internal/listing"},
	"repo/view/internal/removals": {"internal/observable", "repo/internal/kv", "repo/internal/store"},
	"repo/view": {"internal/consortium", "internal/wire", "repo/internal/kv", "repo/internal/store", "repo/view/internal/entries", "repo/view/internal/history",
		"repo/view/internal/listing", "repo/view/internal/turns", "repo/view/internal/removals"},
	"repo/accounts":     {"repo/internal/kv", "repo/internal/store"},
	"repo/auditlog":     {"internal/disk"},
	"chainwatch":        {"internal/algorand", "internal/consortium", "internal/onchain", "internal/wire"},
	"p2p":               {"internal/disk", "p2p/swarm", "p2p/unixfs"},
	"p2p/swarm":         {"p2p/unixfs"},
	"p2p/unixfs":        {},
	"taxii":             {"internal/door", "internal/retry", "internal/spool", "internal/version"},
	"taxii/conformance": {},
	"node/problem":      {"taxii"},
	"node/state":        {"chainwatch", "internal/consortium", "internal/signal", "internal/spelling", "internal/stix", "internal/wire", "node/problem", "repo", "repo/outbox", "repo/view"},
	"node/auditlog":     {"internal/disk", "internal/signal", "node/problem", "node/state", "repo", "repo/auditlog", "repo/config", "taxii"},
	"repo/found":        {"repo/internal/kv", "repo/internal/store"},
	"repo/hits":         {"internal/microalgo", "repo/internal/kv", "repo/internal/store"},
	"repo/find":         {"internal/observable", "repo/internal/kv", "repo/internal/store", "repo/view"},
	"node/replicate": {"chainwatch", "internal/consortium", "internal/retry", "internal/seal", "internal/signal", "internal/stix",
		"internal/wire", "node/problem", "node/stages", "node/state", "p2p/swarm", "p2p/unixfs", "repo", "repo/outbox", "repo/view"},
	"node/sole": {"internal/algorand", "internal/consortium", "internal/ledger", "internal/retry", "internal/signal", "internal/wire", "node/problem", "repo/outbox", "repo/view"},
	"node/publish": {"chainwatch", "internal/algorand", "internal/consortium", "internal/ledger", "internal/microalgo", "internal/retry", "internal/seal",
		"internal/signal", "internal/stix", "internal/wire", "node/auditlog", "node/money", "node/problem", "node/sole", "node/stages", "node/state", "p2p/unixfs", "repo/outbox", "repo/view"},
	"node/stages":     {},
	"node/search":     {"internal/observable", "internal/quality", "internal/stix", "internal/wire", "node/state", "repo/find", "repo/outbox", "repo/view", "taxii"},
	"node/disclosure": {"internal/consortium", "internal/stix", "internal/wire", "node/problem", "node/state", "repo/outbox", "repo/view"},
	"node/withdraw": {"internal/consortium", "internal/ledger", "internal/microalgo", "internal/signal", "internal/wire", "node/auditlog", "node/disclosure", "node/problem", "node/publish",
		"node/state", "p2p/swarm", "repo/config", "repo/daybook", "repo/outbox", "repo/view", "taxii"},
	"node/collections": {"internal/consortium", "internal/seal", "internal/signal", "internal/stix", "internal/wire", "node/auditlog", "node/problem",
		"node/publish", "node/state", "repo/outbox", "repo/view"},
	"node/proof": {"chainwatch", "internal/algorand", "internal/consortium", "internal/evidence", "internal/ledger", "internal/onchain",
		"internal/retry", "internal/signal", "internal/wire", "node/problem", "node/replicate", "node/state", "p2p/swarm", "p2p/unixfs", "repo", "repo/found", "repo/view"},
	"node/accept": {"chainwatch", "internal/consortium", "internal/ledger", "internal/microalgo", "internal/signal", "internal/stix", "internal/wire", "node/auditlog",
		"node/money", "node/problem", "node/publish", "node/stages", "node/state", "node/withdraw", "repo/config", "repo/daybook", "repo/outbox", "repo/view", "taxii", "internal/warnlist"},
	"node/members": {"chainwatch", "internal/algorand", "internal/consortium", "internal/ledger", "internal/microalgo", "internal/signal", "internal/wire", "node/auditlog",
		"node/collections", "node/problem", "node/publish", "node/sole", "node/state", "node/withdraw", "p2p/swarm", "p2p/unixfs", "repo", "repo/config", "repo/keys", "repo/outbox"},
	"node/appraisal": {"internal/export", "internal/observable", "internal/quality", "internal/warnlist", "repo/config", "taxii"},
	"node/scorecard": {"internal/consortium", "internal/observable", "internal/quality", "node/feedback", "node/search", "node/state", "repo", "repo/find", "repo/view", "taxii"},
	"node/watch":     {"internal/observable", "internal/signal", "node/search", "node/state", "repo/view", "taxii"},
	"node/statement": {"internal/consortium", "internal/observable", "internal/stix", "node/auditlog", "node/problem", "node/state", "repo", "repo/view", "taxii"},
	"node/feedback": {"internal/consortium", "internal/export", "internal/observable", "internal/retry", "internal/stix", "node/state", "node/statement", "repo/config", "repo/find",
		"repo/outbox", "repo/view", "taxii"},
	"node/sightings": {"internal/consortium", "internal/export", "internal/microalgo", "internal/observable", "internal/signal", "internal/stix", "node/auditlog", "node/problem", "node/search",
		"node/state", "node/statement", "node/withdraw", "repo", "repo/config", "repo/find", "repo/hits", "repo/outbox", "repo/view", "taxii"},
	"node/clients": {"internal/consortium", "internal/export", "internal/microalgo", "internal/observable", "internal/outbound", "internal/retry", "internal/signal", "internal/stix",
		"internal/version", "node/auditlog", "node/collections", "node/problem", "node/state", "repo", "repo/accounts", "repo/config", "repo/outbox", "repo/view", "taxii"},
	"node/feeds": {"internal/consortium", "internal/feed", "internal/ledger", "internal/retry", "internal/signal", "internal/stix", "node/accept",
		"node/problem", "node/publish", "node/stages", "node/state", "node/withdraw", "repo", "repo/config", "repo/outbox", "repo/view", "taxii"},
	"node/money": {"internal/ledger", "internal/microalgo", "node/auditlog", "node/problem", "repo/config", "repo/daybook"},
	"node/health": {"internal/certs", "internal/ledger", "internal/microalgo", "internal/version", "node/clients", "node/collections", "node/feeds", "node/money", "node/problem", "node/proof",
		"node/sightings", "node/stages", "node/state", "node/watch", "node/withdraw", "p2p/swarm", "repo", "repo/config", "repo/outbox"},
	"node/control": {"internal/consortium", "internal/door", "internal/evidence", "internal/feed", "internal/version",
		"node/auditlog", "node/clients", "node/collections", "node/disclosure", "node/feeds", "node/health", "node/members", "node/money", "node/problem", "node/proof",
		"node/state", "node/withdraw", "p2p/unixfs", "repo", "repo/accounts", "repo/config", "repo/daybook", "repo/keys", "repo/outbox", "taxii"},
	"node/arrivals": {"repo/view"},
	"node/desk": {"node/arrivals", "internal/console", "internal/consortium", "internal/export", "internal/feed", "internal/ledger", "internal/microalgo", "internal/observable", "internal/stix", "internal/wire", "node/auditlog", "node/clients", "node/collections", "node/control",
		"node/feeds", "node/health", "node/members", "node/money", "node/problem", "node/proof", "node/publish", "node/search", "node/state", "node/watch", "node/withdraw", "repo", "repo/accounts", "repo/auditlog",
		"repo/config", "repo/daybook", "repo/outbox", "repo/view", "taxii"},
	"node/doctor": {"internal/algorand", "internal/certs", "internal/ledger", "internal/microalgo", "node/control", "node/feeds", "node/health", "node/problem", "node/state", "p2p/swarm",
		"repo", "repo/config"},
	"node": {"chainwatch", "internal/algorand", "internal/certs", "internal/consortium", "internal/disk", "internal/door", "internal/ledger",
		"internal/signal", "internal/wire", "node/accept", "node/auditlog", "node/clients", "node/collections", "node/control", "node/desk", "node/disclosure",
		"node/feeds", "node/health", "node/members", "node/money", "node/problem", "node/proof", "node/publish", "node/replicate", "node/search", "node/sole", "node/stages",
		"node/state", "node/withdraw", "p2p", "p2p/swarm", "p2p/unixfs",
		"repo", "repo/config", "repo/keys", "repo/outbox", "taxii", "node/appraisal", "node/feedback", "node/scorecard", "node/sightings", "node/statement", "node/watch"},
	// for tests only
	"repo/internal/storetest": {"repo/internal/kv", "repo/internal/store"},
	"node/internal/nodetest": {"internal/consortium", "internal/scratch", "internal/seal", "internal/wire", "node/state", "p2p/swarm", "p2p/unixfs", "repo", "repo/config",
		"repo/repotest"},
	"node/internal/worldtest": {"chainwatch", "internal/consortium", "internal/seal", "internal/signal", "internal/stix",
		"internal/wire", "node/internal/nodetest", "node/replicate", "node/state", "repo/outbox", "repo/view", "taxii"},
	"docs": {}, // tests only
	"cmd/slnode": {"internal/algorand", "internal/certs", "internal/disk", "internal/evidence", "internal/ledger", "internal/microalgo", "internal/seal", "internal/spelling",
		"internal/stix", "internal/version", "internal/wire", "node", "node/auditlog",
		"node/clients", "node/collections", "node/control", "node/disclosure", "node/doctor", "node/feeds", "node/health", "node/members", "node/money", "node/problem",
		"node/proof", "node/search", "node/sightings", "node/state", "node/withdraw", "p2p", "repo",
		"repo/accounts", "repo/auditlog", "repo/config", "repo/daybook", "repo/keys", "taxii", "internal/observable", "internal/warnlist", "node/appraisal"},
	"testnet":          {},
	"testnet/devchain": {},
	"testnet/gateway":  {},
	"testnet/cluster":  {"testnet/devchain"},
	"testnet/hostile": {"chainwatch", "internal/algorand", "internal/consortium", "internal/ledger", "internal/seal", "internal/wire", "p2p/unixfs", "repo",
		"repo/config", "repo/keys"},
	"internal/warnlist/gen": {"internal/warnlist"},
	"testnet/cmd/devchain":  {"testnet/devchain"},
	"testnet/cmd/gateway":   {"testnet/gateway"},
	"testnet/cmd/testnet":   {"taxii", "testnet/cluster", "testnet/devchain"},
	"scripts/mutants":       {},
	"scripts/bench":         {},
	"scripts/vulncheck":     {},
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = ".."
	out, err := command.Output()
	must(t, err)
	return string(out)
}

// imports gives what each of our packages imports.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")) {
		words := strings.Fields(line)
		all[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	if len(all) < 10 {
		t.Fatalf("there are %d packages", len(all))
	}
	return all
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for name, all := range imports(t) {
		allowed, known := layers[name]
		if !known {
			t.Errorf("the package %s has no place in the layers", name)
		}
		for _, imported := range all {
			if own, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", name, own)
			}
		}
	}
}

// The development chain is for tests: neither it nor the indexer that it is made of is in the program.
func TestTheProgramDoesNotLinkTheDevelopmentChain(t *testing.T) {
	t.Parallel()
	dependencies := strings.Fields(goList(t, "-deps", "./cmd/slnode"))
	if !slices.Contains(dependencies, module+"node") {
		t.Fatal("the program does not even link the node")
	}
	for _, dependency := range dependencies {
		if strings.Contains(dependency, "/testnet") || strings.HasPrefix(dependency, "github.com/algorand/indexer") {
			t.Errorf("the program links %s", dependency)
		}
	}
}

// Kubo is behind one package, so that it can be replaced; and to link it takes a test program longer than most tests
// run, so that the rooms of the node know directories and peers without it.
func TestKuboStaysBehindItsPackage(t *testing.T) {
	t.Parallel()
	for name, all := range imports(t) {
		for _, imported := range all {
			if strings.HasPrefix(imported, "github.com/ipfs/kubo") && name != "p2p" ||
				strings.HasPrefix(imported, "github.com/ipfs/boxo") && name != "p2p" && name != "p2p/unixfs" {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./node/...")) {
		words := strings.Fields(line)
		if words[0] != module+"node" && slices.Contains(words[1:], "github.com/ipfs/kubo/core") {
			t.Errorf("%s links Kubo", words[0])
		}
	}
}
