package hostile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	dagpb "github.com/ipld/go-codec-dagpb"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// CAR is a CARv1 whose header names roots, with the blocks of directories.
func CAR(roots []cid.Cid, dirs ...unixfs.Directory) []byte {
	var all []blocks.Block
	for _, d := range dirs {
		all = append(all, d.Blocks()...)
	}
	return slices.Concat(CARHeader(roots...), CARBlocks(all...))
}

// CARHeader is the header of a CARv1: a map of the roots and the version, in CBOR.
func CARHeader(roots ...cid.Cid) []byte {
	header := append([]byte{0xa2, 0x65}, "roots"...)
	switch n := len(roots); {
	case n < 24:
		header = append(header, 0x80|byte(n))
	case n < 256:
		header = append(header, 0x98, byte(n))
	default:
		header = binary.BigEndian.AppendUint16(append(header, 0x99), uint16(n))
	}
	for _, root := range roots {
		header = append(header, 0xd8, 0x2a, 0x58, byte(1+root.ByteLen()), 0)
		header = append(header, root.Bytes()...)
	}
	header = append(append(header, 0x67), "version\x01"...)
	return append(binary.AppendUvarint(nil, uint64(len(header))), header...)
}

// CARBlocks is sections of a CAR. They need not fit their CIDs.
func CARBlocks(list ...blocks.Block) (sections []byte) {
	for _, b := range list {
		sections = binary.AppendUvarint(sections, uint64(b.Cid().ByteLen()+len(b.RawData())))
		sections = append(append(sections, b.Cid().Bytes()...), b.RawData()...)
	}
	return sections
}

// Announcement is a gossip message that announces roots as confirmed in a round, with the blocks of directories.
func Announcement(round uint64, roots []cid.Cid, dirs ...unixfs.Directory) []byte {
	return append(binary.AppendUvarint([]byte{1}, round), CAR(roots, dirs...)...)
}

// Hint is a gossip message that says that something of the member's was confirmed in a round.
func Hint(round uint64) []byte { return binary.AppendUvarint([]byte{2}, round) }

// ReadCAR reads directories of the protocol's form, until the end or what is none. It checks nothing but that form.
func ReadCAR(r io.Reader) (dirs []unixfs.Directory, err error) {
	in, err := car.NewBlockReader(bufio.NewReader(r))
	if err != nil {
		return nil, err
	}
	held := map[cid.Cid][]byte{}
	var nodes []blocks.Block
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading a block: %w", err)
		}
		held[b.Cid()] = b.RawData()
		if b.Cid().Type() == cid.DagProtobuf {
			nodes = append(nodes, b)
		}
	}
	for _, node := range nodes {
		if d, ok := rebuild(node, held); ok {
			dirs = append(dirs, d)
		}
	}
	return dirs, nil
}

// rebuild makes the directory with a root out of blocks. A file's node is none.
func rebuild(root blocks.Block, held map[cid.Cid][]byte) (unixfs.Directory, bool) {
	links := linksOf(root.RawData())
	if len(links) != 2 {
		return unixfs.Directory{}, false
	}
	files := make([]unixfs.File, 2)
	for i, l := range links {
		files[i] = unixfs.File{Name: l.name, Data: held[l.cid]}
		if l.cid.Type() == cid.DagProtobuf {
			var chunks [][]byte
			for _, chunk := range linksOf(held[l.cid]) {
				chunks = append(chunks, held[chunk.cid])
			}
			files[i].Data = bytes.Join(chunks, nil)
		}
	}
	d, err := unixfs.Build(files...)
	return d, err == nil && d.Root() == root.Cid()
}

type link struct {
	name string
	cid  cid.Cid
}

// linksOf reads the links of a dag-pb node; of what is none, there are none.
func linksOf(node []byte) (links []link) {
	builder := dagpb.Type.PBNode.NewBuilder()
	if err := dagpb.DecodeBytes(builder, node); err != nil {
		return nil
	}
	for it := builder.Build().(dagpb.PBNode).Links.Iterator(); !it.Done(); {
		_, l := it.Next()
		to, ok := l.Hash.Link().(cidlink.Link)
		if !ok {
			return nil
		}
		one := link{cid: to.Cid}
		if l.Name.Exists() {
			one.name = l.Name.Must().String()
		}
		links = append(links, one)
	}
	return links
}
