package devchain

import (
	"context"
	"net/http"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/labstack/echo/v4"
)

func (a *algodServer) ready(c echo.Context) error {
	if a.ledger.sinceLastRound() > recently {
		return c.JSON(http.StatusServiceUnavailable, nil)
	}
	return c.JSON(http.StatusOK, nil)
}

func (a *algodServer) versions(c echo.Context) error {
	type build struct {
		Major       int    `json:"major"`
		Minor       int    `json:"minor"`
		BuildNumber int    `json:"build_number"`
		CommitHash  string `json:"commit_hash"`
		Branch      string `json:"branch"`
		Channel     string `json:"channel"`
	}
	return c.JSON(http.StatusOK, struct {
		Versions    []string `json:"versions"`
		GenesisID   string   `json:"genesis_id"`
		GenesisHash []byte   `json:"genesis_hash_b64"`
		Build       build    `json:"build"`
	}{[]string{"v2"}, a.ledger.rules.genesisID, a.ledger.rules.genesisHash[:], build{Major: 5, Channel: "devchain"}})
}

func (a *algodServer) genesis(c echo.Context) error {
	readable, err := toJSON(msgpack.Encode(a.ledger.genesis))
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, readable)
}

func (a *algodServer) status(c echo.Context) error {
	tip, _ := a.ledger.tip()
	return c.JSON(http.StatusOK, map[string]any{
		"catchpoint":                    "",
		"catchpoint-acquired-blocks":    0,
		"catchpoint-processed-accounts": 0,
		"catchpoint-processed-kvs":      0,
		"catchpoint-total-accounts":     0,
		"catchpoint-total-blocks":       0,
		"catchpoint-total-kvs":          0,
		"catchpoint-verified-accounts":  0,
		"catchpoint-verified-kvs":       0,
		"catchup-time":                  0,
		"last-catchpoint":               "",
		"last-round":                    tip.round(),
		"last-version":                  consensusVersion,
		"next-version":                  consensusVersion,
		"next-version-round":            tip.round() + 1,
		"next-version-supported":        true,
		"stopped-at-unsupported-round":  false,
		"time-since-last-round":         a.ledger.sinceLastRound().Nanoseconds(),
	})
}

func (a *algodServer) waitForBlock(c echo.Context) error {
	after, err := numberParam(c, "round")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), a.patience)
	defer cancel()
	a.ledger.wait(ctx, types.Round(after))
	if c.Request().Context().Err() != nil {
		return fail(http.StatusInternalServerError, "operation aborted as server is shutting down")
	}
	return a.status(c)
}

func (a *algodServer) supply(c echo.Context) error {
	tip, s := a.ledger.tip()
	r := a.ledger.rules
	total := a.ledger.issued - s.account(r.feeSink).balance - s.account(r.rewardsPool).balance
	return c.JSON(http.StatusOK, map[string]uint64{
		"current_round": uint64(tip.round()),
		"online-money":  0, // nobody takes part in consensus
		"online-stake":  0,
		"total-money":   total,
	})
}

func (a *algodServer) params(c echo.Context) error {
	tip, _ := a.ledger.tip()
	r := a.ledger.rules
	return c.JSON(http.StatusOK, map[string]any{
		"consensus-version": consensusVersion,
		"fee":               a.feePerByte(),
		"genesis-hash":      r.genesisHash[:],
		"genesis-id":        r.genesisID,
		"last-round":        tip.round(),
		"min-fee":           r.MinTxnFee,
	})
}
