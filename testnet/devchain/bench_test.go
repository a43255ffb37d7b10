package devchain_test

import (
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/testnet/devchain"
)

// BenchmarkSubmitGroup measures groups of sixteen mints from POST to confirmation and index.
func BenchmarkSubmitGroup(b *testing.B) {
	for _, durable := range []bool{false, true} {
		name := map[bool]string{false: "memory", true: "directory"}[durable]
		b.Run(name, func(b *testing.B) {
			var cfg devchain.Config
			if durable {
				cfg.Dir = b.TempDir()
			}
			k := startKit(b, cfg)
			p := k.params()
			p.LastRoundValid = p.FirstRoundValid + 1000
			groups := make([][]byte, b.N)
			for i := range groups {
				p.FirstRoundValid = types.Round(i / 1000 * 1000)
				p.LastRoundValid = p.FirstRoundValid + 1000
				txns := make([]types.Transaction, 16)
				for j := range txns {
					txns[j] = mintWith(p, k.funder.Address, uint64(i*16+j))
				}
				_, groups[i] = k.sign(k.funder.PrivateKey, txns...)
			}
			b.ResetTimer()
			for _, g := range groups {
				k.send(g)
			}
			b.ReportMetric(16*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
			if k.IndexerRound() != uint64(b.N) {
				b.Fatalf("indexer at round %d after %d groups", k.IndexerRound(), b.N)
			}
		})
	}
}

// BenchmarkSearchPage measures a page of 1,000 mints from the indexer, at the tip and by address, in a history of
// 16,000 transactions.
func BenchmarkSearchPage(b *testing.B) {
	k := startKit(b, devchain.Config{})
	const rounds = 1000
	p := k.params()
	p.LastRoundValid = p.FirstRoundValid + 1000
	for i := range rounds {
		txns := make([]types.Transaction, 16)
		for j := range txns {
			txns[j] = mintWith(p, k.funder.Address, uint64(i*16+j))
		}
		_, g := k.sign(k.funder.PrivateKey, txns...)
		k.send(g)
	}
	expect := func(b *testing.B, got int, want int) {
		if got != want {
			b.Fatalf("%d transactions, want %d", got, want)
		}
	}
	b.Run("windowed", func(b *testing.B) {
		for b.Loop() {
			r := must(k.indexer.SearchForTransactions().TxType("acfg").MinRound(rounds - 2).MaxRound(rounds).
				NotePrefix([]byte("serviceledger/7:j")).Do(k.ctx))(b)
			expect(b, len(r.Transactions), 48)
		}
	})
	b.Run("page of history", func(b *testing.B) {
		for b.Loop() {
			r := must(k.indexer.SearchForTransactions().TxType("acfg").MinRound(500).Limit(1000).Do(k.ctx))(b)
			expect(b, len(r.Transactions), 1000)
		}
	})
	b.Run("page by address", func(b *testing.B) {
		for b.Loop() {
			r := must(k.indexer.SearchForTransactions().AddressString(k.funder.Address.String()).Limit(1000).Do(k.ctx))(b)
			expect(b, len(r.Transactions), 1000)
		}
	})
}

// BenchmarkReopen measures how long a chain of 8,000 mints takes to be read back.
func BenchmarkReopen(b *testing.B) {
	dir := b.TempDir()
	k := startKit(b, devchain.Config{Dir: dir})
	p := k.params()
	for i := range 500 {
		txns := make([]types.Transaction, 16)
		for j := range txns {
			txns[j] = mintWith(p, k.funder.Address, uint64(i*16+j))
		}
		k.submit(k.funder.PrivateKey, txns...)
	}
	if err := k.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		chain := must(devchain.Start(b.Context(), devchain.Config{Dir: dir}))(b)
		if chain.Round() != 500 {
			b.Fatalf("read back to round %d", chain.Round())
		}
		if err := chain.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(8000*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
}
