// Package wire is wire format 1 of Service Ledger, byte for byte: what goes on the chain (the parameters and the note
// of an NFT) and on IPFS (metadata.json and the payload beside it). It follows docs/PROTOCOL.md section by section;
// who may make which record is decided by package consortium, what is secret by package seal.
//
// Everything that is parsed here comes from strangers. Parsers are strict (no duplicate names, no other spelling of
// a name, bounded sizes), because two nodes that read the same bytes must come to the same result. Unknown names are
// ignored, so that later minor additions don't split a consortium.
package wire

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Format names this wire format in every JSON document on IPFS.
const Format = "serviceledger/1"

// Version is the "v" of every note.
const Version = 1

// The parameters that all our NFTs share (DESIGN section 3, ARC-3).
const (
	UnitName  = "SLIX"
	AssetName = "SL Intelligence Xpression"
)

// Kind says what a record is about.
type Kind string

// The kinds of records. A reader ignores kinds that it doesn't know.
const (
	KindCharter    Kind = "charter"    // founds a consortium; minted by the first governor
	KindAmendment  Kind = "amendment"  // names the governor from now on, and what else a charter lets change; minted by the governor
	KindMember     Kind = "member"     // admits an organisation; minted by the governor
	KindRemoval    Kind = "removal"    // ends a membership whoever began it; minted by the governor; or withdraws what a member minted with an earlier account
	KindRotation   Kind = "rotation"   // gives a member other keys; minted by the member with the old ones, or by the governor
	KindCollection Kind = "collection" // makes or changes a collection, or begins a key epoch; minted by its owner
	KindKeyring    Kind = "keyring"    // gives readers the keys of epochs; minted by the collection's owner
	KindObject     Kind = "object"     // one version of one STIX object; minted by its publisher
	KindBatch      Kind = "batch"      // versions of up to MaxBatch objects of one collection and epoch; minted by their publisher
	KindDestroy    Kind = "destroy"    // the note of a transaction that destroys one of the above, and ends it
	KindRelease    Kind = "release"    // the note of a transaction that destroys one of the above, and ends nothing
)

// Limits of what is read. Writers stay below them.
const (
	MaxNote     = 1024     // bytes; Algorand asks a surcharge above
	MaxURL      = 96       // bytes; Algorand's limit
	MaxMetadata = 16 << 10 // bytes of metadata.json
	MaxObject   = 12 << 20 // bytes of object.json: what the largest STIX object comes to, sealed, with a margin
	MaxKeyrings = 4 << 20  // bytes of record.json of a collection or a keyring: the keys of some two thousand readers
	MaxList     = 64 << 10 // bytes of record.json of a batch: MaxBatch CIDs
	MaxRecord   = 16 << 10 // bytes of any other record.json

	MaxProperties = 64 << 10 // bytes of a collection's properties, which name accounts
)

// MaxPayload is the greatest size of the payload of a kind, in bytes. Every node reads every record, whoever minted it:
// what it may cost has to be small.
func MaxPayload(kind Kind) int {
	switch kind {
	case KindObject:
		return MaxObject
	case KindCollection, KindKeyring:
		return MaxKeyrings
	case KindBatch:
		return MaxList
	}
	return MaxRecord
}

// stamp is the form of the timestamps that we write: UTC, always six digits, as TAXII writes them.
const stamp = "2006-01-02T15:04:05.000000Z"

// FormatTime writes a time as this format does: RFC 3339, UTC, exactly six fraction digits.
func FormatTime(t time.Time) string { return t.UTC().Format(stamp) }

// ParseTime reads what [FormatTime] writes and nothing else.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(stamp, s)
	if err != nil || FormatTime(t) != s {
		return time.Time{}, fmt.Errorf("%.40q is not a timestamp of the form %s", s, stamp)
	}
	return t, nil
}

// encode writes a document that passes its check: struct fields in the order of their declaration.
func encode(what string, limit int, document any, check func() error) ([]byte, error) {
	err := check()
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", what, err)
	}
	data, err := json.Marshal(document)
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%d bytes, at most %d", len(data), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", what, err)
	}
	return data, nil
}

// decode reads a document and checks it.
func decode[T any](what string, data []byte, limit int, check func(*T) error) (T, error) {
	var document, none T
	err := unmarshal(data, limit, &document)
	if err == nil {
		err = check(&document)
	}
	if err != nil {
		return none, fmt.Errorf("reading %s: %w", what, err)
	}
	return document, nil
}

// unmarshal reads one document, refusing duplicate names, invalid UTF-8 and trailing bytes.
func unmarshal(data []byte, limit int, document any) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes, at most %d are read", len(data), limit)
	}
	return json.Unmarshal(data, document)
}
