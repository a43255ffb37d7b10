package evidence

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/google/uuid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// directoryCID stands for IPFS: another CID for other files. The tests with real nodes use the real one.
func directoryCID(metadata []byte, name string, payload []byte) (string, error) {
	c, err := wire.DirectoryCID.Sum(fmt.Appendf(nil, "%q %q %q", metadata, name, payload))
	return c.String(), err
}

// account is one of one key, or of two of three.
type account struct {
	keys  []crypto.Account
	multi *crypto.MultisigAccount
	with  int // how many of the keys sign
}

func newAccount() *account {
	return &account{keys: []crypto.Account{crypto.GenerateAccount()}, with: 1}
}

func newMultisig(t testing.TB) *account {
	t.Helper()
	a := &account{keys: []crypto.Account{crypto.GenerateAccount(), crypto.GenerateAccount(), crypto.GenerateAccount()}, with: 2}
	multi, err := crypto.MultisigAccountWithParams(1, 2, []types.Address{a.keys[0].Address, a.keys[1].Address, a.keys[2].Address})
	must(t, err)
	a.multi = &multi
	return a
}

func (a *account) address(t testing.TB) types.Address {
	t.Helper()
	if a.multi == nil {
		return a.keys[0].Address
	}
	address, err := a.multi.Address()
	must(t, err)
	return address
}

func (a *account) sign(t testing.TB, transaction types.Transaction) (signed types.SignedTxn) {
	t.Helper()
	if a.multi == nil {
		_, raw, err := crypto.SignTransaction(a.keys[0].PrivateKey, transaction)
		must(t, err)
		must(t, msgpack.Decode(raw, &signed))
		return signed
	}
	var parts [][]byte
	for _, key := range a.keys[:a.with] {
		_, part, err := crypto.SignMultisigTransaction(key.PrivateKey, *a.multi, transaction)
		must(t, err)
		parts = append(parts, part)
	}
	raw := parts[0]
	if len(parts) > 1 {
		var err error
		_, raw, err = crypto.MergeMultisigTransactions(parts...)
		must(t, err)
	}
	must(t, msgpack.Decode(raw, &signed))
	return signed
}

const charterAsset = 1001

var (
	genesis = types.Digest{7, 7, 7}
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// world is a chain of blocks that exist only in the test, each with two transactions of which the second is ours.
type world struct {
	t        testing.TB
	proofs   bool         // the network makes state proofs
	word     bool         // no block can be had
	network  types.Digest // that the charter is for
	round    uint64
	asset    uint64
	sequence map[types.Address]uint64
	governor *account
	member   *account
	charter  Publication
	admitted Publication
	shared   consortium.Collection
}

// newWorld founds a consortium and admits one member.
func newWorld(t testing.TB, governor *account, options ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, round: 300, asset: charterAsset - 1, sequence: map[types.Address]uint64{}, governor: governor, member: newAccount(), network: genesis}
	for _, o := range options {
		o(w)
	}
	key, err := seal.NewEpochKey()
	must(t, err)
	w.shared = consortium.Collection{ID: uuid.NewString(), Epoch: 1, Key: key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	charter, err := consortium.DraftCharter(wire.Charter{
		Name: "The Testers", GenesisID: "test-v1", GenesisHash: w.network[:], Network: wire.NetworkPrivate,
		Founder: w.member.address(t).String(), DefaultCollection: w.shared.ID,
	}, noon)
	must(t, err)
	w.charter = w.publish(governor, charter)
	w.admitted = w.publish(governor, w.admission(w.member))
	return w
}

func withStateProofs(w *world) { w.proofs = true }
func withoutBlocks(w *world)   { w.word = true }

func (w *world) admission(of *account) consortium.Draft {
	w.t.Helper()
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(w.t, err)
	id, err := peer.IDFromPrivateKey(peerKey)
	must(w.t, err)
	identity, err := seal.NewIdentity()
	must(w.t, err)
	member, err := wire.Member{
		Organisation: "acme", Title: "ACME", Account: of.address(w.t).String(), Peer: id.String(), Recipient: identity.Recipient(),
	}.Sign(of.keys[0].PrivateKey, peerKey)
	must(w.t, err)
	draft, err := consortium.DraftMember(charterAsset, member, noon)
	must(w.t, err)
	return draft
}

const (
	poisonID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	poison   = `{"type":"indicator","spec_version":"2.1","id":"` + poisonID + `","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z",` +
		`"name":"Poison","pattern":"[file:hashes.MD5 = 'x']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"}`
)

func (w *world) object(revealing bool) consortium.Draft {
	w.t.Helper()
	draft, err := consortium.DraftObject(charterAsset, w.shared, poisonID, "2026-01-01T00:00:00Z", revealing, []byte(poison), noon)
	must(w.t, err)
	return draft
}

func (w *world) disclose(p Publication) *Disclosed {
	w.t.Helper()
	sealed, err := wire.ParseSealedObject([]byte(p.Payload))
	must(w.t, err)
	fileKey, err := w.shared.Key.FileKey(sealed)
	must(w.t, err)
	return &Disclosed{FileKey: fileKey, Object: poison}
}

// publish mints a draft and gives it with its proofs. It is its signer's, unless it was drafted by somebody else.
func (w *world) publish(by *account, d consortium.Draft) Publication {
	w.t.Helper()
	if d.Metadata == nil {
		var err error
		d, err = d.By(by.address(w.t).String())
		must(w.t, err)
	}
	cid, err := directoryCID(d.Metadata, d.PayloadName, d.Payload)
	must(w.t, err)
	p := w.confirm(by, d.Note, types.AssetParams{
		Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: "ipfs://" + cid + "/metadata.json#arc3",
		MetadataHash: wire.MetadataHash(d.Metadata), Manager: by.address(w.t),
	}, 0)
	p.Metadata, p.Payload = string(d.Metadata), string(d.Payload)
	return p
}

func (w *world) destroy(by *account, asset uint64) Publication {
	w.t.Helper()
	return w.confirm(by, wire.Note{Kind: wire.KindDestroy}, types.AssetParams{}, asset)
}

func (w *world) confirm(by *account, note wire.Note, params types.AssetParams, destroyed uint64) Publication {
	w.t.Helper()
	id := uint64(0)
	sender := by.address(w.t)
	if note.Kind != wire.KindCharter {
		id = charterAsset
		w.sequence[sender]++
		note.Sequence = w.sequence[sender]
	}
	encoded, err := note.Encode(id)
	must(w.t, err)
	transaction := types.Transaction{
		Type: types.AssetConfigTx,
		Header: types.Header{
			Sender: sender, Fee: 1000, FirstValid: types.Round(w.round), LastValid: types.Round(w.round + 500), Note: encoded,
			GenesisID: "test-v1", GenesisHash: genesis,
		},
		AssetConfigTxnFields: types.AssetConfigTxnFields{ConfigAsset: types.AssetIndex(destroyed), AssetParams: params},
	}
	signed := by.sign(w.t, transaction)
	w.round++
	data := types.ApplyData{}
	if destroyed == 0 {
		w.asset++
		data.ConfigAsset = types.AssetIndex(w.asset)
	}
	txid := crypto.TransactionIDString(transaction)
	if w.word {
		return OnItsWord(Word{Round: w.round, Offset: 1, Time: noon.Unix(), Asset: uint64(data.ConfigAsset)}, signed, txid)
	}
	inBlock := types.SignedTxnInBlock{SignedTxnWithAD: types.SignedTxnWithAD{SignedTxn: signed, ApplyData: data}, HasGenesisID: true}
	inBlock.Txn.GenesisID, inBlock.Txn.GenesisHash = "", types.Digest{}
	another := sha256.Sum256(fmt.Appendf(nil, "another transaction of round %d", w.round))
	root, err := onchain.Root(onchain.Leaf(transaction, onchain.InBlockHash(msgpack.Encode(inBlock))), 1, another[:])
	must(w.t, err)
	header := types.BlockHeader{
		Round: types.Round(w.round), TimeStamp: noon.Unix(), GenesisID: "test-v1", GenesisHash: genesis,
		TxnCommitments: types.TxnCommitments{Sha256Commitment: root}, Seed: types.Seed{1, 2, 3},
		UpgradeState: types.UpgradeState{CurrentProtocol: "future"}, TxnCounter: w.asset,
	}
	block := Block{Header: msgpack.Encode(header), Index: 1, Path: another[:]}
	if w.proofs {
		block.StateProof = w.stateProof(&header, block.Header)
	}
	return InBlock(block, inBlock, txid)
}

// stateProof covers the rounds 257 to 258+round as four leaves of which all but ours are made up.
func (w *world) stateProof(header *types.BlockHeader, encoded []byte) *StateProof {
	w.t.Helper()
	index := w.round % 4
	siblings := bytes.Repeat([]byte{byte(w.round)}, 2*sha256.Size)
	root, err := onchain.Root(crypto.HashLightBlockHeader(onchain.LightHeader(header, onchain.HeaderHash(encoded))), index, siblings)
	must(w.t, err)
	return &StateProof{Index: index, Path: siblings, Message: Message{
		BlockHeadersCommitment: root[:], VotersCommitment: bytes.Repeat([]byte{5}, 64), LnProvenWeight: 2290107,
		FirstAttestedRound: w.round - index, LastAttestedRound: w.round - index + 3,
	}}
}

// file is the evidence for a publication by the member.
func (w *world) file(subject Publication) File {
	return File{Consortium: charterAsset, Records: []Publication{w.charter, w.admitted}, Subject: subject}
}

func (f File) mustEncode(t testing.TB) []byte {
	t.Helper()
	data, err := f.Encode()
	must(t, err)
	return data
}

func check(data []byte, o Options) Report {
	o.Directory = directoryCID
	return Check(data, o)
}

func (r Report) String() string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%-10s %s: %s (%s)\n", s.Outcome, s.Name, s.Value, s.Detail)
	}
	return b.String()
}

// step finds a step.
func (r Report) step(name string) Step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return Step{}
}

// unprovable are the steps that no file can prove and no hash can stand for.
var unprovable = []string{"governor was not replaced", "membership was not ended", "account was not replaced", "collection", "identifier", "readers could open it"}

// trusted are the values of the steps that are trusted, but for those.
func (r Report) trusted() (values []string) {
	for _, s := range r.Steps {
		if s.Outcome == Trusted && !slices.Contains(unprovable, s.Name) {
			values = append(values, s.Value)
		}
	}
	return values
}
