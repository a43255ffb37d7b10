package accept

import (
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Anchor is how objects go onto the chain, as a word of the configuration says it.
func Anchor(word string, c config.Publish) outbox.Anchor {
	a := outbox.Anchor{Most: wire.MaxBatch, Bytes: publish.MaxBatchBytes}
	switch word {
	case config.AnchorAuto:
		a.From = int(c.BatchFrom)
	case config.AnchorBatch:
		a.From = 2 // for one, an NFT of its own costs the same
	}
	return a
}
