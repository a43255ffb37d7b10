package unixfs

import (
	"fmt"

	boxo "github.com/ipfs/boxo/ipld/unixfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	dagpb "github.com/ipld/go-codec-dagpb"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/multiformats/go-multihash"
)

// The two node forms of UnixFS (specs.ipfs.tech/unixfs) that directories need, written with the dag-pb codec itself:
// merkledag's nodes take their field order from a process-wide variable that Kubo sets.

var (
	nodePrefix = cid.Prefix{Version: 1, Codec: cid.DagProtobuf, MhType: multihash.SHA2_256, MhLength: 32}
	rawPrefix  = cid.Prefix{Version: 1, Codec: cid.Raw, MhType: multihash.SHA2_256, MhLength: 32}
)

// IsNode says whether a CID can be that of a directory, or of a file of more than 1 MiB (version 1, dag-pb, SHA-256).
func IsNode(c cid.Cid) bool { return c.Defined() && c.Prefix() == nodePrefix }

// IsRaw says whether a CID can be that of a file of at most 1 MiB, or of a chunk (version 1, raw, SHA-256).
func IsRaw(c cid.Cid) bool { return c.Defined() && c.Prefix() == rawPrefix }

// maxNode bounds an encoded node, in bytes: 32 links of some 50 bytes, or two with long names.
const maxNode = 4 << 10

// entry is a name in a directory. size is the cumulative size that the link states (Tsize), in bytes.
type entry struct {
	name string
	cid  cid.Cid
	size uint64
}

func rawBlock(data []byte) (blocks.Block, error) { return sumBlock(rawPrefix, data) }

// sumBlock gives data the CID that it has.
func sumBlock(prefix cid.Prefix, data []byte) (blocks.Block, error) {
	c, err := prefix.Sum(data)
	if err != nil {
		return nil, fmt.Errorf("hash a block: %w", err)
	}
	return blocks.NewBlockWithCid(data, c)
}

func encodeRoot(entries []entry) (blocks.Block, error) {
	return encodeNode(entries, boxo.FolderPBData())
}

// encodeFile makes the node of a file of size bytes over its chunks.
func encodeFile(chunks []cid.Cid, size int) (blocks.Block, error) {
	fs := boxo.NewFSNode(boxo.TFile)
	links := make([]entry, len(chunks))
	for i, c := range chunks {
		n := uint64(min(ChunkSize, size-i*ChunkSize))
		fs.AddBlockSize(n)
		links[i] = entry{cid: c, size: n}
	}
	data, err := fs.GetBytes()
	if err != nil {
		return nil, fmt.Errorf("encode a file node: %w", err)
	}
	return encodeNode(links, data)
}

func encodeNode(links []entry, data []byte) (blocks.Block, error) {
	node, err := qp.BuildMap(dagpb.Type.PBNode, 2, func(m datamodel.MapAssembler) {
		qp.MapEntry(m, "Links", qp.List(int64(len(links)), func(l datamodel.ListAssembler) {
			for _, link := range links {
				qp.ListEntry(l, qp.Map(3, func(m datamodel.MapAssembler) {
					qp.MapEntry(m, "Hash", qp.Link(cidlink.Link{Cid: link.cid}))
					qp.MapEntry(m, "Name", qp.String(link.name))
					qp.MapEntry(m, "Tsize", qp.Int(int64(link.size)))
				}))
			}
		}))
		qp.MapEntry(m, "Data", qp.Bytes(data))
	})
	if err != nil {
		return nil, fmt.Errorf("build a dag-pb node: %w", err)
	}
	encoded, err := dagpb.AppendEncode(nil, node)
	if err != nil {
		return nil, fmt.Errorf("encode a dag-pb node: %w", err)
	}
	return sumBlock(nodePrefix, encoded)
}

// decodeRoot reads the two entries of a directory's root, without sizes. It bounds them and leaves the rest, sizes and
// exact form, to the comparison with the canonical encoding.
func decodeRoot(b blocks.Block) ([]entry, error) {
	links, err := decodeNode(b)
	if err != nil {
		return nil, err
	}
	if len(links) != 2 {
		return nil, fmt.Errorf("%d entries: %w", len(links), ErrNotDirectory)
	}
	if links[0].name > links[1].name {
		return nil, fmt.Errorf("entries out of order: %w", ErrNotDirectory)
	}
	if err := checkNames(links[0].name, links[1].name); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrNotDirectory)
	}
	for _, l := range links {
		if !IsRaw(l.cid) && (l.name == MetadataName || !IsNode(l.cid)) {
			return nil, fmt.Errorf("%s is %s: %w", l.name, l.cid, ErrNotDirectory)
		}
	}
	return links, nil
}

// FilesOf gives the CIDs of the two files of a directory, of which this is the root, in the order of their names. What
// no root can be is an [ErrNotDirectory]; sizes and exact form are not looked at.
func FilesOf(root blocks.Block) ([2]cid.Cid, error) {
	entries, err := decodeRoot(root)
	if err != nil {
		return [2]cid.Cid{}, err
	}
	return [2]cid.Cid{entries[0].cid, entries[1].cid}, nil
}

// decodeFile reads the chunks of a file node.
func decodeFile(b blocks.Block) ([]cid.Cid, error) {
	links, err := decodeNode(b)
	if err != nil {
		return nil, err
	}
	if len(links) < 2 || len(links) > maxChunks {
		return nil, fmt.Errorf("a file of %d chunks: %w", len(links), ErrNotDirectory)
	}
	chunks := make([]cid.Cid, len(links))
	for i, l := range links {
		if !IsRaw(l.cid) {
			return nil, fmt.Errorf("chunk %d is %s: %w", i, l.cid, ErrNotDirectory)
		}
		chunks[i] = l.cid
	}
	return chunks, nil
}

func decodeNode(b blocks.Block) ([]entry, error) {
	if len(b.RawData()) > maxNode {
		return nil, fmt.Errorf("a node of %d bytes: %w", len(b.RawData()), ErrNotDirectory)
	}
	builder := dagpb.Type.PBNode.NewBuilder()
	if err := dagpb.DecodeBytes(builder, b.RawData()); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrNotDirectory)
	}
	node := builder.Build().(dagpb.PBNode)
	var links []entry
	for it := node.Links.Iterator(); !it.Done(); {
		_, l := it.Next()
		link, ok := l.Hash.Link().(cidlink.Link)
		if !ok {
			return nil, fmt.Errorf("a link of an unknown kind: %w", ErrNotDirectory)
		}
		e := entry{cid: link.Cid}
		if l.Name.Exists() {
			e.name = l.Name.Must().String()
		}
		links = append(links, e)
	}
	return links, nil
}
