package onchain

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

var recordedBlocks = []string{"block-single.msgp", "block-ten.msgp", "block-group16.msgp"}

func TestARealBlockFitsItsHeader(t *testing.T) {
	for _, name := range recordedBlocks {
		block := recordedBlock(t, name)
		if r := Read(&block, true); r.Fit != Fits || r.Round != uint64(block.Round) || r.Hash != HeaderHash(msgpack.Encode(block.BlockHeader)) || r.Prev != [32]byte(block.Branch) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Blocks of another real network, where somebody has them.
func TestEveryRecordedBlockFitsItsHeader(t *testing.T) {
	dir := os.Getenv("SLNODE_TEST_DATA")
	if dir == "" {
		t.Skip("SLNODE_TEST_DATA is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "algorand", "*", "*block*.msgp"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there is no recording")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		var response models.BlockResponse
		must(t, msgpack.NewLenientDecoder(bytes.NewReader(data)).Decode(&response))
		if r := Read(&response.Block, true); r.Fit != Fits {
			t.Errorf("%s, with %d transactions: %d", file, len(response.Block.Payset), r.Fit)
		}
	}
}

func TestWhatIsLeftOutOfABlockOrPutIntoItShows(t *testing.T) {
	for name, change := range map[string]func(b *types.Block){
		"the last is left out":  func(b *types.Block) { b.Payset = b.Payset[:len(b.Payset)-1] },
		"the first is left out": func(b *types.Block) { b.Payset = b.Payset[1:] },
		"all are left out":      func(b *types.Block) { b.Payset = nil },
		"two change places":     func(b *types.Block) { b.Payset[0], b.Payset[1] = b.Payset[1], b.Payset[0] },
		"one comes twice":       func(b *types.Block) { b.Payset = append(b.Payset, b.Payset[0]) },
		"another note":          func(b *types.Block) { b.Payset[3].Txn.Note = []byte("another") },
		"another asset":         func(b *types.Block) { b.Payset[3].ApplyData.ConfigAsset++ },
		"another network":       func(b *types.Block) { b.GenesisHash[0]++ },
		"another commitment":    func(b *types.Block) { b.Sha256Commitment[0]++ },
	} {
		block := recordedBlock(t, "block-group16.msgp")
		change(&block)
		if r := Read(&block, true); r.Fit != Differs {
			t.Errorf("%s: %d", name, r.Fit)
		}
	}
}

func TestABlockThatCanNotBeComparedIsUnclear(t *testing.T) {
	block := recordedBlock(t, "block-group16.msgp")
	if r := Read(&block, false); r.Fit != Unclear || r.Hash != [32]byte{} {
		t.Errorf("something in it is not known: %+v", r)
	}
	block.Sha256Commitment = types.Digest{}
	if r := Read(&block, true); r.Fit != Unclear {
		t.Errorf("without a commitment: %d", r.Fit)
	}
}

func TestOnlyWhatMayBeOursIsTakenFromABlock(t *testing.T) {
	block := recordedBlock(t, "block-group16.msgp")
	block.Payset[2].Txn.Note = []byte("serviceledger/7:jx")
	block.Payset[5].Txn.Note = []byte("serviceledger:jx")
	block.Payset[7].Txn.Note, block.Payset[7].Txn.Type = []byte("serviceledger:jx"), types.PaymentTx
	r := Read(&block, true)
	for _, c := range r.Transactions {
		if c.TxID != crypto.TransactionIDString(c.Txn) {
			t.Errorf("the id is %s", c.TxID)
		}
	}
	if unclear := Read(&block, false); !reflect.DeepEqual(unclear.Transactions, r.Transactions) {
		t.Error("what can't be compared is read otherwise")
	}
	if len(r.Transactions) != 2 || r.Transactions[0].Position.Intra != 2 || r.Transactions[1].Position.Intra != 5 || r.Transactions[0].Asset != uint64(block.Payset[2].ApplyData.ConfigAsset) {
		t.Errorf("%+v", r.Transactions)
	}
}

func BenchmarkReadABlock(b *testing.B) {
	block := recordedBlock(b, "block-group16.msgp")
	for b.Loop() {
		if r := Read(&block, true); r.Fit != Fits {
			b.Fatal(r.Fit)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(block.Payset)), "us/transaction")
}
