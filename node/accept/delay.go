package accept

import (
	"time"

	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Delay tells clients why what they posted is not on the chain yet. They are told less than the operator: the details
// can hold the address of a provider.
type Delay struct{ Sealing, Publishing *problem.Monitor }

// delays are the words for a [Condition]'s problem.
var delays = map[string]string{
	"funds":      "the node's account can't pay",
	"algod":      "the node can't reach the Algorand network",
	"congestion": "the Algorand network asks for a higher fee than the node may pay",
	"network":    "the node is set to another Algorand network than the consortium's",
	"membership": "this organisation is not a member of the consortium",
	"permission": "this organisation may not publish in the collection now",
	"rekeying":   "a member was removed, and the collection gets another key first",
	"restored":   "the node was restored, and looks first for what is published already",
	"duplicate":  "another node publishes with this organisation's keys, and an operator has to look at that first",
}

// lasting is for how long a problem has to stand until nobody waits for its end.
const lasting = time.Second

// of says why an item is not on the chain, as far as something is wrong.
func (d Delay) of(item outbox.Item) string {
	if item.State == outbox.Accepted {
		if text := d.text(d.Sealing.Get()); text != "" {
			return text
		}
	}
	return d.text(d.Publishing.Get())
}

func (d Delay) text(c problem.Condition) string {
	text := delays[c.Problem]
	if c.Problem == "membership" { // which names no provider: since when and by whom is the client's to know
		text = c.Detail
	}
	if text != "" {
		return "accepted and kept; it waits, since " + text
	}
	return ""
}

// isLasting reports whether nothing can be published until somebody does something about it, or something else
// recovers.
func (d Delay) isLasting() bool {
	c := d.Publishing.Get()
	return delays[c.Problem] != "" && time.Since(c.Since) > lasting
}
