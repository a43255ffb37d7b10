package node

import (
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/stix"
)

// otherMarkings reads what markings count as that are no TLP, as the configuration says it.
func otherMarkings(configured map[string]string) (map[string]stix.Level, error) {
	others := make(map[string]stix.Level, len(configured))
	for marking, text := range configured {
		name := strings.ToUpper(strings.TrimSpace(marking)) // a type
		if strings.Contains(marking, "--") {
			name = strings.ToLower(marking)
		}
		if text == "none" {
			others[name] = 0
			continue
		}
		level, err := stix.ParseLevel(text)
		if err != nil {
			return nil, fmt.Errorf("in the configuration: tlp.markings: %q: %w, nor none", marking, err)
		}
		others[name] = level
	}
	return others, nil
}
