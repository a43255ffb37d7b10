package devchain

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const (
	// maxBody bounds a POST: sixteen transactions with the longest notes are a tenth of it.
	maxBody = 1 << 20
	// waitForBlock is how long wait-for-block-after waits before it answers with the round as it is.
	waitForBlock = time.Minute
	// recently is how old the last round may be for algod to call itself ready.
	recently = 20 * time.Second
	// maxResources is how much an account may hold and have created to be listed in one answer.
	maxResources = 100_000
)

// Messages that several handlers share; the words are algod's.
const (
	msgLedger       = "failed to retrieve information from the ledger"
	msgNoTxid       = "no valid transaction ID was specified"
	msgUnknownTxn   = "could not find the transaction in the transaction pool or in the last 1000 confirmed rounds"
	msgNoStateProof = "no state proof can be found for that round"
)

// algodServer is algod's REST API over a ledger.
type algodServer struct {
	ledger     *ledger
	token      string
	feePerByte func() uint64
	keeps      func() int    // blocks; nil or 0 for all
	patience   time.Duration // of wait-for-block-after
}

func newAlgodAPI(a *algodServer) http.Handler {
	e := echo.New()
	e.Pre(middleware.RemoveTrailingSlash())
	e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowHeaders: []string{tokenHeader, echo.HeaderContentType},
	}))
	e.GET("/health", func(c echo.Context) error { return c.JSON(http.StatusOK, nil) })
	e.GET("/ready", a.ready)
	e.GET("/versions", a.versions)
	e.GET("/genesis", a.genesis)

	v2 := e.Group("/v2", a.authenticate)
	v2.GET("/status", a.status)
	v2.GET("/status/wait-for-block-after/:round", a.waitForBlock)
	v2.GET("/ledger/supply", a.supply)
	v2.GET("/transactions/params", a.params)
	v2.POST("/transactions", a.submit)
	v2.POST("/transactions/simulate", a.simulate)
	v2.GET("/transactions/pending", a.waiting)
	v2.GET("/transactions/pending/:txid", a.pending)
	v2.GET("/accounts/:address", a.account)
	v2.GET("/accounts/:address/assets", a.accountAssets)
	v2.GET("/accounts/:address/assets/:asset", a.accountAsset)
	v2.GET("/accounts/:address/transactions/pending", a.waitingOf)
	v2.GET("/assets/:asset", a.asset)
	v2.GET("/blocks/:round", a.block)
	v2.GET("/blocks/:round/hash", a.blockHash)
	v2.GET("/blocks/:round/txids", a.blockTxids)
	v2.GET("/blocks/:round/transactions/:txid/proof", a.proof)
	v2.GET("/blocks/:round/lightheader/proof", a.noStateProof)
	v2.GET("/stateproofs/:round", a.noStateProof)
	return e
}

const tokenHeader = "X-Algo-API-Token"

func (a *algodServer) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		given := c.Request().Header.Get(tokenHeader)
		if given == "" {
			given = strings.TrimPrefix(c.Request().Header.Get(echo.HeaderAuthorization), "Bearer ")
		}
		if subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) != 1 {
			return fail(http.StatusUnauthorized, "Invalid API Token")
		}
		return next(c)
	}
}

// fail is an error that echo answers as algod does: {"message": ...}.
func fail(status int, message string) error { return echo.NewHTTPError(status, message) }

// answer gives a value as JSON, or as it is where the request asks for msgpack.
func answer(c echo.Context, encoded []byte) error {
	packed, err := wantsMsgpack(c)
	if err != nil {
		return err
	}
	if packed {
		return c.Blob(http.StatusOK, "application/msgpack", encoded)
	}
	readable, err := toJSON(encoded)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, readable)
}

func wantsMsgpack(c echo.Context) (bool, error) {
	switch c.QueryParam("format") {
	case "msgpack", "msgp":
		return true, nil
	case "", "json":
		return false, nil
	}
	return false, fail(http.StatusBadRequest, "failed to parse the format option")
}

func addressParam(c echo.Context) (types.Address, error) {
	text := c.Param("address")
	a, err := types.DecodeAddress(text)
	if err != nil {
		return a, fail(http.StatusBadRequest, fmt.Sprintf(
			"Invalid format for parameter address: error unmarshaling '%s' text as *basics.Address: decoded bad addr: %s",
			text, text))
	}
	return a, nil
}

// numberParam reads a number from the path.
func numberParam(c echo.Context, name string) (uint64, error) {
	n, err := strconv.ParseUint(c.Param(name), 10, 64)
	if err != nil {
		return 0, fail(http.StatusBadRequest, fmt.Sprintf("Invalid format for parameter %s: %v", name, err))
	}
	return n, nil
}

// numberQuery reads an optional number, 0 where it is absent.
func numberQuery(c echo.Context, name string) (uint64, error) {
	text := c.QueryParam(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fail(http.StatusBadRequest, fmt.Sprintf("Invalid format for parameter %s: %v", name, err))
	}
	return n, nil
}
