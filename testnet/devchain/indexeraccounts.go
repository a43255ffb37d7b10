package devchain

import (
	"context"
	"iter"
	"strings"

	"github.com/RaduBerinde/btreemap"
	"github.com/algorand/go-algorand-sdk/v2/types"
	models "github.com/algorand/indexer/v3/api/generated/v2"
	"github.com/algorand/indexer/v3/idb"
	"github.com/algorand/indexer/v3/util"
)

func (db *indexerDB) Assets(_ context.Context, q idb.AssetsQuery) (<-chan idb.AssetRow, uint64) {
	at := db.follower.snapshot()
	var after types.AssetIndex
	if q.AssetIDGreaterThan != nil {
		after = types.AssetIndex(*q.AssetIDGreaterThan)
	}
	return deliver(take(func(yield func(idb.AssetRow) bool) {
		for id, a := range candidateAssets(at.state, q, after) {
			if matchesAsset(a, q) && !yield(assetRow(id, a)) {
				return
			}
		}
	}, q.Limit)), uint64(at.round)
}

// candidateAssets are the assets that the query's most telling condition leaves, in the order of their ids.
func candidateAssets(s *state, q idb.AssetsQuery, after types.AssetIndex) iter.Seq2[types.AssetIndex, *asset] {
	switch {
	case q.AssetID != nil:
		id := types.AssetIndex(*q.AssetID)
		return s.assets.Ascend(btreemap.GE(id), btreemap.LE(id))
	case q.Creator != nil:
		return s.createdBy(types.Address(q.Creator), after)
	default:
		return s.assets.Ascend(btreemap.GT(after), btreemap.Max[types.AssetIndex]())
	}
}

func matchesAsset(a *asset, q idb.AssetsQuery) bool {
	name, unit := strings.ToLower(a.params.AssetName), strings.ToLower(a.params.UnitName)
	either := strings.ToLower(q.Query)
	return (q.IncludeDeleted || !a.deleted) &&
		(q.Creator == nil || types.Address(q.Creator) == a.creator) &&
		strings.Contains(name, strings.ToLower(q.Name)) &&
		strings.Contains(unit, strings.ToLower(q.Unit)) &&
		(strings.Contains(name, either) || strings.Contains(unit, either))
}

func assetRow(id types.AssetIndex, a *asset) idb.AssetRow {
	created, closed, deleted := a.lifetime.told()
	return idb.AssetRow{
		AssetID:      uint64(id),
		Creator:      a.creator[:],
		Params:       a.params,
		CreatedRound: created,
		ClosedRound:  closed,
		Deleted:      deleted,
	}
}

// told is a lifetime in the indexer's words.
func (l lifetime) told() (created, closed *uint64, deleted *bool) {
	if l.closed != 0 {
		closed = (*uint64)(&l.closed)
	}
	return (*uint64)(&l.created), closed, &l.deleted
}

func (db *indexerDB) AssetBalances(_ context.Context, q idb.AssetBalanceQuery) (<-chan idb.AssetBalanceRow, uint64) {
	at := db.follower.snapshot()
	return deliver(take(func(yield func(idb.AssetBalanceRow) bool) {
		for key, h := range candidateHoldings(at.state, q) {
			if q.AssetID != nil && uint64(key.asset) != *q.AssetID || h.deleted && !q.IncludeDeleted ||
				q.AmountGT != nil && h.amount <= *q.AmountGT || q.AmountLT != nil && h.amount >= *q.AmountLT {
				continue
			}
			created, closed, deleted := h.lifetime.told()
			if !yield(idb.AssetBalanceRow{
				Address:      key.address[:],
				AssetID:      uint64(key.asset),
				Amount:       h.amount,
				Frozen:       h.frozen,
				CreatedRound: created,
				ClosedRound:  closed,
				Deleted:      deleted,
			}) {
				return
			}
		}
	}, q.Limit)), uint64(at.round)
}

// candidateHoldings goes through what one address holds, or through everything: nobody here looks for the holders
// of an asset often enough to keep an index for it.
func candidateHoldings(s *state, q idb.AssetBalanceQuery) iter.Seq2[holdingKey, holding] {
	var after types.AssetIndex
	if q.AssetIDGT != nil {
		after = types.AssetIndex(*q.AssetIDGT)
	}
	last := holdingKey{asset: ^types.AssetIndex(0)}
	switch {
	case q.Address != nil:
		last.address = types.Address(q.Address)
		return s.holdings.Ascend(btreemap.GT(holdingKey{last.address, after}), btreemap.LE(last))
	case len(q.PrevAddress) != 0:
		last.address = types.Address(q.PrevAddress)
		return s.holdings.Ascend(btreemap.GT(last), btreemap.Max[holdingKey]())
	default:
		return s.holdings.Ascend(btreemap.Min[holdingKey](), btreemap.Max[holdingKey]())
	}
}

func (db *indexerDB) GetAccounts(_ context.Context, q idb.AccountQueryOptions) (<-chan idb.AccountRow, uint64) {
	at := db.follower.snapshot()
	from, to := btreemap.Min[types.Address](), btreemap.Max[types.Address]()
	if len(q.GreaterThanAddress) > 0 {
		from = btreemap.GT(types.Address(q.GreaterThanAddress))
	}
	if len(q.EqualToAddress) > 0 {
		from, to = btreemap.GE(types.Address(q.EqualToAddress)), btreemap.LE(types.Address(q.EqualToAddress))
	}
	return deliver(take(func(yield func(idb.AccountRow) bool) {
		for addr, acct := range at.state.accounts.Ascend(from, to) {
			if matchesAccount(at.state, addr, acct, q) && !yield(accountRow(db.ledger.rules, at, addr, acct, q)) {
				return
			}
		}
	}, q.Limit)), uint64(at.round)
}

func matchesAccount(s *state, addr types.Address, acct account, q idb.AccountQueryOptions) bool {
	if q.HasAssetID != 0 {
		h, ok := s.holding(addr, types.AssetIndex(q.HasAssetID))
		if !ok || q.AssetGT != nil && h.amount <= *q.AssetGT || q.AssetLT != nil && h.amount >= *q.AssetLT {
			return false
		}
	}
	return (q.IncludeDeleted || !acct.deleted) &&
		(q.AlgosGreaterThan == nil || acct.balance > *q.AlgosGreaterThan) &&
		(q.AlgosLessThan == nil || acct.balance < *q.AlgosLessThan) &&
		(len(q.EqualToAuthAddr) == 0 || types.Address(q.EqualToAuthAddr) == acct.authAddr) &&
		q.HasAppID == 0 && !q.OnlineOnly // nobody has applications or takes part in consensus
}

func accountRow(r *rules, at snapshot, addr types.Address, acct account, q idb.AccountQueryOptions) idb.AccountRow {
	created, closed, deleted := acct.lifetime.told()
	a := models.Account{
		Address:                     addr.String(),
		Amount:                      acct.balance,
		AmountWithoutPendingRewards: acct.balance,
		Round:                       uint64(at.round),
		CreatedAtRound:              created,
		ClosedAtRound:               closed,
		Deleted:                     deleted,
		RewardBase:                  new(uint64),
		Status:                      "Offline",
		MinBalance:                  r.minBalance(acct),
		TotalAssetsOptedIn:          acct.assets,
		TotalCreatedAssets:          acct.createdAssets,
	}
	if acct.authAddr != (types.Address{}) {
		a.AuthAddr = orNil(acct.authAddr.String())
	}
	a.SigType = (*models.AccountSigType)(orNil(acct.sigType))
	if err := addResources(&a, at.state, addr, acct, q); err != nil {
		return idb.AccountRow{Error: err}
	}
	return idb.AccountRow{Account: a}
}

// addResources lists what the account holds and created, unless that is more than an answer may have.
func addResources(a *models.Account, s *state, addr types.Address, acct account, q idb.AccountQueryOptions) error {
	var held []models.AssetHolding
	var created []models.Asset
	tooMany := idb.MaxAPIResourcesPerAccountError{
		Address: addr, TotalAssets: acct.assets, TotalAssetParams: acct.createdAssets,
	}
	full := func() bool { return q.MaxResources != 0 && uint64(len(held)+len(created)) > q.MaxResources }
	if q.IncludeAssetHoldings {
		for id, h := range s.holdingsOf(addr, 0) {
			if h.deleted && !q.IncludeDeleted {
				continue
			}
			in, out, deleted := h.lifetime.told()
			held = append(held, models.AssetHolding{
				AssetId: uint64(id), Amount: h.amount, IsFrozen: h.frozen,
				OptedInAtRound: in, OptedOutAtRound: out, Deleted: deleted,
			})
			if full() {
				return tooMany
			}
		}
	}
	if q.IncludeAssetParams {
		for id, made := range s.createdBy(addr, 0) {
			if made.deleted && !q.IncludeDeleted {
				continue
			}
			created = append(created, indexerAsset(id, made))
			if full() {
				return tooMany
			}
		}
	}
	if held != nil {
		a.Assets = &held
	}
	if created != nil {
		a.CreatedAssets = &created
	}
	return nil
}

// indexerAsset is an asset as the indexer lists it below its creator. The text fields are left out where they are
// not printable.
func indexerAsset(id types.AssetIndex, a *asset) models.Asset {
	created, destroyed, deleted := a.lifetime.told()
	text := func(s string) (*string, *[]byte) {
		if s == "" {
			return nil, nil
		}
		raw := []byte(s)
		return orNil(util.PrintableUTF8OrEmpty(s)), &raw
	}
	role := func(r types.Address) *string {
		if r == (types.Address{}) {
			return nil
		}
		s := r.String()
		return &s
	}
	p := models.AssetParams{
		Creator:       a.creator.String(),
		Total:         a.params.Total,
		Decimals:      uint64(a.params.Decimals),
		DefaultFrozen: &a.params.DefaultFrozen,
		Manager:       role(a.params.Manager),
		Reserve:       role(a.params.Reserve),
		Freeze:        role(a.params.Freeze),
		Clawback:      role(a.params.Clawback),
	}
	p.UnitName, p.UnitNameB64 = text(a.params.UnitName)
	p.Name, p.NameB64 = text(a.params.AssetName)
	p.Url, p.UrlB64 = text(a.params.URL)
	if hash := a.params.MetadataHash[:]; a.params.MetadataHash != [32]byte{} {
		p.MetadataHash = &hash
	}
	return models.Asset{
		Index: uint64(id), Params: p, CreatedAtRound: created, DestroyedAtRound: destroyed, Deleted: deleted,
	}
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
