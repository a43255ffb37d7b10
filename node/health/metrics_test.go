package health

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// An alarm on a metric that is called otherwise never rings.
func TestTheMetricsThatOperatorsAreToldOfExist(t *testing.T) {
	document, err := os.ReadFile("../../docs/OPERATIONS.md")
	nodetest.Must(t, err)
	source, err := os.ReadFile("metrics.go")
	nodetest.Must(t, err)
	counted, err := os.ReadFile("../stages/stages.go")
	nodetest.Must(t, err)
	names := regexp.MustCompile(`\bslnode_[a-z_]+`).FindAllString(string(document), -1)
	if len(names) < 10 {
		t.Errorf("the document names %q only", names)
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, "_bucket") // of a histogram
		if !strings.Contains(string(source), `describe("`+strings.TrimPrefix(name, "slnode_")+`"`) && !strings.Contains(string(counted), `"`+name+`"`) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func TestExposedKeysAreCountedByWhoseTheyAre(t *testing.T) {
	own, founders := collections.ExposedKey{Own: true, Removed: []string{"mallory"}}, collections.ExposedKey{Removed: []string{"mallory"}}
	counts := exposedBy([]collections.ExposedKey{own, founders})
	if counts[exposedLabel{"self", "removed"}] != 1 || counts[exposedLabel{"member", "removed"}] != 1 {
		t.Errorf("the metrics are %v", counts)
	}
}
