package docs_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// directory builds the directory of an example from its two files.
func directory(t *testing.T, name string) unixfs.Directory {
	t.Helper()
	payload := wire.RecordName
	if strings.Contains(name, "object") {
		payload = wire.ObjectName
	}
	return must[unixfs.Directory](t)(unixfs.Build(
		unixfs.File{Name: wire.MetadataName, Data: vector(t, name, wire.MetadataName)},
		unixfs.File{Name: payload, Data: vector(t, name, payload)},
	))
}

func TestTheDocumentNamesWhatTheTransactionsSay(t *testing.T) {
	for _, one := range transactions(t) {
		var signed types.SignedTxn
		if err := msgpack.Decode(one.Raw, &signed); err != nil {
			t.Fatal(err)
		}
		mustSay(t, "the id of "+one.Name, crypto.TransactionIDString(signed.Txn))
		mustSay(t, "the note of "+one.Name, string(signed.Txn.Note))
		if _, _, err := wire.ParseNote(signed.Txn.Note); err != nil {
			t.Errorf("%s: %v", one.Name, err)
		}
		if signed.Txn.AssetParams == (types.AssetParams{}) {
			continue // the withdrawal and the release
		}
		root := directory(t, one.Name).Root()
		mustSay(t, "the CID of "+one.Name, root.String())
		if got, want := signed.Txn.AssetParams.URL, wire.URL(root); got != want {
			t.Errorf("%s has the URL %s, its files %s", one.Name, got, want)
		}
		hash := wire.MetadataHash(vector(t, one.Name, wire.MetadataName))
		mustSay(t, "the metadata hash of "+one.Name, hex.EncodeToString(hash[:]))
		if signed.Txn.AssetParams.MetadataHash != hash {
			t.Errorf("%s has another metadata hash than its metadata.json", one.Name)
		}
	}
}

func TestTheRootBlockIsByteForByteAsTheDocumentShowsIt(t *testing.T) {
	root := directory(t, "1-charter").Blocks()[0]
	if got, want := hex.EncodeToString(root.RawData()), strings.Join(strings.Fields(block(t, "root-block")), ""); got != want {
		t.Errorf("the charter's root block is\n%s, the document says\n%s", got, want)
	}
}

func TestTheStatementIsWhatBothKeysSigned(t *testing.T) {
	statement := []byte(block(t, "statement"))
	record := must[wire.Member](t)(wire.ParseMember(vector(t, "4-member-borealis", wire.RecordName)))
	account := must[types.Address](t)(types.DecodeAddress(record.Account))
	if !crypto.VerifyBytes(account[:], statement, record.Signatures.Account) {
		t.Error("the account's signature is not one of the document's statement")
	}
}

func TestAHandleIsComputedAsTheDocumentSays(t *testing.T) {
	secret := keys(t).Epoch1
	key := must[[]byte](t)(hkdf.Key(sha256.New, []byte(secret), nil, "serviceledger/1 handle", 32))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4\x00"))
	want := "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
	mustSay(t, "the handle of the address", want)
	epoch := must[*seal.EpochKey](t)(seal.ParseEpochKey(secret))
	if got := epoch.Handle("ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4", ""); got != want {
		t.Errorf("the handle is %s, by the document %s", got, want)
	}
}

func TestPlaintextsArePaddedAsTheTableSays(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(block(t, "padding")), "\n")
	for _, line := range lines[1:] {
		var size, padded, sealed, coarse int
		if _, err := fmt.Sscan(line, &size, &padded, &sealed, &coarse); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got := len(seal.Pad(make([]byte, size))); got != padded {
			t.Errorf("%d bytes are padded to %d, the document says %d", size, got, padded)
		}
		if got := len(seal.PadCoarse(make([]byte, size))); got != coarse {
			t.Errorf("%d bytes are padded coarsely to %d, the document says %d", size, got, coarse)
		}
		epoch := must[*seal.EpochKey](t)(seal.NewEpochKey())
		if got := len(must[[]byte](t)(epoch.Seal(make([]byte, size)))); got != sealed {
			t.Errorf("%d bytes are sealed as %d, the document says %d", size, got, sealed)
		}
	}
}

func TestTheInviteOpensForTheNewcomerAlone(t *testing.T) {
	k := keys(t)
	sealed := vector(t, "borealis.invite")
	invite := must[wire.Invite](t)(wire.OpenInvite(sealed, must[*seal.Identity](t)(seal.ParseIdentity(k.Borealis.Identity))))
	if invite.Consortium != k.Consortium || invite.Charter != k.Charter || invite.SwarmKey != k.SwarmKey || invite.Account != k.Borealis.Account {
		t.Errorf("the invite is %+v", invite)
	}
	if _, err := wire.OpenInvite(sealed, must[*seal.Identity](t)(seal.ParseIdentity(k.Acme.Identity))); err == nil {
		t.Error("somebody else opened it")
	}
}

// events has a watcher read the example's transactions as an indexer tells them.
func events(t *testing.T) []consortium.Event {
	t.Helper()
	k := keys(t)
	answers := map[string]json.RawMessage{}
	var ids []string
	for _, one := range transactions(t) {
		var told struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(one.Indexer, &told); err != nil {
			t.Fatal(err)
		}
		answers[told.ID] = one.Indexer
		ids = append(ids, told.ID)
	}
	indexer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"current-round": 100, "transactions": [%s]}`, answers[r.URL.Query().Get("txid")])
	}))
	t.Cleanup(indexer.Close)
	client, err := algorand.NewIndexer(indexer.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	watcher := chainwatch.New(chainwatch.Config{
		Indexers: []chainwatch.Indexer{{Name: "the indexer", Client: client}}, Consortium: k.Consortium, GenesisHash: [32]byte(k.GenesisHash), Log: slog.New(slog.DiscardHandler),
	})
	var list []consortium.Event
	for _, id := range ids {
		finding := must[chainwatch.Finding](t)(watcher.Find(context.Background(), id))
		if !finding.Found {
			t.Fatalf("transaction %s is not found", id)
		}
		list = append(list, finding.Event)
	}
	return list
}

// content is the metadata and the payload of an example.
func content(t *testing.T, name string) (wire.Metadata, []byte) {
	t.Helper()
	m := must[wire.Metadata](t)(wire.ParseMetadata(vector(t, name, wire.MetadataName)))
	payload := vector(t, name, m.Properties.Path)
	if err := m.CheckPayload(payload); err != nil {
		t.Fatal(err)
	}
	return m, payload
}

// fold applies all events and attaches the content of all records.
func fold(t *testing.T, identity string) *consortium.State {
	t.Helper()
	k := keys(t)
	state := consortium.New(k.Consortium, k.Charter, must[*seal.Identity](t)(seal.ParseIdentity(identity)))
	want := []consortium.Effect{
		consortium.Record, consortium.Record, consortium.Record, consortium.Record, consortium.Record,
		consortium.Object, consortium.Object, consortium.Withdrawal, consortium.Object, consortium.Release, consortium.Withdrawal,
	}
	list := events(t)
	for i, e := range list {
		if effect, reason := state.Apply(e); effect != want[i] {
			t.Fatalf("event %d has the effect %d (%s), want %d", i, effect, reason, want[i])
		}
	}
	for i, one := range transactions(t)[:5] {
		m, payload := content(t, one.Name)
		if err := state.Attach(list[i].TxID, m, payload); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

func TestBothMembersReadTheExamplesObjects(t *testing.T) {
	k := keys(t)
	list := events(t)
	for name, identity := range map[string]string{"acme": k.Acme.Identity, "borealis": k.Borealis.Identity} {
		state := fold(t, identity)
		if members := state.Members(); len(members) != 2 || members[0].Name != "acme" || members[1].Name != "borealis" {
			t.Errorf("%s: the members are %+v", name, members)
		}
		for i, object := range map[int]string{5: "6-object", 6: "7-object"} {
			m, payload := content(t, object)
			ruling := state.Rule(list[i], m)
			if ruling.Outcome != consortium.Readable {
				t.Fatalf("%s: %s: %s", name, object, ruling.Reason)
			}
			plaintext := must[[]byte](t)(ruling.Key.Open(must[[]byte](t)(wire.ParseSealedObject(payload))))
			if want := vector(t, object, "plaintext.json"); !bytes.Equal(plaintext, want) {
				t.Errorf("%s: %s holds %s, want %s", name, object, plaintext, want)
			}
		}
	}
}

func TestTheBatchOfTheExampleListsTheObjectsBesideIt(t *testing.T) {
	k := keys(t)
	e := events(t)[8]
	m, record := content(t, "9-batch")
	batch := must[wire.Batch](t)(wire.ParseBatch(record))
	if err := batch.CheckMetadata(m); err != nil || len(batch.Objects) != 2 {
		t.Fatalf("it lists %d objects, %v", len(batch.Objects), err)
	}
	state := fold(t, k.Acme.Identity)
	if ruling := state.Rule(e, m); ruling.Outcome != consortium.Readable {
		t.Fatalf("the batch: %s", ruling.Reason)
	}
	for i, root := range batch.Objects {
		name := fmt.Sprintf("9-batch/object-%d", i+1)
		if got := directory(t, name).Root().String(); got != root {
			t.Errorf("%s has the CID %s, listed is %s", name, got, root)
		}
		m, payload := content(t, name)
		ruling := state.Rule(e.Listed(uint32(i+1), root), m)
		if ruling.Outcome != consortium.Readable {
			t.Fatalf("%s: %s", name, ruling.Reason)
		}
		plaintext := must[[]byte](t)(ruling.Key.Open(must[[]byte](t)(wire.ParseSealedObject(payload))))
		if want := vector(t, name, "plaintext.json"); !bytes.Equal(plaintext, want) {
			t.Errorf("%s holds %s, want %s", name, plaintext, want)
		}
	}
	removal := events(t)[10]
	if asset, index := removal.Ends(); asset != e.Asset || index != 2 {
		t.Errorf("the removal ends object %d of asset %d, the batch is asset %d", index, asset, e.Asset)
	}
}

func TestAStrangerReadsNothingOfTheExample(t *testing.T) {
	stranger := must[*seal.Identity](t)(seal.NewIdentity())
	state := fold(t, stranger.Secret())
	if list := state.Collections(); len(list) != 0 {
		t.Errorf("a stranger reads %+v", list)
	}
	m, _ := content(t, "6-object")
	if ruling := state.Rule(events(t)[5], m); ruling.Outcome != consortium.NotForUs {
		t.Errorf("a stranger is told %d: %s", ruling.Outcome, ruling.Reason)
	}
}
