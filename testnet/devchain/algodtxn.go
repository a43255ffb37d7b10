package devchain

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/labstack/echo/v4"
)

// readBody reads a POST's body.
func readBody(c echo.Context) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fail(http.StatusRequestEntityTooLarge, err.Error())
	case err != nil:
		return nil, fail(http.StatusBadRequest, err.Error())
	}
	return body, nil
}

func (a *algodServer) submit(c echo.Context) error {
	body, err := readBody(c)
	if err != nil {
		return err
	}
	g, err := decodeGroup(bytes.NewReader(body), a.ledger.rules.MaxTxGroupSize)
	if err == nil {
		err = a.ledger.rules.check(g)
	}
	if err == nil {
		err = a.ledger.submit(g)
	}
	var lost *storageError
	switch {
	case errors.As(err, &lost):
		return fail(http.StatusInternalServerError, err.Error())
	case err != nil:
		return fail(http.StatusBadRequest, err.Error())
	}
	return c.JSON(http.StatusOK, map[string]string{"txId": g[0].id.String()})
}

// pendingResponse is what algod tells of one transaction.
type pendingResponse struct {
	AssetClosingAmount uint64          `codec:"asset-closing-amount,omitempty"`
	AssetIndex         uint64          `codec:"asset-index,omitempty"` // of a creation
	ClosingAmount      uint64          `codec:"closing-amount,omitempty"`
	ConfirmedRound     uint64          `codec:"confirmed-round,omitempty"`
	PoolError          string          `codec:"pool-error"`
	Txn                types.SignedTxn `codec:"txn"`
}

func newPendingResponse(p pendingTxn) pendingResponse {
	return pendingResponse{
		AssetClosingAmount: p.data.AssetClosingAmount,
		AssetIndex:         uint64(p.data.ConfigAsset),
		ClosingAmount:      uint64(p.data.ClosingAmount),
		ConfirmedRound:     uint64(p.confirmed),
		PoolError:          p.poolError,
		Txn:                p.txn,
	}
}

func (a *algodServer) pending(c echo.Context) error {
	id, err := parseTxid(c.Param("txid"))
	if err != nil {
		return fail(http.StatusBadRequest, msgNoTxid)
	}
	p, known, err := a.ledger.pending(id)
	if err != nil {
		return err
	}
	if !known {
		return fail(http.StatusNotFound, msgUnknownTxn)
	}
	return answer(c, msgpack.Encode(newPendingResponse(p)))
}

func (a *algodServer) waiting(c echo.Context) error {
	return a.listWaiting(c, func(*types.Transaction) bool { return true })
}

func (a *algodServer) waitingOf(c echo.Context) error {
	addr, err := addressParam(c)
	if err != nil {
		return err
	}
	return a.listWaiting(c, func(tx *types.Transaction) bool {
		return slices.Contains(participants(tx), addr)
	})
}

func (a *algodServer) listWaiting(c echo.Context, match func(*types.Transaction) bool) error {
	limit, err := numberQuery(c, "max")
	if err != nil {
		return err
	}
	found := a.ledger.waiting(match)
	top := found
	if limit != 0 && limit < uint64(len(found)) {
		top = found[:limit]
	}
	return answer(c, msgpack.Encode(struct {
		Top   []types.SignedTxn `codec:"top-transactions"`
		Total int               `codec:"total-transactions"`
	}{top, len(found)}))
}
