// Package health says how a node is, from one model of it: `slnode status` and its --check, /readyz, the metrics and
// the log's digest all read the same [Status]. status.go has the model, health.go where it comes from, trouble.go what
// of it is wrong, doors.go what anybody is told, metrics.go what Prometheus is.
package health

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/watch"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Observer looks at the parts of a node.
type Observer struct {
	Repo        *repo.Repo
	Consortium  repo.Consortium
	State       *state.Shared
	Host        host
	Ledger      wallet
	Watcher     state.Follower
	Collections interface {
		ExposedKeys() ([]collections.ExposedKey, error)
	}
	Notary      notary
	Gaps        gaps
	Late        func() proof.LateStatus
	Feeds       feeder
	Webhooks    *clients.Webhooks
	Disk        *problem.Disk
	Clock       *problem.Clock
	Stages      *stages.Stages
	Sealing     *problem.Monitor
	Publishing  *problem.Monitor
	Terms       *money.Terms
	Retention   func() (*withdraw.Retention, error) // nil: it is off
	Sightings   func() (*sightings.Sharing, error)  // nil: nobody is told
	Watch       func() *watch.Status                // nil: nothing is watched for
	Certificate *problem.Monitor                    // of an ACME authority's certificate
	Audit       func() []problem.Condition          // what is wrong with the audit log
	Requests    *Requests
	Log         *slog.Logger
	Started     time.Time

	doors   atomic.Pointer[Doors]
	counted releasable
}

// Doors are where a daemon is reached.
type Doors struct {
	TAXII, Gateway, Metrics string
	Certificate             func() *x509.Certificate // that TAXII clients are shown; nil without TLS
}

// Opened says where the node is reached. Before that it is a node in the process of a command.
func (o *Observer) Opened(d Doors) { o.doors.Store(&d) }

// host is this node among the other members'.
type host interface{ Peers() []swarm.Peer }

// wallet is this organisation's account on the chain.
type wallet interface {
	Funds(ctx context.Context) (ledger.Funds, error)
}

// notary knows what the chain should have shown.
type notary interface {
	Missing() []proof.Missing
	Repeated() []proof.RepeatedNumbers
}

// gaps are the transactions that the indexer left out.
type gaps interface{ List() []proof.Finding }

// feeder has the feeds.
type feeder interface {
	Infos() []feeds.Info
	Problems() []feeds.Problem
}

// fundsTimeout bounds how long the status waits for algod, seconds of which nobody has who looks at a metric.
const fundsTimeout = 3 * time.Second

// Status tells how the node is.
func (o *Observer) Status(ctx context.Context) (s Status, err error) {
	s.Daemon = o.daemon()
	s.Organisation, s.Consortium, s.ConsortiumID = o.Repo.Config.Organisation.Name, o.State.NameOf(o.Consortium), o.Consortium.ID
	s.Started, s.Member, s.Excluded = o.Started, o.State.Active(), o.State.Excluded()
	if s.Disk.Free, err = o.Disk.Space(); err != nil {
		return Status{}, err
	}
	s.Disk.Condition = o.Disk.Condition.Get()
	if err := o.publishing(ctx, &s); err != nil {
		return Status{}, err
	}
	if s.Publishing.Releases, err = o.releasable(); err != nil {
		return Status{}, err
	}
	if s.Sightings, err = o.Sightings(); err != nil {
		return Status{}, err
	}
	if o.Watch != nil {
		s.Watch = o.Watch()
	}
	if s.Retention, err = o.Retention(); err != nil {
		return Status{}, err
	}
	o.watching(&s)
	s.View.Objects = o.Repo.View.CountObjects()
	s.View.Waiting, s.View.Undecided = o.Repo.View.CountEvents()
	s.View.Mistrusts = o.Repo.Config.View.Mistrust
	_, s.View.Unknown = o.State.MembersCalled(s.View.Mistrusts)
	s.Certificate = o.certificate(time.Now())
	s.Audit = o.Audit()
	for _, hook := range o.Webhooks.List() {
		s.Webhooks = append(s.Webhooks, hook.Status())
	}
	s.Feeds = o.Feeds.Problems()
	for _, f := range o.Feeds.Infos() {
		s.Pulled = append(s.Pulled, Pulled{Feed: f.Name, At: f.Good})
	}
	s.Backup = o.backup()
	if s.Exposed, err = o.Collections.ExposedKeys(); err != nil {
		return Status{}, err
	}
	s.Collections = o.collections()
	s.Peers, s.Missing, s.Repeated, s.Omitted = o.peers(), o.Notary.Missing(), o.Notary.Repeated(), o.Gaps.List()
	s.Members = o.members(s.Peers)
	return s, nil
}

func (o *Observer) backup() (b Backup) {
	switch last, err := repo.LastBackup(o.Repo.Dir); {
	case err != nil:
		b.Unknown = err.Error()
	case last == nil:
		b.Unknown = "none was made on this machine"
	default:
		b.At, b.Bytes = last.At, last.Bytes
	}
	return b
}

// shown is the certificate that TAXII clients are shown; nil if there is none.
func (o *Observer) shown() *x509.Certificate {
	if doors := o.doors.Load(); doors != nil && doors.Certificate != nil {
		return doors.Certificate()
	}
	return nil
}

// certificate is what keeps clients from a good certificate, or soon will.
func (o *Observer) certificate(now time.Time) problem.Condition {
	waits, shown := o.Certificate.Get(), o.shown()
	if waits.Problem != "" || shown == nil {
		return waits
	}
	ends, ended := certs.Ending(shown, now)
	remedy := "renew the files of taxii.tls_certificate and taxii.tls_key, which are read again by themselves"
	switch o.Repo.Config.TAXII.TLS {
	case config.TLSSelfSigned:
		remedy = "restart the node: it makes another one, which clients have to be given"
	case config.TLSACME:
		remedy = "the authority should have renewed it: send SIGHUP, and see the log"
	}
	until := shown.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case ended:
		return problem.Condition{Problem: "ended", Detail: "it has ended on " + until + ": " + remedy, Since: shown.NotAfter}
	case ends:
		return problem.Condition{Problem: "ends", Detail: "it ends on " + until + ": " + remedy}
	}
	return problem.Condition{}
}

func (o *Observer) daemon() Daemon {
	d := Daemon{PID: os.Getpid(), Info: version.Current()}
	doors := o.doors.Load()
	if doors == nil {
		return d
	}
	d.Running, d.TAXII, d.Gateway, d.Metrics = true, doors.TAXII, doors.Gateway, doors.Metrics
	if shown := o.shown(); shown != nil {
		sum := sha256.Sum256(shown.Raw)
		d.Fingerprint, d.CertificateUntil = hex.EncodeToString(sum[:]), shown.NotAfter
	}
	return d
}

// publishing is what waits, why, and the money for it.
func (o *Observer) publishing(ctx context.Context, s *Status) error {
	counts := o.Repo.Outbox.Count()
	for _, part := range []*problem.Monitor{o.Disk.Condition, o.Publishing, o.Sealing} {
		switch now := part.Get(); {
		case now.Problem == "":
		case s.Publishing.Problem == "":
			s.Publishing.Condition = now
		default:
			s.Publishing.Also = append(s.Publishing.Also, now)
		}
	}
	s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed = counts[outbox.Accepted], counts[outbox.Stored], counts[outbox.Signed]
	s.Publishing.Account = o.State.Self
	ctx, cancel := context.WithTimeout(ctx, fundsTimeout)
	defer cancel()
	funds, err := o.Ledger.Funds(ctx)
	if err != nil {
		s.Publishing.Funds = err.Error()
	}
	s.Publishing.Free, s.Publishing.Locked = funds.Free(), funds.Locked
	s.Publishing.Reserved = uint64(o.Terms.Kept(o.State.ToRekey(), ledger.LowestFee))
	return o.money(s, err == nil)
}

// money is how long what objects can spend lasts.
func (o *Observer) money(s *Status, known bool) (err error) {
	s.Money.Known, s.Money.Reserve = known, microalgo.Amount(s.Publishing.Reserved)
	var spendable *microalgo.Amount
	if known {
		s.Money.Spendable = microalgo.Amount(s.Publishing.Free).Less(s.Money.Reserve)
		spendable = &s.Money.Spendable
	}
	if s.Money.Limits, err = o.Terms.Uses(o.Repo.Daybook, time.Now()); err != nil {
		return err
	}
	s.Money.Forecast, err = money.Foresee(o.Repo.Daybook, time.Now(), spendable)
	return err
}

func (o *Observer) watching(s *Status) {
	w := o.Watcher.State()
	s.Watching.Condition = problem.Condition{Problem: w.Problem, Detail: w.Detail, Since: w.Since}
	s.Watching.Round, s.Watching.Tip, s.Watching.Indexer, s.Watching.Algod = w.Cursor, w.Tip, w.Indexer, w.Algod
	s.Watching.LagRounds, s.Watching.LagSeconds = w.Lag.Rounds, w.Lag.Time.Seconds()
	s.Watching.CaughtUp, s.Watching.LastAnswer, s.Watching.AlgodAnswer, s.Watching.GivenUp = w.CaughtUp, w.LastAnswer, w.Answered, w.GivenUp
	s.Watching.Forged, s.Watching.Malformed, s.Watching.Filtered = w.Forged, w.Malformed, w.Filtered
	s.Watching.ByBlocks, s.Watching.Sources, s.Late = w.ByBlocks, w.Sources, o.Late()
	s.Clock.Condition = o.Clock.Condition.Get()
	if ahead, known := o.Clock.Ahead(); known {
		s.Clock.Known, s.Clock.Ahead = true, ahead.Seconds()
	}
}

// collections are those that TAXII clients see: their ids are what a client is configured with.
func (o *Observer) collections() (list []Collection) {
	for _, c := range o.State.Collections() {
		told := collections.Describe(o.State, c)
		list = append(list, Collection{ID: told.ID, Alias: told.Alias, Title: told.Title, Owner: told.Owner, Write: told.Write})
	}
	return append(list,
		Collection{ID: clients.EverythingID(o.Consortium), Alias: state.EverythingAlias, Title: "everything that is shared with this organisation"},
		Collection{ID: clients.OthersID(o.Consortium), Alias: state.OthersAlias, Title: "further members' versions of the same objects"})
}

// members counts the others.
func (o *Observer) members(peers []PeerStatus) (n Members) {
	for _, m := range o.State.Members() {
		if m.Removed == nil && !o.State.Ours(m.Account) {
			n.Known++
		}
	}
	for _, p := range peers {
		if p.Connected && p.Member != "" {
			n.Connected++
		}
	}
	return n
}

func (o *Observer) peers() []PeerStatus {
	names := map[string]string{}
	for _, m := range o.State.Members() {
		if m.Removed == nil {
			names[m.Peer] = m.Name
		}
	}
	list := []PeerStatus{}
	for _, p := range o.Host.Peers() {
		if !o.State.IsMember(p.ID) {
			continue // one that a member had before it changed its keys
		}
		one := PeerStatus{Member: names[p.ID.String()], ID: p.ID.String(), Connected: p.Connected, Inbound: p.Inbound, Problem: p.LastError}
		for _, address := range p.Addrs {
			one.Addresses = append(one.Addresses, address.String())
		}
		list = append(list, one)
	}
	return list
}
