package devchain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/testnet/devchain"
)

func TestAChainIsContinuedWhereItWas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	k := startKit(t, devchain.Config{Dir: dir})
	member := k.fundedAccount(10_000_000)
	ids, signed := k.sign(member.PrivateKey, k.mint(member.Address, 1), k.mint(member.Address, 2))
	k.send(signed)
	hash := must(k.algod.GetBlockHash(2).Do(k.ctx))(t).Blockhash
	funder, network := k.Funder(), k.GenesisHash()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}

	k = startKit(t, devchain.Config{Dir: dir})
	if k.Round() != 2 || k.IndexerRound() != 2 || k.Funder() != funder || k.GenesisHash() != network {
		t.Errorf("continued at round %d, indexer %d, another network or funder", k.Round(), k.IndexerRound())
	}
	if got := must(k.algod.GetBlockHash(2).Do(k.ctx))(t).Blockhash; got != hash {
		t.Errorf("block 2 is %s, was %s", got, hash)
	}
	if p, _, err := k.algod.PendingTransactionInformation(ids[1]).Do(k.ctx); err != nil || p.ConfirmedRound != 2 || p.AssetIndex != 1003 {
		t.Errorf("round %d, asset %d, %v", p.ConfirmedRound, p.AssetIndex, err)
	}
	if r := must(k.indexer.SearchForTransactions().TxType("acfg").Do(k.ctx))(t); len(r.Transactions) != 2 {
		t.Errorf("the indexer finds %d mints", len(r.Transactions))
	}
	k.refused(signed, "transaction already in ledger")
	k.submit(member.PrivateKey, k.mint(member.Address, 3))
	if got := must(k.algod.AccountInformation(member.Address.String()).Do(k.ctx))(t); got.TotalCreatedAssets != 3 {
		t.Errorf("%d assets", got.TotalCreatedAssets)
	}
}

func TestTheLastRecordCutShortIsDropped(t *testing.T) {
	dir := t.TempDir()
	k := startKit(t, devchain.Config{Dir: dir})
	k.advance(2)
	size := func() int64 { return must(os.Stat(filepath.Join(dir, "blocks.log")))(t).Size() }
	whole := size()
	k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1))
	full := size()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	log := must(os.ReadFile(filepath.Join(dir, "blocks.log")))(t)
	for _, damaged := range [][]byte{
		log[:full-1],     // cut in the block
		log[:whole+3],    // cut in the header
		flip(log, whole), // a length of terabytes
		flip(log, full-1),
	} {
		if err := os.WriteFile(filepath.Join(dir, "blocks.log"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		k := startKit(t, devchain.Config{Dir: dir})
		if k.Round() != 2 || size() != whole {
			t.Errorf("of %d bytes, round %d and %d bytes are left", len(damaged), k.Round(), size())
		}
		k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1))
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		k = startKit(t, devchain.Config{Dir: dir})
		if k.Round() != 3 {
			t.Errorf("what was written over the damage is read back to round %d", k.Round())
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// flip is a copy with one byte changed.
func flip(b []byte, at int64) []byte {
	c := append([]byte(nil), b...)
	c[at] ^= 0xff
	return c
}

func TestADirectoryHoldsOneChainAtATime(t *testing.T) {
	dir := t.TempDir()
	startKit(t, devchain.Config{Dir: dir})
	chain, err := devchain.Start(t.Context(), devchain.Config{Dir: dir})
	if err == nil {
		chain.Close()
		t.Fatal("two chains run in one directory")
	}
	if !strings.Contains(err.Error(), "another development chain runs in") {
		t.Error(err)
	}
}

func TestAChainKeepsTheWayItWasMadeIn(t *testing.T) {
	dir := t.TempDir()
	k := startKit(t, devchain.Config{Dir: dir})
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	chain, err := devchain.Start(t.Context(), devchain.Config{Dir: dir, RoundTime: time.Second})
	if err == nil {
		chain.Close()
		t.Fatal("a DevMode chain got a round time")
	}
}

func TestSecretsAreReadableByTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	k := startKit(t, devchain.Config{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, k.FunderFile(): 0o600} {
		if got := must(os.Stat(path))(t).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o", path, got)
		}
	}
	if got := string(must(os.ReadFile(k.FunderFile()))(t)); got != k.Funder()+"\n" {
		t.Error("the funder's file holds other words")
	}
}

func TestManyClientsAtOnceLoseNothing(t *testing.T) {
	k := startKit(t, devchain.Config{RoundTime: 3 * time.Millisecond})
	const clients, each = 6, 20
	p := k.params()
	p.LastRoundValid = p.FirstRoundValid + 1000
	done := make(chan error, clients)
	for c := range clients {
		groups := make([][]byte, each)
		for i := range groups {
			n := uint64(c*each+i) * 2
			_, groups[i] = k.sign(k.funder.PrivateKey, mintWith(p, k.funder.Address, n), mintWith(p, k.funder.Address, n+1))
		}
		go func() {
			for _, g := range groups {
				if _, err := k.algod.SendRawTransaction(g).Do(k.ctx); err != nil {
					done <- err
					return
				}
				if _, err := k.indexer.SearchForTransactions().Limit(3).Do(k.ctx); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	seen := map[uint64]bool{}
	eventually(t, "all are indexed", func() bool {
		r := must(k.indexer.SearchForTransactions().TxType("acfg").Limit(1000).Do(k.ctx))(t)
		for _, tx := range r.Transactions {
			seen[tx.CreatedAssetIndex] = true
		}
		return len(seen) == clients*each*2
	})
	if got := must(k.algod.AccountInformation(k.funder.Address.String()).Exclude([]string{"all"}).Do(k.ctx))(t); got.TotalCreatedAssets != clients*each*2 {
		t.Errorf("%d assets", got.TotalCreatedAssets)
	}
}
