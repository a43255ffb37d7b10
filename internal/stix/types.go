package stix

// Types are the types of STIX 2.1. Others are custom ones.
func Types() []string {
	return []string{
		"artifact", "attack-pattern", "autonomous-system", "campaign", "course-of-action", "directory", "domain-name", "email-addr",
		"email-message", "extension-definition", "file", "grouping", "identity", "incident", "indicator", "infrastructure", "intrusion-set",
		"ipv4-addr", "ipv6-addr", "language-content", "location", "mac-addr", "malware", "malware-analysis", "marking-definition", "mutex",
		"network-traffic", "note", "observed-data", "opinion", "process", "relationship", "report", "sighting", "software", "threat-actor",
		"tool", "url", "user-account", "vulnerability", "windows-registry-key", "x509-certificate",
	}
}
