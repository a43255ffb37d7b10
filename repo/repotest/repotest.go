// Package repotest makes repositories in memory, for tests of what is above them: they need no disk, and a test decides
// what of them fails.
package repotest

import (
	"errors"
	"time"

	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/found"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Hooks let a test decide what the stores do.
type Hooks = kv.Hooks

// memory is what each of the stores may have, in bytes.
const memory = 8 << 20

// New makes a repository with an outbox, accounts and a view in memory, and a configuration and an audit log in a
// folder; without keys. It is closed by the function, and has no place for values of 64 KiB.
func New(dir string, c config.Config, hooks Hooks) (*repo.Repo, func() error, error) {
	if err := c.Write(dir); err != nil {
		return nil, nil, err
	}
	audit, err := auditlog.Open(auditlog.Path(dir), c.TAXII.AuditFileSize, int(c.TAXII.AuditFiles), time.Now)
	if err != nil {
		return nil, nil, err
	}
	r, closed, err := InMemory(&repo.Repo{Dir: dir, Config: c, Audit: audit}, hooks)
	if err != nil {
		return nil, nil, errors.Join(err, audit.Close())
	}
	return r, func() error { return errors.Join(audit.Close(), closed()) }, nil
}

// InMemory makes a copy of a repository whose outbox, accounts and view are empty, and in memory. It is closed by the
// function, before the other one.
func InMemory(of *repo.Repo, hooks Hooks) (*repo.Repo, func() error, error) {
	state, err := kv.NewMemoryOf(memory)
	if err != nil {
		return nil, nil, err
	}
	derived, err := kv.NewMemoryOf(memory)
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	closed := func() error { return errors.Join(state.Close(), derived.Close()) }
	r, durable := *of, store.New(state.DB(hooks))
	r.Accounts, r.Daybook, r.Hits = accounts.New(durable), daybook.New(durable), hits.New(durable)
	if r.Outbox, err = outbox.Open(durable); err == nil {
		r.Found, err = found.Open(durable)
	}
	if err == nil {
		r.View, err = view.New(store.New(derived.DB(hooks)))
	}
	if err == nil {
		r.Find, err = find.New(r.View)
	}
	if err != nil {
		return nil, nil, errors.Join(err, closed())
	}
	return &r, closed, nil
}
