package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/go-json-experiment/json"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/seal"
)

func marshal(document any) ([]byte, error) { return json.Marshal(document) }

func must(t testing.TB) func([]byte, error) []byte {
	return func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

// document is one that another organisation writes and every reader must take for the same, or for nothing.
type document struct {
	name  string
	data  []byte
	parse func(data []byte) error
}

// kind makes a document, whose reader must give back what was written.
func kind[T any](t testing.TB, name string, written T, encode func(T) ([]byte, error), parse func([]byte) (T, error)) document {
	t.Helper()
	data := must(t)(encode(written))
	return document{name, data, func(data []byte) error {
		read, err := parse(data)
		if err != nil {
			return err
		}
		again, err := encode(read)
		if want := must(t)(encode(written)); err != nil || !bytes.Equal(again, want) {
			t.Errorf("the %s is read as %.300s, %v; written was %.300s", name, again, err, want)
		}
		return nil
	}}
}

func aCharter() Charter {
	return Charter{Name: "Test", GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{3}, 32), Network: NetworkPublic, Founder: anAccount, DefaultCollection: aCollection}
}

func anAmendment() Amendment {
	return Amendment{Name: "Test", Governor: Quorum{Threshold: 1, Accounts: []string{anAccount}}}
}

func anInvite() Invite {
	return Invite{
		Consortium: 7, Charter: strings.Repeat("A", 52), Name: "Test", GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{1}, 32), Account: anAccount,
		Network: NetworkPublic, Peers: []string{"/ip4/127.0.0.1/tcp/4001"},
	}
}

// signedMember is a member document that both keys signed, whatever it says.
func signedMember(t testing.TB, change func(*Member)) (Member, error) {
	t.Helper()
	m, k := newMember(t, "acme")
	change(&m)
	return m.Sign(k.account.PrivateKey, k.peerKey)
}

func documents(t testing.TB) []document {
	t.Helper()
	member, err := signedMember(t, func(*Member) {})
	if err != nil {
		t.Fatal(err)
	}
	unmarked := member
	unmarked.Format, unmarked.Kind = "", ""
	return []document{
		kind(t, "charter", aCharter(), Charter.Encode, ParseCharter),
		kind(t, "amendment", anAmendment(), Amendment.Encode, ParseAmendment),
		kind(t, "member", unmarked, Member.Encode, ParseMember),
		kind(t, "removal", Removal{Account: anAccount}, Removal.Encode, ParseRemoval),
		kind(t, "removal of an object", Removal{Asset: 1}, Removal.Encode, ParseRemoval),
		kind(t, "removal of one object of a batch", Removal{Asset: 1, Index: MaxBatch}, Removal.Encode, ParseRemoval),
		kind(t, "batch", aBatch(t, 2), Batch.Encode, ParseBatch),
		kind(t, "rotation", Rotation{Member: unmarked}, Rotation.Encode, ParseRotation),
		kind(t, "collection", CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: []byte{2}}, CollectionRecord.Encode, ParseCollectionRecord),
		kind(t, "keyring", KeyringRecord{Collection: aCollection, Keyrings: [][]byte{{1}, {2}}}, KeyringRecord.Encode, ParseKeyringRecord),
		kind(t, "proposal", Proposal{Transaction: []byte{1}, Metadata: []byte{2}, Record: []byte{3}}, Proposal.Encode, ParseProposal),
		kind(t, "object", []byte{7}, EncodeSealedObject, ParseSealedObject),
	}
}

// Two kinds have the same properties in part: one must never pass for the other.
func TestADocumentIsReadAsItsOwnKindAlone(t *testing.T) {
	for _, d := range documents(t) {
		if err := d.parse(d.data); err != nil {
			t.Errorf("the %s: %v", d.name, err)
		}
		for _, other := range documents(t) {
			if strings.Fields(other.name)[0] == strings.Fields(d.name)[0] {
				continue
			}
			if err := other.parse(d.data); err == nil {
				t.Errorf("a %s passes for a %s", d.name, other.name)
			}
		}
	}
}

func TestADocumentOfAnotherFormatOrKindIsRefused(t *testing.T) {
	for _, d := range documents(t) {
		for what, change := range map[string][2]string{
			"the next format": {`{"format":"serviceledger/1"`, `{"format":"serviceledger/2"`},
			"no format":       {`{"format":"serviceledger/1",`, `{`},
			"another kind":    {`"kind":"`, `"kind":"x`},
		} {
			data := bytes.Replace(d.data, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(data, d.data) && d.name == "object" {
				continue // an object has no kind
			}
			if err := d.parse(data); err == nil || bytes.Equal(data, d.data) {
				t.Errorf("a %s with %s passes", d.name, what)
			}
		}
		for what, data := range map[string][]byte{
			"nothing": {}, "a list": []byte("[]"), "half of it": d.data[:len(d.data)/2], "more behind it": append(bytes.Clone(d.data), "{}"...),
			"a property twice": concat([]byte(`{"format":"serviceledger/1",`), d.data[1:]), "bytes that are no text": concat([]byte("{\"x\":\"\xff\","), d.data[1:]),
		} {
			if err := d.parse(data); err == nil {
				t.Errorf("%s passes for a %s", what, d.name)
			}
		}
	}
}

func TestTheMemberDocumentOfARotationIsMarkedAsOne(t *testing.T) {
	member, err := signedMember(t, func(*Member) {})
	if err != nil || member.Format != Format || member.Kind != KindMember {
		t.Fatalf("%+v, %v", member, err)
	}
	refuse(t, must(t)(Rotation{Member: member}.Encode()), Rotation.Encode, ParseRotation, map[string]func(*Rotation){
		"a title that nobody signed": func(r *Rotation) { r.Member.Title = "Evil" },
	})
	rotation := Rotation{Format: Format, Kind: KindRotation, Member: member}
	for what, change := range map[string]func(*Member){
		"another kind":   func(m *Member) { m.Kind = KindRotation },
		"another format": func(m *Member) { m.Format = "serviceledger/2" },
	} {
		changed := rotation
		change(&changed.Member)
		if _, err := ParseRotation(must(t)(marshal(changed))); err == nil {
			t.Errorf("%s passes", what)
		}
	}
}

// refuse tries every change of a document that is in order, at the writer and at a reader that the writer did not
// spare.
func refuse[T any](t *testing.T, data []byte, encode func(T) ([]byte, error), parse func([]byte) (T, error), changes map[string]func(*T)) {
	t.Helper()
	for what, change := range changes {
		changed, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		change(&changed)
		if _, err := encode(changed); err == nil {
			t.Errorf("%s is written", what)
		}
		if _, err := parse(must(t)(marshal(changed))); err == nil {
			t.Errorf("%s is read", what)
		}
	}
}

func TestACharterSaysWhereItsConsortiumLives(t *testing.T) {
	refuse(t, must(t)(aCharter().Encode()), Charter.Encode, ParseCharter, map[string]func(*Charter){
		"no name":               func(c *Charter) { c.Name = "" },
		"a name with an escape": func(c *Charter) { c.Name = "\x1b[2J" },
		"no genesis hash":       func(c *Charter) { c.GenesisHash = nil },
		"a short genesis hash":  func(c *Charter) { c.GenesisHash = c.GenesisHash[1:] },
		"a long genesis hash":   func(c *Charter) { c.GenesisHash = append(c.GenesisHash, 0) },
		"no genesis id":         func(c *Charter) { c.GenesisID = "" },
		"a long genesis id": func(c *Charter) {
			c.GenesisID = strings.Repeat("g", documented(t, "| `genesis_id` | text, 1 to # bytes |")+1)
		},
		"another network":                func(c *Charter) { c.Network = "secret" },
		"no network":                     func(c *Charter) { c.Network = "" },
		"no founder":                     func(c *Charter) { c.Founder = "" },
		"no default collection":          func(c *Charter) { c.DefaultCollection = "" },
		"a default collection of a kind": func(c *Charter) { c.DefaultCollection = "default" },
	})
	for _, change := range []func(*Charter){
		func(c *Charter) { c.GenesisID = "g" }, func(c *Charter) { c.GenesisID = strings.Repeat("g", 100) },
		func(c *Charter) { c.Network = NetworkPrivate }, func(c *Charter) { c.History = true },
	} {
		c := aCharter()
		change(&c)
		d := kind(t, "charter", c, Charter.Encode, ParseCharter)
		if err := d.parse(d.data); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAnAmendmentNamesAGovernorThatCanSign(t *testing.T) {
	refuse(t, must(t)(anAmendment().Encode()), Amendment.Encode, ParseAmendment, map[string]func(*Amendment){
		"no name":     func(a *Amendment) { a.Name = "" },
		"no governor": func(a *Amendment) { a.Governor = Quorum{} },
		"nobody":      func(a *Amendment) { a.Governor.Accounts = nil },
		"no account":  func(a *Amendment) { a.Governor.Accounts = []string{"x"} },
	})
}

func TestARemovalIsOfAnAccountOrOfAnAsset(t *testing.T) {
	refuse(t, must(t)(Removal{Account: anAccount}.Encode()), Removal.Encode, ParseRemoval, map[string]func(*Removal){
		"both":       func(r *Removal) { r.Asset = 1 },
		"neither":    func(r *Removal) { r.Account = "" },
		"no account": func(r *Removal) { r.Account = "x" },
		"an index":   func(r *Removal) { r.Index = 1 },
	})
	refuse(t, must(t)(Removal{Asset: 1, Index: 1}.Encode()), Removal.Encode, ParseRemoval, map[string]func(*Removal){
		"no asset":       func(r *Removal) { r.Asset = 0 },
		"a high index":   func(r *Removal) { r.Index = MaxBatch + 1 },
		"an account too": func(r *Removal) { r.Account = anAccount },
	})
}

func TestACollectionRecordSealsSomethingForItsReaders(t *testing.T) {
	refuse(t, must(t)(CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: []byte{1}}.Encode()),
		CollectionRecord.Encode, ParseCollectionRecord, map[string]func(*CollectionRecord){
			"nothing sealed": func(c *CollectionRecord) { c.Sealed = nil },
			"no key":         func(c *CollectionRecord) { c.Key = nil },
			"half a key":     func(c *CollectionRecord) { c.Key = c.Key[:16] },
			"a longer key":   func(c *CollectionRecord) { c.Key = make([]byte, 33) },
			"no keyring":     func(c *CollectionRecord) { c.Keyrings = nil },
			"no collection":  func(c *CollectionRecord) { c.Collection = "" },
		})
	refuse(t, must(t)(KeyringRecord{Collection: aCollection, Keyrings: [][]byte{{1}}}.Encode()),
		KeyringRecord.Encode, ParseKeyringRecord, map[string]func(*KeyringRecord){
			"no keyring":             func(k *KeyringRecord) { k.Keyrings = nil },
			"no collection":          func(k *KeyringRecord) { k.Collection = "" },
			"another kind of a UUID": func(k *KeyringRecord) { k.Collection = strings.ToUpper(aCollection) },
		})
}

func TestAProposalHasAllThatIsSigned(t *testing.T) {
	refuse(t, must(t)(Proposal{Transaction: []byte{1}, Metadata: []byte{2}, Record: []byte{3}}.Encode()), Proposal.Encode, ParseProposal, map[string]func(*Proposal){
		"no transaction": func(p *Proposal) { p.Transaction = nil },
		"no metadata":    func(p *Proposal) { p.Metadata = nil },
		"no record":      func(p *Proposal) { p.Record = nil },
	})
}

func TestACollectionSaysHowItIsRead(t *testing.T) {
	valid := Collection{
		Title: "T", Alias: "t", Description: "D", Readers: Accounts{Members: true}, Contributors: Accounts{Named: []string{anAccount}},
		DefaultLevel: "amber", Metadata: MetadataSealed, Padding: PaddingCoarse, AdHoc: true,
	}
	d := kind(t, "collection", valid, Collection.Encode, ParseCollection)
	if err := d.parse(d.data); err != nil {
		t.Fatal(err)
	}
	refuse(t, d.data, Collection.Encode, ParseCollection, map[string]func(*Collection){
		"no title":                   func(c *Collection) { c.Title = "" },
		"no metadata mode":           func(c *Collection) { c.Metadata = "" },
		"another metadata mode":      func(c *Collection) { c.Metadata = "secret" },
		"another padding":            func(c *Collection) { c.Padding = "fine" },
		"a reader who is nobody":     func(c *Collection) { c.Readers.Named = []string{anAccount, "x"} },
		"a contributor of no name":   func(c *Collection) { c.Contributors.Named = []string{""} },
		"a description on two lines": func(c *Collection) { c.Description = "a\nb" },
	})
	for _, mode := range []string{MetadataOpen, MetadataSealed} {
		if err := second(Collection{Title: "T", Metadata: mode}.Encode()); err != nil {
			t.Errorf("%s, without padding: %v", mode, err)
		}
	}
}

func TestAKeyringIsOfACollectionAndItsErrorsTellNothing(t *testing.T) {
	valid := Keyring{Collection: aCollection, Epochs: []KeyringEpoch{{1, "AGE-SECRET-KEY-1X"}, {2, "AGE-SECRET-KEY-1Y"}}}
	d := kind(t, "keyring", valid, Keyring.Encode, ParseKeyring)
	if err := d.parse(d.data); err != nil {
		t.Fatal(err)
	}
	refuse(t, d.data, Keyring.Encode, ParseKeyring, map[string]func(*Keyring){"no collection": func(k *Keyring) { k.Collection = "" }})
	broken := bytes.Replace(d.data, []byte(`"epoch":2`), []byte(`"epoch":"2"`), 1)
	if _, err := ParseKeyring(broken); err == nil || strings.Contains(err.Error(), "AGE-SECRET") || errors.Unwrap(err) != nil {
		t.Errorf("a keyring that is broken: %v", err)
	}
}

func TestASetOfMembersIsAllOrSomeOfThem(t *testing.T) {
	for _, c := range []struct {
		set  Accounts
		want bool
	}{
		{Accounts{}, false}, {Accounts{Members: true}, true}, {Accounts{Named: []string{"x", anAccount}}, true}, {Accounts{Named: []string{"x"}}, false},
	} {
		if got := c.set.Includes(anAccount); got != c.want {
			t.Errorf("%+v includes the account: %v", c.set, got)
		}
	}
}

// Both keys have signed each of these, so that nothing but what it says can be what is refused.
func TestAMemberDocumentSaysWhoTheMemberIs(t *testing.T) {
	secp, _, err := p2pcrypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsa, _, err := p2pcrypto.GenerateECDSAKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	classic := "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" // X25519 alone
	for what, c := range map[string]struct {
		change  func(*Member)
		peerKey p2pcrypto.PrivKey
	}{
		"a reserved name":                    {change: func(m *Member) { m.Organisation = "taxii2" }},
		"no title":                           {change: func(m *Member) { m.Title = "" }},
		"no account":                         {change: func(m *Member) { m.Account = "" }},
		"an account in another spelling":     {change: func(m *Member) { m.Account = respelled(m.Account) }},
		"no recipient":                       {change: func(m *Member) { m.Recipient = "" }},
		"a recipient that is not hybrid":     {change: func(m *Member) { m.Recipient = classic }},
		"no peer":                            {change: func(m *Member) { m.Peer = "" }},
		"a peer in another spelling":         {change: func(m *Member) { m.Peer = peer.ToCid(peerID(t, m.Peer)).String() }},
		"a peer whose key is another's kind": {change: func(m *Member) { m.Peer = idOf(t, secp) }, peerKey: secp},
		"a peer whose id is a hash":          {change: func(m *Member) { m.Peer = idOf(t, ecdsa) }, peerKey: ecdsa},
	} {
		m, k := newMember(t, "acme")
		c.change(&m)
		if c.peerKey == nil {
			c.peerKey = k.peerKey
		}
		m.Format, m.Kind = Format, KindMember
		m.Signatures.Account, err = crypto.SignBytes(k.account.PrivateKey, m.statement())
		if err != nil {
			t.Fatal(err)
		}
		m.Signatures.Peer = must(t)(c.peerKey.Sign(m.statement()))
		if _, err := ParseMember(must(t)(marshal(m))); err == nil || strings.Contains(err.Error(), "signature") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := m.Sign(k.account.PrivateKey, c.peerKey); err == nil {
			t.Errorf("%s is signed", what)
		}
	}
}

func peerID(t testing.TB, text string) peer.ID {
	t.Helper()
	id, err := peer.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func idOf(t testing.TB, key p2pcrypto.PrivKey) string {
	t.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// respelled is an address with other bits after its last byte, which base32 does not read.
func respelled(account string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	last := strings.IndexByte(digits, account[len(account)-1])
	return account[:len(account)-1] + string(digits[last^1])
}

// brokenKey is a peer key that can't sign.
type brokenKey struct{ p2pcrypto.PrivKey }

func (brokenKey) Sign([]byte) ([]byte, error) { return nil, errors.New("the token is gone") }

func TestAMemberDocumentIsNotSignedWithoutThePeerKey(t *testing.T) {
	m, k := newMember(t, "acme")
	if _, err := m.Sign(k.account.PrivateKey, brokenKey{k.peerKey}); err == nil || !strings.Contains(err.Error(), "the token is gone") {
		t.Errorf("%v", err)
	}
}

func TestAnAccountHasOneSpelling(t *testing.T) {
	zero := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAY5HFKQ"
	for _, bad := range []string{"", "x", respelled(anAccount), strings.ToLower(anAccount), anAccount + " ", anAccount[1:], zero, "A" + anAccount[1:]} {
		if checkAccount(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if err := checkAccount(anAccount); err != nil {
		t.Error(err)
	}
}

func TestAUUIDHasOneSpelling(t *testing.T) {
	for _, bad := range []string{
		"", "x", strings.ToUpper(aCollection), "urn:uuid:" + aCollection, "{" + aCollection + "}", strings.ReplaceAll(aCollection, "-", ""),
		aCollection[:14] + "1" + aCollection[15:], aCollection[:19] + "c" + aCollection[20:], "00000000-0000-0000-0000-000000000000",
	} {
		if CheckUUID(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if err := CheckUUID(aCollection); err != nil {
		t.Error(err)
	}
}

func TestADigestOfAPeerIsExactly64Digits(t *testing.T) {
	digest := PeerDigest("x")
	for what, note := range map[string]Note{
		"no account":              {Former: anAccount, PeerDigest: digest},
		"no former account":       {Account: anAccount, PeerDigest: digest},
		"no digest":               {Account: anAccount, Former: anAccount},
		"a short digest":          {Account: anAccount, Former: anAccount, PeerDigest: digest[2:]},
		"a long digest":           {Account: anAccount, Former: anAccount, PeerDigest: digest + "00"},
		"letters behind a digest": {Account: anAccount, Former: anAccount, PeerDigest: digest + "zz"},
		"half a byte more":        {Account: anAccount, Former: anAccount, PeerDigest: digest + "0"},
		"a digest in capitals":    {Account: anAccount, Former: anAccount, PeerDigest: strings.ToUpper(digest)},
	} {
		note.Kind, note.Sequence = KindRotation, 1
		if _, err := note.Encode(1); err == nil {
			t.Errorf("%s is written", what)
		}
	}
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
		t.Errorf("%s, %v", digest, err)
	}
}

func TestANoteWithoutItsNameIsNotOurs(t *testing.T) {
	for _, text := range []string{`:j{"v":1,"k":"charter","s":0}`, `/1:j{"v":1,"k":"object","s":1}`, `1:j{"v":1,"k":"object","s":1}`} {
		if consortium, note, err := ParseNote([]byte(text)); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%q is read as %+v in %d, %v", text, note, consortium, err)
		}
	}
}

func TestTheDirectoryOfAURLIsOfOneForm(t *testing.T) {
	const known = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
	directory, err := ParseURL("ipfs://" + known + "/metadata.json#arc3")
	if err != nil || directory.String() != known || directory.Type() != cid.DagProtobuf {
		t.Errorf("%s, %v", directory, err)
	}
	for _, bad := range []string{known + "/metadata.json#arc3", "ipfs://" + known, "ipfs://ipfs://" + known + "/metadata.json#arc3", "ipfs://x/metadata.json#arc3"} {
		if got, err := ParseURL(bad); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
}

func TestATimeHasNoComma(t *testing.T) {
	if at, err := ParseTime("2026-01-01T00:00:00,000000Z"); err == nil {
		t.Errorf("it is read as %v", at)
	}
}

func TestMetadataHasWhatItsKindHasAndNothingElse(t *testing.T) {
	object := objectMetadata(nil).Properties
	record := func(kind Kind) Properties {
		return Properties{Kind: kind, Consortium: 1, Publisher: anAccount, StoredAt: object.StoredAt}
	}
	with := func(p Properties, change func(*Properties)) Properties { change(&p); return p }
	long := documented(t, "| `identifier` | text, 1 to # bytes |")
	longVersion := documented(t, "| `version` | text, at most # bytes |")
	collection := with(record(KindCollection), func(p *Properties) { p.Epoch, p.Collection = 1, aCollection })
	keyring := with(record(KindKeyring), func(p *Properties) { p.Collection = aCollection })
	batch := with(record(KindBatch), func(p *Properties) { p.Epoch, p.Collection, p.Objects = 1, aCollection, 1 })
	for what, p := range map[string]Properties{
		"an object": object,
		"an object of the longest names": with(object, func(p *Properties) {
			p.Identifier, p.Version = strings.Repeat("x", long), strings.Repeat("v", longVersion)
		}),
		"an object without a version":     with(object, func(p *Properties) { p.Version = "" }),
		"a collection":                    collection,
		"a keyring":                       keyring,
		"a batch":                         batch,
		"the largest batch":               with(batch, func(p *Properties) { p.Objects = MaxBatch }),
		"a member":                        record(KindMember),
		"a charter":                       with(record(KindCharter), func(p *Properties) { p.Consortium = 0 }),
		"a kind that nobody knows as yet": record("later"),
	} {
		m := NewMetadata(p, nil)
		if got, err := ParseMetadata(must(t)(m.Encode())); err != nil || got != m {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for what, p := range map[string]Properties{
		"an object with a long identifier": with(object, func(p *Properties) { p.Identifier = strings.Repeat("x", long+1) }),
		"an object with a long version":    with(object, func(p *Properties) { p.Version = strings.Repeat("v", longVersion+1) }),
		"an object in no collection":       with(object, func(p *Properties) { p.Collection = "" }),
		"an object of nobody":              with(object, func(p *Properties) { p.Publisher = "" }),
		"a charter of nobody":              with(record(KindCharter), func(p *Properties) { p.Consortium, p.Publisher = 0, "" }),
		"an object in no epoch":            with(object, func(p *Properties) { p.Epoch = 0 }),
		"a collection in no epoch":         with(collection, func(p *Properties) { p.Epoch = 0 }),
		"a collection without an id":       with(collection, func(p *Properties) { p.Collection = "" }),
		"a collection with an identifier":  with(collection, func(p *Properties) { p.Identifier = "x" }),
		"a collection with a version":      with(collection, func(p *Properties) { p.Version = "x" }),
		"a keyring with an epoch":          with(keyring, func(p *Properties) { p.Epoch = 1 }),
		"a keyring of no collection":       with(keyring, func(p *Properties) { p.Collection = "" }),
		"a keyring of a collection of old": with(keyring, func(p *Properties) { p.Collection = strings.ToUpper(aCollection) }),
		"a batch of nothing":               with(batch, func(p *Properties) { p.Objects = 0 }),
		"a batch of too much":              with(batch, func(p *Properties) { p.Objects = MaxBatch + 1 }),
		"a batch in no epoch":              with(batch, func(p *Properties) { p.Epoch = 0 }),
		"a batch in no collection":         with(batch, func(p *Properties) { p.Collection = "" }),
		"a batch with an identifier":       with(batch, func(p *Properties) { p.Identifier = "x" }),
		"an object of several":             with(object, func(p *Properties) { p.Objects = 1 }),
		"a collection with objects":        with(collection, func(p *Properties) { p.Objects = 1 }),
		"a member with objects":            with(record(KindMember), func(p *Properties) { p.Objects = 1 }),
		"a member in a collection":         with(record(KindMember), func(p *Properties) { p.Collection = aCollection }),
		"a member in an epoch":             with(record(KindMember), func(p *Properties) { p.Epoch = 1 }),
		"a charter in a consortium":        record(KindCharter),
		"a member in no consortium":        with(record(KindMember), func(p *Properties) { p.Consortium = 0 }),
	} {
		m := NewMetadata(p, nil)
		if _, err := m.Encode(); err == nil {
			t.Errorf("%s is written", what)
		}
		if _, err := ParseMetadata(must(t)(marshal(m))); err == nil {
			t.Errorf("%s is read", what)
		}
	}
}

func TestAnInviteTellsANewcomerAllThatItNeeds(t *testing.T) {
	_, k := newMember(t, "acme")
	changes := map[string]func(*Invite){
		"no consortium":                     func(i *Invite) { i.Consortium = 0 },
		"no charter":                        func(i *Invite) { i.Charter = "" },
		"a charter's id cut off":            func(i *Invite) { i.Charter = i.Charter[1:] },
		"no genesis hash":                   func(i *Invite) { i.GenesisHash = nil },
		"no account":                        func(i *Invite) { i.Account = "" },
		"a private network without its key": func(i *Invite) { i.Network = NetworkPrivate },
		"a public network with a key":       func(i *Invite) { i.SwarmKey = "k" },
		"a peer of no address":              func(i *Invite) { i.Peers = append(i.Peers, "x") },
		"another format":                    func(i *Invite) { i.Format = "serviceledger/2" },
		"another kind":                      func(i *Invite) { i.Kind = KindProposal },
	}
	for what, change := range changes {
		invite := anInvite()
		change(&invite)
		marked := invite.Format != "" || invite.Kind != "" // the writer puts them right
		if sealed, err := invite.Seal(k.identity.Recipient()); err == nil && !marked {
			t.Errorf("%s is written in %d bytes", what, len(sealed))
		}
		invite = anInvite()
		invite.Format, invite.Kind = Format, KindInvite
		change(&invite)
		if got, err := OpenInvite(sealTo(t, k, must(t)(marshal(invite))), k.identity); err == nil {
			t.Errorf("%s is read as %+v", what, got)
		}
	}
	one := anInvite()
	one.Consortium = 1
	if got, err := OpenInvite(must(t)(one.Seal(k.identity.Recipient())), k.identity); err != nil || got.Consortium != 1 || got.Format != Format || got.Kind != KindInvite {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := one.Seal("age1x"); err == nil {
		t.Error("an invite for a key that is none is written")
	}
}

func sealTo(t testing.TB, k keys, plaintext []byte) []byte {
	t.Helper()
	return must(t)(seal.SealTo([]string{k.identity.Recipient()}, plaintext))
}

func TestTheErrorsOfAnInviteDoNotRepeatIt(t *testing.T) {
	_, k := newMember(t, "acme")
	for _, plaintext := range []string{`{"swarm_key":"0a0a0a"`, `{"swarm_key":["0a0a0a"]}`, `0a0a0a`} {
		if _, err := OpenInvite(sealTo(t, k, []byte(plaintext)), k.identity); err == nil || strings.Contains(err.Error(), "0a0a") {
			t.Errorf("%v", err)
		}
	}
	whole := anInvite()
	whole.Format, whole.Kind = Format, KindInvite
	if _, err := OpenInvite(sealTo(t, k, append(must(t)(marshal(whole)), "{}"...)), k.identity); err == nil {
		t.Error("an invite with more behind it is read")
	}
	if _, err := OpenInvite([]byte("0a0a0a"), k.identity); err == nil || !strings.Contains(err.Error(), "age file") {
		t.Errorf("what is no age file: %v", err)
	}
}

// aCommitment is what a collection record says of its epoch's key.
var aCommitment = bytes.Repeat([]byte{9}, 32)
