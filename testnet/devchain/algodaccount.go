package devchain

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/algorand/indexer/v3/util"
	"github.com/labstack/echo/v4"
)

func (a *algodServer) account(c echo.Context) error {
	addr, err := addressParam(c)
	if err != nil {
		return err
	}
	exclude, err := parseExclude(c.QueryParam("exclude"))
	if err != nil {
		return err
	}
	tip, s := a.ledger.tip()
	acct := s.account(addr)
	response := newAlgodAccount(a.ledger.rules, tip.round(), addr, acct)
	if exclude.all {
		return c.JSON(http.StatusOK, response)
	}
	if acct.assets+acct.createdAssets > maxResources {
		return c.JSON(http.StatusBadRequest, map[string]any{
			"message": "Result limit exceeded",
			"data": map[string]uint64{
				"max-results":           maxResources,
				"total-apps-opted-in":   0,
				"total-assets-opted-in": acct.assets,
				"total-created-apps":    0,
				"total-created-assets":  acct.createdAssets,
			},
		})
	}
	response.algodResources = newAlgodResources(s, addr, !exclude.assetParams)
	return c.JSON(http.StatusOK, response)
}

// exclusions are what an account is asked for without.
type exclusions struct{ all, assetParams bool }

func parseExclude(list string) (exclusions, error) {
	switch list {
	case "", "none":
		return exclusions{}, nil
	case "all":
		return exclusions{all: true}, nil
	}
	var e exclusions
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(name) {
		case "created-assets-params":
			e.assetParams = true
		case "created-apps-params": // there are none
		default:
			return e, fail(http.StatusBadRequest, "failed to parse exclude")
		}
	}
	return e, nil
}

// accountAssets pages through what an account holds, by asset id.
func (a *algodServer) accountAssets(c echo.Context) error {
	addr, err := addressParam(c)
	if err != nil {
		return err
	}
	limit, err := numberQuery(c, "limit")
	if err != nil {
		return err
	}
	after, err := numberQuery(c, "next")
	if err != nil {
		return err
	}
	if limit == 0 || limit > 1000 {
		limit = 1000
	}
	type row struct {
		Holding algodHolding `json:"asset-holding"`
		Params  *algodParams `json:"asset-params,omitempty"`
	}
	tip, s := a.ledger.tip()
	response := struct {
		Holdings []row       `json:"asset-holdings"`
		Next     string      `json:"next-token,omitempty"`
		Round    types.Round `json:"round"`
	}{Holdings: []row{}, Round: tip.round()}
	for id, h := range s.holdingsOf(addr, types.AssetIndex(after)) {
		if h.deleted {
			continue
		}
		if uint64(len(response.Holdings)) == limit {
			response.Next = strconv.FormatUint(response.Holdings[limit-1].Holding.AssetID, 10)
			break
		}
		held := row{Holding: algodHolding{h.amount, uint64(id), h.frozen}}
		if made, ok := s.asset(id); ok {
			held.Params = newAlgodParams(made)
		}
		response.Holdings = append(response.Holdings, held)
	}
	return c.JSON(http.StatusOK, response)
}

func (a *algodServer) accountAsset(c echo.Context) error {
	addr, err := addressParam(c)
	if err != nil {
		return err
	}
	id, err := numberParam(c, "asset")
	if err != nil {
		return err
	}
	tip, s := a.ledger.tip()
	response := struct {
		Holding *algodHolding `json:"asset-holding,omitempty"`
		Created *algodParams  `json:"created-asset,omitempty"`
		Round   types.Round   `json:"round"`
	}{Round: tip.round()}
	if h, ok := s.holding(addr, types.AssetIndex(id)); ok {
		response.Holding = &algodHolding{h.amount, id, h.frozen}
	}
	if made, ok := s.asset(types.AssetIndex(id)); ok && made.creator == addr {
		response.Created = newAlgodParams(made)
	}
	if response.Holding == nil && response.Created == nil {
		return fail(http.StatusNotFound, "account asset info not found")
	}
	return c.JSON(http.StatusOK, response)
}

func (a *algodServer) asset(c echo.Context) error {
	id, err := numberParam(c, "asset")
	if err != nil {
		return err
	}
	_, s := a.ledger.tip()
	made, ok := s.asset(types.AssetIndex(id))
	if !ok {
		return fail(http.StatusNotFound, "asset does not exist")
	}
	return c.JSON(http.StatusOK, newAlgodAsset(types.AssetIndex(id), made))
}

// algodAsset is an asset in algod's REST answers.
type algodAsset struct {
	Index  uint64       `json:"index"`
	Params *algodParams `json:"params,omitempty"` // absent where the request excludes it
}

func newAlgodAsset(id types.AssetIndex, a *asset) algodAsset {
	return algodAsset{uint64(id), newAlgodParams(a)}
}

type algodParams struct {
	Clawback      string `json:"clawback,omitempty"`
	Creator       string `json:"creator"`
	Decimals      uint32 `json:"decimals"`
	DefaultFrozen bool   `json:"default-frozen"`
	Freeze        string `json:"freeze,omitempty"`
	Manager       string `json:"manager,omitempty"`
	MetadataHash  []byte `json:"metadata-hash,omitempty"`
	Name          string `json:"name,omitempty"` // the text fields are absent where they are not printable
	NameB64       []byte `json:"name-b64,omitempty"`
	Reserve       string `json:"reserve,omitempty"`
	Total         uint64 `json:"total"`
	UnitName      string `json:"unit-name,omitempty"`
	UnitNameB64   []byte `json:"unit-name-b64,omitempty"`
	URL           string `json:"url,omitempty"`
	URLB64        []byte `json:"url-b64,omitempty"`
}

func newAlgodParams(a *asset) *algodParams {
	p := &algodParams{
		Clawback:      addressOrNothing(a.params.Clawback),
		Creator:       a.creator.String(),
		Decimals:      a.params.Decimals,
		DefaultFrozen: a.params.DefaultFrozen,
		Freeze:        addressOrNothing(a.params.Freeze),
		Manager:       addressOrNothing(a.params.Manager),
		Name:          util.PrintableUTF8OrEmpty(a.params.AssetName),
		NameB64:       []byte(a.params.AssetName),
		Reserve:       addressOrNothing(a.params.Reserve),
		Total:         a.params.Total,
		UnitName:      util.PrintableUTF8OrEmpty(a.params.UnitName),
		UnitNameB64:   []byte(a.params.UnitName),
		URL:           util.PrintableUTF8OrEmpty(a.params.URL),
		URLB64:        []byte(a.params.URL),
	}
	if a.params.MetadataHash != [32]byte{} {
		p.MetadataHash = a.params.MetadataHash[:]
	}
	return p
}

func addressOrNothing(a types.Address) string {
	if a == (types.Address{}) {
		return ""
	}
	return a.String()
}

// algodHolding is what an account holds of an asset.
type algodHolding struct {
	Amount   uint64 `json:"amount"`
	AssetID  uint64 `json:"asset-id"`
	IsFrozen bool   `json:"is-frozen"`
}

// algodAccount is an account in algod's REST answers.
type algodAccount struct {
	Address                     string            `json:"address"`
	Amount                      uint64            `json:"amount"`
	AmountWithoutPendingRewards uint64            `json:"amount-without-pending-rewards"`
	AppsTotalSchema             map[string]uint64 `json:"apps-total-schema"`
	AuthAddr                    string            `json:"auth-addr,omitempty"`
	MinBalance                  uint64            `json:"min-balance"`
	PendingRewards              uint64            `json:"pending-rewards"`
	RewardBase                  uint64            `json:"reward-base"`
	Rewards                     uint64            `json:"rewards"`
	Round                       types.Round       `json:"round"`
	Status                      string            `json:"status"`
	TotalAppsOptedIn            uint64            `json:"total-apps-opted-in"`
	TotalAssetsOptedIn          uint64            `json:"total-assets-opted-in"`
	TotalCreatedApps            uint64            `json:"total-created-apps"`
	TotalCreatedAssets          uint64            `json:"total-created-assets"`

	*algodResources // absent where the request excludes them
}

type algodResources struct {
	AppsLocalState []struct{}     `json:"apps-local-state"`
	Assets         []algodHolding `json:"assets"`
	CreatedApps    []struct{}     `json:"created-apps"`
	CreatedAssets  []algodAsset   `json:"created-assets"`
}

func newAlgodAccount(r *rules, round types.Round, addr types.Address, a account) algodAccount {
	return algodAccount{
		Address:                     addr.String(),
		Amount:                      a.balance,
		AmountWithoutPendingRewards: a.balance,
		AppsTotalSchema:             map[string]uint64{"num-byte-slice": 0, "num-uint": 0},
		AuthAddr:                    addressOrNothing(a.authAddr),
		MinBalance:                  r.minBalance(a),
		Round:                       round,
		Status:                      "Offline",
		TotalAssetsOptedIn:          a.assets,
		TotalCreatedAssets:          a.createdAssets,
	}
}

func newAlgodResources(s *state, addr types.Address, withParams bool) *algodResources {
	r := &algodResources{
		AppsLocalState: []struct{}{}, Assets: []algodHolding{}, CreatedApps: []struct{}{}, CreatedAssets: []algodAsset{},
	}
	for id, h := range s.holdingsOf(addr, 0) {
		if !h.deleted {
			r.Assets = append(r.Assets, algodHolding{h.amount, uint64(id), h.frozen})
		}
	}
	for id, a := range s.createdBy(addr, 0) {
		if a.deleted {
			continue
		}
		made := algodAsset{Index: uint64(id)}
		if withParams {
			made = newAlgodAsset(id, a)
		}
		r.CreatedAssets = append(r.CreatedAssets, made)
	}
	return r
}
