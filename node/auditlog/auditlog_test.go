package auditlog_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/taxii"
)

// line is what a line of the log says.
type line struct {
	Time       time.Time
	Event      string
	User       string
	Role       string
	Credential string
	Collection string
	Subject    string
}

func TestWhoDidWhatStandsInTheAuditLog(t *testing.T) {
	r := nodetest.NewStoredChain(t, nodetest.NewOrg(t, "self")).R
	trail := auditlog.New(r)
	began := time.Now().Add(-time.Second)
	nodetest.Must(t, auditlog.NoteCommand(r.Dir, "backup", "where"))
	trail.Record(taxii.Event{Name: "objects.added", Time: time.Now(), User: "ann", Role: "publisher", Credential: "password", Collection: "c"})
	trail.Operator(t.Context(), taxii.Event{Name: "account.added", User: "somebody else", Role: "reader", Credential: "none", Subject: "bob"})
	trail.Changed(t.Context(), "collection.readers", "c", []string{"alpha", "bravo"}, nil)
	trail.Changed(t.Context(), "collection.readers", "c", []string{"mallory"}, errors.New("it failed"))

	read := func(from time.Time, name, user string) (lines []line) {
		t.Helper()
		nodetest.Must(t, trail.Read(t.Context(), taxii.AuditQuery{Since: from, Event: name, User: user}, func(raw []byte) error {
			var l line
			if err := json.Unmarshal(raw, &l); err != nil {
				return err
			}
			if l.Time.Before(began.Truncate(time.Second)) || l.Time.After(time.Now()) {
				t.Errorf("%s: it was at %s", l.Event, l.Time)
			}
			l.Time = time.Time{}
			lines = append(lines, l)
			return nil
		}))
		return lines
	}
	all := read(time.Time{}, "", "")
	want := []line{
		{Event: "backup", User: auditlog.Operator, Role: "admin", Credential: "the repository", Subject: "where"},
		{Event: "objects.added", User: "ann", Role: "publisher", Credential: "password", Collection: "c"},
		{Event: "account.added", User: auditlog.Operator, Role: "admin", Credential: "the repository", Subject: "bob"},
		{Event: "collection.readers", User: auditlog.Operator, Role: "admin", Credential: "the repository", Collection: "c", Subject: "alpha,bravo"},
	}
	if len(all) != len(want) {
		t.Fatalf("the log has %+v", all)
	}
	for i, l := range all {
		if l != want[i] {
			t.Errorf("line %d is %+v, want %+v", i, l, want[i])
		}
	}
	if some := read(time.Time{}, "account.added", ""); len(some) != 1 || some[0] != want[2] {
		t.Errorf("of one kind there are %+v", some)
	}
	if some := read(time.Time{}, "", "ann"); len(some) != 1 || some[0] != want[1] {
		t.Errorf("of one user there are %+v", some)
	}
	if some := read(time.Now().Add(time.Hour), "", ""); len(some) > 0 {
		t.Errorf("after today there are %+v", some)
	}
	failure := errors.New("the pipe is closed")
	if err := trail.Read(t.Context(), taxii.AuditQuery{}, func([]byte) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("whoever reads fails, and it gives %v", err)
	}
}

func TestALineThatCannotBeWrittenIsAFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	nodetest.Must(t, os.WriteFile(file, nil, 0o600))
	if err := auditlog.NoteCommand(file, "backup", ""); err == nil {
		t.Error("a line that can't be written is taken for written")
	}
}
