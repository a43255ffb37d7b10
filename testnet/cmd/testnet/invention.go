package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// invented is a STIX object of the demonstration. Nobody and nothing in it exists: addresses and names are those that
// are kept for documents (RFC 5737, RFC 3849, RFC 2606), hashes and ids are drawn, the same each time.
type invented map[string]any

// inventor draws what the three organisations publish.
type inventor struct {
	random *rand.Rand
	now    time.Time
	parts  [3][]invented
	by     [3]string // identities
}

var tlp = map[string]string{
	"clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
	"amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
}

// invent draws some four hundred objects of three organisations.
func invent(now time.Time) [3][]invented {
	v := &inventor{random: rand.New(rand.NewPCG(20260301, 7)), now: now.UTC().Truncate(24 * time.Hour)}
	for i, called := range []string{"Alpha Incident Response", "Bravo Energy CERT", "Charlie Ports CSIRT"} {
		v.by[i] = v.add(i, 60, invented{"type": "identity", "name": called, "identity_class": "organization", "sectors": []string{[]string{"telecommunications", "energy", "transportation"}[i]}})
	}
	for i := range plots {
		v.plot(i%3, plots[i])
	}
	v.overlap()
	v.add(0, 1, invented{"type": "note", "abstract": "Published by mistake", "content": "This one is withdrawn again.", "object_refs": []string{v.by[0]}})
	return v.parts
}

// plot is a story around which objects are.
type plot struct {
	actor, kind, malware, sort, campaign, what, technique, technic string
	values                                                         int
}

var plots = []plot{
	{"Grey Heron", "crime-syndicate", "TarnLocker", "ransomware", "Cold Harbour", "Encrypts file servers of grid operators after a week of quiet looking around.", "T1486", "Data Encrypted for Impact", 26},
	{"Salt Marsh", "nation-state", "FernRAT", "remote-access-trojan", "Long Tide", "Mails with invitations to a conference on harbour pilots carry a shortcut that loads FernRAT.", "T1566.001", "Spearphishing Attachment", 30},
	{"Copper Tern", "crime-syndicate", "PebbleStealer", "screen-capture", "Night Ferry", "A fake update of a ticketing tool takes browsers' passwords.", "T1555", "Credentials from Password Stores", 28},
	{"Grey Heron", "crime-syndicate", "MossLoader", "downloader", "Wet Stone", "MossLoader fetches TarnLocker from servers that are used for a day each.", "T1105", "Ingress Tool Transfer", 24},
	{"Quiet Ferryman", "activist", "Drizzle", "ddos", "Open Locks", "Floods the pages of port authorities each Monday.", "T1498", "Network Denial of Service", 18},
	{"Salt Marsh", "nation-state", "ReedShell", "webshell", "Low Water", "A web shell on mail gateways that were not updated.", "T1505.003", "Web Shell", 22},
}

func (v *inventor) plot(org int, p plot) {
	days := 2 + v.random.IntN(30)
	actor := v.add(org, days+5, invented{"type": "threat-actor", "name": p.actor, "threat_actor_types": []string{p.kind}, "aliases": []string{strings.ToUpper(strings.ReplaceAll(p.actor, " ", "-"))},
		"description": "Known since 2025. " + p.what, "labels": []string{"demo", strings.ToLower(strings.Fields(p.actor)[0])}}, "green")
	malware := v.add(org, days+4, invented{"type": "malware", "name": p.malware, "is_family": true, "malware_types": []string{p.sort}, "description": p.what, "labels": []string{"demo", p.sort}}, "green")
	campaign := v.add(org, days+3, invented{"type": "campaign", "name": p.campaign, "first_seen": v.ago(days + 30), "last_seen": v.ago(days), "description": p.what}, "green")
	technique := v.add(org, days+5, invented{"type": "attack-pattern", "name": p.technic, "external_references": []any{map[string]any{"source_name": "mitre-attack", "external_id": p.technique}}}, "clear")
	infrastructure := v.add(org, days+2, invented{"type": "infrastructure", "name": p.malware + " control servers", "infrastructure_types": []string{"command-and-control"}}, "amber")
	v.relate(org, days, actor, "uses", malware)
	v.relate(org, days, campaign, "attributed-to", actor)
	v.relate(org, days, campaign, "uses", malware)
	v.relate(org, days, malware, "uses", technique)
	v.relate(org, days, malware, "communicates-with", infrastructure)
	refs := []string{actor, malware, campaign, technique}
	for i := range p.values {
		id := v.indicator(org, max(0, days-i%days), p.malware, v.value(org, i), 40+v.random.IntN(56), []string{"clear", "green", "amber"}[i%3])
		v.relate(org, max(0, days-i%days), id, "indicates", malware)
		if i%4 == 0 {
			refs = append(refs, id)
		}
		if i%6 == 0 {
			v.sighting((org+1)%3, i%5, 6+13*i%70, id, 1+v.random.IntN(40))
			if i%12 == 0 { // another member has seen it, too, and earlier
				v.sighting((org+2)%3, 20+i%9, 50+7*i%90, id, 10+5*i)
			}
		}
		if i%11 == 7 {
			v.add((org+2)%3, 1, invented{"type": "opinion", "opinion": "strongly-disagree", "explanation": "False positive: our own mail relay.", "object_refs": []string{id}}, "green")
		}
	}
	v.add(org, days, invented{"type": "report", "name": p.campaign + ": what is known", "report_types": []string{"campaign"}, "published": v.ago(days), "object_refs": refs,
		"description":         p.what + "\n\nSeen first by a member's help desk. The indicators are of its sandbox; those of a day's use only are marked by their end.",
		"external_references": []any{map[string]any{"source_name": "Charlie's blog", "url": "https://csirt.charlie.example/2026/" + strings.ToLower(strings.ReplaceAll(p.campaign, " ", "-"))}}}, "green")
}

// overlap has two organisations say the same independently, and one of them a network around it.
func (v *inventor) overlap() {
	v.indicator(0, 3, "C2 of TarnLocker", "[ipv4-addr:value = '203.0.113.7']", 80, "amber")
	v.indicator(1, 2, "TarnLocker beacon", "[ipv4-addr:value = '203.0.113.7']", 70, "green")
	v.indicator(2, 1, "Bulletproof hosting", "[ipv4-addr:value ISSUBSET '203.0.113.0/24']", 50, "green")
	v.add(1, 4, invented{"type": "vulnerability", "name": "CVE-2099-10001", "description": "Invented: a mail gateway runs what it is sent.", "external_references": []any{map[string]any{"source_name": "cve", "external_id": "CVE-2099-10001"}}}, "clear")
}

// add puts an object into what an organisation publishes, and returns its id.
func (v *inventor) add(org, days int, o invented, level ...string) string {
	raw := [16]byte(v.draw(16))
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	id := fmt.Sprint(o["type"], "--", uuid.UUID(raw))
	o["id"], o["spec_version"], o["created"], o["modified"] = id, "2.1", v.ago(days), v.ago(days)
	if v.by[org] != "" {
		o["created_by_ref"] = v.by[org]
	}
	if len(level) > 0 {
		o["object_marking_refs"] = []string{tlp[level[0]]}
	}
	v.parts[org] = append(v.parts[org], o)
	return id
}

func (v *inventor) relate(org, days int, from, how, to string) {
	v.add(org, days, invented{"type": "relationship", "relationship_type": how, "source_ref": from, "target_ref": to}, "green")
}

// sighting says that an organisation has seen something over some days, up to so many days ago.
func (v *inventor) sighting(org, days, over int, of string, count int) {
	v.add(org, days, invented{"type": "sighting", "sighting_of_ref": of, "count": count, "first_seen": v.ago(days + over), "last_seen": v.ago(days), "summary": true}, "green")
}

func (v *inventor) indicator(org, days int, called, pattern string, confidence int, level string) string {
	o := invented{"type": "indicator", "name": called, "pattern": pattern, "pattern_type": "stix", "indicator_types": []string{"malicious-activity"}, "valid_from": v.ago(days),
		"confidence": confidence, "labels": []string{"demo"}}
	if days%3 == 0 {
		o["valid_until"] = v.now.AddDate(0, 0, 60-3*days).Format(time.RFC3339)
	}
	return v.add(org, days, o, level)
}

// value is a pattern of one value.
func (v *inventor) value(org, i int) string {
	words := []string{"harbour", "pilot", "ticket", "invoice", "update", "portal", "mail", "cdn", "sync", "login"}
	word := func() string { return words[v.random.IntN(len(words))] }
	switch i % 5 {
	case 0:
		return fmt.Sprintf("[ipv4-addr:value = '%s.%d']", []string{"192.0.2", "198.51.100", "203.0.113"}[org], 10+v.random.IntN(240))
	case 1:
		return fmt.Sprintf("[domain-name:value = '%s-%s%d.example']", word(), word(), v.random.IntN(90))
	case 2:
		return fmt.Sprintf("[url:value = 'https://%s%d.example/%s/%s.php']", word(), v.random.IntN(90), word(), word())
	case 3:
		return fmt.Sprintf("[file:hashes.'SHA-256' = '%x']", v.draw(32))
	}
	return fmt.Sprintf("[ipv6-addr:value = '2001:db8:%x::%x']", v.random.IntN(1<<12), 1+v.random.IntN(1<<12))
}

// draw draws bytes.
func (v *inventor) draw(size int) []byte {
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = byte(v.random.Uint32())
	}
	return raw
}

func (v *inventor) ago(days int) string {
	return v.now.AddDate(0, 0, -days).Format("2006-01-02T15:04:05.000Z")
}
