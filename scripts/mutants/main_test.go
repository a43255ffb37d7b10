package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWhatTheTestsOfAPackageDoNotNoticeIsReported(t *testing.T) {
	source, err := os.ReadFile("testdata/sample/sample.go")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for i, line := range strings.Split(string(source), "\n") {
		if _, kinds, ok := strings.Cut(line, "// survives: "); ok {
			for kind := range strings.SplitSeq(kinds, ", ") {
				want = append(want, fmt.Sprintf("sample.go:%d: %s", i+1, kind))
			}
		}
	}
	reported := regexp.MustCompile(`^(?:SURVIVED|NOT REACHED) (sample\.go:\d+: [a-z ]+):`)
	var summary string
	score, err := measure(t.Context(), "./testdata/sample", options{only: regexp.MustCompile("")}, func(line string) {
		summary = line
		if found := reported.FindStringSubmatch(line); found != nil {
			got = append(got, found[1])
		}
	})
	slices.Sort(want)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v; survivors:\n%s\nwant:\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if score != 62 || !strings.Contains(summary, "22 of 35 mutants are killed") {
		t.Errorf("%d of 100: %s", score, summary)
	}
}
