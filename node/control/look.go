package control

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

// lookTimeout bounds how long a daemon is waited for that is asked how it is.
const lookTimeout = 20 * time.Second

// Look asks the daemon of a repository how it is. If none runs, that is what the status says, and nothing else: no node
// is begun in its place, whose state would not be the daemon's.
func Look(ctx context.Context, dir string) (s health.Status, err error) {
	if err := repo.CheckVersion(dir); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	client, absent, err := findDaemon(ctx, dir)
	if err != nil {
		return s, err
	}
	if client != nil {
		return client.Status(ctx)
	}
	c, err := config.Read(dir)
	if err != nil {
		return s, err
	}
	own, err := repo.ReadConsortium(dir)
	if err != nil {
		return s, err
	}
	s.Organisation = c.Organisation.Name
	s.Daemon = absent
	s.Daemon.Info = version.Current()
	if own == nil {
		s.Daemon.Absent = fmt.Sprintf("%s; it can't before this node belongs to a consortium: \"slnode consortium create\" founds one, \"slnode member request\" asks to be admitted to one", absent.Absent)
	} else {
		s.Consortium, s.ConsortiumID = own.Name, own.ID
	}
	return s, nil
}
