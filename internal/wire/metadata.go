package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
)

// The names of the files of a directory. Every NFT's URL leads to a directory of exactly two files: metadata.json
// and one payload.
const (
	MetadataName = "metadata.json"
	ObjectName   = "object.json" // the payload of an object
	RecordName   = "record.json" // the payload of every other record
)

// urlSuffix follows the CID in an NFT's URL; the fragment says that ARC-3 applies.
const urlSuffix = "/" + MetadataName + "#arc3"

// URL is the URL of an NFT whose directory has the given CIDv1: at most 96 bytes.
func URL(directory cid.Cid) string { return "ipfs://" + directory.String() + urlSuffix }

// ParseURL reads the directory's CID out of an NFT's URL. Only what [URL] writes is accepted.
func ParseURL(url string) (cid.Cid, error) {
	if len(url) > MaxURL {
		return cid.Undef, fmt.Errorf("URL of %d bytes, at most %d", len(url), MaxURL)
	}
	directory, err := parseDirectory(strings.TrimSuffix(strings.TrimPrefix(url, "ipfs://"), urlSuffix))
	if err != nil || URL(directory) != url {
		return cid.Undef, fmt.Errorf("URL %q is not ipfs://<base32 CIDv1 of a dag-pb directory with SHA-256>%s", url, urlSuffix)
	}
	return directory, nil
}

// DirectoryCID is the form of every directory's CID.
var DirectoryCID = cid.Prefix{Version: 1, Codec: cid.DagProtobuf, MhType: 0x12 /* sha2-256 */, MhLength: sha256.Size}

// Metadata is metadata.json (ARC-3). Its SHA-256 is the NFT's metadata hash.
type Metadata struct {
	Name       string     `json:"name"`
	Decimals   int        `json:"decimals"`
	Properties Properties `json:"properties"`
}

// Properties says what the payload is without opening it. Nothing in it may be derived from plaintext, save that an
// identifier which is itself random, with its version, may stand in clear where the collection says so.
type Properties struct {
	Format     string `json:"format"`
	Kind       Kind   `json:"kind"`
	Consortium uint64 `json:"consortium,omitzero"` // asset id of the charter; absent in the charter itself
	Publisher  string `json:"publisher"`           // the account that signs the transaction: a directory is one account's
	Collection string `json:"collection,omitzero"` // UUID; objects, batches, collections, keyrings
	Epoch      uint32 `json:"epoch,omitzero"`      // key epoch, from 1; objects, batches, collections
	Identifier string `json:"identifier,omitzero"` // objects: the STIX id, or a handle
	Version    string `json:"version,omitzero"`    // objects: STIX modified or created, as written; absent with a handle
	Objects    uint32 `json:"objects,omitzero"`    // batches: how many are listed
	StoredAt   string `json:"stored_at"`           // see FormatTime
	Path       string `json:"relative_path_url"`
	Integrity  string `json:"relative_url_integrity"` // "sha256-" and the base64 of the payload file's SHA-256
}

// NewMetadata completes the properties of a record with the name and integrity of its payload file.
func NewMetadata(properties Properties, payload []byte) Metadata {
	properties.Format = Format
	properties.Path = payloadName(properties.Kind)
	properties.Integrity = Integrity(payload)
	return Metadata{Name: AssetName, Properties: properties}
}

func payloadName(kind Kind) string {
	if kind == KindObject {
		return ObjectName
	}
	return RecordName
}

// Integrity is the subresource integrity string of a file (W3C SRI, as ARC-3 uses it).
func Integrity(file []byte) string {
	sum := sha256.Sum256(file)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Encode writes metadata.json.
func (m Metadata) Encode() ([]byte, error) {
	return encode(MetadataName, MaxMetadata, m, m.check)
}

// ParseMetadata reads metadata.json.
func ParseMetadata(data []byte) (Metadata, error) {
	return decode(MetadataName, data, MaxMetadata, (*Metadata).check)
}

func (m *Metadata) check() error {
	p := m.Properties
	if p.Format != Format {
		return fmt.Errorf("format %.40q is not %s", p.Format, Format)
	}
	if p.Path != payloadName(p.Kind) {
		return fmt.Errorf("the payload of kind %.40q is %s, not %.40q", p.Kind, payloadName(p.Kind), p.Path)
	}
	if _, err := ParseTime(p.StoredAt); err != nil {
		return fmt.Errorf("stored_at: %w", err)
	}
	if (p.Kind == KindCharter) != (p.Consortium == 0) {
		return errors.New("the charter, and nothing else, is outside of a consortium")
	}
	if p.Publisher == "" {
		return ErrNoPublisher
	}
	if err := checkAccount(p.Publisher); err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	return p.checkByKind()
}

// checkByKind checks what some kinds have, and the others have not.
func (p Properties) checkByKind() error {
	isObject, isBatch := p.Kind == KindObject, p.Kind == KindBatch
	hasEpoch := isObject || isBatch || p.Kind == KindCollection
	hasCollection := hasEpoch || p.Kind == KindKeyring
	switch {
	case (p.Identifier != "") != isObject || p.Version != "" && !isObject:
		return errors.New("an object, and nothing else, has an identifier and a version")
	case len(p.Identifier) > 512 || len(p.Version) > 64:
		return errors.New("identifier or version too long")
	case (p.Epoch != 0) != hasEpoch:
		return errors.New("an object, a batch or a collection, and nothing else, has a key epoch")
	case (p.Collection != "") != hasCollection:
		return errors.New("an object, a batch, a collection or a keyring, and nothing else, is of a collection")
	case (p.Objects != 0) != isBatch || p.Objects > MaxBatch:
		return fmt.Errorf("a batch, and nothing else, has 1 to %d objects", MaxBatch)
	case !hasCollection:
		return nil
	}
	if err := CheckUUID(p.Collection); err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	return nil
}

// ErrNoPublisher is what is wrong with metadata of before there was a publisher in it.
var ErrNoPublisher = errors.New("it doesn't say whose it is: it has no publisher")

// CheckTransaction reports whether a transaction is what the metadata is for: whoever mints the directory of another
// account publishes nothing.
func (m Metadata) CheckTransaction(kind Kind, consortium uint64, sender string) error {
	switch p := m.Properties; {
	case p.Kind != kind || p.Consortium != consortium:
		return fmt.Errorf("the metadata is that of a %.40q of consortium %d, the transaction's note says %.40q of %d", p.Kind, p.Consortium, kind, consortium)
	case p.Publisher != sender:
		return fmt.Errorf("the metadata is for the publisher %.60s, the transaction was signed by %s", p.Publisher, sender)
	}
	return nil
}

// CheckPayload reports whether the payload file is the one that the metadata names.
func (m Metadata) CheckPayload(payload []byte) error {
	if most := MaxPayload(m.Properties.Kind); len(payload) > most {
		return fmt.Errorf("%s of kind %s has %d bytes, at most %d", m.Properties.Path, m.Properties.Kind, len(payload), most)
	}
	if got := Integrity(payload); got != m.Properties.Integrity {
		return fmt.Errorf("%s has the integrity %s, the metadata says %.80q", m.Properties.Path, got, m.Properties.Integrity)
	}
	return nil
}

// MetadataHash is the NFT's metadata hash for these bytes of metadata.json. ARC-3 has a plain SHA-256, but another
// rule (SHA-512/256 with a prefix) where the JSON has a property "extra_metadata", which ours never has.
func MetadataHash(metadata []byte) [32]byte { return sha256.Sum256(metadata) }
