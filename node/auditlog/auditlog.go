// Package auditlog writes down who did what with this node.
package auditlog

import (
	"context"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/taxii"
)

// Operator is the user that the command line publishes as.
const Operator = "operator"

// Trail writes the audit log.
type Trail struct {
	log *auditlog.Log
	dir string // of the repository

	written signal.Signal // there are more records
	wrong   troubles
}

// New writes the audit log of a repository.
func New(r *repo.Repo) *Trail { return &Trail{log: r.Audit, dir: r.Dir} }

var _ taxii.Auditor = (*Trail)(nil)

// Record adds a line.
func (a *Trail) Record(e taxii.Event) { a.log.Append(e) }

// Read visits lines.
func (a *Trail) Read(ctx context.Context, q taxii.AuditQuery, visit func([]byte) error) error {
	a.log.Flush()
	return auditlog.Read(ctx, a.dir, auditlog.Filter(q), visit)
}

// Operator records what was done on the command line, or by an administrator in the console, as a context says.
func (a *Trail) Operator(ctx context.Context, e taxii.Event) {
	who := ActorIn(ctx)
	e = byOperator(e, who.Local)
	if web := who.Web; web != nil {
		e.User, e.Role, e.Credential, e.Remote, e.Request = who.User, web.Role, web.Credential, web.Remote, web.Request
	}
	a.Record(e)
}

// Latest visits the lines before a time (zero: now) that have the name and user, where they are not empty, the last
// written first, until visit returns false. It looks through so many bytes at most, and says whether there may be more.
func (a *Trail) Latest(ctx context.Context, before time.Time, name, user string, bytes int64, visit func([]byte) bool) (more bool, err error) {
	a.log.Flush()
	return auditlog.Latest(ctx, a.dir, auditlog.Filter{Until: before, Event: name, User: user}, bytes, visit)
}

func byOperator(e taxii.Event, local *Local) taxii.Event {
	e.Time, e.User, e.Role, e.Credential = state.Now(), Operator, taxii.RoleAdmin.String(), "the repository"
	if local != nil {
		e.UnixUser, e.LoginUser = local.Account(), local.Login
	}
	return e
}

// Command records what a command did in its own process, unless it failed.
func (a *Trail) Command(event, subject string, err error) {
	if err == nil {
		a.Record(byOperator(taxii.Event{Name: event, Subject: subject}, Myself()))
	}
}

// NoteCommand records what was done on the command line without a node, on the repository in dir.
func NoteCommand(dir, event, subject string) error {
	return auditlog.Append(dir, byOperator(taxii.Event{Name: event, Subject: subject}, Myself()))
}

// Changed records a change of a collection on the command line, unless it failed.
func (a *Trail) Changed(ctx context.Context, event, collection string, organisations []string, err error) {
	if err == nil {
		a.Operator(ctx, taxii.Event{Name: event, Collection: collection, Subject: strings.Join(organisations, ",")})
	}
}
