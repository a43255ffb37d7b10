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
	"internal/waiting":    {}, // for tests only
	"internal/seal":       {},
	"internal/stix":       {},
	"internal/algorand":   {},
	"internal/export":     {},
	"internal/splice":     {}, // for tests only
	"internal/wire":       {"internal/seal"},
	"internal/consortium": {"internal/seal", "internal/wire"},
	"internal/onchain":    {"internal/consortium", "internal/wire"},
	"internal/evidence":   {"internal/consortium", "internal/onchain", "internal/seal", "internal/stix", "internal/wire"},
	"internal/feed":       {"internal/stix", "taxii"},
	"internal/ledger":     {"internal/algorand", "internal/onchain", "internal/wire"},
	"repo":                {"internal/consortium", "internal/seal", "internal/wire"},
	"chainwatch":          {"internal/algorand", "internal/consortium", "internal/onchain", "internal/wire"},
	"p2p":                 {},
	"taxii":               {"internal/door"},
	"taxii/conformance":   {},
	"node": {"chainwatch", "internal/algorand", "internal/consortium", "internal/door", "internal/evidence", "internal/export", "internal/feed",
		"internal/ledger", "internal/onchain", "internal/seal", "internal/stix", "internal/wire", "p2p", "repo", "taxii"},
	"docs":                 {}, // tests only
	"cmd/slnode":           {"internal/algorand", "internal/evidence", "internal/ledger", "internal/seal", "node", "repo", "taxii"},
	"testnet":              {},
	"testnet/devchain":     {},
	"testnet/gateway":      {},
	"testnet/hostile":      {"chainwatch", "internal/algorand", "internal/consortium", "internal/ledger", "internal/seal", "internal/wire", "p2p", "repo"},
	"testnet/cmd/devchain": {"testnet/devchain"},
	"testnet/cmd/gateway":  {"testnet/gateway"},
	"scripts/mutants":      {},
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = ".."
	out, err := command.Output()
	must(t, err)
	return strings.Fields(string(out))
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, path := range goList(t, "./...") {
		name := strings.TrimPrefix(path, module)
		allowed, known := layers[name]
		if !known {
			t.Errorf("the package %s has no place in the layers", name)
		}
		for _, imported := range goList(t, "-f", `{{join .Imports "\n"}}`, path) {
			if own, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", name, own)
			}
		}
	}
}

// The development chain is for tests: neither it nor the indexer that it is made of is in the program.
func TestTheProgramDoesNotLinkTheDevelopmentChain(t *testing.T) {
	t.Parallel()
	dependencies := goList(t, "-deps", "./cmd/slnode")
	if !slices.Contains(dependencies, module+"node") {
		t.Fatal("the program does not even link the node")
	}
	for _, dependency := range dependencies {
		if strings.Contains(dependency, "/testnet") || strings.HasPrefix(dependency, "github.com/algorand/indexer") {
			t.Errorf("the program links %s", dependency)
		}
	}
}

// The module path is the users' way to the sources; kubo is behind one package, so that it can be replaced.
func TestKuboStaysBehindItsPackage(t *testing.T) {
	t.Parallel()
	for _, path := range goList(t, "./...") {
		if path == module+"p2p" {
			continue
		}
		for _, imported := range goList(t, "-f", `{{join .Imports "\n"}}`, path) {
			if strings.HasPrefix(imported, "github.com/ipfs/kubo") || strings.HasPrefix(imported, "github.com/ipfs/boxo") {
				t.Errorf("%s imports %s", path, imported)
			}
		}
	}
}
