package cluster

import (
	"context"
	"os"

	"github.com/serviceledger/slnode/testnet/devchain"
)

// Chain is how an Algorand network is reached, and who pays on it.
type Chain struct {
	Algod, AlgodToken, Indexer, IndexerToken string
	Funder                                   string // the 25 words of an account
}

// Fund sends money to an account, waits until it is there, and returns the transaction's id.
func (c Chain) Fund(ctx context.Context, account string, microalgo uint64) (txid string, err error) {
	return devchain.Fund(ctx, c.Algod, c.AlgodToken, c.Funder, account, microalgo)
}

// FromEnvironment is the network of the SLNODE_TEST_* variables, if they name one.
func FromEnvironment() (chain Chain, named bool) {
	chain = Chain{
		Algod: os.Getenv("SLNODE_TEST_ALGOD_URL"), AlgodToken: os.Getenv("SLNODE_TEST_ALGOD_TOKEN"),
		Indexer: os.Getenv("SLNODE_TEST_INDEXER_URL"), IndexerToken: os.Getenv("SLNODE_TEST_INDEXER_TOKEN"),
		Funder: os.Getenv("SLNODE_TEST_FUNDER"),
	}
	return chain, chain.Algod != ""
}

// Development is a development chain in this process as a cluster sees it.
func Development(chain *devchain.Chain) Chain {
	return Chain{Algod: chain.AlgodURL(), AlgodToken: chain.Token(), Indexer: chain.IndexerURL(), Funder: chain.Funder()}
}
