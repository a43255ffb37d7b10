package console

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// library is a node with a little of everything, for tests and pictures: a malware, what is around it, and a list.
type library struct{ at time.Time }

var someLibrary = library{time.Date(2026, 11, 30, 9, 12, 0, 0, time.UTC)}

const (
	malwareID   = "malware--3f1c6f5e-7a51-4c7e-9f0a-0c1d2e3f4a5b"
	indicatorID = "indicator--8d7c6b5a-1111-4222-8333-444455556666"
)

func (l library) objects() map[string]string {
	return map[string]string{
		malwareID:   `{"type":"malware","spec_version":"2.1","id":"` + malwareID + `","created":"2026-11-02T00:00:00.000Z","modified":"2026-11-28T00:00:00.000Z","name":"TarnLocker","is_family":true,"malware_types":["ransomware"],"aliases":["TARN"],"labels":["ransomware","energy"],"confidence":85,"created_by_ref":"identity--00000000-0000-4000-8000-000000000001","description":"Encrypts file servers of grid operators after a week of quiet looking around.\n\nIt comes by MossLoader, from servers that are used for a day each.","external_references":[{"source_name":"Charlie's blog","url":"https://csirt.charlie.example/2026/cold-harbour"},{"source_name":"mitre-attack","external_id":"T1486"}],"capabilities":["anti-vm","degrades-security-software"]}`,
		indicatorID: `{"type":"indicator","spec_version":"2.1","id":"` + indicatorID + `","created":"2026-11-29T09:12:00.000Z","modified":"2026-11-29T09:12:00.000Z","valid_from":"2026-11-29T09:12:00Z","valid_until":"2027-02-01T00:00:00Z","name":"C2 of TarnLocker","indicator_types":["malicious-activity"],"pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.7']","confidence":80,"labels":["energy"]}`,
	}
}

func (l library) Object(_ context.Context, _ By, id string) (Object, error) {
	text, there := l.objects()[id]
	if !there {
		return Object{}, taxii.ErrNotFound
	}
	v := Version{Version: "2026-11-28T00:00:00.000Z", Level: "TLP:AMBER", Collection: "Energy Sharing", CollectionID: "c1", Publisher: "bravo", Name: "EIO2YIXP6VVYQEMXSVW7EJIIVQ2XZWG2OEVB63IOVREGJA7AEDSA",
		TxID: "EIO2YIXP6VVYQEMXSVW7EJIIVQ2XZWG2OEVB63IOVREGJA7AEDSA", CID: "bafybeifzkvbygcognodndgwq4mgwumjb2siskdyon7a6pwuf3pm4bsz6ii", Asset: 1013, Round: 48211004, Stored: l.at, Added: l.at, Readers: []string{"bravo", "charlie"}}
	older := v
	older.Version, older.Added = "2026-11-02T00:00:00.000Z", l.at.AddDate(0, 0, -26)
	return Object{ID: id, JSON: []byte(text), Versions: []Version{v, older}, Creator: "Bravo Energy CERT"}, nil
}

func (l library) Around(_ context.Context, _ By, id string, _ int) (Surroundings, error) {
	s := Surroundings{More: map[Group]int{{Relation: "indicates", Type: "indicator"}: 5}}
	add := func(kind, called, relation string, out bool) {
		s.Near = append(s.Near, Neighbour{ID: fmt.Sprintf("%s--%d", kind, len(s.Near)), Type: kind, Name: called, Relation: relation, Out: out})
	}
	if id != malwareID {
		add("malware", "TarnLocker", "indicates", true)
		s.Near[0].ID, s.More = malwareID, nil
		add("report", "Cold Harbour: what is known", "object_refs", false)
		add("sighting", "seen 31 times", "sighting_of_ref", false)
		return s, nil
	}
	for i := range 21 {
		add("indicator", []string{fmt.Sprintf("203.0.113.%d", 7+i), fmt.Sprintf("harbour-mail%d.example", i), fmt.Sprintf("https://cdn%d.example/portal/invoice.php", i)}[i%3], "indicates", false)
	}
	add("campaign", "Cold Harbour", "uses", false)
	add("campaign", "Wet Stone", "uses", false)
	add("threat-actor", "Grey Heron", "uses", false)
	add("malware", "MossLoader", "downloads", false)
	add("report", "Cold Harbour: what is known", "object_refs", false)
	add("report", "A winter of ransomware", "object_refs", false)
	add("attack-pattern", "Data Encrypted for Impact", "uses", true)
	add("infrastructure", "TarnLocker control servers", "communicates-with", true)
	add("identity", "Bravo Energy CERT", "created_by_ref", true)
	return s, nil
}

func (l library) Raw(ctx context.Context, by By, id, _ string) ([]byte, error) {
	o, err := l.Object(ctx, by, id)
	return o.JSON, err
}

func (l library) Check(context.Context, By, string) (Proof, error) {
	return Proof{Steps: []ProofStep{{"transaction signature", "pass", "EIO2YIXP6VVYQEMXSVW7EJIIVQ2XZWG2OEVB63IOVREGJA7AEDSA", ""}, {"round and time", "pass", "round 48211004, 2026-11-29T09:12:00Z", ""},
		{"creator was a member in that round", "pass", "bravo", ""}, {"metadata hash", "pass", "4da7c3146b77d6a51fa7792fb23a940b0b785f4dbd120894cff19d5375ce76d6", ""}, {"decryption", "not checked", "", "the keys are another member's"}}}, nil
}

func (l library) Evidence(context.Context, By, string) ([]byte, error) { return []byte(`{}`), nil }

func (l library) rows(n int) (rows []Row) {
	kinds := []string{"indicator", "indicator", "indicator", "malware", "report", "indicator", "threat-actor", "campaign"}
	for i := range n {
		r := Row{ID: fmt.Sprintf("%s--%d", kinds[i%8], i), Type: kinds[i%8], Level: []string{"TLP:CLEAR", "TLP:GREEN", "TLP:AMBER"}[i%3], Member: []string{"bravo", "charlie", "alpha"}[i%5%3], Confidence: 40 + i*7%56,
			Collection: "Energy Sharing", Added: l.at.Add(-time.Duration(i*i) * time.Minute)}
		switch r.Type {
		case "indicator":
			r.Name, r.State = "TarnLocker", []string{"in force", "in force", "in force", "expired", "revoked"}[i%5]
			r.Values = []observable.Value{{Kind: observable.IPv4, Text: fmt.Sprintf("203.0.113.%d", i+1)}}
			if i%2 == 1 {
				r.Values = []observable.Value{{Kind: observable.URL, Text: fmt.Sprintf("https://cdn%d.example/portal/invoice.php", i)}}
			}
		case "malware":
			r.Name, r.Confidence = "MossLoader", -1
		case "report":
			r.Name, r.Confidence = "Cold Harbour: what is known", -1
		case "threat-actor":
			r.Name, r.Confidence = "Grey Heron", -1
		default:
			r.Name, r.Confidence = "Long Tide", -1
		}
		rows = append(rows, r)
	}
	rows[0].ID, rows[3].ID = indicatorID, malwareID
	for i := 0; i < n; i += 8 {
		rows[i].Seen = Brief{31, 3, false}
	}
	return rows
}

func (l library) Lookup(_ context.Context, _ By, values []observable.Value) (answers []Answer, _ error) {
	rows := l.rows(8)
	for i, v := range values {
		a := Answer{Value: v}
		if i%3 == 0 && strings.HasPrefix(v.Text, "203.0.113.") {
			a.Hits = []Hit{{Row: rows[0], Value: v}, {Row: rows[1], Value: v}, {Row: rows[2], Value: observable.Value{Kind: observable.IPv4, Text: "203.0.113.0/24"}, How: Wider}}
			a.Independent, a.Seen = 2, Brief{Count: 31, Members: 3}
		}
		if v.Text == "8.8.8.8" {
			a.Warned = []string{"Public resolvers (shared, 2026-11-30)", "b", "c", "d", "e"}
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func (l library) Worth(object []byte, _ string, seen time.Time) (Worth, bool) {
	return Worth{Score: 74, Base: 80, Falls: true, Least: 30, Until: seen.AddDate(0, 0, 46)}, strings.Contains(string(object), `"indicator"`)
}

func (l library) Corroborated(context.Context, By, string) (Corroborated, error) {
	return Corroborated{Objects: 3, Members: 3, Independent: 2}, nil
}

func (l library) List(_ context.Context, _ By, q Question) (Listing, error) {
	if q.Text == "nothing" {
		return Listing{}, nil
	}
	return Listing{Rows: l.rows(q.Limit), Next: fmt.Sprint(q.Limit - 1)}, nil
}

func (l library) Targets(context.Context, By) ([]Target, error) {
	return []Target{{ID: "c1", Title: "Energy Sharing"}, {ID: "c2", Title: "Ransomware working group", Closed: "a key is being renewed"}}, nil
}

func (l library) Members(context.Context) ([]string, error) { return []string{"bravo", "charlie"}, nil }

func (l library) Rehearse(_ context.Context, _ By, p Publication) (taxii.Rehearsal, error) {
	var r taxii.Rehearsal
	for _, raw := range p.Objects {
		var o struct{ ID, Modified string }
		if err := json.Unmarshal(raw, &o); err != nil {
			return r, err
		}
		one := taxii.RehearsedObject{ID: o.ID, Version: o.Modified, Readers: []string{"alpha", "bravo", "charlie"}, Cost: 101_000}
		switch {
		case strings.Contains(string(raw), "'10.0.0.1'"):
			one.Warnings = []taxii.Warning{{Kind: "ipv4-addr", Value: "10.0.0.1", Lists: []taxii.WarningList{{Name: "RFC 1918", Class: "hard", Date: "2026-08-20"}}}}
			if one.Note = "a value of it is on the warning list RFC 1918"; !p.Anyway {
				one.Failure, one.Note, one.Cost = one.Note+": --publish-anyway", "", 0
			}
		case strings.Contains(string(raw), "'8.8.8.8'"):
			one.Warnings = []taxii.Warning{{Kind: "ipv4-addr", Value: "8.8.8.8", Lists: []taxii.WarningList{{Name: "Public resolvers", Class: "shared", Date: "2026-11-30"}}}}
		case strings.Contains(string(raw), "'cloud.example'"):
			one.Warnings = []taxii.Warning{{Kind: "domain-name", Value: "cloud.example", Lists: []taxii.WarningList{{Name: "Clouds", Class: "context", Date: "2026-11-30"}}}}
		}
		r.Objects = append(r.Objects, one)
	}
	return r, nil
}

func (l library) Publish(_ context.Context, _ By, p Publication) (string, error) {
	return fmt.Sprintf("status-%d", len(p.Objects)), nil
}

func (l library) Progress(_ context.Context, _ By, id string) (Progress, error) {
	if !strings.HasPrefix(id, "status-") {
		return Progress{}, taxii.ErrNotFound
	}
	return Progress{Pending: true, Lines: []ProgressLine{{ID: indicatorID, Name: "203.0.113.7", State: "confirmed", TxID: "EIO2YIXP6VVYQEMXSVW7EJIIVQ2XZWG2OEVB63IOVREGJA7AEDSA"},
		{ID: "indicator--2", Name: "evil.example", State: "signed", TxID: "WIO2YIXP6VVYQEMXSVW7EJIIVQ2XZWG2OEVB63IOVREGJA7AEDSA"}, {ID: "indicator--3", Name: "https://cdn.example/a", State: "stored"}}}, nil
}
