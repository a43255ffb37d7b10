package onchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recordedBlock is a block as a real algod gave it.
func recordedBlock(t testing.TB, name string) types.Block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	var response models.BlockResponse
	must(t, msgpack.NewLenientDecoder(bytes.NewReader(data)).Decode(&response))
	return response.Block
}

func parent(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte("MA"), left[:]...), right[:]...))
}

// tree makes the levels of a vector commitment over leaves, whose number is a power of two, in another way than [Root].
func tree(leaves [][32]byte) [][][32]byte {
	depth := bits.Len(uint(len(leaves))) - 1
	level := make([][32]byte, len(leaves))
	for i, leaf := range leaves {
		level[bits.Reverse64(uint64(i))>>1>>(63-depth)] = leaf
	}
	levels := [][][32]byte{level}
	for len(level) > 1 {
		var above [][32]byte
		for i := 0; i < len(level); i += 2 {
			above = append(above, parent(level[i], level[i+1]))
		}
		level, levels = above, append(levels, above)
	}
	return levels
}

func path(levels [][][32]byte, index int) (path []byte) {
	depth := len(levels) - 1
	at := int(bits.Reverse64(uint64(index)) >> 1 >> (63 - depth))
	for _, level := range levels[:depth] {
		path = append(path, level[at^1][:]...)
		at /= 2
	}
	return path
}

func TestARealBlockCommitsToItsTransactions(t *testing.T) {
	for _, name := range []string{"block-single.msgp", "block-group16.msgp"} {
		block := recordedBlock(t, name)
		leaves := make([][32]byte, len(block.Payset))
		for i, s := range block.Payset {
			leaves[i] = Leaf(Restore(&block.BlockHeader, s, 0).Txn, InBlockHash(msgpack.Encode(s)))
		}
		levels := tree(leaves)
		for i := range leaves {
			root, err := Root(leaves[i], uint64(i), path(levels, i))
			if err != nil || root != block.Sha256Commitment {
				t.Errorf("%s: transaction %d leads to the root %x, %v; the header has %x", name, i, root, err, block.Sha256Commitment)
			}
		}
	}
}

func TestARealProofLeadsToItsBlock(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "proof-ten.json"))
	must(t, err)
	var recording struct {
		Hash  string
		Proof models.TransactionProof
	}
	must(t, json.Unmarshal(data, &recording))
	block := recordedBlock(t, "block-ten.msgp")
	if hash := FormatHash(HeaderHash(msgpack.Encode(block.BlockHeader))); hash != "blk-"+recording.Hash {
		t.Errorf("the hash is %s, algod says %s", hash, recording.Hash)
	}
	inBlock := block.Payset[recording.Proof.Idx]
	stib := InBlockHash(msgpack.Encode(inBlock))
	if !bytes.Equal(stib[:], recording.Proof.Stibhash) {
		t.Errorf("the transaction's hash is %x, algod says %x", stib, recording.Proof.Stibhash)
	}
	leaf := Leaf(Restore(&block.BlockHeader, inBlock, 0).Txn, stib)
	if root, err := Root(leaf, recording.Proof.Idx, recording.Proof.Proof); err != nil || root != block.Sha256Commitment {
		t.Errorf("the root is %x, %v; the header has %x", root, err, block.Sha256Commitment)
	}
}

func TestTransactionsOfARealBlockAreSigned(t *testing.T) {
	block := recordedBlock(t, "block-group16.msgp")
	ids := map[string]bool{}
	for i, s := range block.Payset {
		c := Restore(&block.BlockHeader, s, uint64(i))
		must(t, CheckSignature(c.SignedTxn))
		if c.Asset == 0 || c.Position.Round != uint64(block.Round) || c.Position.Intra != uint64(i) || ids[c.TxID] {
			t.Errorf("transaction %d: %+v", i, c)
		}
		ids[c.TxID] = true
		c.Txn.Fee++
		if err := CheckSignature(c.SignedTxn); !errors.Is(err, ErrForged) {
			t.Errorf("another fee: %v", err)
		}
		if _, err := c.Event(block.GenesisHash); !errors.Is(err, wire.ErrNotOurs) {
			t.Errorf("a foreign note: %v", err)
		}
	}
}

func TestARealStateProofIsAboutItsBlocks(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "stateproof.json"))
	must(t, err)
	var recording struct {
		Header  []byte
		Hash    string
		Light   models.LightBlockHeaderProof
		Message models.StateProofMessage
	}
	must(t, json.Unmarshal(data, &recording))
	var header types.BlockHeader
	must(t, msgpack.Decode(recording.Header, &header))
	if !bytes.Equal(msgpack.Encode(header), recording.Header) {
		t.Error("the header is encoded in another way")
	}
	hash := HeaderHash(recording.Header)
	if FormatHash(hash) != "blk-"+recording.Hash {
		t.Errorf("the hash is %s, algod says %s", FormatHash(hash), recording.Hash)
	}
	light := crypto.HashLightBlockHeader(LightHeader(&header, hash))
	root, err := Root(light, recording.Light.Index, recording.Light.Proof)
	if err != nil || !bytes.Equal(root[:], recording.Message.Blockheaderscommitment) {
		t.Errorf("the root is %x, %v; the message has %x", root, err, recording.Message.Blockheaderscommitment)
	}
	if recording.Light.Index != uint64(header.Round)-recording.Message.Firstattestedround {
		t.Errorf("index %d of round %d", recording.Light.Index, header.Round)
	}
}

func TestAPathLeadsToItsRootAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		depth := rapid.IntRange(0, 6).Draw(t, "depth")
		leaves := make([][32]byte, 1<<depth)
		for i := range leaves {
			leaves[i] = sha256.Sum256([]byte{byte(i)})
		}
		levels := tree(leaves)
		want := levels[depth][0]
		index := rapid.IntRange(0, len(leaves)-1).Draw(t, "index")
		proof := path(levels, index)
		if root, err := Root(leaves[index], uint64(index), proof); err != nil || root != want {
			t.Fatalf("%x, %v", root, err)
		}
		if len(proof) == 0 {
			return
		}
		another := rapid.Uint64().Filter(func(n uint64) bool { return n != uint64(index) }).Draw(t, "another index")
		if root, err := Root(leaves[index], another, proof); err == nil && root == want {
			t.Fatalf("index %d passes for %d", another, index)
		}
		proof[rapid.IntRange(0, len(proof)-1).Draw(t, "byte")] ^= 1
		if root, err := Root(leaves[index], uint64(index), proof); err == nil && root == want {
			t.Fatal("a changed path passes")
		}
	})
}

func TestAPathMustBeOneOfATree(t *testing.T) {
	for _, c := range []struct {
		index uint64
		path  int
	}{{1, 0}, {2, 32}, {0, 31}, {0, 33 * 32}} {
		if _, err := Root([32]byte{}, c.index, make([]byte, c.path)); err == nil {
			t.Errorf("index %d with a path of %d bytes passes", c.index, c.path)
		}
	}
}

// multisigned is a transaction of an account of two of three keys.
func multisigned(t testing.TB, signers ...int) types.SignedTxn {
	t.Helper()
	keys := []crypto.Account{crypto.GenerateAccount(), crypto.GenerateAccount(), crypto.GenerateAccount()}
	account, err := crypto.MultisigAccountWithParams(1, 2, []types.Address{keys[0].Address, keys[1].Address, keys[2].Address})
	must(t, err)
	address, err := account.Address()
	must(t, err)
	transaction := types.Transaction{Type: types.AssetConfigTx, Header: types.Header{Sender: address, FirstValid: 1, LastValid: 9, GenesisHash: types.Digest{7}}}
	var parts [][]byte
	for _, i := range signers {
		_, part, err := crypto.SignMultisigTransaction(keys[i].PrivateKey, account, transaction)
		must(t, err)
		parts = append(parts, part)
	}
	raw := parts[0]
	if len(parts) > 1 {
		_, raw, err = crypto.MergeMultisigTransactions(parts...)
		must(t, err)
	}
	var signed types.SignedTxn
	must(t, msgpack.Decode(raw, &signed))
	return signed
}

func TestAMultisigAccountSignsWithEnoughKeys(t *testing.T) {
	must(t, CheckSignature(multisigned(t, 0, 2)))
	if err := CheckSignature(multisigned(t, 1)); !errors.Is(err, ErrForged) {
		t.Errorf("one of two needed: %v", err)
	}
	for what, change := range map[string]func(*types.SignedTxn){
		"a lower threshold":  func(s *types.SignedTxn) { s.Msig.Threshold = 1 },
		"another key":        func(s *types.SignedTxn) { s.Msig.Subsigs[1].Key[0] ^= 1 },
		"a short key":        func(s *types.SignedTxn) { s.Msig.Subsigs[1].Key = []byte{1} },
		"another signature":  func(s *types.SignedTxn) { s.Msig.Subsigs[0].Sig[0] ^= 1 },
		"a second signature": func(s *types.SignedTxn) { s.Sig[0] = 1 },
		"another signer":     func(s *types.SignedTxn) { s.AuthAddr[0] = 1 },
		"none":               func(s *types.SignedTxn) { s.Msig = types.MultisigSig{} },
	} {
		signed := multisigned(t, 0, 1)
		change(&signed)
		if CheckSignature(signed) == nil {
			t.Errorf("%s passes", what)
		}
	}
}

func TestInnerTransactionsTakeANumberEach(t *testing.T) {
	nested := []types.SignedTxnWithAD{{}, {ApplyData: types.ApplyData{EvalDelta: types.EvalDelta{InnerTxns: make([]types.SignedTxnWithAD, 2)}}}}
	payset := make([]types.SignedTxnInBlock, 3)
	payset[1].EvalDelta.InnerTxns = nested
	if got := Offsets(payset); got[0] != 0 || got[1] != 1 || got[2] != 6 {
		t.Errorf("the offsets are %v, want 0, 1 and 6", got)
	}
}
