package devchain

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/algorand/go-algorand-sdk/v2/types"
)

// application applies transactions one after the other to a state that may be thrown away when one fails.
type application struct {
	*state
	rules   *rules
	round   types.Round
	touched []types.Address // accounts that the current transaction wrote
}

// permit tells whether nobody holds the transaction's lease, and whether whoever signed it may speak for the sender.
func (a *application) permit(tx *signedTxn) error {
	if tx.Txn.Lease != ([32]byte{}) {
		if _, until, held := a.leases.Get(leaseKey{tx.Txn.Sender, tx.Txn.Lease}); held && a.round <= until {
			return fmt.Errorf("transaction %v using an overlapping lease (sender, lease):(%v, %v)",
				tx.id, tx.Txn.Sender, types.Address(tx.Txn.Lease)) // algod writes a lease as if it were an address
		}
	}
	want := a.account(tx.Txn.Sender).authAddr
	if want == (types.Address{}) {
		want = tx.Txn.Sender
	}
	if got := tx.authorizer(); got != want {
		return fmt.Errorf("transaction %v: should have been authorized by %v but was actually authorized by %v",
			tx.id, want, got)
	}
	return nil
}

// apply does what the transaction says, its fee first. It does not ask whether the transaction is allowed to be in
// this round: permit and rules.alive do. The messages are algod's.
func (a *application) apply(tx *types.SignedTxn) (types.ApplyData, error) {
	a.touched = a.touched[:0]
	var data types.ApplyData
	if err := a.move(tx.Txn.Sender, a.rules.feeSink, uint64(tx.Txn.Fee)); err != nil {
		return data, err
	}
	a.authorise(tx)
	var err error
	switch tx.Txn.Type {
	case types.PaymentTx:
		err = a.pay(&tx.Txn, &data)
	case types.AssetConfigTx:
		err = a.configure(&tx.Txn, &data)
	case types.AssetTransferTx:
		err = a.transfer(&tx.Txn, &data)
	case types.AssetFreezeTx:
		err = a.freeze(&tx.Txn)
	default:
		err = unsupportedType(tx.Txn.Type)
	}
	if err != nil {
		return data, err
	}
	a.counter++
	if tx.Txn.Lease != ([32]byte{}) {
		a.leases.ReplaceOrInsert(leaseKey{tx.Txn.Sender, tx.Txn.Lease}, tx.Txn.LastValid)
	}
	return data, a.checkBalances()
}

// putAccount stores an account. The one place where accounts are born and die.
func (a *application) putAccount(addr types.Address, acct account) {
	if !slices.Contains(a.touched, addr) {
		a.touched = append(a.touched, addr)
	}
	_, _, known := a.accounts.Get(addr)
	switch {
	case acct.empty() && !known:
		return
	case acct.empty():
		acct.deleted, acct.closed = true, a.round
	case !known:
		acct.created = a.round
	default:
		acct.deleted = false
	}
	a.accounts.ReplaceOrInsert(addr, acct)
}

// putHolding stores what an address holds of an asset.
func (a *application) putHolding(addr types.Address, id types.AssetIndex, h holding) {
	a.holdings.ReplaceOrInsert(holdingKey{addr, id}, h)
}

// openHolding makes room for an asset in an account.
func (a *application) openHolding(addr types.Address, id types.AssetIndex, amount uint64, frozen bool) {
	_, old, known := a.holdings.Get(holdingKey{addr, id})
	h := holding{lifetime: lifetime{created: a.round}, amount: amount, frozen: frozen}
	if known {
		h.lifetime = lifetime{created: old.created, closed: old.closed}
	}
	a.putHolding(addr, id, h)
	acct := a.account(addr)
	acct.assets++
	a.putAccount(addr, acct)
}

func (a *application) closeHolding(addr types.Address, id types.AssetIndex) {
	h, _ := a.holding(addr, id)
	a.putHolding(addr, id, holding{lifetime: lifetime{created: h.created, closed: a.round, deleted: true}})
	acct := a.account(addr)
	acct.assets--
	a.putAccount(addr, acct)
}

func (a *application) move(from, to types.Address, amount uint64) error {
	src := a.account(from)
	if src.balance < amount {
		return fmt.Errorf("overspend (account %v, data {MicroAlgos:%s}, tried to spend %s)",
			from, formatAlgos(src.balance), formatAlgos(amount))
	}
	src.balance -= amount
	a.putAccount(from, src)
	dst := a.account(to)
	sum, carry := bits.Add64(dst.balance, amount, 0)
	if carry != 0 {
		return fmt.Errorf("balance overflow (account %v, data {MicroAlgos:%s}, was going to receive %s)",
			to, formatAlgos(dst.balance), formatAlgos(amount))
	}
	dst.balance = sum
	a.putAccount(to, dst)
	return nil
}

// authorise records who may sign for the sender from now on, and with what it signed this time.
func (a *application) authorise(tx *types.SignedTxn) {
	acct := a.account(tx.Txn.Sender)
	acct.sigType = "sig"
	if !tx.Msig.Blank() {
		acct.sigType = "msig"
	}
	if to := tx.Txn.RekeyTo; to != (types.Address{}) {
		acct.sigType = ""
		if acct.authAddr = to; to == tx.Txn.Sender {
			acct.authAddr = types.Address{}
		}
	}
	a.putAccount(tx.Txn.Sender, acct)
}

func (a *application) pay(tx *types.Transaction, data *types.ApplyData) error {
	if tx.Amount != 0 || tx.Receiver != (types.Address{}) {
		if err := a.move(tx.Sender, tx.Receiver, uint64(tx.Amount)); err != nil {
			return err
		}
	}
	if tx.CloseRemainderTo == (types.Address{}) {
		return nil
	}
	rest := a.account(tx.Sender).balance
	data.ClosingAmount = types.MicroAlgos(rest)
	if err := a.move(tx.Sender, tx.CloseRemainderTo, rest); err != nil {
		return err
	}
	acct := a.account(tx.Sender)
	if acct.balance != 0 {
		return fmt.Errorf("balance %d still not zero after CloseRemainderTo", acct.balance)
	}
	if acct.assets > 0 {
		return fmt.Errorf("cannot close: %d outstanding assets", acct.assets)
	}
	acct.authAddr = types.Address{} // a closed account forgets that it was rekeyed
	a.putAccount(tx.Sender, acct)
	return nil
}

// configure creates, changes or destroys an asset.
func (a *application) configure(tx *types.Transaction, data *types.ApplyData) error {
	id := tx.ConfigAsset
	if id == 0 {
		data.ConfigAsset = a.create(tx)
		return nil
	}
	old, ok := a.asset(id)
	if !ok {
		return assetMissing(id)
	}
	if old.params.Manager == (types.Address{}) || old.params.Manager != tx.Sender {
		return fmt.Errorf("this transaction should be issued by the manager. It is issued by %v, manager key %v",
			tx.Sender, old.params.Manager)
	}
	if tx.AssetParams == (types.AssetParams{}) {
		return a.destroy(id, old)
	}
	changed := *old
	setRole := func(role *types.Address, to types.Address) {
		if *role != (types.Address{}) { // a role once given up stays given up, silently
			*role = to
		}
	}
	setRole(&changed.params.Manager, tx.AssetParams.Manager)
	setRole(&changed.params.Reserve, tx.AssetParams.Reserve)
	setRole(&changed.params.Freeze, tx.AssetParams.Freeze)
	setRole(&changed.params.Clawback, tx.AssetParams.Clawback)
	a.assets.ReplaceOrInsert(id, &changed)
	return nil
}

func (a *application) create(tx *types.Transaction) types.AssetIndex {
	id := types.AssetIndex(a.counter + 1)
	a.assets.ReplaceOrInsert(id, &asset{
		lifetime: lifetime{created: a.round},
		creator:  tx.Sender,
		params:   tx.AssetParams,
	})
	a.created.ReplaceOrInsert(holdingKey{tx.Sender, id}, struct{}{})
	a.openHolding(tx.Sender, id, tx.AssetParams.Total, false)
	acct := a.account(tx.Sender)
	acct.createdAssets++
	a.putAccount(tx.Sender, acct)
	return id
}

func (a *application) destroy(id types.AssetIndex, old *asset) error {
	held, _ := a.holding(old.creator, id)
	if held.amount != old.params.Total {
		return fmt.Errorf("cannot destroy asset: creator is holding only %d/%d", held.amount, old.params.Total)
	}
	a.assets.ReplaceOrInsert(id, &asset{
		lifetime: lifetime{created: old.created, closed: a.round, deleted: true},
		creator:  old.creator,
	})
	a.closeHolding(old.creator, id)
	acct := a.account(old.creator)
	acct.createdAssets--
	a.putAccount(old.creator, acct)
	return nil
}

// transfer moves units of an asset, opts in (nothing to oneself) and closes a holding.
func (a *application) transfer(tx *types.Transaction, data *types.ApplyData) error {
	source, clawback := tx.Sender, false
	if tx.AssetSender != (types.Address{}) {
		held, ok := a.asset(tx.XferAsset)
		if !ok {
			return assetMissing(tx.XferAsset)
		}
		if held.params.Clawback == (types.Address{}) || held.params.Clawback != tx.Sender {
			return fmt.Errorf("clawback not allowed: sender %v, clawback %v", tx.Sender, held.params.Clawback)
		}
		source, clawback = tx.AssetSender, true
	}
	if tx.AssetAmount == 0 && tx.AssetReceiver == source && !clawback {
		if _, ok := a.holding(source, tx.XferAsset); !ok {
			opted, ok := a.asset(tx.XferAsset)
			if !ok {
				return assetMissing(tx.XferAsset)
			}
			a.openHolding(source, tx.XferAsset, 0, opted.params.DefaultFrozen)
		}
	}
	if err := a.moveUnits(tx.XferAsset, source, tx.AssetReceiver, tx.AssetAmount, clawback); err != nil {
		return err
	}
	if tx.AssetCloseTo == (types.Address{}) {
		return nil
	}
	return a.closeOut(tx, source, data)
}

func (a *application) closeOut(tx *types.Transaction, source types.Address, data *types.ApplyData) error {
	id := tx.XferAsset
	if a.account(source).assets == 0 {
		return fmt.Errorf("cannot close asset holding on account %v : account is not opted in asset %d ", source, id)
	}
	closed, exists := a.asset(id)
	if exists && closed.creator == source {
		return errors.New("cannot close asset ID in allocating account")
	}
	h, ok := a.holding(source, id)
	if !ok {
		return fmt.Errorf("asset %v not present in account %v", id, source)
	}
	data.AssetClosingAmount = h.amount
	toCreator := exists && closed.creator == tx.AssetCloseTo // allowed even when frozen
	if err := a.moveUnits(id, source, tx.AssetCloseTo, h.amount, toCreator); err != nil {
		return err
	}
	if h, _ = a.holding(source, id); h.amount != 0 {
		return fmt.Errorf("asset %v not zero (%d) after closing", id, h.amount)
	}
	a.closeHolding(source, id)
	return nil
}

// moveUnits looks at neither account when there is nothing to move, as algod does not.
func (a *application) moveUnits(id types.AssetIndex, from, to types.Address, amount uint64, evenFrozen bool) error {
	if amount == 0 {
		return nil
	}
	src, ok := a.holding(from, id)
	switch {
	case !ok:
		return fmt.Errorf("asset %v missing from %v", id, from)
	case src.frozen && !evenFrozen:
		return fmt.Errorf("asset %v frozen in %v", id, from)
	case src.amount < amount:
		return fmt.Errorf("underflow on subtracting %d from sender amount %d", amount, src.amount)
	}
	src.amount -= amount
	a.putHolding(from, id, src)
	dst, ok := a.holding(to, id)
	switch {
	case !ok:
		return fmt.Errorf("receiver error: must optin, asset %v missing from %v", id, to)
	case dst.frozen && !evenFrozen:
		return errors.New("asset frozen in recipient")
	}
	dst.amount += amount // cannot overflow: all units together are the asset's total
	a.putHolding(to, id, dst)
	return nil
}

func (a *application) freeze(tx *types.Transaction) error {
	frozen, ok := a.asset(tx.FreezeAsset)
	if !ok {
		return assetMissing(tx.FreezeAsset)
	}
	if frozen.params.Freeze == (types.Address{}) || frozen.params.Freeze != tx.Sender {
		return fmt.Errorf("freeze not allowed: sender %v, freeze %v", tx.Sender, frozen.params.Freeze)
	}
	h, ok := a.holding(tx.FreezeAccount, tx.FreezeAsset)
	if !ok {
		return errors.New("asset not found in account")
	}
	h.frozen = tx.AssetFrozen
	a.putHolding(tx.FreezeAccount, tx.FreezeAsset, h)
	return nil
}

// checkBalances holds every account that the transaction wrote to its minimum balance. An empty one owes nothing.
func (a *application) checkBalances() error {
	for _, addr := range a.touched {
		acct := a.account(addr)
		if need := a.rules.minBalance(acct); !acct.empty() && acct.balance < need {
			return fmt.Errorf("account %v balance %d below min %d (%d assets)", addr, acct.balance, need, acct.assets)
		}
	}
	return nil
}

func assetMissing(id types.AssetIndex) error {
	return fmt.Errorf("asset %d does not exist or has been deleted", id)
}
