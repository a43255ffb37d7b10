package health

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

// parts are the parts of a node that an observer looks at: they say what a test has them say.
type parts struct {
	err      error // of the disk and of who knows the keys of collections
	chain    chainwatch.State
	behind   error
	funds    ledger.Funds
	poor     error
	peers    []swarm.Peer
	exposed  []collections.ExposedKey
	missing  []proof.Missing
	repeated []proof.RepeatedNumbers
	omitted  []proof.Finding
	feeds    []feeds.Info
	problems []feeds.Problem
}

func (p *parts) ExposedKeys() ([]collections.ExposedKey, error) { return p.exposed, p.err }
func (p *parts) Missing() []proof.Missing                       { return p.missing }
func (p *parts) Repeated() []proof.RepeatedNumbers              { return p.repeated }
func (p *parts) List() []proof.Finding                          { return p.omitted }
func (p *parts) Infos() []feeds.Info                            { return p.feeds }
func (p *parts) Problems() []feeds.Problem                      { return p.problems }
func (p *parts) Funds(context.Context) (ledger.Funds, error)    { return p.funds, p.poor }
func (p *parts) AwaitTip(context.Context) error                 { return p.behind }
func (p *parts) State() chainwatch.State                        { return p.chain }
func (p *parts) Peers() []swarm.Peer                            { return p.peers }

// observed is an observer over a repository and a consortium of its own.
type observed struct {
	*worldtest.HostileWorld
	*Observer
	parts *parts
	said  *waiting.Text // the log
	free  uint64
}

func newObserved(t *testing.T) *observed {
	t.Helper()
	h := worldtest.NewHostileWorld(t)
	o := &observed{HostileWorld: h, parts: &parts{}, said: &waiting.Text{}, free: 5 << 30}
	log := slog.New(slog.NewTextHandler(o.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Observer = &Observer{
		Audit:     func() []problem.Condition { return nil },
		Retention: func() (*withdraw.Retention, error) { return nil, nil },
		Sightings: func() (*sightings.Sharing, error) { return nil, nil },
		Repo:      h.R, Consortium: repo.Consortium{ID: h.ID, Name: "As invited"}, State: h.State, Host: o.parts, Ledger: o.parts, Watcher: o.parts,
		Collections: o.parts, Notary: o.parts, Gaps: o.parts, Late: func() proof.LateStatus { return proof.LateStatus{Found: 3, Unfolded: 1} },
		Webhooks: clients.NewWebhooks(func(c config.Webhook) (*clients.Webhook, error) {
			return clients.NewWebhook(c, h.R.View, h.R.Outbox, &signal.Signal{}, nodetest.Discard)
		}),
		Feeds: o.parts, Log: log, Started: time.Unix(1000, 0).UTC(), Stages: stages.New(),
		Disk:  problem.NewDisk(0, func(string) (uint64, error) { return o.free, o.parts.err }, log, h.R.Dir),
		Clock: problem.NewClock(nil, log), Sealing: problem.NewMonitor("sealing", log), Publishing: problem.NewMonitor("publishing", log), Certificate: problem.NewMonitor("certificate", log),
	}
	return o
}

func (o *observed) status() Status {
	o.T.Helper()
	s, err := o.Observer.Status(o.T.Context())
	nodetest.Must(o.T, err)
	return s
}
