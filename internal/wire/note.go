package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// dapp is the ARC-2 name. A consortium's own records follow it with "/" and the consortium's id; the charter, which
// makes that id, has the bare name.
const dapp = "serviceledger"

// ErrNotOurs means that a note is not one of this protocol at all. It is the ordinary case on a public chain.
var ErrNotOurs = errors.New("not a Service Ledger note")

// Note is what the note field of one of our transactions says: "serviceledger/<consortium>:j{…}" (ARC-2).
type Note struct {
	Version    int    `json:"v"`
	Kind       Kind   `json:"k"`
	Sequence   uint64 `json:"s"`           // per publisher and consortium, from 1, without holes
	Account    string `json:"a,omitempty"` // the Algorand account that it is about: see the kinds
	Former     string `json:"o,omitempty"` // rotation: the account that the member had before
	PeerDigest string `json:"p,omitempty"` // rotation: of the peer id that the member has now, see [PeerDigest]
	Consent    string `json:"x,omitempty"` // rotation: the next account's signature, in base64, see [Note.Consented]
	Asset      uint64 `json:"n,omitzero"`  // removal, instead of an account: the asset id of the NFT that is withdrawn
	Index      uint32 `json:"i,omitzero"`  // … where that is a batch's, the index of the one object that is; without it all are
	Collection string `json:"c,omitempty"` // collection, keyring: the collection's UUID
}

// NotePrefix is how every note of a consortium begins, up to and including the format letter: the prefix to search
// an indexer for.
func NotePrefix(consortium uint64) []byte {
	if consortium == 0 {
		return []byte(dapp + ":j")
	}
	return []byte(dapp + "/" + strconv.FormatUint(consortium, 10) + ":j")
}

// HasNotePrefix reports whether a note may be one of this protocol's, whichever consortium's.
func HasNotePrefix(raw []byte) bool { return bytes.HasPrefix(raw, []byte(dapp)) }

// Encode writes the note for a consortium; consortium 0 is for the charter alone.
func (n Note) Encode(consortium uint64) ([]byte, error) {
	n.Version = Version
	prefix := NotePrefix(consortium)
	body, err := encode(fmt.Sprintf("a %.40s note", n.Kind), MaxNote-len(prefix), n, func() error { return n.check(consortium) })
	if err != nil {
		return nil, err
	}
	return append(prefix, body...), nil
}

// ParseNote reads a note. The error is [ErrNotOurs] where the prefix is not this protocol's, and another one where
// it is but the rest is malformed; neither kind of note counts.
func ParseNote(raw []byte) (consortium uint64, note Note, err error) {
	id, _, _ := bytes.Cut(bytes.TrimPrefix(raw, []byte(dapp+"/")), []byte(":j"))
	consortium, _ = strconv.ParseUint(string(id), 10, 64) // 0 where it is no number, as in the charter's
	// The canonical spelling only: the indexer is searched for the prefix byte by byte.
	prefix := NotePrefix(consortium)
	body, ours := bytes.CutPrefix(raw, prefix)
	if !ours {
		return 0, Note{}, ErrNotOurs
	}
	note, err = decode("a note", body, MaxNote-len(prefix), func(n *Note) error { return n.check(consortium) })
	return consortium, note, err
}

func (n Note) check(consortium uint64) error {
	if n.Version != Version {
		return fmt.Errorf("version %d is not known", n.Version)
	}
	if (n.Kind == KindCharter) != (consortium == 0) {
		return errors.New("the charter, and nothing else, is outside of a consortium")
	}
	switch n.Kind {
	case KindMember, KindAmendment:
		if err := checkAccount(n.Account); err != nil {
			return err
		}
	case KindRotation:
		for _, account := range []string{n.Account, n.Former} {
			if err := checkAccount(account); err != nil {
				return err
			}
		}
		if digest, err := hex.DecodeString(n.PeerDigest); err != nil || len(digest) != sha256.Size || strings.ToLower(n.PeerDigest) != n.PeerDigest {
			return errors.New("the digest of the peer id is not 64 hexadecimal digits")
		}
		if n.Consent != "" && n.consent() == nil {
			return errors.New("the consent is not a signature in base64")
		}
	case KindRemoval:
		switch {
		case n.Asset != 0 && n.Account != "":
			return errors.New("it removes an account and an asset at once")
		case n.Index > MaxBatch:
			return CheckIndex(n.Index)
		case n.Asset != 0:
			return nil
		case n.Index != 0:
			return errNoBatch
		}
		if err := checkAccount(n.Account); err != nil {
			return err
		}
	case KindCollection, KindKeyring:
		if err := CheckUUID(n.Collection); err != nil {
			return fmt.Errorf("collection: %w", err)
		}
	case "":
		return errors.New("no kind")
	}
	return nil
}

// PeerDigest is what a note tells of a peer id: enough to know the peer when it comes, before the record that names it
// has arrived from it, and nothing to who doesn't know it.
func PeerDigest(peer string) string {
	digest := sha256.Sum256([]byte(peer))
	return hex.EncodeToString(digest[:])
}

// CheckUUID accepts the canonical text of a random UUID (RFC 4122 version 4), as TAXII demands of collection ids.
func CheckUUID(text string) error {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
		return fmt.Errorf("%.40q is not a version 4 UUID", text)
	}
	return nil
}
