package devchain

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/RaduBerinde/btreemap"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"pgregory.net/rapid"
)

// dumped is a state as plain values, to compare.
type dumped struct {
	Accounts map[types.Address]account
	Assets   map[types.AssetIndex]asset
	Holdings map[holdingKey]holding
	Created  map[holdingKey]bool
	Leases   map[leaseKey]types.Round
	Counter  uint64
}

func dump(s *state) dumped {
	d := dumped{
		map[types.Address]account{}, map[types.AssetIndex]asset{}, map[holdingKey]holding{},
		map[holdingKey]bool{}, map[leaseKey]types.Round{}, s.counter,
	}
	for a, v := range s.accounts.Ascend(btreemap.Min[types.Address](), btreemap.Max[types.Address]()) {
		d.Accounts[a] = v
	}
	for id, v := range s.assets.Ascend(btreemap.Min[types.AssetIndex](), btreemap.Max[types.AssetIndex]()) {
		d.Assets[id] = *v
	}
	for k, v := range s.holdings.Ascend(btreemap.Min[holdingKey](), btreemap.Max[holdingKey]()) {
		d.Holdings[k] = v
	}
	for k := range s.created.Ascend(btreemap.Min[holdingKey](), btreemap.Max[holdingKey]()) {
		d.Created[k] = true
	}
	for k, v := range s.leases.Ascend(btreemap.Min[leaseKey](), btreemap.Max[leaseKey]()) {
		d.Leases[k] = v
	}
	return d
}

// checkInvariants is what holds after any transactions whatsoever.
func checkInvariants(t *rapid.T, l *ledger, d dumped) {
	t.Helper()
	var sum uint64
	for _, a := range d.Accounts {
		sum += a.balance
	}
	if sum != l.issued {
		t.Fatalf("%d microalgos exist, %d were issued", sum, l.issued)
	}
	held, made := map[types.Address]uint64{}, map[types.Address]uint64{}
	units := map[types.AssetIndex]uint64{}
	for k, h := range d.Holdings {
		if h.deleted {
			if h.amount != 0 {
				t.Fatalf("a closed holding has %d units", h.amount)
			}
			continue
		}
		held[k.address]++
		units[k.asset] += h.amount
	}
	for id, a := range d.Assets {
		if !d.Created[holdingKey{a.creator, id}] {
			t.Fatalf("asset %d is not listed below its creator", id)
		}
		if a.deleted {
			if a.params != (types.AssetParams{}) {
				t.Fatalf("destroyed asset %d keeps its parameters", id)
			}
			continue
		}
		made[a.creator]++
		if units[id] != a.params.Total {
			t.Fatalf("of asset %d there are %d units, not %d", id, units[id], a.params.Total)
		}
	}
	for addr, a := range d.Accounts {
		if a.assets != held[addr] || a.createdAssets != made[addr] {
			t.Fatalf("%v counts %d assets and %d creations, has %d and %d", addr, a.assets, a.createdAssets, held[addr], made[addr])
		}
		if !a.empty() && a.balance < 100_000*(1+held[addr]) {
			t.Fatalf("%v is below its minimum balance: %d with %d assets", addr, a.balance, held[addr])
		}
		if a.deleted != a.empty() {
			t.Fatalf("%v deleted %t, empty %t", addr, a.deleted, a.empty())
		}
	}
}

// cast are the accounts that random transactions are about, the first of them rich.
func cast() []actor {
	actors := make([]actor, 5)
	for i := range actors {
		key := ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", i)))
		actors[i] = actor{types.Address(key.Public().(ed25519.PublicKey)), key}
	}
	return actors
}

// randomTxn makes a transaction that may or may not be possible.
func randomTxn(t *rapid.T, l *ledger, who []actor) (actor, types.Transaction) {
	some := rapid.SampledFrom(who)
	from := some.Draw(t, "from")
	id, subject := someAsset(t, l)
	// entitled makes the one who may do it the sender, mostly.
	entitled := func(role types.Address) {
		for _, a := range who {
			if a.Address == role && rapid.IntRange(0, 4).Draw(t, "entitled") > 0 {
				from = a
			}
		}
	}
	address := func(name string) types.Address {
		if rapid.IntRange(0, 3).Draw(t, name+" absent") == 0 {
			return types.Address{}
		}
		return some.Draw(t, name).Address
	}
	units := rapid.Uint64Range(0, 3)
	var tx types.Transaction
	switch rapid.SampledFrom([]string{
		"pay", "pay", "close", "create", "create", "create", "configure", "destroy", "destroy", "opt in", "opt in",
		"transfer", "transfer", "claw back", "close out", "close out", "freeze",
	}).Draw(t, "kind") {
	case "pay":
		amounts := rapid.SampledFrom([]uint64{0, 1, 99_000, 100_000, 201_000, 400_000, 5_000_000})
		tx = pay(some.Draw(t, "to").Address, amounts.Draw(t, "amount"))
	case "close":
		tx = closeTo(some.Draw(t, "close to").Address)
	case "create":
		tx = create(types.AssetParams{
			Total: units.Draw(t, "total"), DefaultFrozen: rapid.Bool().Draw(t, "default frozen"),
			Manager: address("manager"), Freeze: address("freezer"), Clawback: address("clawback"),
		})
	case "configure":
		entitled(subject.params.Manager)
		tx = configure(id, types.AssetParams{Manager: address("new manager"), Reserve: address("reserve")})
	case "destroy":
		entitled(subject.params.Manager)
		tx = configure(id, types.AssetParams{})
	case "opt in":
		tx = transfer(id, from.Address, 0)
	case "transfer":
		entitled(subject.creator)
		tx = transfer(id, some.Draw(t, "receiver").Address, units.Draw(t, "units"))
	case "claw back":
		entitled(subject.params.Clawback)
		tx = transfer(id, some.Draw(t, "receiver").Address, units.Draw(t, "units"))
		tx.AssetSender = some.Draw(t, "clawed back from").Address
	case "close out":
		tx = transfer(id, types.Address{}, 0)
		tx.AssetCloseTo = address("close out to")
		if rapid.Bool().Draw(t, "to the creator") {
			tx.AssetCloseTo = subject.creator
		}
	case "freeze":
		entitled(subject.params.Freeze)
		tx = freeze(id, some.Draw(t, "frozen").Address, rapid.Bool().Draw(t, "freeze"))
	}
	tx.Fee = types.MicroAlgos(rapid.SampledFrom([]uint64{1000, 1000, 1000, 1000, 2000, 1}).Draw(t, "fee"))
	tx.Note = rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "note")
	if rapid.IntRange(0, 9).Draw(t, "leased") == 0 {
		tx.Lease = [32]byte{rapid.Byte().Draw(t, "lease")}
	}
	if rapid.IntRange(0, 19).Draw(t, "rekeyed") == 0 {
		tx.RekeyTo = some.Draw(t, "rekey to").Address
	}
	return from, l.txn(from, tx)
}

// someAsset is one of those that were ever created, or one that does not exist.
func someAsset(t *rapid.T, l *ledger) (types.AssetIndex, asset) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	made := dump(l.pool.state).Assets
	if len(made) == 0 {
		return 1, asset{}
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(made))).Draw(t, "asset")
	return id, made[id]
}

// TestAnySequenceOfGroupsKeepsTheBooksInOrder submits random groups, most of them impossible, and reads the chain
// back from its file in the end.
func TestAnySequenceOfGroupsKeepsTheBooksInOrder(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs))
		who := cast()
		g := newGenesis(who[0].Address, rapid.Bool().Draw(rt, "dev mode"), time.Now())
		reopen := func() *ledger {
			r, err := newRules(g)
			if err != nil {
				t.Fatal(err)
			}
			l, err := newLedger(g, r, newFaultBoard())
			if err != nil {
				t.Fatal(err)
			}
			if l.log, err = openBlockLog(path, slog.New(slog.DiscardHandler), l.replay); err != nil {
				t.Fatal(err)
			}
			return l
		}
		l := reopen()
		defer func() { l.log.Close() }()
		for _, a := range who[1:] {
			if err := l.try(signAll(t, who[:1], []types.Transaction{l.txn(who[0], pay(a.Address, 3_000_000))})); err != nil {
				rt.Fatal(err)
			}
		}
		accepted := 0
		for range rapid.IntRange(1, 60).Draw(rt, "groups") {
			n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(rt, "members")
			keys, txns := make([]actor, n), make([]types.Transaction, n)
			for i := range n {
				keys[i], txns[i] = randomTxn(rt, l, who)
				if rapid.IntRange(0, 9).Draw(rt, "other key") == 0 { // wrong, unless the account is rekeyed
					keys[i] = rapid.SampledFrom(who).Draw(rt, "key")
				}
			}
			before := dump(l.pool.state)
			err := l.try(signAll(t, keys, txns))
			if err != nil && !reflect.DeepEqual(before, dump(l.pool.state)) {
				rt.Fatalf("a refused group changed the state: %v", err)
			}
			if err == nil {
				accepted++
			}
			checkInvariants(rt, l, dump(l.pool.state))
			if !l.devMode && rapid.Bool().Draw(rt, "close the round") {
				if err := l.tick(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if err := l.tick(); err != nil {
			rt.Fatal(err)
		}
		tip, s := l.tip()
		after := dump(s)
		checkInvariants(rt, l, after)
		if got := s.counter - 1000; got < uint64(accepted) {
			rt.Fatalf("%d groups were accepted, %d transactions confirmed", accepted, got)
		}
		l.log.Close()
		l = reopen()
		again, s2 := l.tip()
		if again.hash != tip.hash {
			rt.Fatalf("read back, the last block is %x, was %x", again.hash, tip.hash)
		}
		if !reflect.DeepEqual(dump(s2), after) {
			rt.Fatal("read back, the state is another")
		}
		if len(l.history.where) != int(s.counter-1000) {
			rt.Fatalf("read back, %d transactions are found of %d", len(l.history.where), s.counter-1000)
		}
	})
}
