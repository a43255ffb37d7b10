package hostile

import (
	"encoding/binary"
	"fmt"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/wire"
)

// Link is a link of a dag-pb node. Its size is what the node says.
type Link struct {
	Name string
	CID  cid.Cid
	Size uint64
}

// Node is a dag-pb node with links and data, whether they make sense or not.
func Node(data []byte, links ...Link) (blocks.Block, error) {
	var node []byte
	for _, l := range links {
		link := field(nil, 1, l.CID.Bytes())
		link = field(link, 2, []byte(l.Name))
		link = binary.AppendUvarint(append(link, 3<<3), l.Size)
		node = field(node, 2, link)
	}
	return Block(field(node, 1, data))
}

// field appends a field of bytes, as protocol buffers have it.
func field(to []byte, number byte, value []byte) []byte {
	return append(binary.AppendUvarint(append(to, number<<3|2), uint64(len(value))), value...)
}

// Block is any bytes under a CID that says that they are a dag-pb node.
func Block(data []byte) (blocks.Block, error) {
	root, err := wire.DirectoryCID.Sum(data)
	if err != nil {
		return nil, fmt.Errorf("hashing a block: %w", err)
	}
	return blocks.NewBlockWithCid(data, root)
}
