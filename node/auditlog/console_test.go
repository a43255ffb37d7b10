package auditlog_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/taxii"
)

func TestWhatAnAdministratorDoesInTheConsoleIsTheirs(t *testing.T) {
	trail := auditlog.New(nodetest.NewStoredChain(t, nodetest.NewOrg(t, "self")).R)
	ctx := auditlog.As(t.Context(), auditlog.Actor{User: "alice", Web: &auditlog.Web{Role: "admin", Credential: "token ab", Remote: "10.0.0.1", Request: "r1"}})
	trail.Operator(t.Context(), taxii.Event{Name: "grant"})
	trail.Changed(ctx, "revoke", "c", []string{"bravo"}, nil)
	var got []taxii.Event
	more, err := trail.Latest(t.Context(), time.Time{}, "", "", 1<<20, func(line []byte) bool {
		var e taxii.Event
		nodetest.Must(t, json.Unmarshal(line, &e))
		got = append(got, e)
		return true
	})
	nodetest.Must(t, err)
	if more || len(got) != 2 || got[1].User != auditlog.Operator {
		t.Fatalf("the log has %+v, and more: %t", got, more)
	}
	if e := got[0]; e.Name != "revoke" || e.User != "alice" || e.Credential != "token ab" || e.Remote != "10.0.0.1" || e.Request != "r1" || e.Subject != "bravo" || e.Collection != "c" {
		t.Errorf("the last line is %+v", e)
	}
}
