package p2p

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/multiformats/go-multihash"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// What the store keeps beside the blocks, all of it in the batch that writes them:
//
//	/slnode/kept/<root>           the directory's record: which blocks it is made of
//	/slnode/users/<block>/<root>  that it uses the block; for each but the root
//
// A block can be part of several directories (anybody may mint a directory around somebody else's ciphertext), and may
// only go with the last of them. Blocks go by digest alone, as in the block store: the same bytes may be a chunk here
// and a root there.
var (
	keptPrefix  = datastore.NewKey("/slnode/kept")
	usersPrefix = datastore.NewKey("/slnode/users")
)

// The keys are clean as they are made, and [datastore.NewKey] would spend time on that.

func keptKey(root cid.Cid) datastore.Key { return below(keptPrefix, digest(root)) }

func usersKey(block cid.Cid) datastore.Key { return below(usersPrefix, digest(block)) }

func userKey(block, root cid.Cid) datastore.Key { return below(usersKey(block), digest(root)) }

func below(prefix datastore.Key, name string) datastore.Key {
	return datastore.RawKey(prefix.String() + "/" + name)
}

// blockKey is where the block store has a block.
func blockKey(c cid.Cid) datastore.Key {
	return datastore.RawKey(blockstore.BlockPrefix.String() + dshelp.MultihashToDsKey(c.Hash()).String())
}

// digest writes the CID's SHA-256 as 43 characters.
func digest(c cid.Cid) string { return base64.RawURLEncoding.EncodeToString(sum(c)) }

// sum is the CID's SHA-256.
func sum(c cid.Cid) []byte {
	hash := c.Hash()
	return hash[len(hash)-sha256.Size:]
}

// keptRecord says what a kept directory is made of.
type keptRecord struct {
	whole  bool      // no block of it is known to be missing
	blocks []cid.Cid // in the order of [unixfs.Directory]
}

func keptAs(d unixfs.Directory) keptRecord {
	r := keptRecord{whole: true, blocks: make([]cid.Cid, len(d.Blocks()))}
	for i, b := range d.Blocks() {
		r.blocks[i] = b.Cid()
	}
	return r
}

// A record in the store is a byte that is 1 if it is whole, else 0; and for each block but the root, which is the key,
// a byte that is 1 for a node and 0 for raw bytes, and the block's SHA-256.
const recordEntry = 1 + sha256.Size

var errRecord = errors.New("not a record of a directory")

func (r keptRecord) encode() []byte {
	b := make([]byte, 1, 1+recordEntry*(len(r.blocks)-1))
	if r.whole {
		b[0] = 1
	}
	for _, c := range r.blocks[1:] {
		kind := byte(0)
		if c.Type() == cid.DagProtobuf {
			kind = 1
		}
		b = append(append(b, kind), sum(c)...)
	}
	return b
}

// isWhole looks at no more of a record than it must.
func isWhole(b []byte) bool { return len(b) > 0 && b[0] == 1 }

func decodeRecord(root cid.Cid, b []byte) (keptRecord, error) {
	if len(b)%recordEntry != 1 || b[0] > 1 {
		return keptRecord{}, errRecord
	}
	r := keptRecord{whole: isWhole(b), blocks: make([]cid.Cid, 1, 1+len(b)/recordEntry)}
	r.blocks[0] = root
	for rest := b[1:]; len(rest) > 0; rest = rest[recordEntry:] {
		hash, err := multihash.Encode(rest[1:recordEntry], multihash.SHA2_256)
		if err != nil {
			return keptRecord{}, err
		}
		codec := uint64(cid.Raw)
		if rest[0] == 1 {
			codec = cid.DagProtobuf
		}
		r.blocks = append(r.blocks, cid.NewCidV1(codec, hash))
	}
	return r, nil
}

// record reads that of a directory; if it is not kept, the error wraps [unixfs.ErrNotFound].
func (s *store) record(ctx context.Context, root cid.Cid) (keptRecord, error) {
	if !unixfs.IsNode(root) {
		return keptRecord{}, fmt.Errorf("%s: %w", root, unixfs.ErrNotDirectory)
	}
	b, err := s.data.Get(ctx, keptKey(root))
	if errors.Is(err, datastore.ErrNotFound) {
		return keptRecord{}, fmt.Errorf("directory %s: %w", root, unixfs.ErrNotFound)
	}
	if err != nil {
		return keptRecord{}, fmt.Errorf("look for directory %s: %w", root, err)
	}
	r, err := decodeRecord(root, b)
	if err != nil {
		return keptRecord{}, fmt.Errorf("record of directory %s: %w", root, err)
	}
	return r, nil
}

// used says whether a kept directory uses the block, other than those that are going, by their digests.
func (s *store) used(ctx context.Context, block cid.Cid, going map[string]bool) (bool, error) {
	if !going[digest(block)] { // it may be a root itself
		if kept, err := s.data.Has(ctx, keptKey(block)); err != nil || kept {
			return kept, err
		}
	}
	results, err := s.data.Query(ctx, query.Query{Prefix: usersKey(block).String(), KeysOnly: true})
	if err != nil {
		return false, fmt.Errorf("list the users of %s: %w", block, err)
	}
	defer results.Close()
	for r := range results.Next() {
		if r.Error != nil {
			return false, fmt.Errorf("list the users of %s: %w", block, r.Error)
		}
		if !going[datastore.RawKey(r.Key).BaseNamespace()] {
			return true, nil
		}
	}
	return false, nil
}

// keptRoots lists the roots of kept directories until ctx ends.
func keptRoots(ctx context.Context, data datastore.Datastore) (<-chan cid.Cid, error) {
	results, err := data.Query(ctx, query.Query{Prefix: keptPrefix.String(), KeysOnly: true})
	if err != nil {
		return nil, fmt.Errorf("list the kept directories: %w", err)
	}
	roots := make(chan cid.Cid)
	go func() {
		defer close(roots)
		defer results.Close()
		for r := range results.Next() {
			root, err := keptRoot(r)
			if err != nil {
				return // the next round lists them again
			}
			select {
			case roots <- root:
			case <-ctx.Done():
				return
			}
		}
	}()
	return roots, nil
}

func keptRoot(r query.Result) (cid.Cid, error) {
	if r.Error != nil {
		return cid.Undef, r.Error
	}
	sum, err := base64.RawURLEncoding.DecodeString(datastore.RawKey(r.Key).BaseNamespace())
	if err != nil {
		return cid.Undef, fmt.Errorf("key %s: %w", r.Key, err)
	}
	hash, err := multihash.Encode(sum, multihash.SHA2_256)
	if err != nil {
		return cid.Undef, fmt.Errorf("key %s: %w", r.Key, err)
	}
	return cid.NewCidV1(cid.DagProtobuf, hash), nil
}
