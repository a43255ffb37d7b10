package main

import (
	"slices"
	"strings"
	"testing"
)

const stream = `{"config":{"protocol_version":"v1.0.0"}}
{"osv":{"id":"GO-1"}}
{"finding":{"osv":"GO-1","fixed_version":"v1.2.3","trace":[{"module":"example.org/a"}]}}
{"finding":{"osv":"GO-2","fixed_version":"v1.2.3","trace":[{"module":"example.org/b","package":"b","function":"F"}]}}
{"finding":{"osv":"GO-2","fixed_version":"v1.2.3","trace":[{"module":"example.org/b","package":"b","function":"G"}]}}
{"finding":{"osv":"GO-3","fixed_version":"v1.26.9","trace":[{"module":"stdlib","package":"net/http","function":"Serve"}]}}
{"finding":{"osv":"GO-2024-3218","trace":[{"module":"github.com/libp2p/go-libp2p-kad-dht","package":"dht","function":"New"}]}}
`

func TestOnlyVulnerableCodeOfOthersThatIsLinkedFails(t *testing.T) {
	findings, err := parse([]byte(stream))
	if err != nil || len(findings) != 3 {
		t.Fatalf("%+v, %v", findings, err)
	}
	var out strings.Builder
	if !report(&out, findings) {
		t.Error("a vulnerability of another module passes")
	}
	for _, line := range []string{"GO-2: in example.org/b, mended in \"v1.2.3\"", "GO-3: in Go's library, mended in Go v1.26.9", "GO-2024-3218: in github.com/libp2p/go-libp2p-kad-dht, accepted"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not said in:\n%s", line, &out)
		}
	}
	findings = slices.DeleteFunc(findings, func(f finding) bool { return f.ID == "GO-2" })
	if report(&strings.Builder{}, findings) {
		t.Error("what is accepted, or Go's own, fails")
	}
	if _, err := parse([]byte(`{"finding":`)); err == nil {
		t.Error("half an answer is read")
	}
}
