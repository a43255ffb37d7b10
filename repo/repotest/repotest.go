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
	state, err := kv.NewMemory(memory)
	if err != nil {
		return nil, nil, err
	}
	derived, err := kv.NewMemory(memory)
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	durable := store.New(state.DB(hooks))
	r := &repo.Repo{Dir: dir, Config: c, Accounts: accounts.New(durable)}
	closed := func() error { return errors.Join(r.Audit.Close(), state.Close(), derived.Close()) }
	r.Audit, err = auditlog.Open(auditlog.Path(dir), c.TAXII.AuditFileSize, int(c.TAXII.AuditFiles), time.Now)
	if err != nil {
		return nil, nil, errors.Join(err, state.Close(), derived.Close())
	}
	if err = c.Write(dir); err == nil {
		r.Outbox, err = outbox.Open(durable)
	}
	if err == nil {
		r.View, err = view.New(store.New(derived.DB(hooks)))
	}
	if err != nil {
		return nil, nil, errors.Join(err, closed())
	}
	return r, closed, nil
}
