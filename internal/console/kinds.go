package console

import "strings"

// typeWords are the types of STIX 2.1 (sections 4 to 7 and 9) in words: of one object, and of several.
var typeWords = map[string][2]string{
	// What is known of threats (section 4).
	"attack-pattern":   {"attack pattern", "attack patterns"},
	"campaign":         {"campaign", "campaigns"},
	"course-of-action": {"course of action", "courses of action"},
	"grouping":         {"grouping", "groupings"},
	"identity":         {"identity", "identities"},
	"incident":         {"incident", "incidents"},
	"indicator":        {"indicator", "indicators"},
	"infrastructure":   {"infrastructure", "infrastructures"},
	"intrusion-set":    {"intrusion set", "intrusion sets"},
	"location":         {"location", "locations"},
	"malware":          {"malware", "malware"},
	"malware-analysis": {"malware analysis", "malware analyses"},
	"note":             {"note", "notes"},
	"observed-data":    {"observed data", "observed data"},
	"opinion":          {"opinion", "opinions"},
	"report":           {"report", "reports"},
	"threat-actor":     {"threat actor", "threat actors"},
	"tool":             {"tool", "tools"},
	"vulnerability":    {"vulnerability", "vulnerabilities"},
	// What holds them together (section 5).
	"relationship": {"relationship", "relationships"},
	"sighting":     {"sighting", "sightings"},
	// What can be observed (section 6).
	"artifact":             {"artifact", "artifacts"},
	"autonomous-system":    {"autonomous system", "autonomous systems"},
	"directory":            {"directory", "directories"},
	"domain-name":          {"domain", "domains"},
	"email-addr":           {"mailbox", "mailboxes"},
	"email-message":        {"mail", "mails"},
	"file":                 {"file", "files"},
	"ipv4-addr":            {"IPv4 address", "IPv4 addresses"},
	"ipv6-addr":            {"IPv6 address", "IPv6 addresses"},
	"mac-addr":             {"MAC address", "MAC addresses"},
	"mutex":                {"mutex", "mutexes"},
	"network-traffic":      {"network traffic", "network traffic"},
	"process":              {"process", "processes"},
	"software":             {"software", "software"},
	"url":                  {"URL", "URLs"},
	"user-account":         {"user account", "user accounts"},
	"windows-registry-key": {"registry key", "registry keys"},
	"x509-certificate":     {"certificate", "certificates"},
	// What says how the others are read (section 7 and 9).
	"extension-definition": {"extension definition", "extension definitions"},
	"language-content":     {"translation", "translations"},
	"marking-definition":   {"marking", "markings"},
}

// typeWord is a STIX type in words. What a consortium has made up stays as it is written: that is what people search.
func typeWord(kind string) string {
	if kind == "" {
		return "object"
	}
	if words, known := typeWords[kind]; known {
		return words[0]
	}
	return name(kind)
}

// typeCount says how many objects of a type there are: "2 vulnerabilities", "3 x-hunt objects".
func typeCount(kind string, n int) string {
	words, known := typeWords[kind]
	switch {
	case known:
		return countOf(n, words[0], words[1])
	case kind == "":
		return countOf(n, "object", "objects")
	}
	made := name(kind)
	return countOf(n, made+" object", made+" objects")
}

// typesWord is several objects of a type in words: "vulnerabilities", "x-hunt".
func typesWord(kind string) string {
	if words, known := typeWords[kind]; known {
		return words[1]
	}
	return typeWord(kind)
}

// typesCount says it of several types, in the order of their names.
func typesCount(types map[string]int) string {
	var parts []string
	for _, kind := range sortedKeys(types) {
		parts = append(parts, typeCount(kind, types[kind]))
	}
	if last := len(parts) - 1; last > 1 {
		return strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return strings.Join(parts, " and ")
}
