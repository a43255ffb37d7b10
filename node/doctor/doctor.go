// Package doctor looks, from outside of the node and whether it runs or not, for what keeps it from working: doctor.go
// has the examination, chain.go what is asked of algod and the indexers, around.go what is looked at on this machine,
// config.go the configuration. It changes nothing, and ends in seconds whatever hangs.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

// Level is how bad something is.
type Level string

const (
	OK      Level = "ok"
	Unknown Level = "unknown" // it can't be told from here
	Warning Level = "warning" // it works, and may not for long
	Wrong   Level = "wrong"
)

// Finding is what is so, and what to do.
type Finding struct {
	What   string `json:"what"`
	Level  Level  `json:"level"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty"` // where there is something to do
}

// checkTimeout bounds each check; they run at once.
const checkTimeout = 15 * time.Second

// patient is the node that is looked at.
type patient struct {
	dir        string
	config     config.Config
	consortium *repo.Consortium // nil: it belongs to none
	status     health.Status
	chain      chan genesis // what algod says the network is, for who looks at the indexers
}

// Examine looks at the node of a repository. The error wraps [repo.ErrMissing] if there is none.
func Examine(ctx context.Context, dir string) ([]Finding, error) {
	if err := repo.CheckVersion(dir); err != nil {
		return nil, err
	}
	c, findings := checkConfig(config.Path(dir), dir)
	findings = slices.Concat(ownership(dir), keysOf(dir), findings)
	if c == nil {
		return findings, nil // nothing else can be asked without it
	}
	p := &patient{dir: dir, config: *c, chain: make(chan genesis, 1)}
	var err error
	if p.consortium, err = repo.ReadConsortium(dir); err != nil {
		return append(findings, Finding{"consortium", Wrong, err.Error(), "restore it from a backup"}), nil
	}
	findings = append(findings, p.daemon(ctx)...)
	checks := []func(context.Context) []Finding{p.algod, p.indexers, p.port, p.ports, p.certificate, p.disk, p.money, p.backup}
	parts := make([][]Finding, len(checks))
	var group sync.WaitGroup
	for i, check := range checks {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			parts[i] = check(ctx)
		})
	}
	group.Wait()
	for _, part := range parts {
		findings = append(findings, part...)
	}
	return findings, ctx.Err()
}

// daemon asks the daemon how it is. What it says is wrong is a finding each.
func (p *patient) daemon(ctx context.Context) (list []Finding) {
	if p.consortium == nil {
		list = append(list, Finding{"consortium", Warning, "this node belongs to none yet",
			`"slnode consortium create" founds one; "slnode member request" asks to be admitted to one`})
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s, err := control.Look(ctx, p.dir)
	if err != nil {
		return append(list, Finding{"daemon", Wrong, err.Error(), `see its log ("journalctl -u slnode"); restart it if it hangs`})
	}
	p.status = s
	switch {
	case s.Daemon.Hangs:
		return append(list, Finding{"daemon", Wrong, "it does not answer: " + s.Daemon.Absent, `see its log ("journalctl -u slnode"); "systemctl restart slnode"`})
	case !s.Daemon.Running && p.consortium == nil:
		return append(list, Finding{"daemon", Unknown, "it can't run before this node belongs to a consortium", ""})
	case !s.Daemon.Running:
		return append(list, Finding{"daemon", Wrong, "it does not run: " + s.Daemon.Absent,
			`start it: "systemctl start slnode", or "slnode daemon"; its log says why it ended`})
	}
	list = append(list, Finding{"daemon", OK, fmt.Sprintf("it runs since %s, slnode %s", s.Started.Format(time.RFC3339), s.Daemon.Info), ""})
	for _, line := range s.Trouble() {
		list = append(list, Finding{"node", Wrong, line, `docs/OPERATIONS.md, "Watching it", says what each means and what to do`})
	}
	return list
}
