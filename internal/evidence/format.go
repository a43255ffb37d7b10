// Package evidence is a file that proves a publication to somebody who has neither a node, nor a repository, nor a
// network: who published what, when, as a member of which consortium. It is made from what a node gathers and checked
// without any I/O.
//
// # The file
//
// One JSON document, indented by one space, with a line break at its end. Byte strings are base64 (RFC 4648, section
// 4).
//
//	{
//	 "format": "serviceledger evidence 2",
//	 "consortium": 1002,              the asset id of the charter
//	 "records": [PUBLICATION…],       the charter and its amendments, the admission of the publisher and its changes of keys:
//	                                  what gives the subject its right; and the governor's other records from then until
//	                                  after the subject, where their numbers show that there are no more; in the order of
//	                                  the chain; without the subject where that is one of them
//	 "subject": PUBLICATION,          what the file is about: an object, a record, or the withdrawal of one
//	 "disclosed": {                   only where the publisher, or a reader, chose to disclose the object
//	  "file_key": "…",                the age file key (16 bytes) that opens the subject's payload and nothing else
//	  "object": "…"                   the STIX object, byte for byte
//	 },
//	 "sha256": "…"                    hex, over this document as it is without this member
//	}
//
// A PUBLICATION is a transaction with its proofs and its two files:
//
//	{
//	 "txid": "…",
//	 "transaction": "…",              msgpack: with "block", as it stands in the block; else as it was signed
//	 "block": {
//	  "header": "…",                  msgpack; SHA-512/256 of "BH" and these bytes is the block's hash
//	  "index": 0,                     of the transaction in the block
//	  "path": "…",                    siblings in the vector commitment (SHA-256) of which the header's txn256 is the root,
//	                                  from the bottom up
//	  "state_proof": {                where the network had made one
//	   "index": 0,                    of the block among those that the state proof covers
//	   "path": "…",                   siblings in the vector commitment of light block headers
//	   "message": {                   what the network's participants signed
//	    "block_headers_commitment": "…", "voters_commitment": "…", "ln_proven_weight": 0,
//	    "first_attested_round": 257, "last_attested_round": 512
//	   }
//	  }
//	 },
//	 "word": {                        instead of "block", where algod didn't keep it: what an indexer said
//	  "round": 7, "offset": 0, "time": 1795000000, "asset": 1010
//	 },
//	 "batch": {                       only in the subject, where that is one object of a batch: what the transaction published
//	  "metadata": "…",                metadata.json of the batch, as text
//	  "record": "…",                  its record.json, which lists the objects' directories
//	  "index": 17                     the object's place in that list, from 1
//	 },
//	 "metadata": "…",                 metadata.json, as text; of the object, where that is one of a batch
//	 "payload": "…"                   object.json or record.json, as text; a withdrawal has neither, nor has a record that
//	                                  is there for its note alone
//	}
//
// # A changed byte
//
// There is one encoding of a file, and no other is accepted: names that are unknown, twice there or in another order,
// other white space, other spellings of a string or of base64 are refused, because what was read is written again and
// compared. "sha256" covers all values, so that no damage goes unnoticed. It is no secret: who changes something on
// purpose can compute it again. Against that stand the signatures and hashes:
//
//   - "transaction" is covered by the signature and by "txid"; the signature itself and the asset id by "path"; "path"
//     and "index" by the header, and the header by its hash, which "state_proof" covers up to the hash of the message.
//     Where there is no state proof the block's hash is what has to be trusted, else the message's: [Check] names them.
//   - "metadata" is covered by the metadata hash in the transaction, "payload" by its integrity in "metadata", both
//     again by the CID in the transaction.
//   - Of an object of a batch, "metadata" and "record" of "batch" are covered like that. The CID of the directory of
//     "metadata" and "payload" is the one in "record" at the place "index", which covers all three.
//   - "file_key" is bound by the MAC of the age header in "payload", "object" by the encryption under that key.
//   - "consortium" is compared with the asset that the charter made, and with everything's note and metadata.
//   - "word" is covered by nothing: [Check] names it as trusted.
//
// What can't be in a file is that something is not on the chain: that the governor had not been replaced before it
// admitted, that the membership had not been ended, that the publisher's account was not replaced. Who makes the file
// can leave a record out. Nor does it show who may publish in the collection, and that what is disclosed was sealed to
// its readers. [Check] names each of them as trusted, and never lets it pass; its conclusion repeats them.
package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Format names this format. The number grows with every change.
const Format = "serviceledger evidence 2"

// MaxSize bounds a file, in bytes: it is more than a publication of the greatest size can need.
const MaxSize = 128 << 20

// The bounds of the parts, in bytes.
const (
	maxRecords     = 256
	maxHeader      = 64 << 10
	maxTransaction = 64 << 10 // a multisignature can have 255 parts
)

// File is the evidence for one publication.
type File struct {
	Format     string        `json:"format"`
	Consortium uint64        `json:"consortium"`
	Records    []Publication `json:"records"`
	Subject    Publication   `json:"subject"`
	Disclosed  *Disclosed    `json:"disclosed,omitzero"`
	Checksum   string        `json:"sha256,omitzero"`
}

// Publication is a transaction with its proofs and the files that it published.
type Publication struct {
	TxID        string `json:"txid"`
	Transaction []byte `json:"transaction"`
	Block       *Block `json:"block,omitzero"`
	Word        *Word  `json:"word,omitzero"`
	Batch       *Batch `json:"batch,omitzero"`
	Metadata    string `json:"metadata,omitzero"`
	Payload     string `json:"payload,omitzero"`
}

// Block is the block that a transaction is in, and the proof that it is.
type Block struct {
	Header     []byte      `json:"header"`
	Index      uint64      `json:"index"`
	Path       []byte      `json:"path"`
	StateProof *StateProof `json:"state_proof,omitzero"`
}

// StateProof is the proof that a block is among those that a state proof's message is about. The signatures of the
// state proof itself (Falcon, by a part of the network) are not in the file.
type StateProof struct {
	Index   uint64  `json:"index"`
	Path    []byte  `json:"path"`
	Message Message `json:"message"`
}

// Message is what a state proof attests to.
type Message struct {
	BlockHeadersCommitment []byte `json:"block_headers_commitment"`
	VotersCommitment       []byte `json:"voters_commitment"`
	LnProvenWeight         uint64 `json:"ln_proven_weight"`
	FirstAttestedRound     uint64 `json:"first_attested_round"`
	LastAttestedRound      uint64 `json:"last_attested_round"`
}

// Word is what an indexer said of a transaction whose block could not be had.
type Word struct {
	Round  uint64 `json:"round"`
	Offset uint64 `json:"offset"`
	Time   int64  `json:"time"`  // unix seconds
	Asset  uint64 `json:"asset"` // that it made
}

// Batch is the batch that lists an object.
type Batch struct {
	Metadata string `json:"metadata"`
	Record   string `json:"record"`
	Index    uint32 `json:"index"`
}

// Disclosed is an object in clear.
type Disclosed struct {
	FileKey []byte `json:"file_key"`
	Object  string `json:"object"`
}

// InBlock completes a block with a transaction of it.
func InBlock(block Block, t types.SignedTxnInBlock, txid string) Publication {
	return Publication{TxID: txid, Transaction: msgpack.Encode(t), Block: &block}
}

// OnItsWord is a transaction whose block could not be had.
func OnItsWord(word Word, t types.SignedTxn, txid string) Publication {
	return Publication{TxID: txid, Transaction: msgpack.Encode(t), Word: &word}
}

// Encode writes the file.
func (f File) Encode() ([]byte, error) {
	f.Format = Format
	sum, err := f.checksum()
	if err != nil {
		return nil, err
	}
	f.Checksum = sum
	return f.encode()
}

// checksum is the hash of the file without it.
func (f File) checksum() (string, error) {
	f.Checksum = ""
	data, err := f.encode()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// encode is the one encoding.
func (f File) encode() ([]byte, error) {
	data, err := json.Marshal(f, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	if data = append(data, '\n'); len(data) > MaxSize {
		return nil, fmt.Errorf("writing evidence: %d bytes, at most %d", len(data), MaxSize)
	}
	return data, nil
}

// parse reads a file, whose bytes must be exactly those that encode writes.
func parse(data []byte) (File, error) {
	var f File
	if len(data) > MaxSize {
		return f, fmt.Errorf("%d bytes, at most %d are read", len(data), MaxSize)
	}
	if err := json.Unmarshal(data, &f, json.RejectUnknownMembers(true)); err != nil {
		return f, fmt.Errorf("not a file of the format %q: %w", Format, err)
	}
	if f.Format != Format {
		return f, fmt.Errorf("the format is %.40q, only %q is known", f.Format, Format)
	}
	again, err := f.encode()
	if err != nil {
		return f, err
	}
	if !bytes.Equal(again, data) {
		return f, errors.New("it is written in another way than the format has")
	}
	sum, err := f.checksum()
	if err != nil {
		return f, err
	}
	if sum != f.Checksum {
		return f, errors.New("it was damaged: its checksum is another")
	}
	if len(f.Records) > maxRecords {
		return f, fmt.Errorf("%d records, at most %d are read", len(f.Records), maxRecords)
	}
	return f, nil
}
