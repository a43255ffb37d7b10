package gateway

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// hide leaves transactions out of a block of algod's. Its header stays as it is.
func (one *rule) hide(response *http.Response, body []byte) []byte {
	if !strings.HasPrefix(response.Request.URL.Path, "/v2/blocks/") || response.StatusCode != http.StatusOK {
		return body
	}
	var block models.BlockResponse
	if err := msgpack.NewLenientDecoder(bytes.NewReader(body)).Decode(&block); err != nil {
		return body
	}
	rest := slices.DeleteFunc(slices.Clone(block.Block.Payset), func(t types.SignedTxnInBlock) bool {
		whole := t.Txn
		if t.HasGenesisID {
			whole.GenesisID = block.Block.GenesisID
		}
		whole.GenesisHash = block.Block.GenesisHash
		return slices.Contains(one.Hide, crypto.TransactionIDString(whole))
	})
	if len(rest) == len(block.Block.Payset) {
		return body
	}
	block.Block.Payset = rest
	return msgpack.Encode(block)
}
