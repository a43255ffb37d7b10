package wire

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
)

// documented is a number of docs/PROTOCOL.md, by a regular expression with one group for it and its unit.
func documented(t testing.TB, pattern string) int {
	t.Helper()
	document, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(pattern), "#", `([0-9,]+)( KiB| MiB)?`)).FindSubmatch(bytes.Join(bytes.Fields(document), []byte(" ")))
	if found == nil {
		t.Fatalf("PROTOCOL.md does not say %q", pattern)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(string(found[1]), ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n << map[string]int{"": 0, " KiB": 10, " MiB": 20}[string(found[2])]
}

func TestTheLimitsAreThoseOfTheProtocol(t *testing.T) {
	for pattern, limit := range map[string]int{
		"| `metadata.json` | # |":                                          MaxMetadata,
		"| `object.json` | # |":                                            MaxPayload(KindObject),
		"| `record.json` of a collection or a keyring | # |":               MaxPayload(KindCollection),
		"| `record.json` of a batch | # |":                                 MaxPayload(KindBatch),
		"| objects in a batch | # |":                                       MaxBatch,
		"`record.json` of any other kind | # |":                            MaxPayload(KindCharter),
		"| a keyring, opened | # |":                                        MaxKeyrings,
		"| the properties of a collection, opened | # |":                   MaxProperties,
		"| … sealed, with its padding | # |":                               maxSealed,
		"| keyrings in one record | # |":                                   maxKeyrings,
		"At most # bytes, in the form of":                                  MaxNote,
		"arc3`, at most # bytes; the CID":                                  MaxURL,
		"`accounts`, a list of 1 to # different accounts":                  maxQuorum,
		"an age file for the newcomer's identity (8.3), at most #. Opened": maxInvite,
		"| `peers` | list, at most # |":                                    maxPeers,
		"what several accounts decide as the governor, passed around until enough of them have signed, at most #.": maxProposal,
	} {
		if n := documented(t, pattern); n != limit {
			t.Errorf("PROTOCOL.md says %q with %d, the code has %d", pattern, n, limit)
		}
	}
}

// grown is a document with a property that nobody knows, so that it has a size.
func grown(t testing.TB, document []byte, size int) []byte {
	t.Helper()
	filler := size - len(document) - len(`"x":"",`)
	if filler < 0 || document[0] != '{' {
		t.Fatalf("%.40q does not fit into %d bytes", document, size)
	}
	return concat([]byte(`{"x":"`), bytes.Repeat([]byte("x"), filler), []byte(`",`), document[1:])
}

// Whoever is a member can mint one of any kind, and everybody reads it.
func TestEveryKindHasItsLimit(t *testing.T) {
	for kind, limit := range map[Kind]int{
		KindObject: MaxObject, KindCollection: MaxKeyrings, KindKeyring: MaxKeyrings, KindBatch: MaxList, KindCharter: MaxRecord, KindAmendment: MaxRecord,
		KindMember: MaxRecord, KindRemoval: MaxRecord, KindRotation: MaxRecord, "a kind of later": MaxRecord,
	} {
		if n := MaxPayload(kind); n != limit {
			t.Errorf("a payload of kind %s has at most %d bytes, want %d", kind, n, limit)
		}
		payload := make([]byte, limit+1)
		for n, good := range map[int]bool{limit: true, limit + 1: false} {
			m := NewMetadata(Properties{Kind: kind}, payload[:n])
			if err := m.CheckPayload(payload[:n]); (err == nil) != good {
				t.Errorf("a payload of kind %s with %d bytes: %v", kind, n, err)
			}
		}
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestNoDocumentIsReadBeyondItsLimit(t *testing.T) {
	keyring := must(t)(Keyring{Collection: aCollection}.Encode())
	properties := must(t)(Collection{Title: "T", Metadata: MetadataOpen}.Encode())
	limits := map[string]int{
		"metadata": MaxMetadata, "proposal": maxProposal, "object": MaxObject, "collection": MaxKeyrings, "keyring": MaxKeyrings, "batch": MaxList,
		"keyring, opened": MaxKeyrings, "collection, opened": MaxProperties,
	}
	kinds := append(documents(t),
		document{"keyring, opened", keyring, func(data []byte) error { _, err := ParseKeyring(data); return err }},
		document{"collection, opened", properties, func(data []byte) error { _, err := ParseCollection(data); return err }},
		document{"metadata", must(t)(objectMetadata(nil).Encode()), func(data []byte) error { _, err := ParseMetadata(data); return err }})
	for _, d := range kinds {
		limit := MaxRecord
		if l, ok := limits[d.name]; ok {
			limit = l
		}
		if err := d.parse(grown(t, d.data, limit)); err != nil {
			t.Errorf("a %s of %d bytes: %v", d.name, limit, err)
		}
		err := d.parse(grown(t, d.data, limit+1))
		if err == nil || d.name != "keyring, opened" && !strings.Contains(err.Error(), fmt.Sprintf("at most %d", limit)) {
			t.Errorf("a %s of %d bytes: %v", d.name, limit+1, err)
		}
	}
}

func TestNoDocumentIsWrittenBeyondItsLimit(t *testing.T) {
	good := func() error { return nil }
	if data, err := encode("a word", 10, "12345678", good); err != nil || len(data) != 10 {
		t.Errorf("10 bytes of 10: %s, %v", data, err)
	}
	if data, err := encode("a word", 10, "123456789", good); err == nil || data != nil || err.Error() != "writing a word: 11 bytes, at most 10" {
		t.Errorf("11 bytes of 10: %s, %v", data, err)
	}
	if data, err := encode("a word", 10, "\xff", good); err == nil {
		t.Errorf("what is no text is written as %q", data)
	}
	for what, write := range map[string]func() ([]byte, error){
		"metadata": func() ([]byte, error) {
			m := objectMetadata(nil)
			m.Name = strings.Repeat("n", MaxMetadata)
			return m.Encode()
		},
		"an object": func() ([]byte, error) { return EncodeSealedObject(make([]byte, MaxObject)) },
		"a keyring": func() ([]byte, error) {
			return Keyring{Collection: aCollection, Epochs: []KeyringEpoch{{1, strings.Repeat("s", MaxKeyrings)}}}.Encode()
		},
		"a proposal": func() ([]byte, error) {
			return Proposal{Transaction: make([]byte, maxProposal), Metadata: []byte{1}, Record: []byte{1}}.Encode()
		},
		"the properties of a collection": func() ([]byte, error) {
			return Collection{Title: "T", Metadata: MetadataOpen, Readers: Accounts{Named: []string{strings.Repeat("A", MaxProperties)}}}.Encode()
		},
		"a record of sealed properties": func() ([]byte, error) {
			return CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: [][]byte{{1}}, Sealed: make([]byte, maxSealed+1)}.Encode()
		},
		"a record": func() ([]byte, error) {
			return KeyringRecord{Collection: aCollection, Keyrings: [][]byte{make([]byte, MaxKeyrings)}}.Encode()
		},
	} {
		if data, err := write(); err == nil {
			t.Errorf("%s of %d bytes is written", what, len(data))
		}
	}
}

// Algorand refuses a longer note; every reader must refuse the same ones.
func TestANoteHasAtMost1024BytesWithItsPrefix(t *testing.T) {
	empty, err := Note{Kind: "k", Sequence: 1}.Encode(1234)
	if err != nil {
		t.Fatal(err)
	}
	longest := Kind(strings.Repeat("k", 1024-len(empty)+1))
	raw, err := Note{Kind: longest, Sequence: 1}.Encode(1234)
	if err != nil || len(raw) != 1024 {
		t.Fatalf("a note of %d bytes: %v", len(raw), err)
	}
	if _, note, err := ParseNote(raw); err != nil || note.Kind != longest {
		t.Errorf("%v", err)
	}
	if raw, err := (Note{Kind: longest + "k", Sequence: 1}).Encode(1234); err == nil {
		t.Errorf("a note of %d bytes is written", len(raw))
	}
	if _, _, err := ParseNote(bytes.Replace(raw, []byte("kk"), []byte("kkk"), 1)); err == nil {
		t.Error("a note of 1,025 bytes is read")
	}
}

// Decoding a CID of another base takes the square of its length.
func TestALongURLIsRefusedBeforeItIsDecoded(t *testing.T) {
	for length, early := range map[int]bool{96: false, 97: true, 1 << 20: true} {
		url := "ipfs://z" + strings.Repeat("2", length-len("ipfs://z"+urlSuffix)) + urlSuffix
		if _, err := ParseURL(url); err == nil || strings.Contains(err.Error(), "at most 96") != early {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestARecordHas1To64Keyrings(t *testing.T) {
	for n, good := range map[int]bool{0: false, 1: true, 64: true, 65: false} {
		keyrings := make([][]byte, n)
		for what, err := range map[string]error{
			"collection": second(CollectionRecord{Collection: aCollection, Key: aCommitment, Keyrings: keyrings, Sealed: []byte{1}}.Encode()),
			"keyring":    second(KeyringRecord{Collection: aCollection, Keyrings: keyrings}.Encode()),
		} {
			if (err == nil) != good || err != nil && !strings.HasSuffix(err.Error(), "want 1 to 64") {
				t.Errorf("a %s record with %d keyrings: %v", what, n, err)
			}
		}
	}
}

func second(_ []byte, err error) error { return err }

func TestALineHasItsNumberOfCharacters(t *testing.T) {
	line := func(n int) string { return strings.Repeat("ä", n) }
	for what, c := range map[string]struct {
		least, most int
		write       func(text string) error
	}{
		"the name of a charter":     {1, documented(t, "| `name` | line, 1 to # | of the consortium |"), func(text string) error { c := aCharter(); c.Name = text; return second(c.Encode()) }},
		"the name of an amendment":  {1, documented(t, "| `name` | line, 1 to # | of the consortium, from now on |"), func(text string) error { a := anAmendment(); a.Name = text; return second(a.Encode()) }},
		"the title of a member":     {1, documented(t, "| `title` | line, 1 to # | for people |"), func(text string) error { _, err := signedMember(t, func(m *Member) { m.Title = text }); return err }},
		"the title of a collection": {1, documented(t, "| `title` | line, 1 to # | |"), func(text string) error { return second(Collection{Title: text, Metadata: MetadataOpen}.Encode()) }},
		"a description": {0, documented(t, "| `description` | line, at most # | |"), func(text string) error {
			return second(Collection{Title: "T", Description: text, Metadata: MetadataOpen}.Encode())
		}},
	} {
		for n, good := range map[int]bool{c.least - 1: false, c.least: true, c.most: true, c.most + 1: false} {
			if n < 0 {
				continue
			}
			if err := c.write(line(n)); (err == nil) != good {
				t.Errorf("%s with %d characters: %v", what, n, err)
			}
		}
		// A terminal would obey them, and a log would have a second line.
		for _, bad := range []string{"a\x1b[31mb", "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "a\x7fb", "a\xffb", "a\u2028b"} {
			if err := c.write(bad); err == nil {
				t.Errorf("%s is %q", what, bad)
			}
		}
		if err := c.write("Ünïcode, with spaces & 'signs' 1 €"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAQuorumHasUpTo16AccountsOfWhichAllMaySign(t *testing.T) {
	var q Quorum
	for range 16 {
		q.Accounts = append(q.Accounts, crypto.GenerateAccount().Address.String())
	}
	for q.Threshold = 1; q.Threshold <= 16; q.Threshold++ {
		account, err := q.Multisig()
		if err != nil || int(account.Threshold) != q.Threshold || len(account.Pks) != 16 {
			t.Fatalf("%d of 16: %+v, %v", q.Threshold, account, err)
		}
		address, err := account.Address()
		if got, qErr := q.Address(); err != nil || qErr != nil || got != address.String() {
			t.Errorf("the address is %s, %v", got, qErr)
		}
	}
	many := Quorum{Threshold: 1, Accounts: append(slices.Clone(q.Accounts), anAccount)}
	if err := many.Check(); err == nil || !strings.HasSuffix(err.Error(), "at most 16") {
		t.Errorf("17 accounts: %v", err)
	}
	q.Threshold = 17
	if _, err := q.Address(); err == nil {
		t.Error("17 of 16 have an address")
	}
	if _, err := q.Multisig(); err == nil {
		t.Error("17 of 16 are an account")
	}
}

func TestAnInviteHasUpTo256PeersAnd256KiB(t *testing.T) {
	_, k := newMember(t, "acme")
	invite := anInvite()
	address := invite.Peers[0]
	for n, good := range map[int]bool{0: true, 256: true, 257: false} {
		invite.Peers = nil
		for range n {
			invite.Peers = append(invite.Peers, address)
		}
		if err := second(invite.Seal(k.identity.Recipient())); (err == nil) != good || err != nil && !strings.HasSuffix(err.Error(), "at most 256") {
			t.Errorf("%d peers: %v", n, err)
		}
	}
	invite.Peers = []string{"/dns/" + strings.Repeat("a", 127<<10) + "/tcp/1"}
	if sealed, err := invite.Seal(k.identity.Recipient()); err != nil {
		t.Errorf("an invite of 128 KiB, the greatest power of two that has room for a header: %v", err)
	} else if _, err := OpenInvite(sealed, k.identity); err != nil {
		t.Errorf("an invite of %d bytes: %v", len(sealed), err)
	}
	invite.Peers = []string{"/dns/" + strings.Repeat("a", 128<<10) + "/tcp/1"}
	if sealed, err := invite.Seal(k.identity.Recipient()); err == nil {
		t.Errorf("an invite of %d bytes is written", len(sealed))
	}
	for size, early := range map[int]bool{256 << 10: false, 256<<10 + 1: true} {
		if _, err := OpenInvite(make([]byte, size), k.identity); err == nil || strings.Contains(err.Error(), "at most 262144") != early {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestTheReservedNamesAreThoseOfTheProtocol(t *testing.T) {
	document, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(document), "These names are reserved: ")
	list, _, _ = strings.Cut(list, ".\n")
	names := strings.Fields(strings.ReplaceAll(list, "`", ""))
	if len(names) != len(reservedNames) {
		t.Errorf("PROTOCOL.md reserves %d names, the code %d", len(names), len(reservedNames))
	}
	for _, name := range names {
		if err := CheckOrganisation(name); err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
