package observable

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestObjectsSayWhichValuesTheyAreAbout(t *testing.T) {
	md5, sha := strings.Repeat("ab", 16), strings.Repeat("cd", 32)
	pattern := func(p string) string {
		text, err := json.Marshal(map[string]string{"type": "indicator", "pattern_type": "stix", "pattern": p})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for object, want := range map[string][]string{
		pattern(`[ipv4-addr:value = '203.0.113.7']`):                                                                       {"pattern ipv4 203.0.113.7"},
		pattern(`[domain-name:value = 'Evil.example' OR url:value IN ('http://evil.example', 'javascript:x')]`):            {"pattern domain evil.example", "pattern url http://evil.example/"},
		pattern(`[domain-name:value = 'evil.example' AND network-traffic:dst_port = 443]`):                                 {"part of a pattern domain evil.example"},
		pattern(`[domain-name:value = 'a.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.7'] WITHIN 5 SECONDS`):         {"part of a pattern domain a.example", "part of a pattern ipv4 203.0.113.7"},
		pattern(`([domain-name:value = 'a.example'] AND [file:name = 'X.EXE']) REPEATS 3 TIMES`):                           {"part of a pattern domain a.example", "part of a pattern file-name x.exe"},
		pattern(`[domain-name:value = 'a.example'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'`):            {"part of a pattern domain a.example"},
		pattern(`[email-addr:value = 'M@evil.example']`):                                                                   {"part of a pattern email m@evil.example"},
		pattern(`[autonomous-system:number = 64496]`):                                                                      {"part of a pattern asn AS64496"},
		pattern(`[windows-registry-key:key = 'HKLM\\Run' OR mutex:name = 'x']`):                                            {`part of a pattern registry-key hkey_local_machine\run`, "part of a pattern mutex x"},
		pattern(`[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'evil/1']`):                  {"part of a pattern user-agent evil/1"},
		pattern(`[network-traffic:dst_ref.value = 'evil.example' OR network-traffic:src_ref.value = '203.0.113.7']`):       {"part of a pattern ipv4 203.0.113.7", "part of a pattern domain evil.example"},
		pattern(`[domain-name:value != 'a.example' OR domain-name:value NOT = 'b.example' OR domain-name:value LIKE 'c']`): nil,
		pattern(`[domain-name:value = 'a.example'] and then`):                                                              {"part of a pattern domain a.example"},
		pattern(`[x509-certificate:hashes.MD5 = '` + md5 + `']`):                                                           {"part of a pattern md5 " + md5},
		`{"type":"indicator","pattern_type":"yara","pattern":"rule x { strings: $a = \"203.0.113.7\" }"}`:                  nil,
		`{"type":"ipv4-addr","value":"203.0.113.0/24"}`:                                                                    {"observable ipv4 203.0.113.0/24"},
		`{"type":"file","name":"Evil.exe","hashes":{"MD5":"` + strings.ToUpper(md5) + `","SHA-256":"` + sha + `","SSDEEP":"3:a:b"}}`: {
			"observable file-name evil.exe", "observable md5 " + md5, "observable sha256 " + sha},
		`{"type":"autonomous-system","number":64496}`:         {"observable asn AS64496"},
		`{"type":"x509-certificate","serial_number":"0A:FF"}`: {"observable x509-serial 0aff"},
		`{"type":"observed-data","objects":{"1":{"type":"url","value":"http://x.example"},"0":{"type":"domain-name","value":"x.example"}}}`: {
			"observable domain x.example", "observable url http://x.example/"},
		`{"type":"network-traffic","extensions":{"http-request-ext":{"request_header":{"User-Agent":"evil/1"}}}}`: {"observable user-agent evil/1"},
		`{"type":"vulnerability","name":"cve-2024-3094","external_references":[{"source_name":"cve","external_id":"CVE-2024-3094"}]}`: {
			"external id cve CVE-2024-3094"},
		`{"type":"attack-pattern","name":"x","external_references":[{"external_id":"T1566.001"},{"source_name":"x"},{"external_id":7}]}`: {
			"external id technique T1566.001"},
		`{"type":"malware","name":"203.0.113.7"}`: nil,
		`{"type":"ipv4-addr","value":7}`:          nil,
		`[1]`:                                     nil,
		``:                                        nil,
		`{"type":"file","hashes":[]}`:             nil,
		`{"type":"ipv4-addr","value":"x"}`:        nil,
	} {
		found, more := FromObject([]byte(object))
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprintf("%v %v %s", f.Role, f.Value.Kind, f.Value))
		}
		if more || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n gives %q,\n want  %q", object, got, want)
		}
	}
}

func TestOfAnObjectWithManyValuesSomeAreFound(t *testing.T) {
	var texts []string
	for n := range MaxValues + 1 {
		texts = append(texts, fmt.Sprintf("'a%d.example'", n))
	}
	object := func(n int) string {
		return fmt.Sprintf(`{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value IN (%s)]"}`, strings.Join(texts[:n], ","))
	}
	if found, more := FromObject([]byte(object(MaxValues))); len(found) != MaxValues || more {
		t.Errorf("%d values, more: %v", len(found), more)
	}
	if found, more := FromObject([]byte(object(MaxValues + 1))); len(found) != MaxValues || !more {
		t.Errorf("%d values, more: %v", len(found), more)
	}
}

func TestAPatternWithManyValuesThatAreNoChoiceIsReadUpToABound(t *testing.T) {
	pattern := "[file:name IN (" + strings.Repeat("'a',", maxAtoms-1) + "'a') OR file:name = 'b']"
	if p, _ := parse(pattern); p.failed || len(p.named) != maxAtoms {
		t.Errorf("%d values", len(p.named))
	}
}

func FuzzFromObject(f *testing.F) {
	for _, seed := range []string{
		`{"type":"indicator","pattern":"[ipv4-addr:value = '203.0.113.7'] AND ([file:name='x'] FOLLOWEDBY [url:value IN ('http://a.example','b')]) WITHIN 3 SECONDS"}`,
		`{"type":"file","name":"x","hashes":{"MD5":"abababababababababababababababab"}}`, `{"type":"observed-data","objects":{"0":{"type":"mac-addr","value":"00:1a:2b:3c:4d:5e"}}}`,
		`{"type":"autonomous-system","number":64496,"external_references":[{"external_id":"CVE-2024-3094"}]}`, `{"type":"indicator","type":"url","value":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		found, _ := FromObject(object)
		again, _ := FromObject(object)
		if !reflect.DeepEqual(found, again) {
			t.Fatalf("first %v, then %v", found, again)
		}
		for _, one := range found {
			checkValue(t, one.Value)
			if one.Role.String() == "unknown" {
				t.Fatalf("role %d", one.Role)
			}
		}
	})
}
