package config

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/wire"
)

// Quality is what this organisation makes of indicators.
type Quality struct {
	OwnNetworks    []string `toml:"own_networks"`
	OwnDomains     []string `toml:"own_domains"`
	ReaderFeedback bool     `toml:"reader_feedback"` // what readers call a false positive counts, too
	DisputedBy     int64    `toml:"disputed_by"`     // members; 0: what others say changes no list
	BenignFrom     []string `toml:"benign_from"`     // members: what they call benign is warned of
}

// checkMembers checks a list of members' names.
func checkMembers(list []string) error {
	if len(list) > maxBenignFrom {
		return fmt.Errorf("there are more than %d", maxBenignFrom)
	}
	for _, name := range list {
		if err := wire.CheckOrganisation(name); err != nil {
			return err
		}
	}
	return nil
}

const maxBenignFrom = 100

// checkDomains checks a list of names.
func checkDomains(list []string) error {
	for _, name := range list {
		if name == "" || len(name) > 253 || strings.ContainsAny(name, "*:/@ ") {
			return fmt.Errorf("%.60q is not a domain name such as acme.example", name)
		}
	}
	return nil
}

// checkIdentity takes the id of a STIX identity, or nothing.
func checkIdentity(id string) error {
	if rest, is := strings.CutPrefix(id, "identity--"); id != "" && (!is || uuid.Validate(rest) != nil) {
		return fmt.Errorf("%.60q is not the id of a STIX identity", id)
	}
	return nil
}
