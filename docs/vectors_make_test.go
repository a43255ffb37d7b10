package docs_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

var makeVectors = flag.Bool("make", false, "make the worked example anew, and write its values into PROTOCOL.md")

// maker makes the worked example anew from itself: the same keys, accounts, times and rounds, in the format of today.
type maker struct {
	t    *testing.T
	keys exampleKeys
	text string // PROTOCOL.md
}

// example is one transaction of the example.
type example struct {
	transaction
	signed types.SignedTxn
}

// TestTheVectorsAreMadeAnew writes files, with -make; without it there is nothing to do. It is for whoever changes the
// format.
func TestTheVectorsAreMadeAnew(t *testing.T) {
	if !*makeVectors {
		t.Skip("it is asked for with -make")
	}
	m := &maker{t: t, keys: keys(t), text: document(t)}
	key, err := seal.ParseEpochKey(m.keys.Epoch1)
	if err != nil { // of another form
		key = must[*seal.EpochKey](t)(seal.NewEpochKey())
	}
	m.keys.Epoch1 = key.Secret()
	drafts := m.drafts(key)
	var list []*example
	for _, one := range transactions(t) {
		e := &example{transaction: one}
		if err := msgpack.Decode(one.Raw, &e.signed); err != nil {
			t.Fatal(err)
		}
		if draft, found := drafts[one.Name]; found {
			m.write(e, must[consortium.Draft](t)(draft.By(e.signed.Txn.Sender.String())))
		}
		list = append(list, e)
	}
	m.sign(list)
	m.invite()
	m.save("transactions.json", list)
	m.saveKeys()
	if err := os.WriteFile("PROTOCOL.md", []byte(m.text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// drafts makes the content of each transaction that has some.
func (m *maker) drafts(key *seal.EpochKey) map[string]consortium.Draft {
	draft := must[consortium.Draft](m.t)
	id, charter := m.keys.Consortium, must[wire.Charter](m.t)(wire.ParseCharter(vector(m.t, "1-charter", wire.RecordName)))
	collection := consortium.Collection{ID: charter.DefaultCollection, Epoch: 1, Key: key, Properties: wire.Collection{
		Title: "Example consortium", Alias: "default", Description: "What the members share with one another.",
		Readers: wire.Accounts{Members: true}, Contributors: wire.Accounts{Members: true}, DefaultLevel: "green", Metadata: wire.MetadataOpen,
	}}
	epochs := map[uint32]*seal.EpochKey{1: key}
	member := func(name string) consortium.Draft {
		record := must[wire.Member](m.t)(wire.ParseMember(vector(m.t, name, wire.RecordName)))
		return draft(consortium.DraftMember(id, record, m.storedAt(name)))
	}
	object := func(name, identifier, version string, revealing bool) consortium.Draft {
		return draft(consortium.DraftObject(id, collection, identifier, version, revealing, vector(m.t, name, "plaintext.json"), m.storedAt(name)))
	}
	var roots []cid.Cid
	for _, one := range []consortium.Draft{
		object("9-batch/object-1", "indicator--4e1f0a52-8a1d-4f0e-9a3c-6f1de2b7c901", "2026-01-15T09:04:00.000Z", true),
		object("9-batch/object-2", "ipv4-addr--ba6ed2be-b4f2-5b1d-8ad5-2e2c55c0e6a4", "", false),
	} {
		roots = append(roots, m.list(len(roots)+1, one))
	}
	return map[string]consortium.Draft{
		"9-batch":       draft(consortium.DraftBatch(id, collection.ID, 1, roots, m.storedAt("9-batch"))),
		"11-removal":    draft(consortium.DraftWithdrawal(id, 1016, 2, m.storedAt("11-removal"))),
		"1-charter":     draft(consortium.DraftCharter(charter, m.storedAt("1-charter"))),
		"2-member-acme": member("2-member-acme"),
		"3-collection": draft(consortium.DraftCollection(id, collection.ID, 1, collection.Properties, epochs,
			[]string{m.keys.Acme.Recipient}, m.storedAt("3-collection"))),
		"4-member-borealis": member("4-member-borealis"),
		"5-keyring":         draft(consortium.DraftKeyring(id, collection.ID, epochs, []string{m.keys.Borealis.Recipient}, m.storedAt("5-keyring"))),
		"6-object":          object("6-object", "indicator--9f1c6e0a-3b1e-4c3b-9a53-0d8a4f7f3b11", "2026-01-15T09:02:00.000Z", true),
		"7-object":          object("7-object", "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4", "", false),
	}
}

// list writes the files of an object that the batch lists.
func (m *maker) list(index int, d consortium.Draft) cid.Cid {
	d = must[consortium.Draft](m.t)(d.By(m.keys.Borealis.Account))
	name := fmt.Sprintf("9-batch/object-%d", index)
	m.file(filepath.Join(name, wire.MetadataName), d.Metadata)
	m.file(filepath.Join(name, d.PayloadName), d.Payload)
	return directory(m.t, name).Root()
}

func (m *maker) storedAt(name string) time.Time {
	var former struct{ Properties struct{ Stored_at string } }
	if err := json.Unmarshal(vector(m.t, name, wire.MetadataName), &former); err != nil {
		m.t.Fatal(err)
	}
	return must[time.Time](m.t)(wire.ParseTime(former.Properties.Stored_at))
}

// write writes the files of a directory, and puts them into its transaction and into the document.
func (m *maker) write(e *example, d consortium.Draft) {
	former, formerHash := directory(m.t, e.Name).Root(), wire.MetadataHash(vector(m.t, e.Name, wire.MetadataName))
	for name, data := range map[string][]byte{wire.MetadataName: d.Metadata, d.PayloadName: d.Payload} {
		m.file(filepath.Join(e.Name, name), data)
	}
	root, hash := directory(m.t, e.Name).Root(), wire.MetadataHash(d.Metadata)
	if e.Name == "1-charter" {
		m.streams(former)
	}
	m.say(former.String(), root.String())
	m.say(hex.EncodeToString(formerHash[:]), hex.EncodeToString(hash[:]))
	if former := handleIn(m.text); e.Name == "7-object" {
		m.say(former, must[wire.Metadata](m.t)(wire.ParseMetadata(d.Metadata)).Properties.Identifier)
	}
	e.signed.Txn.AssetParams.URL, e.signed.Txn.AssetParams.MetadataHash = wire.URL(root), hash
}

// streams makes what has the charter's directory in it. An announcement has its kind and a round before the CAR.
func (m *maker) streams(former cid.Cid) {
	d := directory(m.t, "1-charter")
	for name, at := range map[string]int{"announcement.bin": 2, "answer.car": 0} {
		data := vector(m.t, name)
		size, n := binary.Uvarint(data[at:])
		data = bytes.ReplaceAll(data[:at+n+int(size)], former.Bytes(), d.Root().Bytes())
		for _, b := range d.Blocks() {
			data = binary.AppendUvarint(data, uint64(len(b.Cid().Bytes())+len(b.RawData())))
			data = append(append(data, b.Cid().Bytes()...), b.RawData()...)
		}
		m.file(name, data)
	}
	m.sayBytes("root-block", d.Blocks()[0].RawData())
	m.sayBytes("car-request", append([]byte{1}, d.Root().Bytes()...))
}

// sayBytes puts bytes into a block of the document, in hex.
func (m *maker) sayBytes(name string, data []byte) {
	var lines []string
	for line := range slices.Chunk(data, 32) {
		lines = append(lines, hex.EncodeToString(line))
	}
	m.say(block(m.t, name), strings.Join(lines, "\n")+"\n")
}

// invite makes the invite anew: it names the charter.
func (m *maker) invite() {
	identity := must[*seal.Identity](m.t)(seal.ParseIdentity(m.keys.Borealis.Identity))
	invite := must[wire.Invite](m.t)(wire.OpenInvite(vector(m.t, "borealis.invite"), identity))
	invite.Charter = m.keys.Charter
	m.file("borealis.invite", must[[]byte](m.t)(invite.Seal(m.keys.Borealis.Recipient)))
}

// file writes one of the vectors.
func (m *maker) file(name string, data []byte) {
	if err := os.WriteFile(filepath.Join("vectors", name), data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func handleIn(text string) string {
	at := strings.Index(text, "`"+seal.HandlePrefix) + 1
	return text[at : at+len(seal.HandlePrefix)+64]
}

// say puts a value into the document in the place of its former one.
func (m *maker) say(former, now string) { m.text = strings.ReplaceAll(m.text, former, now) }

// sign signs everything, and tells it as an indexer would.
func (m *maker) sign(list []*example) {
	groups := map[types.Digest][]types.Transaction{}
	for _, e := range list {
		if group := e.signed.Txn.Group; group != (types.Digest{}) {
			bare := e.signed.Txn
			bare.Group = types.Digest{}
			groups[group] = append(groups[group], bare)
		}
	}
	for _, e := range list {
		former := crypto.TransactionIDString(e.formerTxn(m.t))
		if members := groups[e.signed.Txn.Group]; len(members) > 0 {
			e.signed.Txn.Group = must[types.Digest](m.t)(crypto.ComputeGroupID(members))
		}
		seed := m.keys.Acme.AccountSeed
		if e.signed.Txn.Sender.String() == m.keys.Borealis.Account {
			seed = m.keys.Borealis.AccountSeed
		}
		private := ed25519.NewKeyFromSeed(must[[]byte](m.t)(hex.DecodeString(seed)))
		txid, raw, err := crypto.SignTransaction(private, e.signed.Txn)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := msgpack.Decode(raw, &e.signed); err != nil {
			m.t.Fatal(err)
		}
		m.say(former, txid)
		e.Raw = raw
		m.tell(e, txid)
		if e.Name == "1-charter" {
			m.keys.Charter = txid
		}
	}
}

// formerTxn is the transaction as it was read.
func (e *example) formerTxn(t *testing.T) types.Transaction {
	t.Helper()
	var signed types.SignedTxn
	if err := msgpack.Decode(e.Raw, &signed); err != nil {
		t.Fatal(err)
	}
	return signed.Txn
}

// tell makes the indexer's answer about a transaction anew: what has changed in it.
func (m *maker) tell(e *example, txid string) {
	var told map[string]any
	decoder := json.NewDecoder(bytes.NewReader(e.Indexer))
	decoder.UseNumber()
	if err := decoder.Decode(&told); err != nil {
		m.t.Fatal(err)
	}
	told["id"], told["signature"], told["note"] = txid, map[string]any{"sig": e.signed.Sig[:]}, e.signed.Txn.Note
	if e.signed.Txn.Group != (types.Digest{}) {
		told["group"] = e.signed.Txn.Group[:]
	}
	if params, found := told["asset-config-transaction"].(map[string]any)["params"].(map[string]any); found {
		url := e.signed.Txn.AssetParams.URL
		params["url"], params["url-b64"], params["metadata-hash"] = url, []byte(url), e.signed.Txn.AssetParams.MetadataHash[:]
	}
	e.Indexer = must[[]byte](m.t)(json.Marshal(told))
}

func (m *maker) save(name string, list []*example) {
	var written []transaction
	for _, e := range list {
		written = append(written, e.transaction)
	}
	data := must[[]byte](m.t)(json.MarshalIndent(written, "", "  "))
	m.file(name, append(data, '\n'))
}

// saveKeys writes keys.json with what has changed in it.
func (m *maker) saveKeys() {
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(vector(m.t, "keys.json")))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		m.t.Fatal(err)
	}
	all["epoch_1"], all["charter_txid"] = m.keys.Epoch1, m.keys.Charter
	data := must[[]byte](m.t)(json.MarshalIndent(all, "", "  "))
	m.file("keys.json", append(data, '\n'))
}
