package health

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/serviceledger/slnode/node/stages"
)

const (
	storyLook   = 5 * time.Second // how often it is looked who is there: who comes and goes within it has no line
	storyDigest = time.Minute
)

// Tell writes into the log what matters of what goes on, until the context ends: whether this organisation is a
// member, who joins and leaves, whose node is connected or gone, and once a minute what became of objects.
func (o *Observer) Tell(ctx context.Context) error {
	looks := time.NewTicker(storyLook)
	defer looks.Stop()
	digests := time.NewTicker(storyDigest)
	defer digests.Stop()
	t := teller{log: o.Log, told: o.Stages.Totals()}
	for {
		select {
		case <-ctx.Done():
			t.digest(o.Stages.Totals())
			return nil
		case <-looks.C:
			t.look(o)
		case <-digests.C:
			t.digest(o.Stages.Totals())
		}
	}
}

// teller remembers what it told.
type teller struct {
	log    *slog.Logger
	begun  bool // the consortium is known
	member bool
	names  map[string]string // of the other members, by account
	peers  map[string]bool   // whose nodes are connected
	told   stages.Totals
}

func (t *teller) look(o *Observer) {
	if !o.State.Begun() || !o.Watcher.State().CaughtUp && !t.begun {
		return // what the chain told long ago is no news
	}
	member, names, peers := o.State.Active(), map[string]string{}, map[string]bool{}
	for _, m := range o.State.Members() {
		if m.Removed == nil && m.Known && !o.State.Ours(m.Account) {
			names[m.Account] = m.Name
		}
	}
	for _, p := range o.peers() {
		if p.Connected && p.Member != "" {
			peers[p.Member] = true
		}
	}
	switch {
	case !t.begun:
		t.log.Info("the chain is followed", "member", member, "other_members", len(names), "connected", len(peers))
	case member && !t.member:
		t.log.Info("this organisation is a member of the consortium now")
	case !member && t.member:
		t.log.Warn("this organisation is not a member of the consortium any more")
	}
	if t.begun {
		t.compare(names)
	}
	for _, name := range news(t.peers, peers) {
		t.log.Info("a member's node is connected", "member", name)
	}
	for _, name := range news(peers, t.peers) {
		t.log.Info("a member's node is gone", "member", name, "connected", len(peers))
	}
	t.begun, t.member, t.names, t.peers = true, member, names, peers
}

// compare tells who has joined and who was removed.
func (t *teller) compare(names map[string]string) {
	for _, account := range news(t.names, names) {
		t.log.Info("an organisation is a member now", "member", names[account], "account", account)
	}
	for _, account := range news(names, t.names) {
		t.log.Info("an organisation is not a member any more, or has another account", "member", t.names[account], "account", account)
	}
}

// news are the keys of now that before doesn't have, sorted.
func news[T any](before, now map[string]T) (list []string) {
	for key := range now {
		if _, known := before[key]; !known {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}

// digest tells what became of objects since it was told last; nothing, if nothing did.
func (t *teller) digest(now stages.Totals) {
	before := t.told
	if now == before {
		return
	}
	t.told = now
	var counts []any
	for _, one := range []struct {
		what string
		n    uint64
	}{
		{"accepted", now.Accepted - before.Accepted}, {"published", now.Published - before.Published}, {"received", now.Received - before.Received},
		{"withdrawn", now.Withdrawn - before.Withdrawn}, {"refused", now.Refused - before.Refused}, {"refused_of_members", now.RefusedOfMembers - before.RefusedOfMembers},
	} {
		if one.n > 0 {
			counts = append(counts, slog.Uint64(one.what, one.n))
		}
	}
	t.log.Info("objects", counts...)
}
