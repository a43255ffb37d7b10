package node

import (
	"context"
	"strings"
	"time"

	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// auditTrail writes the audit log.
type auditTrail struct {
	log *repo.Audit
	dir string // of the repository
}

func newTrail(r *repo.Repo) *auditTrail { return &auditTrail{log: r.Audit, dir: r.Dir} }

var _ taxii.Auditor = (*auditTrail)(nil)

// Record adds a line.
func (a *auditTrail) Record(e taxii.Event) { a.log.Append(e) }

// Read visits lines.
func (a *auditTrail) Read(ctx context.Context, from time.Time, name, user string, visit func([]byte) error) error {
	a.log.Flush()
	return repo.ReadAudit(ctx, a.dir, repo.AuditFilter{Since: from, Event: name, User: user}, visit)
}

// operator records what was done on the command line.
func (a *auditTrail) operator(e taxii.Event) { a.Record(byOperator(e)) }

func byOperator(e taxii.Event) taxii.Event {
	e.Time, e.User, e.Role, e.Credential = now(), operatorName, taxii.RoleAdmin.String(), "the repository"
	return e
}

// NoteCommand records what was done on the command line without a node, on the repository in dir.
func NoteCommand(dir, event, subject string) error {
	return repo.AppendAudit(dir, byOperator(taxii.Event{Name: event, Subject: subject}))
}

// changed records a change of a collection on the command line, unless it failed.
func (a *auditTrail) changed(event, collection string, organisations []string, err error) {
	if err == nil {
		a.operator(taxii.Event{Name: event, Collection: collection, Subject: strings.Join(organisations, ",")})
	}
}
