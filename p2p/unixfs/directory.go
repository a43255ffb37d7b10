// Package unixfs is the one shape that everything published has on IPFS: a UnixFS directory (specs.ipfs.tech/unixfs) of
// metadata.json and a payload file, whole and canonical by construction, so that equal content has one CID. It needs no
// host: see package p2p for where directories are kept and how they travel.
package unixfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

// The shape of a directory: MetadataName and one payload file beside it.
const (
	// MetadataName is the name of the one file that every directory has.
	MetadataName = "metadata.json"

	// MaxMetadata is the greatest size of metadata.json, in bytes: it is always one block.
	MaxMetadata = ChunkSize

	// MaxPayload is the greatest size of the payload file, in bytes: what the largest object comes to, sealed, and a bit.
	MaxPayload = 12 << 20

	// ChunkSize is the greatest size of a block of a file's bytes.
	ChunkSize = 1 << 20

	// MaxBytes bounds all blocks of a directory together; the nodes need far less than a chunk.
	MaxBytes = MaxPayload + MaxMetadata + ChunkSize

	maxNameLength = 255
	maxChunks     = MaxPayload / ChunkSize
)

var (
	// ErrNotFound says that a directory, or a part of it, is not in this node's store.
	ErrNotFound = errors.New("not found")

	// ErrNotDirectory says that what a CID stands for is not a directory of the one shape, and never will be.
	ErrNotDirectory = errors.New("not a directory of metadata.json and a payload file")

	// ErrNone says that a [Directory] is the zero one.
	ErrNone = errors.New("the zero directory is none")
)

// A File is one of a directory's two.
type File struct {
	Name string
	Data []byte
}

// Pick gives what is in the file of a name, and in the other one of a directory's two; nil for what isn't there.
func Pick(files []File, name string) (named, other []byte) {
	for _, f := range files {
		if f.Name == name {
			named = f.Data
		} else {
			other = f.Data
		}
	}
	return named, other
}

// A Directory is a UnixFS directory of two files with all its blocks: the root first, then the two files in the
// order of their names (a file of more than 1 MiB as its node), then the chunks of such a file; a
// block that occurs twice is there once. It is whole and canonical by construction. The zero Directory is none.
type Directory struct {
	root   cid.Cid
	blocks []blocks.Block
}

// Root is the directory's CID (version 1, dag-pb, SHA-256).
func (d Directory) Root() cid.Cid { return d.root }

// Blocks are the directory's blocks in the order above. They must not be changed.
func (d Directory) Blocks() []blocks.Block { return d.blocks }

// Size is the length of all blocks together, in bytes.
func (d Directory) Size() int {
	n := 0
	for _, b := range d.blocks {
		n += len(b.RawData())
	}
	return n
}

// IsLarge says whether the payload is more than one block.
func (d Directory) IsLarge() bool { return len(d.blocks) > 3 }

// Files are the directory's two files in the order of their names.
func (d Directory) Files() ([]File, error) {
	if !d.root.Defined() {
		return nil, ErrNone
	}
	held := make(map[cid.Cid]blocks.Block, len(d.blocks))
	for _, b := range d.blocks {
		held[b.Cid()] = b
	}
	root, err := decodeRoot(held[d.root])
	if err != nil {
		return nil, err
	}
	files := make([]File, len(root))
	for i, entry := range root {
		files[i].Name = entry.name
		if entry.cid.Type() == cid.Raw {
			files[i].Data = held[entry.cid].RawData()
			continue
		}
		chunks, err := decodeFile(held[entry.cid])
		if err != nil {
			return nil, err
		}
		for _, c := range chunks {
			files[i].Data = append(files[i].Data, held[c].RawData()...)
		}
	}
	return files, nil
}

// Build makes the directory of the two files: metadata.json (at most 1 MiB) and a payload (at most 12 MiB).
// It is what `ipfs add --cid-version=1 --raw-leaves --chunker=size-1048576` makes: a file of up to 1 MiB is one
// raw block, a larger one a node over 1 MiB chunks. It needs no host, and equal files give equal CIDs. The
// directory refers to the files' bytes, which must not be changed afterwards.
func Build(files ...File) (Directory, error) {
	if len(files) != 2 {
		return Directory{}, fmt.Errorf("a directory has 2 files, not %d", len(files))
	}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if err := checkNames(files[0].Name, files[1].Name); err != nil {
		return Directory{}, err
	}

	var entries []entry
	var nodes, chunks []blocks.Block
	for _, f := range files {
		limit := MaxPayload
		if f.Name == MetadataName {
			limit = MaxMetadata
		}
		if len(f.Data) > limit {
			return Directory{}, fmt.Errorf("%s has %d bytes, the limit is %d", f.Name, len(f.Data), limit)
		}
		if len(f.Data) <= ChunkSize {
			b, err := rawBlock(f.Data)
			if err != nil {
				return Directory{}, err
			}
			nodes = append(nodes, b)
			entries = append(entries, entry{name: f.Name, cid: b.Cid(), size: uint64(len(f.Data))})
			continue
		}
		var cids []cid.Cid
		for c := range slices.Chunk(f.Data, ChunkSize) {
			b, err := rawBlock(c)
			if err != nil {
				return Directory{}, err
			}
			chunks = append(chunks, b)
			cids = append(cids, b.Cid())
		}
		node, err := encodeFile(cids, len(f.Data))
		if err != nil {
			return Directory{}, err
		}
		nodes = append(nodes, node)
		entries = append(entries, entry{name: f.Name, cid: node.Cid(), size: uint64(len(f.Data) + len(node.RawData()))})
	}
	root, err := encodeRoot(entries)
	if err != nil {
		return Directory{}, err
	}
	all := append([]blocks.Block{root}, nodes...)
	return Directory{root: root.Cid(), blocks: distinct(append(all, chunks...))}, nil
}

// checkNames holds two names to the rules, the smaller one first.
func checkNames(first, second string) error {
	if first == second {
		return fmt.Errorf("two files are named %q", first)
	}
	if first != MetadataName && second != MetadataName {
		return fmt.Errorf("no file is named %s", MetadataName)
	}
	for _, name := range []string{first, second} {
		switch {
		case name == "", name == ".", name == "..", len(name) > maxNameLength, !utf8.ValidString(name),
			strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }):
			return fmt.Errorf("%q is no name for a file", name)
		}
	}
	return nil
}

// distinct keeps the first of equal blocks.
func distinct(bs []blocks.Block) []blocks.Block {
	seen := cid.NewSet()
	return slices.DeleteFunc(bs, func(b blocks.Block) bool { return !seen.Visit(b.Cid()) })
}

// A Source gives the blocks of the CIDs in the order asked, each checked against its hash. An error that
// wraps [ErrNotFound] says that one is missing.
type Source func(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error)

// Load gets the directory from the Source, level by level: the root, its two entries, then the chunks of
// a large file. It asks for nothing that the directory does not contain, and for every block once. If what
// the CID stands for has another shape, the error wraps [ErrNotDirectory].
func Load(ctx context.Context, root cid.Cid, from Source) (Directory, error) {
	if !IsNode(root) {
		return Directory{}, fmt.Errorf("%s: %w", root, ErrNotDirectory)
	}
	d := Directory{root: root}
	held := map[cid.Cid]blocks.Block{}
	get := func(want ...cid.Cid) error {
		missing := cid.NewSet()
		want = slices.DeleteFunc(want, func(c cid.Cid) bool { return held[c] != nil || !missing.Visit(c) })
		if len(want) == 0 {
			return nil
		}
		got, err := from(ctx, want...)
		if err != nil {
			return err
		}
		for _, b := range got {
			held[b.Cid()] = b
		}
		d.blocks = append(d.blocks, got...)
		return nil
	}

	if err := get(root); err != nil {
		return Directory{}, err
	}
	entries, err := decodeRoot(held[root])
	if err != nil {
		return Directory{}, fmt.Errorf("%s: %w", root, err)
	}
	if err := get(entries[0].cid, entries[1].cid); err != nil {
		return Directory{}, err
	}
	for i, e := range entries {
		if e.cid.Type() == cid.Raw {
			entries[i].size = uint64(len(held[e.cid].RawData()))
			if entries[i].size > ChunkSize {
				return Directory{}, fmt.Errorf("%s: a block of %d bytes: %w", root, entries[i].size, ErrNotDirectory)
			}
			continue
		}
		chunks, err := decodeFile(held[e.cid])
		if err != nil {
			return Directory{}, fmt.Errorf("%s: %w", root, err)
		}
		if err := get(slices.Clone(chunks)...); err != nil {
			return Directory{}, err
		}
		size := 0
		for j, c := range chunks {
			n := len(held[c].RawData())
			if n > ChunkSize || n == 0 || (n < ChunkSize && j < len(chunks)-1) {
				return Directory{}, fmt.Errorf("%s: chunk %d has %d bytes: %w", root, j, n, ErrNotDirectory)
			}
			size += n
		}
		node, err := encodeFile(chunks, size)
		if err != nil {
			return Directory{}, err
		}
		if node.Cid() != e.cid {
			return Directory{}, fmt.Errorf("%s: the node of %s is not canonical: %w", root, e.name, ErrNotDirectory)
		}
		entries[i].size = uint64(size + len(node.RawData()))
	}
	// Encoding it anew proves at one stroke that sizes, order and fields are the only ones that equal content can have.
	canonical, err := encodeRoot(entries)
	if err != nil {
		return Directory{}, err
	}
	if canonical.Cid() != root {
		return Directory{}, fmt.Errorf("%s: the root is not canonical: %w", root, ErrNotDirectory)
	}
	return d, nil
}
