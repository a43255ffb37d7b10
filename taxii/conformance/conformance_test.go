package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// servers are the ones named by the flag -server, which may be repeated:
//
//	go test ./taxii/conformance -v -server 'name=mine,url=https://taxii.example,user=u,password=p'
//
// See [parseTarget] for what it takes. With -table FILE the table of all of them is written there.
var (
	servers serverFlag
	table   = flag.String("table", "", "a file to write the table of all servers to")
)

func TestMain(m *testing.M) {
	flag.Var(&servers, "server", "a server to check: name=,url=,root=,collection=,user=,password=,token=")
	flag.Parse()
	os.Exit(m.Run())
}

type serverFlag []Target

func (f *serverFlag) String() string { return fmt.Sprint(len(*f), " servers") }

func (f *serverFlag) Set(text string) error {
	target, err := parseTarget(text)
	*f = append(*f, target)
	return err
}

// parseTarget reads pairs of a name and a value, separated by commas, of which
// only url must be there. See [Target] for what they mean.
func parseTarget(text string) (Target, error) {
	var target Target
	fields := map[string]*string{
		"name": &target.Name, "url": &target.URL, "root": &target.Root, "collection": &target.Collection,
		"user": &target.User, "password": &target.Password, "token": &target.Token,
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		field, known := fields[name]
		if !known {
			return target, fmt.Errorf("%q is not known", name)
		}
		*field = value
	}
	if target.URL == "" {
		return target, errors.New("the url is missing")
	}
	if target.Name == "" {
		target.Name = target.URL
	}
	return target, nil
}

// Each check is a subtest: a server passes if it does all that the standard
// demands. What it does not beyond that is told.
func TestServers(t *testing.T) {
	if len(servers) == 0 {
		t.Skip("no server is named with -server")
	}
	var columns []Column
	for _, target := range servers {
		t.Run(target.Name, func(t *testing.T) {
			results, err := Run(t.Context(), target, Checks())
			if err != nil {
				t.Fatal(err)
			}
			columns = append(columns, Column{target.Name, results})
			for _, r := range results {
				t.Run(r.Section+" "+r.Title, func(t *testing.T) { report(t, r) })
			}
		})
	}
	if *table == "" {
		return
	}
	file, err := os.Create(*table)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(WriteTable(file, columns), file.Close()); err != nil {
		t.Error(err)
	}
}

func report(t *testing.T, r Result) {
	switch {
	case r.Outcome == Skipped:
		t.Skip(r.Detail)
	case r.Outcome == Failed && r.Level == Must:
		t.Error(r.Detail)
	case r.Outcome == Failed:
		t.Logf("no, though it is %s: %s", r.Level, r.Detail)
	}
}

func TestTitlesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, check := range Checks() {
		if name := check.Section + " " + check.Title; seen[name] {
			t.Errorf("%q is there twice", name)
		} else {
			seen[name] = true
		}
	}
}

// The table in the documentation has a row for each check, in their order.
func TestTheDocumentedTableIsOfTheseChecks(t *testing.T) {
	text, err := os.ReadFile("../../docs/TAXII.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, check := range Checks() {
		row := fmt.Sprintf("\n| %s | %s | %s |", check.Section, check.Level, check.Title)
		_, after, found := strings.Cut(rest, row)
		if !found {
			t.Fatalf("%q is not there or not in its place; write the table anew with -table", strings.TrimSpace(row))
		}
		rest = after
	}
}
