package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/seal"
)

// Member is what an organisation says of itself and proves with its keys. The same document is the request for
// admission, which the organisation sends to the governor, and the payload of the member record, which the governor
// mints.
type Member struct {
	Format       string     `json:"format"`
	Kind         Kind       `json:"kind"`
	Organisation string     `json:"organisation"` // its name in URLs: one path segment, lower case
	Title        string     `json:"title"`
	Account      string     `json:"account"`   // Algorand address
	Peer         string     `json:"peer"`      // libp2p peer id (Ed25519)
	Recipient    string     `json:"recipient"` // age hybrid recipient, "age1pq1…"
	Signatures   Signatures `json:"signatures"`
}

// Signatures prove that the organisation has the account and the peer key, and that they belong together. (An age
// key can't sign; it is covered by both signatures.)
type Signatures struct {
	Account []byte `json:"account"` // Ed25519 over "MX" and the statement (Algorand's form for signed bytes)
	Peer    []byte `json:"peer"`    // Ed25519 over the statement
}

// organisationName is what fits as one path segment of an API root, in a host name, and in a log line.
var organisationName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// reservedNames are first segments of URLs that mean something else.
var reservedNames = map[string]bool{
	"taxii2": true, "taxii": true, "v1": true, "consortium": true, "ipfs": true, "ipns": true, "api": true, "admin": true,
	"metrics": true, "health": true, "healthz": true, "ready": true, "readyz": true, "login": true, "logout": true, "signup": true,
	"status": true, "collections": true, "all": true, "static": true, "assets": true, "well-known": true, "localhost": true,
}

// CheckOrganisation accepts a name that can be an API root: 1 to 63 lower-case letters, digits and inner hyphens, and
// not a word that URLs need.
func CheckOrganisation(name string) error {
	if !organisationName.MatchString(name) {
		return fmt.Errorf("%.70q is not an organisation name: 1 to 63 lower-case letters, digits and inner hyphens", name)
	}
	if reservedNames[name] {
		return fmt.Errorf("the organisation name %q is reserved", name)
	}
	return nil
}

// statement is what both keys sign. Every value is checked to hold no line break.
func (m *Member) statement() []byte {
	return fmt.Appendf(nil, "%s %s\norganisation: %s\ntitle: %s\naccount: %s\npeer: %s\nrecipient: %s\n",
		Format, KindMember, m.Organisation, m.Title, m.Account, m.Peer, m.Recipient)
}

// Sign completes a member document with the proofs of both keys.
func (m Member) Sign(account ed25519.PrivateKey, peerKey p2pcrypto.PrivKey) (Member, error) {
	m.Format, m.Kind = Format, KindMember
	var err error
	if m.Signatures.Account, err = crypto.SignBytes(account, m.statement()); err != nil {
		return Member{}, fmt.Errorf("signing with the account: %w", err)
	}
	if m.Signatures.Peer, err = peerKey.Sign(m.statement()); err != nil {
		return Member{}, fmt.Errorf("signing with the peer key: %w", err)
	}
	if err := m.check(); err != nil {
		return Member{}, fmt.Errorf("signing a member document: %w", err)
	}
	return m, nil
}

// Encode writes record.json.
func (m Member) Encode() ([]byte, error) {
	m.Format, m.Kind = Format, KindMember
	return encodeRecord(m.Kind, m, m.check)
}

// ParseMember reads a request for admission or a member's record.json, and verifies both signatures.
func ParseMember(data []byte) (Member, error) {
	return parseRecord(data, KindMember, func(m *Member) (string, Kind) { return m.Format, m.Kind }, (*Member).check)
}

func (m *Member) check() error {
	if err := CheckOrganisation(m.Organisation); err != nil {
		return err
	}
	if err := checkText("title", m.Title, 1, 200); err != nil {
		return err
	}
	account, err := parseAccount(m.Account)
	if err != nil {
		return err
	}
	if err := seal.CheckRecipient(m.Recipient); err != nil {
		return err
	}
	id, err := peer.Decode(m.Peer)
	if err != nil || id.String() != m.Peer {
		return fmt.Errorf("%.80q is not a peer id", m.Peer)
	}
	peerKey, err := id.ExtractPublicKey()
	if err != nil || peerKey.Type() != p2pcrypto.Ed25519 {
		return errors.New("the peer id is not that of an Ed25519 key")
	}
	if !crypto.VerifyBytes(account[:], m.statement(), m.Signatures.Account) {
		return errors.New("the account's signature does not match")
	}
	if ok, _ := peerKey.Verify(m.statement(), m.Signatures.Peer); !ok {
		return errors.New("the peer key's signature does not match")
	}
	return nil
}

func checkAccount(text string) error {
	_, err := parseAccount(text)
	return err
}

func parseAccount(text string) (types.Address, error) {
	account, err := types.DecodeAddress(text)
	if err != nil || account.IsZero() {
		return types.Address{}, fmt.Errorf("%.80q is not an Algorand address", text)
	}
	return account, nil
}

// checkText accepts a line of printable text.
func checkText(name, text string, least, most int) error {
	if n := utf8.RuneCountInString(text); n < least || n > most || !utf8.ValidString(text) {
		return fmt.Errorf("%s: %d characters, want %d to %d", name, n, least, most)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s holds a character that can't be printed", name)
	}
	return nil
}

// encodeRecord writes record.json of one kind after its check.
func encodeRecord(kind Kind, record any, check func() error) ([]byte, error) {
	return encode(fmt.Sprintf("a %s record", kind), MaxPayload(kind), record, check)
}

// parseRecord reads record.json of one kind.
func parseRecord[T any](data []byte, want Kind, header func(*T) (string, Kind), check func(*T) error) (T, error) {
	return decode(fmt.Sprintf("a %s record", want), data, MaxPayload(want), func(record *T) error {
		if format, kind := header(record); format != Format || kind != want {
			return fmt.Errorf("it says format %.40q and kind %.40q", format, kind)
		}
		return check(record)
	})
}
