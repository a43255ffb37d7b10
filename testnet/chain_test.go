package testnet

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
)

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// indexerClient asks the indexer, when it has the rounds that algod has now: nodes may have read them from the blocks.
func (b *blockchain) indexerClient(t testing.TB) *indexer.Client {
	t.Helper()
	client, err := algorand.NewIndexer(b.direct.Indexer, b.IndexerToken)
	must(t, err)
	algod, err := algorand.NewAlgod(b.direct.Algod, b.AlgodToken)
	must(t, err)
	tip, err := algod.Status().Do(t.Context())
	must(t, err)
	eventually(t, func() (bool, string) {
		health, err := client.HealthCheck().Do(t.Context())
		must(t, err)
		return health.Round >= tip.LastRound, fmt.Sprintf("the indexer is at round %d, algod at %d", health.Round, tip.LastRound)
	})
	return client
}

// minted gives the URLs and notes of all NFTs of a consortium that an account made, as the chain has them.
func (b *blockchain) minted(t testing.TB, account string, consortium uint64) (urls, notes []string) {
	t.Helper()
	next := ""
	for {
		query := b.indexerClient(t).LookupAccountTransactions(account).Limit(1000)
		if next != "" {
			query.NextToken(next)
		}
		page, err := query.Do(t.Context())
		must(t, err)
		for _, transaction := range page.Transactions {
			if strings.HasPrefix(string(transaction.Note), string(wire.NotePrefix(consortium))) && transaction.CreatedAssetIndex > 0 {
				urls = append(urls, transaction.AssetConfigTransaction.Params.Url)
				notes = append(notes, string(transaction.Note))
			}
		}
		if page.NextToken == "" || len(page.Transactions) == 0 {
			return urls, notes
		}
		next = page.NextToken
	}
}

// records gives the transactions by which an account minted records of a consortium.
func (b *blockchain) records(t testing.TB, account string, consortium uint64) (txids []string) {
	t.Helper()
	page, err := b.indexerClient(t).LookupAccountTransactions(account).Limit(1000).Do(t.Context())
	must(t, err)
	for _, transaction := range page.Transactions {
		id, note, err := wire.ParseNote(transaction.Note)
		if err == nil && note.Kind != wire.KindObject && (id == consortium || transaction.CreatedAssetIndex == consortium) {
			txids = append(txids, transaction.Id)
		}
	}
	return txids
}

// event gives where a transaction is on the chain.
func (b *blockchain) event(t testing.TB, txid string) consortium.Position {
	t.Helper()
	page, err := b.indexerClient(t).SearchForTransactions().TXID(txid).Do(t.Context())
	must(t, err)
	if len(page.Transactions) != 1 {
		t.Fatalf("the indexer has %d transactions %s", len(page.Transactions), txid)
	}
	return consortium.Position{Round: page.Transactions[0].ConfirmedRound, Intra: page.Transactions[0].IntraRoundOffset}
}

func formatID(id uint64) string { return strconv.FormatUint(id, 10) }

// forge mints, as an account that was never admitted, everything that a member or the governor could: with the right
// form, about a directory that really exists.
func forge(t testing.TB, n *network, from *organisation) {
	t.Helper()
	info := from.consortium()
	client, err := algorand.NewAlgod(n.direct.Algod, n.AlgodToken)
	must(t, err)
	mallory := crypto.GenerateAccount()
	n.fund(t, mallory.Address.String(), enoughAlgo)
	urls, _ := n.minted(t, info.Members[0].Account, info.ID)
	directory, err := wire.ParseURL(urls[0])
	must(t, err)
	l := ledger.New(client, mallory, 10_000)
	params, err := l.Params(t.Context())
	must(t, err)
	var mints []ledger.Mint
	for i, note := range []wire.Note{
		{Kind: wire.KindMember, Account: mallory.Address.String()},
		{Kind: wire.KindObject},
		{Kind: wire.KindCollection, Collection: n.collection},
		{Kind: wire.KindKeyring, Collection: n.collection},
	} {
		note.Sequence = uint64(i + 1)
		encoded, err := note.Encode(info.ID)
		must(t, err)
		mints = append(mints, ledger.Mint{URL: wire.URL(directory), Note: encoded})
	}
	group, err := l.Sign(params, mints)
	must(t, err)
	must(t, l.Submit(t.Context(), group.Raw))
	eventually(t, func() (bool, string) {
		fate, _, err := l.Fate(t.Context(), group.TxIDs[0], group.FirstValid, group.LastValid)
		return fate == ledger.Confirmed, "the forgery is not confirmed: " + errorText(err)
	})
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
