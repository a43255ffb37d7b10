package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/seal"
)

const (
	anAccount    = "3A2H7G5RDKAK6DGVP45LYLY6GYJPDUQJAP7F2UXHSNHME4LXTUYGH6MF6M"
	aCollection  = "0f1c1d3e-6a0b-4c52-9d7e-2b6a8f0e4c11"
	anIdentifier = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
)

func aDirectory(t testing.TB) cid.Cid {
	t.Helper()
	directory, err := DirectoryCID.Sum([]byte("a directory"))
	if err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestNotesAreReadAsTheyWereWritten(t *testing.T) {
	for _, c := range []struct {
		consortium uint64
		note       Note
		text       string
	}{
		{0, Note{Kind: KindCharter}, `serviceledger:j{"v":1,"k":"charter","s":0}`},
		{1234, Note{Kind: KindObject, Sequence: 17}, `serviceledger/1234:j{"v":1,"k":"object","s":17}`},
		{1234, Note{Kind: KindMember, Sequence: 1, Account: anAccount}, `serviceledger/1234:j{"v":1,"k":"member","s":1,"a":"` + anAccount + `"}`},
		{1234, Note{Kind: KindAmendment, Sequence: 2, Account: anAccount}, `serviceledger/1234:j{"v":1,"k":"amendment","s":2,"a":"` + anAccount + `"}`},
		{1234, Note{Kind: KindRemoval, Sequence: 3, Account: anAccount}, `serviceledger/1234:j{"v":1,"k":"removal","s":3,"a":"` + anAccount + `"}`},
		{1234, Note{Kind: KindRemoval, Sequence: 3, Asset: 77}, `serviceledger/1234:j{"v":1,"k":"removal","s":3,"n":77}`},
		{1234, Note{Kind: KindRemoval, Sequence: 3, Asset: 77, Index: 1000}, `serviceledger/1234:j{"v":1,"k":"removal","s":3,"n":77,"i":1000}`},
		{1234, Note{Kind: KindBatch, Sequence: 5}, `serviceledger/1234:j{"v":1,"k":"batch","s":5}`},
		{1234, Note{Kind: KindRelease, Sequence: 6}, `serviceledger/1234:j{"v":1,"k":"release","s":6}`},
		{1234, Note{Kind: KindRotation, Sequence: 4, Account: anAccount, Former: anAccount, PeerDigest: PeerDigest("x")},
			`serviceledger/1234:j{"v":1,"k":"rotation","s":4,"a":"` + anAccount + `","o":"` + anAccount + `","p":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}`},
		{1234, Note{Kind: KindRotation, Sequence: 4, Account: anAccount, Former: anAccount, PeerDigest: PeerDigest("x"), Consent: strings.Repeat("A", 86) + "=="},
			`serviceledger/1234:j{"v":1,"k":"rotation","s":4,"a":"` + anAccount + `","o":"` + anAccount + `","p":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","x":"` +
				strings.Repeat("A", 86) + `=="}`},
		{1, Note{Kind: KindCollection, Sequence: 2, Collection: aCollection}, `serviceledger/1:j{"v":1,"k":"collection","s":2,"c":"` + aCollection + `"}`},
	} {
		text, err := c.note.Encode(c.consortium)
		if err != nil || string(text) != c.text {
			t.Errorf("wrote %s, %v\n want %s", text, err, c.text)
		}
		if !bytes.HasPrefix(text, NotePrefix(c.consortium)) {
			t.Errorf("%s does not begin with the prefix that an indexer is searched for", text)
		}
		consortium, note, err := ParseNote(text)
		c.note.Version = Version
		if err != nil || consortium != c.consortium || note != c.note {
			t.Errorf("read %d, %+v, %v", consortium, note, err)
		}
	}
}

// The statement is what docs/PROTOCOL.md 7.8 says: another implementation's signature is over it.
func TestTheConsentToARotationIsAStatementOfTheNextAccount(t *testing.T) {
	next := crypto.GenerateAccount()
	note := Note{Kind: KindRotation, Account: next.Address.String(), Former: anAccount, PeerDigest: PeerDigest("x")}
	signed, err := note.WithConsent(1234, next.PrivateKey)
	if err != nil || !signed.Consented(1234) || signed.Consented(1235) || note.Consented(1234) {
		t.Fatalf("%+v, %v", signed, err)
	}
	signature, err := base64.StdEncoding.DecodeString(signed.Consent)
	statement := "MXserviceledger/1 rotation\nconsortium: 1234\nformer: " + anAccount + "\naccount: " + note.Account + "\npeer: " + note.PeerDigest + "\n"
	if err != nil || !ed25519.Verify(next.PublicKey, []byte(statement), signature) {
		t.Errorf("it is not a signature over %q: %v", statement, err)
	}
}

func TestForeignNotesAreNotOurs(t *testing.T) {
	for _, text := range []string{
		"", "hello", "serviceledger", "serviceledger:m\x80", "serviceledger/:j{}", "serviceledger/0:j{}", "serviceledger/01:j{}",
		"serviceledger/+1:j{}", "serviceledger/x:j{}", "serviceledger-x/1:j{}", "serviceledger/18446744073709551616:j{}",
	} {
		if _, _, err := ParseNote([]byte(text)); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%q: %v, want ErrNotOurs", text, err)
		}
	}
}

func TestMalformedNotesDoNotCount(t *testing.T) {
	for _, text := range []string{
		`serviceledger/1:j`, `serviceledger/1:j{}`, `serviceledger/1:j[]`, `serviceledger/1:j{"v":1,"k":"object","s":1}x`,
		`serviceledger/1:j{"v":2,"k":"object","s":1}`, `serviceledger/1:j{"v":1,"s":1}`,
		`serviceledger/1:j{"v":1,"k":"object","s":-1}`, `serviceledger/1:j{"v":1,"k":"object","s":"1"}`,
		`serviceledger/1:j{"v":1,"k":"object","k":"member","s":1}`, // two readings are one too many
		`serviceledger/1:j{"v":1,"k":"member","s":1}`, `serviceledger/1:j{"v":1,"k":"member","s":1,"a":"AAAA"}`,
		`serviceledger/1:j{"v":1,"k":"amendment","s":1}`, `serviceledger/1:j{"v":1,"k":"removal","s":1,"a":""}`,
		`serviceledger/1:j{"v":1,"k":"removal","s":1,"n":5,"a":"` + anAccount + `"}`, `serviceledger/1:j{"v":1,"k":"removal","s":1,"n":0}`,
		`serviceledger/1:j{"v":1,"k":"removal","s":1,"i":1,"a":"` + anAccount + `"}`, `serviceledger/1:j{"v":1,"k":"removal","s":1,"i":1}`,
		`serviceledger/1:j{"v":1,"k":"removal","s":1,"n":5,"i":1001}`, `serviceledger/1:j{"v":1,"k":"removal","s":1,"n":5,"i":-1}`,
		`serviceledger/1:j{"v":1,"k":"removal","s":1,"n":5,"i":4294967297}`,
		`serviceledger/1:j{"v":1,"k":"rotation","s":1,"a":"` + anAccount + `"}`, `serviceledger/1:j{"v":1,"k":"rotation","s":1,"o":"` + anAccount + `"}`,
		`serviceledger/1:j{"v":1,"k":"rotation","s":1,"a":"` + anAccount + `","o":"` + anAccount + `"}`,
		`serviceledger/1:j{"v":1,"k":"rotation","s":1,"a":"` + anAccount + `","o":"` + anAccount + `","p":"` + strings.ToUpper(PeerDigest("x")) + `"}`,
		`serviceledger/1:j{"v":1,"k":"rotation","s":1,"a":"` + anAccount + `","o":"` + anAccount + `","p":"` + PeerDigest("x") + `","x":"AAAA"}`,
		`serviceledger/1:j{"v":1,"k":"rotation","s":1,"a":"` + anAccount + `","o":"` + anAccount + `","p":"` + PeerDigest("x") + `","x":"` + strings.Repeat("A", 85) + `B=="}`,
		`serviceledger/1:j{"v":1,"k":"collection","s":1,"c":"x"}`,
		`serviceledger/1:j{"v":1,"k":"charter","s":1}`, `serviceledger:j{"v":1,"k":"object","s":1}`,
	} {
		if _, _, err := ParseNote([]byte(text)); err == nil || errors.Is(err, ErrNotOurs) {
			t.Errorf("%q: %v, want an error of its own", text, err)
		}
	}
}

func TestANoteWithMoreThanWeKnowIsStillRead(t *testing.T) {
	_, note, err := ParseNote([]byte(`serviceledger/1:j{"v":1,"k":"later","s":9,"new":[1]}`))
	if err != nil || note.Kind != "later" || note.Sequence != 9 {
		t.Errorf("%+v, %v", note, err)
	}
}

func FuzzParseNote(f *testing.F) {
	f.Add([]byte(`serviceledger/1234:j{"v":1,"k":"object","s":17}`))
	f.Add([]byte(`serviceledger:j{"v":1,"k":"charter","s":0}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		consortium, note, err := ParseNote(raw)
		if err != nil {
			return
		}
		again, err := note.Encode(consortium)
		if err != nil {
			t.Fatalf("%q was read but can't be written: %v", raw, err)
		}
		if c, n, err := ParseNote(again); err != nil || c != consortium || n != note {
			t.Fatalf("%q is read as %+v, and written and read again as %+v, %v", raw, note, n, err)
		}
	})
}

func TestURLs(t *testing.T) {
	url := URL(aDirectory(t))
	if len(url) != 85 {
		t.Errorf("the URL has %d bytes, want 85: %s", len(url), url)
	}
	if got, err := ParseURL(url); err != nil || got != aDirectory(t) {
		t.Errorf("read %v, %v", got, err)
	}
	raw := cid.NewCidV1(cid.Raw, aDirectory(t).Hash())
	for _, bad := range []string{
		"", "ipfs://", "https://" + aDirectory(t).String() + urlSuffix, "ipfs://" + aDirectory(t).String(), "ipfs://" + aDirectory(t).String() + "/x.json#arc3",
		URL(raw), "ipfs://" + cid.NewCidV0(aDirectory(t).Hash()).String() + urlSuffix, "ipfs://" + strings.ToUpper(aDirectory(t).String()) + urlSuffix,
		url + strings.Repeat(" ", 20),
	} {
		if got, err := ParseURL(bad); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/metadata.json#arc3")
	f.Fuzz(func(t *testing.T, url string) {
		if directory, err := ParseURL(url); err == nil && URL(directory) != url {
			t.Errorf("%q is read as %s, whose URL is %q", url, directory, URL(directory))
		}
	})
}

func objectMetadata(payload []byte) Metadata {
	return NewMetadata(Properties{
		Kind: KindObject, Consortium: 1234, Publisher: anAccount, Collection: aCollection, Epoch: 3, Identifier: anIdentifier,
		Version: "2026-01-02T03:04:05.678Z", StoredAt: FormatTime(time.Unix(1795000000, 0)),
	}, payload)
}

func TestMetadataIsReadAsItWasWritten(t *testing.T) {
	payload := []byte(`{"format":"serviceledger/1"}`)
	m := objectMetadata(payload)
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"SL Intelligence Xpression","decimals":0,"properties":{"format":"serviceledger/1","kind":"object",` +
		`"consortium":1234,"publisher":"` + anAccount + `","collection":"` + aCollection + `","epoch":3,"identifier":"` + anIdentifier + `",` +
		`"version":"2026-01-02T03:04:05.678Z","stored_at":"2026-11-18T11:06:40.000000Z","relative_path_url":"object.json",` +
		`"relative_url_integrity":"` + Integrity(payload) + `"}}`
	if string(data) != want {
		t.Errorf("wrote\n%s\nwant\n%s", data, want)
	}
	if got, err := ParseMetadata(data); err != nil || got != m {
		t.Errorf("read %+v, %v", got, err)
	}
	if err := m.CheckPayload(payload); err != nil {
		t.Errorf("its own payload: %v", err)
	}
	if err := m.CheckPayload([]byte("another")); err == nil {
		t.Error("another payload is taken for its own")
	}
}

func TestMetadataThatBreaksARuleIsRefused(t *testing.T) {
	for what, change := range map[string]func(*Properties){
		"another format":     func(p *Properties) { p.Format = "x" },
		"another file":       func(p *Properties) { p.Path = "../object.json" },
		"no consortium":      func(p *Properties) { p.Consortium = 0 },
		"no publisher":       func(p *Properties) { p.Publisher = "" },
		"nobody publishes":   func(p *Properties) { p.Publisher = types.ZeroAddress.String() },
		"no account":         func(p *Properties) { p.Publisher = strings.ToLower(anAccount) },
		"no collection":      func(p *Properties) { p.Collection = "" },
		"a v1 UUID":          func(p *Properties) { p.Collection = "0f1c1d3e-6a0b-1c52-9d7e-2b6a8f0e4c11" },
		"no epoch":           func(p *Properties) { p.Epoch = 0 },
		"no identifier":      func(p *Properties) { p.Identifier = "" },
		"a long identifier":  func(p *Properties) { p.Identifier = strings.Repeat("x", 513) },
		"a time without end": func(p *Properties) { p.StoredAt = "2026-01-01T00:00:00Z" },
	} {
		m := objectMetadata(nil)
		change(&m.Properties)
		if _, err := m.Encode(); err == nil {
			t.Errorf("%s is written", what)
		}
		raw, err := marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseMetadata(raw); err == nil {
			t.Errorf("%s is read", what)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	data, err := objectMetadata(nil).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMetadata(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("read but can't be written: %v", err)
		}
		if got, err := ParseMetadata(again); err != nil || got != m {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
	})
}

type keys struct {
	account  crypto.Account
	peerKey  p2pcrypto.PrivKey
	identity *seal.Identity
}

func newMember(t testing.TB, organisation string) (Member, keys) {
	t.Helper()
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(peerKey)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k := keys{crypto.GenerateAccount(), peerKey, identity}
	return Member{
		Organisation: organisation, Title: "ACME CERT", Account: k.account.Address.String(), Peer: id.String(), Recipient: identity.Recipient(),
	}, k
}

func TestAMemberDocumentIsProvedByBothKeys(t *testing.T) {
	m, k := newMember(t, "acme")
	signed, err := m.Sign(k.account.PrivateKey, k.peerKey)
	if err != nil {
		t.Fatal(err)
	}
	data, err := signed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseMember(append(data, '\n')); err != nil || got.Organisation != "acme" {
		t.Fatalf("read %+v, %v", got, err)
	}
	other, otherKeys := newMember(t, "other")
	_ = otherKeys
	for what, change := range map[string]func(*Member){
		"another name":          func(m *Member) { m.Organisation = "evil" },
		"another title":         func(m *Member) { m.Title = "EVIL" },
		"another account":       func(m *Member) { m.Account = other.Account },
		"another peer":          func(m *Member) { m.Peer = other.Peer },
		"another recipient":     func(m *Member) { m.Recipient = other.Recipient },
		"no account signature":  func(m *Member) { m.Signatures.Account = nil },
		"no peer signature":     func(m *Member) { m.Signatures.Peer = nil },
		"a line break in title": func(m *Member) { m.Title = "ACME\naccount: X" },
	} {
		changed := signed
		change(&changed)
		if _, err := changed.Encode(); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	if _, err := m.Sign(otherKeys.account.PrivateKey, k.peerKey); err == nil {
		t.Error("a document signed by another account's key passes")
	}
}

func TestOrganisationNames(t *testing.T) {
	for name, good := range map[string]bool{
		"acme": true, "a": true, "cert-eu": true, "1st": true, strings.Repeat("a", 63): true,
		"": false, "Acme": false, "ac me": false, "-a": false, "a-": false, "a.b": false, "a/b": false, "ä": false,
		strings.Repeat("a", 64): false, "taxii2": false, "v1": false, "consortium": false, "ipfs": false,
	} {
		if err := CheckOrganisation(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAnInviteOpensForTheNewcomerAlone(t *testing.T) {
	m, k := newMember(t, "acme")
	_, other := newMember(t, "other")
	invite := Invite{
		Consortium: 7, Charter: strings.Repeat("A", 52), Name: "Test", GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{1}, 32), Account: m.Account,
		Network: NetworkPrivate, SwarmKey: "/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("0a", 32),
		Peers: []string{"/ip4/127.0.0.1/tcp/4001/p2p/" + m.Peer},
	}
	sealed, err := invite.Seal(m.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("0a0a0a")) {
		t.Error("the swarm key stands in clear")
	}
	if got, err := OpenInvite(sealed, k.identity); err != nil || got.SwarmKey != invite.SwarmKey || got.Consortium != 7 {
		t.Errorf("opened %+v, %v", got, err)
	}
	if _, err := OpenInvite(sealed, other.identity); err == nil || !strings.Contains(err.Error(), "another organisation") {
		t.Errorf("opened by another: %v", err)
	}
}

func FuzzParseRecords(f *testing.F) {
	m, k := newMember(f, "acme")
	signed, err := m.Sign(k.account.PrivateKey, k.peerKey)
	if err != nil {
		f.Fatal(err)
	}
	member, err := signed.Encode()
	if err != nil {
		f.Fatal(err)
	}
	charter, err := Charter{Name: "T", GenesisID: "g", GenesisHash: make([]byte, 32), Network: NetworkPublic, Founder: anAccount, DefaultCollection: aCollection}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	collection, err := CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: []byte{2}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := EncodeSealedObject([]byte("age"))
	if err != nil {
		f.Fatal(err)
	}
	properties, err := Collection{Title: "t", Metadata: MetadataOpen, Readers: Accounts{Named: []string{anAccount}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	keyring, err := Keyring{Collection: aCollection, Epochs: []KeyringEpoch{{1, "s"}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	amendment, err := Amendment{Name: "T", Governor: Quorum{Threshold: 1, Accounts: []string{anAccount, m.Account}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	removal, err := Removal{Account: anAccount}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	proposal, err := Proposal{Transaction: []byte{1}, Metadata: []byte("{}"), Record: removal}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	withdrawal, err := Removal{Asset: 7}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	rotation, err := Rotation{Member: signed}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{member, charter, collection, sealed, properties, keyring, amendment, removal, withdrawal, rotation, proposal, must(f)(aBatch(f, 2).Encode())} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseMember(data); err == nil {
			if _, err := m.Encode(); err != nil {
				t.Errorf("member: %v", err)
			}
		}
		if c, err := ParseCharter(data); err == nil {
			if _, err := c.Encode(); err != nil {
				t.Errorf("charter: %v", err)
			}
		}
		if a, err := ParseAmendment(data); err == nil {
			if _, err := a.Encode(); err != nil {
				t.Errorf("amendment: %v", err)
			}
			if _, err := a.Governor.Address(); err != nil {
				t.Errorf("amendment: %v", err)
			}
		}
		if r, err := ParseRemoval(data); err == nil {
			if _, err := r.Encode(); err != nil {
				t.Errorf("removal: %v", err)
			}
		}
		if b, err := ParseBatch(data); err == nil {
			if _, err := b.Encode(); err != nil || len(b.Objects) > MaxBatch {
				t.Errorf("batch: %v", err)
			}
		}
		if r, err := ParseRotation(data); err == nil {
			if _, err := r.Encode(); err != nil {
				t.Errorf("rotation: %v", err)
			}
		}
		if p, err := ParseProposal(data); err == nil {
			if _, err := p.Encode(); err != nil {
				t.Errorf("proposal: %v", err)
			}
		}
		if c, err := ParseCollectionRecord(data); err == nil {
			if _, err := c.Encode(); err != nil {
				t.Errorf("collection record: %v", err)
			}
		}
		if k, err := ParseKeyringRecord(data); err == nil {
			if _, err := k.Encode(); err != nil {
				t.Errorf("keyring record: %v", err)
			}
		}
		if c, err := ParseCollection(data); err == nil {
			if _, err := c.Encode(); err != nil {
				t.Errorf("collection: %v", err)
			}
		}
		if ciphertext, err := ParseSealedObject(data); err == nil {
			if _, err := EncodeSealedObject(ciphertext); err != nil {
				t.Errorf("sealed object: %v", err)
			}
		}
		_, _ = ParseKeyring(data)
	})
}

func TestAQuorumThatCouldNeverSignIsRefused(t *testing.T) {
	account := func() string { return crypto.GenerateAccount().Address.String() }
	a, b := account(), account()
	var many []string
	for range maxQuorum + 1 {
		many = append(many, account())
	}
	for what, q := range map[string]Quorum{
		"nobody": {Threshold: 1}, "no threshold": {Accounts: []string{a, b}}, "more signatures than accounts": {Threshold: 3, Accounts: []string{a, b}},
		"an account twice": {Threshold: 1, Accounts: []string{a, a}}, "no address": {Threshold: 1, Accounts: []string{"x"}}, "too many": {Threshold: 1, Accounts: many},
	} {
		if q.Check() == nil {
			t.Errorf("%s passes", what)
		}
		if _, err := (Amendment{Name: "T", Governor: q}).Encode(); err == nil {
			t.Errorf("an amendment with %s passes", what)
		}
	}
	one, err := Quorum{Threshold: 1, Accounts: []string{a}}.Address()
	if err != nil || one != a {
		t.Errorf("one account alone is %s, %v", one, err)
	}
	both, err := Quorum{Threshold: 1, Accounts: []string{a, b}}.Address()
	swapped, swappedErr := Quorum{Threshold: 1, Accounts: []string{b, a}}.Address()
	if err != nil || swappedErr != nil || both == swapped || both == a {
		t.Errorf("the addresses of two orders are %s and %s", both, swapped)
	}
}

func TestTimesHaveOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 4102444800_000_000).Draw(t, "micros"))
		text := FormatTime(at)
		if got, err := ParseTime(text); err != nil || !got.Equal(at) {
			t.Fatalf("%s is read as %v, %v", text, got, err)
		}
	})
	for _, bad := range []string{"", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000000+00:00", "2026-13-01T00:00:00.000000Z"} {
		if _, err := ParseTime(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// A record can cost its readers no more than its kind needs. White space counts.
func TestAPayloadIsNoLargerThanItsKindAllows(t *testing.T) {
	keyring, err := KeyringRecord{Collection: aCollection, Keyrings: [][]byte{{1}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	collection, err := CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: []byte{1}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	removal, err := Removal{Account: anAccount}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	object, err := EncodeSealedObject([]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind    Kind
		payload []byte
		most    int
		read    func([]byte) error
	}{
		{KindObject, object, 12 << 20, func(b []byte) error { _, err := ParseSealedObject(b); return err }},
		{KindKeyring, keyring, 4 << 20, func(b []byte) error { _, err := ParseKeyringRecord(b); return err }},
		{KindCollection, collection, 4 << 20, func(b []byte) error { _, err := ParseCollectionRecord(b); return err }},
		{KindRemoval, removal, 16 << 10, func(b []byte) error { _, err := ParseRemoval(b); return err }},
	} {
		for extra, fits := range []bool{true, false} {
			payload := append(bytes.Repeat([]byte(" "), c.most+extra-len(c.payload)), c.payload...)
			if err := c.read(payload); (err == nil) != fits {
				t.Errorf("%s of %d bytes: %v", c.kind, len(payload), err)
			}
			m := NewMetadata(Properties{Kind: c.kind}, payload)
			if err := m.CheckPayload(payload); (err == nil) != fits {
				t.Errorf("the payload of kind %s of %d bytes: %v", c.kind, len(payload), err)
			}
		}
	}
	if _, err := (CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: make([]byte, maxSealed+1)}).Encode(); err == nil {
		t.Error("properties of any size are read")
	}
}

// The largest STIX object, padded and sealed, is one that is read.
func TestTheLargestObjectFits(t *testing.T) {
	key, err := seal.NewEpochKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, plaintext := range [][]byte{make([]byte, 8<<20), seal.PadCoarse(make([]byte, 8<<20-1))} {
		sealed, err := key.Seal(plaintext)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := EncodeSealedObject(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSealedObject(payload); err != nil {
			t.Error(err)
		}
	}
}
