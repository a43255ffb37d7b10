package devchain

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// recordedBlock is a block that a real node served.
func recordedBlock(t *testing.T, file string) types.Block {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var served struct {
		Block types.Block    `codec:"block"`
		Cert  map[string]any `codec:"cert"`
	}
	if err := msgpack.Decode(raw, &served); err != nil {
		t.Fatal(err)
	}
	return served.Block
}

func TestCommitmentsOfRealBlocksAreRecomputed(t *testing.T) {
	for _, file := range []string{
		"devmode/025-block-msgp.msgp",
		"devmode/042-block-group16-msgp.msgp",
		"network/025-block-msgp.msgp",
		"network/041-block-group16-msgp.msgp",
		"network/021-x-inner-block-msgp.msgp",
	} {
		t.Run(file, func(t *testing.T) {
			b := recordedBlock(t, file)
			r := &rules{genesisID: b.GenesisID, genesisHash: b.GenesisHash}
			leaves, size := newPayset(len(b.Payset)), 0
			for _, s := range b.Payset {
				tx := newSignedTxn(r.restore(s).SignedTxn)
				encoded := msgpack.Encode(&s)
				size += len(encoded)
				leaves.add(tx.id, sha256.Sum256(tx.toVerify), encoded)
			}
			if got := leaves.commit(); got != b.TxnCommitments {
				t.Errorf("commitments\n got %x\nwant %x", got, b.TxnCommitments)
			}
			if got := types.Micros(uint64(size) * micros / (5 << 20)); got != b.Load {
				t.Errorf("load %d, want %d", got, b.Load)
			}
		})
	}
}

func TestHashesOfRealBlocksAreRecomputed(t *testing.T) {
	for _, network := range []string{"devmode", "network"} {
		b := recordedBlock(t, network+"/025-block-msgp.msgp")
		var served struct {
			Hash string `json:"blockHash"`
		}
		recorded := readRecordings(t, network, "027-block-hash.json")[0]
		if err := json.Unmarshal(recorded.Body, &served); err != nil {
			t.Fatal(err)
		}
		if got := formatDigest(headerHash(&b.BlockHeader)); got != served.Hash {
			t.Errorf("%s: hash %s, want %s", network, got, served.Hash)
		}
	}
	// The group's block of the DevMode recording follows the other one.
	first, next := recordedBlock(t, "devmode/025-block-msgp.msgp"), recordedBlock(t, "devmode/042-block-group16-msgp.msgp")
	if next.Branch != types.BlockHash(headerHash(&first.BlockHeader)) {
		t.Errorf("block %d follows %x", next.Round, next.Branch)
	}
	if next.Branch512 != sha512.Sum512(hashedHeader(&first.BlockHeader)) {
		t.Errorf("block %d follows %x by SHA-512", next.Round, next.Branch512)
	}
}

func TestRealBlocksAreEncodedTheSame(t *testing.T) {
	for _, file := range []string{"devmode/025-block-msgp.msgp", "devmode/042-block-group16-msgp.msgp"} {
		b := recordedBlock(t, file)
		r := &rules{genesisID: b.GenesisID, genesisHash: b.GenesisHash}
		txns := make([]blockTxn, len(b.Payset))
		for i, s := range b.Payset {
			txns[i] = blockTxn{id: newSignedTxn(r.restore(s).SignedTxn).id, encoded: msgpack.Encode(&s)}
		}
		sealed := sealBlock(b.BlockHeader, txns)
		if !bytes.Equal(sealed.raw, msgpack.Encode(&b)) {
			t.Errorf("%s: another encoding", file)
		}
		for i, s := range b.Payset {
			if !bytes.Equal(sealed.txns[i].encoded, msgpack.Encode(&s)) {
				t.Errorf("%s: transaction %d is cut out wrongly", file, i)
			}
		}
	}
}

func TestABlockOfAnySizeIsEncodedCanonically(t *testing.T) {
	r := &rules{genesisID: "x-v1", genesisHash: types.Digest{1}}
	for _, n := range []int{0, 1, 15, 16, 17, 300} {
		b := types.Block{BlockHeader: types.BlockHeader{Round: 5, GenesisID: "x-v1"}}
		txns := make([]blockTxn, n)
		for i := range txns {
			tx := appliedTxn{signedTxn: signedTxn{SignedTxn: types.SignedTxn{Txn: types.Transaction{Type: types.PaymentTx}}}}
			tx.Txn.Fee, tx.Txn.GenesisHash = types.MicroAlgos(i), r.genesisHash
			stib := tx.inBlock()
			b.Payset = append(b.Payset, stib)
			txns[i] = blockTxn{encoded: msgpack.Encode(&stib)}
		}
		if !bytes.Equal(encodeBlock(&b.BlockHeader, txns), msgpack.Encode(&b)) {
			t.Errorf("%d transactions: another encoding", n)
		}
	}
}
