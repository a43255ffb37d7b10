package devchain

import (
	"fmt"
	"net/http"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/labstack/echo/v4"
)

// simulateRequest is a simulation without options: those that the real algod has concern applications.
type simulateRequest struct {
	Groups []struct {
		Txns []types.SignedTxn `codec:"txns"`
	} `codec:"txn-groups"`
}

type simulateResponse struct {
	LastRound uint64           `codec:"last-round"`
	Groups    []simulatedGroup `codec:"txn-groups"`
	Version   int              `codec:"version"`
}

type simulatedGroup struct {
	FailedAt       []int          `codec:"failed-at,omitempty"`
	FailureMessage string         `codec:"failure-message,omitempty"`
	FeesPaid       uint64         `codec:"group-fees-paid,omitempty"`
	Usage          uint64         `codec:"group-usage,omitempty"` // in millionths of a transaction
	Results        []simulatedTxn `codec:"txn-results"`
}

type simulatedTxn struct {
	FeesPaid uint64          `codec:"fees-paid,omitempty"`
	Result   pendingResponse `codec:"txn-result"`
}

func (a *algodServer) simulate(c echo.Context) error {
	body, err := readBody(c)
	if err != nil {
		return err
	}
	var request simulateRequest
	if err := msgpack.Decode(body, &request); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	if n := len(request.Groups); n != 1 {
		return fail(http.StatusBadRequest, fmt.Sprintf("expected 1 transaction group, got %d", n))
	}
	signed := request.Groups[0].Txns
	if limit := a.ledger.rules.MaxTxGroupSize; len(signed) == 0 || len(signed) > limit {
		return fail(http.StatusBadRequest, fmt.Sprintf("transaction group size %d exceeds protocol max %d", len(signed), limit))
	}
	g := make(group, len(signed))
	for i, s := range signed {
		g[i] = newSignedTxn(s)
	}
	if err := a.ledger.rules.check(g); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	last, applied, refused := a.ledger.simulate(g)
	result := simulatedGroup{}
	if refused != nil {
		result.FailedAt, result.FailureMessage = []int{refused.at}, refused.Error()
	}
	for i := range g {
		p := pendingTxn{txn: g[i].SignedTxn}
		if i < len(applied) {
			p.data = applied[i].data
		}
		result.FeesPaid += uint64(g[i].Txn.Fee)
		result.Usage += a.ledger.rules.usage(&g[i].Txn)
		result.Results = append(result.Results, simulatedTxn{uint64(g[i].Txn.Fee), newPendingResponse(p)})
	}
	return answer(c, msgpack.Encode(simulateResponse{
		LastRound: uint64(last), Groups: []simulatedGroup{result}, Version: 2,
	}))
}
