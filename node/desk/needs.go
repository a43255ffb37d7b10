package desk

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/health"
)

// statusAge is for how long a status is shown again: the node asks algod for each, which can take seconds.
const statusAge = 5 * time.Second

// lately is the status as it was a moment ago, with when that was.
type lately struct {
	mu sync.Mutex
	at time.Time
	is health.Status
}

// status tells how the node is, or was some seconds ago.
func (d *Desk) status(ctx context.Context) (health.Status, time.Time, error) {
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if now := time.Now(); d.health.at.IsZero() || now.Sub(d.health.at) > statusAge {
		is, err := d.api.Health.Status(ctx)
		if err != nil {
			return health.Status{}, time.Time{}, err
		}
		d.health.is, d.health.at = is, now
	}
	return d.health.is, d.health.at, nil
}

// remedies say what to do about what is wrong, by the word that a line of [health.Status.Trouble] begins with, and
// where the console shows more.
var remedies = map[string]struct{ page, do string }{
	"member":      {"members", "Its collections and objects stay readable, but nothing more is published. Ask the consortium's governor."},
	"publishing":  {"outbox", "What was accepted is kept and goes out by itself when the cause is gone."},
	"account":     {"money", "Look whether algod answers: algorand.algod_url and algod_token in config.toml."},
	"chain":       {"node", "What others published may be missing here until the chain is followed again. Look at the indexer: \"slnode doctor\" asks it."},
	"source":      {"node", "The other sources are followed meanwhile. \"slnode doctor\" asks this one."},
	"disk":        {"node", "Free space on the repository's disk, or move it to a larger one; nothing is lost."},
	"clock":       {"node", "Set this machine's clock: use NTP."},
	"certificate": {"node", "Clients will refuse the node when its certificate ends. Look at the log for what the authority says."},
	"webhook":     {"node", "What it missed is kept and sent when it answers: \"slnode webhook list\", \"slnode webhook test\"."},
	"feed":        {"feeds", "Test it there; a feed that fails is tried again at its next time."},
	"keys":        {"collections", "Give the collection a new key: \"Renew the key\" on its page."},
	"repeated":    {"members", "Tell that member: two nodes with the same keys lose objects."},
	"missing":     {"members", "Its node may be down. What is missing comes by itself when it is back; \"slnode audit\" looks at the chain for it."},
	"omitted":     {"node", "Add another indexer: algorand.indexers in config.toml."},
	"peer":        {"members", "Look whether this node's port of ipfs.listen can be reached, and others' nodes: \"slnode doctor\" tries."},
	"late":        {"node", "It mends by itself."},
}

// noMoney is publishing's problem while the account can't pay.
const noMoney = "funds"

// Needs lists what waits for somebody.
func (d *Desk) Needs(ctx context.Context) ([]console.Need, error) {
	s, _, err := d.status(ctx)
	if err != nil {
		return nil, err
	}
	needs := []console.Need{}
	for _, line := range s.Trouble() {
		about, what, _ := strings.Cut(line, ": ")
		word, _, _ := strings.Cut(about, " ")
		remedy := remedies[word]
		need := console.Need{Word: about, What: what, Remedy: remedy.do, Page: remedy.page}
		if word == "publishing" && s.Publishing.Problem == noMoney {
			need.Remedy, need.Page, need.Copy = "Send ALGO to the organisation's account; what waits goes out by itself then.", "money", s.Publishing.Account
		}
		needs = append(needs, need)
	}
	return needs, nil
}
