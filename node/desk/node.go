package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

func condition(c problem.Condition) console.Condition {
	return console.Condition{Problem: c.Problem, Detail: c.Detail, Since: c.Since}
}

// State is how the node is.
func (d *Desk) State(ctx context.Context) (console.NodeState, error) {
	s, at, err := d.status(ctx)
	if err != nil {
		return console.NodeState{}, err
	}
	n := console.NodeState{
		At: at, Started: s.Started, Version: s.Daemon.Info.String(), Member: s.Member, Excluded: s.Excluded,
		Accepted: s.Publishing.Accepted, Stored: s.Publishing.Stored, Signed: s.Publishing.Signed, Money: d.money(s),
		Round: s.Watching.Round, Tip: s.Watching.Tip, LagSeconds: s.Watching.LagSeconds, CaughtUp: s.Watching.CaughtUp, Chain: condition(s.Watching.Condition),
		Objects: s.View.Objects, Waiting: s.View.Waiting, Undecided: s.View.Undecided, Forged: s.Watching.Forged, Malformed: s.Watching.Malformed,
		DiskFree: s.Disk.Free, Disk: condition(s.Disk.Condition), Clock: condition(s.Clock.Condition), ClockKnown: s.Clock.Known, ClockAhead: s.Clock.Ahead,
		Certificate: condition(s.Certificate), CertificateUntil: s.Daemon.CertificateUntil, HTTPS: s.Daemon.HTTPS(),
		Known: s.Members.Known, Connected: s.Members.Connected, Backup: s.Backup.At, BackupBytes: s.Backup.Bytes, BackupUnknown: s.Backup.Unknown,
		TAXII: s.Daemon.TAXII + "/taxii2/", Gateway: s.Daemon.Gateway, Metrics: s.Daemon.Metrics, Trouble: len(s.Trouble()),
		Omitted: len(s.Omitted), LateUnfolded: s.Late.Unfolded,
	}
	for _, c := range append([]problem.Condition{s.Publishing.Condition}, s.Publishing.Also...) {
		if c.Problem != "" {
			n.Waits = append(n.Waits, condition(c))
		}
	}
	for _, one := range s.Watching.Sources {
		n.Sources = append(n.Sources, console.Source{Name: one.Name, Round: one.Round, Last: one.Answered, Condition: console.Condition{Problem: one.Problem, Detail: one.Detail, Since: one.Since}})
	}
	for _, p := range s.Peers {
		n.Peers = append(n.Peers, console.Peer{Member: p.Member, Connected: p.Connected, Inbound: p.Inbound, Problem: p.Problem})
	}
	for _, m := range s.Missing {
		if m.Overdue {
			n.Missing = append(n.Missing, fmt.Sprintf("numbers %d to %d of %s, since round %d", m.Range.First, m.Range.Last, m.Member, m.Range.Since))
		}
	}
	hooks, err := d.api.Webhooks.Infos()
	if err != nil {
		n.WebhooksWrong = err.Error()
	}
	for _, h := range hooks {
		n.Webhooks = append(n.Webhooks, console.Webhook{Name: h.Name, Host: h.Host, Sent: h.SentUpTo, Condition: condition(h.Condition)})
	}
	return n, nil
}

func (d *Desk) money(s health.Status) console.Money {
	m := console.Money{
		Lasts: s.Money.Forecast.String(), Low: s.Money.Forecast.Low(),
		Account: s.Publishing.Account, Free: s.Publishing.Free, Locked: s.Publishing.Locked, Reserved: s.Publishing.Reserved, Releasable: s.Publishing.Releases,
		Unknown: s.Publishing.Funds, Each: recordCost, Fee: ledger.LowestFee, Lock: ledger.Locked(1),
		Objects: uint64(s.Money.Spendable) / recordCost,
	}
	if after := d.api.Repo.Config.Publish.ReleaseAfter.Duration; after > 0 {
		m.Release = after.Round(time.Hour).String()
	}
	return m
}

// Spent is what the last days took.
func (d *Desk) Spent(ctx context.Context, days int) ([]console.SpentDay, error) {
	today := daybook.DayOf(time.Now())
	history := money.History{Book: d.api.Repo.Daybook, Now: time.Now}
	list := make([]console.SpentDay, days)
	first := today - daybook.Day(days-1)
	for i := range list {
		list[i].Day = (first + daybook.Day(i)).Begin()
	}
	_, err := history.Each(ctx, money.Query{Since: first, Until: today}, func(l daybook.Line) error {
		if l.Day >= first && l.Day <= today {
			one := &list[l.Day-first]
			one.Fees, one.Locked, one.Freed, one.Objects = one.Fees+uint64(l.Fees), one.Locked+uint64(l.Locked), one.Freed+uint64(l.Freed), one.Objects+l.Objects
		}
		return nil
	})
	return list, err
}

// states are those that things on their way are in.
var states = map[string]outbox.State{"accepted": outbox.Accepted, "stored": outbox.Stored, "signed": outbox.Signed}

// OnTheWay lists what is on its way to the chain.
func (d *Desk) OnTheWay(_ context.Context, state string, after uint64, limit int) ([]console.Outgoing, error) {
	of, known := states[state]
	if !known {
		return nil, taxii.ErrNotFound
	}
	items, err := d.api.Repo.Outbox.Queue(of, after, limit)
	if err != nil {
		return nil, err
	}
	list := make([]console.Outgoing, len(items))
	for i, item := range items {
		list[i] = console.Outgoing{
			Number: item.Number, ID: item.ObjectID, Version: item.Version, Kind: string(item.Note.Kind), User: item.User, Stored: item.StoredAt, Objects: item.Objects, Bulk: item.Bulk,
		}
		if c, found := d.api.State.Collection(item.Collection); found {
			list[i].Collection = c.Properties.Title
		}
	}
	return list, nil
}
