package devchain

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/labstack/echo/v4"
)

// blockParam is the block that the path names.
func (a *algodServer) blockParam(c echo.Context) (*block, error) {
	round, err := numberParam(c, "round")
	if err != nil {
		return nil, err
	}
	if b := a.ledger.block(types.Round(round)); b != nil && !a.dropped(b) {
		return b, nil
	}
	return nil, fail(http.StatusNotFound, msgLedger)
}

// dropped reports whether a block is too old for a node that keeps only the latest.
func (a *algodServer) dropped(b *block) bool {
	if a.keeps == nil || a.keeps() == 0 {
		return false
	}
	tip, _ := a.ledger.tip()
	return uint64(tip.round()-b.round()) >= uint64(a.keeps())
}

func (a *algodServer) block(c echo.Context) error {
	b, err := a.blockParam(c)
	if err != nil {
		return err
	}
	if headerOnly, _ := strconv.ParseBool(c.QueryParam("header-only")); headerOnly {
		return answer(c, blockResponse(msgpack.Encode(&b.header), nil))
	}
	packed, err := wantsMsgpack(c)
	if err != nil {
		return err
	}
	if !packed {
		return answer(c, blockResponse(b.raw, nil))
	}
	c.Response().Header().Set("X-Algorand-Struct", "block-v1")
	return answer(c, blockResponse(b.raw, msgpack.Encode(map[string]types.Round{"rnd": b.round()})))
}

// blockResponse is a msgpack map of an encoded block and, where there is one, an encoded certificate.
func blockResponse(block, cert []byte) []byte {
	var buf bytes.Buffer
	if cert == nil {
		buf.WriteString("\x81\xa5block")
		buf.Write(block)
		return buf.Bytes()
	}
	buf.WriteString("\x82\xa5block")
	buf.Write(block)
	buf.WriteString("\xa4cert")
	buf.Write(cert)
	return buf.Bytes()
}

func (a *algodServer) blockHash(c echo.Context) error {
	b, err := a.blockParam(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"blockHash": formatDigest(b.hash)})
}

func (a *algodServer) blockTxids(c echo.Context) error {
	b, err := a.blockParam(c)
	if err != nil {
		return err
	}
	ids := make([]string, len(b.txns))
	for i, t := range b.txns {
		ids[i] = t.id.String()
	}
	return c.JSON(http.StatusOK, map[string][]string{"blockTxids": ids})
}

func (a *algodServer) proof(c echo.Context) error {
	id, err := parseTxid(c.Param("txid"))
	if err != nil {
		return fail(http.StatusBadRequest, msgNoTxid)
	}
	with := commitNative
	switch c.QueryParam("hashtype") {
	case "", commitNative.name:
	case commitSHA256.name:
		with = commitSHA256
	default:
		return fail(http.StatusBadRequest, "invalid hash type")
	}
	b, err := a.blockParam(c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(b.txns, func(t blockTxn) bool { return t.id == id })
	if i < 0 {
		return fail(http.StatusNotFound, msgUnknownTxn)
	}
	leaves, err := a.ledger.rules.payset(b)
	if err != nil {
		return err
	}
	hash := inBlockHash(b.txns[i].encoded)
	if with.name == commitSHA256.name {
		hash = inBlockHash256(b.txns[i].encoded)
	}
	tree := leaves.tree(with)
	return c.JSON(http.StatusOK, struct {
		HashType  string `json:"hashtype"`
		Index     int    `json:"idx"`
		Proof     []byte `json:"proof"`
		StibHash  []byte `json:"stibhash"`
		TreeDepth int    `json:"treedepth"`
	}{with.name, i, tree.proof(i, len(b.txns)), hash[:], len(tree.levels) - 1})
}

// noStateProof is what a node says that has none, as every node in DevMode.
func (a *algodServer) noStateProof(c echo.Context) error {
	if _, err := numberParam(c, "round"); err != nil {
		return err
	}
	return fail(http.StatusNotFound, msgNoStateProof)
}
