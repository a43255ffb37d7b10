package doctor

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/problem"
)

// genesis is the network that algod is of, and its last round; round 0 if algod can't tell.
type genesis struct {
	hash  []byte
	round uint64
}

const (
	indexerLag   = 30               // rounds by which an indexer may be behind algod: what it lacks for a minute and a half
	wrongClock   = 5 * time.Minute  // off the chain's
	slowestBlock = 25 * time.Second // the time of a chain that rested is behind
	freshBlock   = time.Minute
	// silentChain is after what time without a round algod, or the chain, stands. A development chain may rest.
	silentChain = 5 * time.Minute
)

// networks are those that everybody knows.
var networks = map[string]string{"mainnet-v1.0": "MainNet", "testnet-v1.0": "TestNet", "betanet-v1.0": "BetaNet"}

func (p *patient) algod(ctx context.Context) (list []Finding) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout/2) // the indexers are compared with it
	defer cancel()
	var told genesis
	defer func() { p.chain <- told }()
	c := p.config.Algorand
	client, err := algorand.NewAlgod(c.AlgodURL, c.AlgodToken, c.AlgodTokenHeader)
	if err != nil {
		return []Finding{{"algod", Wrong, err.Error(), "correct algorand.algod_url in config.toml"}}
	}
	l := ledger.New(client, crypto.Account{}, c.MaxFee)
	params, err := l.Params(ctx)
	if err != nil {
		return []Finding{{"algod", Wrong, fmt.Sprintf("%s: %s", algorand.Redact(c.AlgodURL), err),
			"is it running, and are algorand.algod_url, algod_token and algod_token_header right? Try the URL with curl"}}
	}
	told.hash = params.GenesisHash[:]
	list = append(list, p.network(params.GenesisID, told.hash))
	round, at, before, ago, err := l.Clock(ctx)
	if err != nil {
		return append(list, Finding{"algod", Wrong, err.Error(), "algod answers in part only: restart it, or take another one"})
	}
	told.round = round
	says := fmt.Sprintf("%s answers; its last round is %d, %s ago", algorand.Redact(c.AlgodURL), round, ago.Round(time.Second))
	if ago > silentChain {
		list = append(list, Finding{"algod", Warning, says, "it has lost its peers, or the chain stands: look at its log. A development chain rests while nothing happens"})
	} else {
		list = append(list, Finding{"algod", OK, says, ""})
	}
	return append(list, clockOf(time.Now().Add(-ago), at, at.Sub(before) < slowestBlock && ago < freshBlock))
}

// network compares algod's network with the consortium's.
func (p *patient) network(id string, hash []byte) Finding {
	name := networks[id]
	if name == "" {
		name = "a network of its own"
	}
	says := fmt.Sprintf("algod is of %s (%s)", name, id)
	if p.consortium != nil && !bytes.Equal(hash, p.consortium.GenesisHash) {
		if id == p.consortium.GenesisID {
			says = problem.OtherNetwork(id, hash, id, p.consortium.GenesisHash)
		} else {
			says += ", and the consortium lives on " + p.consortium.GenesisID
		}
		return Finding{"network", Wrong, says,
			"correct algorand.algod_url and indexer_url in config.toml: both have to be of the consortium's network"}
	}
	return Finding{"network", OK, says, ""}
}

// clockOf compares this machine's clock with the chain's.
func clockOf(ours, chains time.Time, fresh bool) Finding {
	off := ours.Sub(chains)
	switch {
	case !fresh:
		return Finding{"clock", Unknown, "the chain makes no rounds by whose time it could be told", ""}
	case off.Abs() >= wrongClock:
		return Finding{"clock", Wrong, fmt.Sprintf("this machine's clock is %s off the chain's", off.Round(time.Second)),
			`set it ("timedatectl set-ntp true"): members' nodes and servers with certificates refuse a wrong one`}
	}
	return Finding{"clock", OK, fmt.Sprintf("%s off the chain's", off.Round(time.Second)), ""}
}

func (p *patient) indexers(ctx context.Context) []Finding {
	c := p.config.Algorand
	urls := append([]string{c.IndexerURL}, c.Indexers...)
	var chain genesis
	select {
	case chain = <-p.chain:
	case <-ctx.Done():
	}
	results := make([]Finding, len(urls))
	var group sync.WaitGroup
	for i, url := range urls {
		token, header := "", ""
		if i == 0 {
			token, header = c.IndexerToken, c.IndexerTokenHeader
		}
		group.Go(func() { results[i] = p.indexer(ctx, url, token, header, chain) })
	}
	group.Wait()
	return results
}

func (p *patient) indexer(ctx context.Context, url, token, header string, chain genesis) Finding {
	what := "indexer " + algorand.Redact(url)
	remedy := "is it running, and are algorand.indexer_url, indexer_token and indexer_token_header right? Try the URL with /health and curl"
	client, err := algorand.NewIndexer(url, token, header)
	if err != nil {
		return Finding{what, Wrong, err.Error(), "correct algorand.indexer_url in config.toml"}
	}
	said, err := client.HealthCheck().Do(ctx)
	if err != nil {
		return Finding{what, Wrong, err.Error(), remedy}
	}
	if said.Round == 0 && chain.round <= indexerLag {
		return Finding{what, Unknown, "it answers, and has no round yet", ""}
	}
	if said.Round == 0 {
		return Finding{what, Wrong, "it answers, and has no round", "its follower (conduit) has not begun, or something else answers: look at its log"}
	}
	block, err := client.LookupBlock(said.Round).Do(ctx)
	if err != nil {
		return Finding{what, Wrong, fmt.Sprintf("block %d, its last: %s", said.Round, err), remedy}
	}
	expected := chain.hash
	if p.consortium != nil {
		expected = p.consortium.GenesisHash
	}
	switch behind := int64(chain.round - said.Round); {
	case len(expected) > 0 && !bytes.Equal(block.GenesisHash, expected):
		return Finding{what, Wrong, fmt.Sprintf("it is of the network %.64q, which is another one", block.GenesisId), "correct algorand.indexer_url in config.toml"}
	case chain.round == 0:
		return Finding{what, Unknown, fmt.Sprintf("it is at round %d; how far it is behind can't be told without algod", said.Round), ""}
	case behind > indexerLag:
		return Finding{what, Wrong, fmt.Sprintf("it is at round %d, %d behind algod", said.Round, behind),
			"its follower (conduit) stands or catches up: restart it, or take another indexer"}
	case behind < -indexerLag:
		return Finding{what, Warning, fmt.Sprintf("it is at round %d, %d ahead of algod", said.Round, -behind), "algod is behind, or of another network: look at both"}
	}
	return Finding{what, OK, fmt.Sprintf("it answers; it is at round %d", said.Round), ""}
}
