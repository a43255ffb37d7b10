package wire

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
)

// MaxBatch is how many objects a batch has at most.
const MaxBatch = 1000

// Batch is the record that publishes many objects with one NFT: each is a directory of its own, as it is where an NFT
// is made for it alone.
type Batch struct {
	Format  string   `json:"format"`
	Kind    Kind     `json:"kind"`
	Objects []string `json:"objects"` // CIDs; the one at place i, from 1, has the index i
}

// NewBatch lists the directories of objects.
func NewBatch(directories []cid.Cid) Batch {
	objects := make([]string, len(directories))
	for i, directory := range directories {
		objects[i] = directory.String()
	}
	return Batch{Objects: objects}
}

// Encode writes record.json.
func (b Batch) Encode() ([]byte, error) {
	b.Format, b.Kind = Format, KindBatch
	return encodeRecord(b.Kind, b, b.check)
}

// ParseBatch reads a batch's record.json. Its metadata has to fit, see [Batch.CheckMetadata].
func ParseBatch(data []byte) (Batch, error) {
	return parseRecord(data, KindBatch, func(b *Batch) (string, Kind) { return b.Format, b.Kind }, (*Batch).check)
}

func (b *Batch) check() error {
	if len(b.Objects) == 0 || len(b.Objects) > MaxBatch {
		return fmt.Errorf("%d objects, want 1 to %d", len(b.Objects), MaxBatch)
	}
	known := make(map[string]bool, len(b.Objects))
	for i, text := range b.Objects {
		if _, err := parseDirectory(text); err != nil {
			return fmt.Errorf("object %d: %w", i+1, err)
		}
		if known[text] {
			return fmt.Errorf("object %d is listed before", i+1)
		}
		known[text] = true
	}
	return nil
}

// CheckMetadata reports whether a batch lists as many objects as its metadata says.
func (b Batch) CheckMetadata(m Metadata) error {
	if len(b.Objects) != int(m.Properties.Objects) {
		return fmt.Errorf("the batch lists %d objects, its metadata says %d", len(b.Objects), m.Properties.Objects)
	}
	return nil
}

// directoryLength is the length of a directory's CID as text: a letter for base32, and 36 bytes in it.
const directoryLength = 59

// parseDirectory reads the CID of a directory in its only spelling.
func parseDirectory(text string) (cid.Cid, error) {
	if len(text) != directoryLength {
		return cid.Undef, fmt.Errorf("a CID of %d characters, want %d", len(text), directoryLength)
	}
	directory, err := cid.Decode(text)
	if err != nil || directory.Prefix() != DirectoryCID || directory.String() != text {
		return cid.Undef, fmt.Errorf("%q is not the base32 CIDv1 of a dag-pb directory with SHA-256", text)
	}
	return directory, nil
}

// Publication names one object that was published: the transaction, and its index where that made a batch. An object
// with an NFT of its own has the index 0; as the name of a batch that is all of it.
type Publication struct {
	TxID  string `json:"txid"`
	Index uint32 `json:"index,omitzero"`
}

// String is how people name it: TXID or TXID/INDEX.
func (p Publication) String() string {
	if p.Index == 0 {
		return p.TxID
	}
	return p.TxID + "/" + strconv.FormatUint(uint64(p.Index), 10)
}

// ParsePublication reads what [Publication.String] writes and nothing else.
func ParsePublication(text string) (p Publication, err error) {
	txid, index, indexed := strings.Cut(text, "/")
	if p.TxID = txid; !isTxID(txid) {
		return Publication{}, fmt.Errorf("%.60q is not the id of a transaction", txid)
	}
	if !indexed {
		return p, nil
	}
	n, err := strconv.ParseUint(index, 10, 32)
	if p.Index = uint32(n); err != nil || CheckIndex(p.Index) != nil || p.String() != text {
		return Publication{}, fmt.Errorf("%.20q is not a place in a batch, which is 1 to %d", index, MaxBatch)
	}
	return p, nil
}

// CheckIndex accepts the place of an object in a batch.
func CheckIndex(index uint32) error {
	if index < 1 || index > MaxBatch {
		return fmt.Errorf("index %d, want 1 to %d", index, MaxBatch)
	}
	return nil
}

// isTxID reports whether a text is the id of a transaction: 32 bytes in base32 without padding, in their only spelling.
func isTxID(text string) bool {
	id := base32.StdEncoding.WithPadding(base32.NoPadding)
	raw, err := id.DecodeString(text)
	return err == nil && len(raw) == 32 && id.EncodeToString(raw) == text
}

// errNoBatch is what is wrong with an index where no object of a batch is meant.
var errNoBatch = errors.New("an index is of a batch's asset alone")
