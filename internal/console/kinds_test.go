package console

import (
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/stix"
)

func TestTypesAreCountedInWords(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, c := range []struct {
		kind      string
		one, many string
	}{
		{"attack-pattern", "1 attack pattern", "2 attack patterns"}, {"campaign", "1 campaign", "2 campaigns"}, {"course-of-action", "1 course of action", "2 courses of action"},
		{"grouping", "1 grouping", "2 groupings"}, {"identity", "1 identity", "2 identities"}, {"incident", "1 incident", "2 incidents"}, {"indicator", "1 indicator", "2 indicators"},
		{"infrastructure", "1 infrastructure", "2 infrastructures"}, {"intrusion-set", "1 intrusion set", "2 intrusion sets"}, {"location", "1 location", "2 locations"},
		{"malware", "1 malware", "2 malware"}, {"malware-analysis", "1 malware analysis", "2 malware analyses"}, {"note", "1 note", "2 notes"},
		{"observed-data", "1 observed data", "2 observed data"}, {"opinion", "1 opinion", "2 opinions"}, {"report", "1 report", "2 reports"},
		{"threat-actor", "1 threat actor", "2 threat actors"}, {"tool", "1 tool", "2 tools"}, {"vulnerability", "1 vulnerability", "2 vulnerabilities"},
		{"relationship", "1 relationship", "2 relationships"}, {"sighting", "1 sighting", "2 sightings"},
		{"artifact", "1 artifact", "2 artifacts"}, {"autonomous-system", "1 autonomous system", "2 autonomous systems"}, {"directory", "1 directory", "2 directories"},
		{"domain-name", "1 domain", "2 domains"}, {"email-addr", "1 mailbox", "2 mailboxes"}, {"email-message", "1 mail", "2 mails"}, {"file", "1 file", "2 files"},
		{"ipv4-addr", "1 IPv4 address", "2 IPv4 addresses"}, {"ipv6-addr", "1 IPv6 address", "2 IPv6 addresses"}, {"mac-addr", "1 MAC address", "2 MAC addresses"},
		{"mutex", "1 mutex", "2 mutexes"}, {"network-traffic", "1 network traffic", "2 network traffic"}, {"process", "1 process", "2 processes"},
		{"software", "1 software", "2 software"}, {"url", "1 URL", "2 URLs"}, {"user-account", "1 user account", "2 user accounts"},
		{"windows-registry-key", "1 registry key", "2 registry keys"}, {"x509-certificate", "1 certificate", "2 certificates"},
		{"extension-definition", "1 extension definition", "2 extension definitions"}, {"language-content", "1 translation", "2 translations"}, {"marking-definition", "1 marking", "2 markings"},
		{"x-hunt", "1 x-hunt object", "2 x-hunt objects"}, {"acme-case", "1 acme-case object", "2 acme-case objects"}, {"", "1 object", "2 objects"},
		{"x-\u202Eevil", "1 x-⟨U+202E⟩evil object", "2 x-⟨U+202E⟩evil objects"},
	} {
		if one, many := typeCount(c.kind, 1), typeCount(c.kind, 2); one != c.one || many != c.many {
			t.Errorf("%q is counted %q and %q, want %q and %q", c.kind, one, many, c.one, c.many)
		}
		if word := typeWord(c.kind); c.one != "1 "+word && c.one != "1 "+word+" object" {
			t.Errorf("%q alone is %q", c.kind, word)
		}
		tried[c.kind] = true
	}
	for _, kind := range append(stix.Types(), sortedKeys(typeWords)...) {
		if !tried[kind] || typeWords[kind][0] == "" || !slices.Contains(stix.Types(), kind) {
			t.Errorf("%s has words %q, and is tried: %t", kind, typeWords[kind], tried[kind])
		}
	}
}

func TestTypesAreToldOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for want, types := range map[string]map[string]int{
		"":                                   nil,
		"1 indicator":                        {"indicator": 1},
		"2 indicators and 3 vulnerabilities": {"indicator": 2, "vulnerability": 3},
		"1 malware, 1,200 relationships and 2 x-hunt objects": {"malware": 1, "relationship": 1200, "x-hunt": 2},
	} {
		if got := typesCount(types); got != want {
			t.Errorf("%v is %q, want %q", types, got, want)
		}
	}
}
