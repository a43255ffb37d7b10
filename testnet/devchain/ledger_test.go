package devchain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// actor is an account with its key.
type actor struct {
	types.Address
	key ed25519.PrivateKey
}

func newActor(t testing.TB) actor {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return actor{types.Address(pub), key}
}

// newTestLedger is a ledger in memory whose funder owns everything.
func newTestLedger(t testing.TB, devMode bool) (*ledger, actor) {
	t.Helper()
	funder := newActor(t)
	g := newGenesis(funder.Address, devMode, time.Now())
	r, err := newRules(g)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLedger(g, r, newFaultBoard())
	if err != nil {
		t.Fatal(err)
	}
	return l, funder
}

// txn completes a transaction with what every one needs.
func (l *ledger) txn(from actor, tx types.Transaction) types.Transaction {
	tip, _ := l.tip()
	tx.Sender = from.Address
	tx.GenesisHash = l.rules.genesisHash
	if tx.Fee == 0 {
		tx.Fee = types.MicroAlgos(l.rules.MinTxnFee)
	}
	if tx.LastValid == 0 {
		tx.FirstValid, tx.LastValid = tip.round(), tip.round()+1000
	}
	return tx
}

// signAll signs transactions, grouped where there are several, each with its sender's key or the one given for it.
func signAll(t testing.TB, keys []actor, txns []types.Transaction) group {
	t.Helper()
	if len(txns) > 1 {
		id, err := crypto.ComputeGroupID(txns)
		if err != nil {
			t.Fatal(err)
		}
		for i := range txns {
			txns[i].Group = id
		}
	}
	g := make(group, len(txns))
	for i, tx := range txns {
		s := types.SignedTxn{Txn: tx}
		if keys[i].Address != tx.Sender {
			s.AuthAddr = keys[i].Address
		}
		g[i] = newSignedTxn(s)
		copy(s.Sig[:], ed25519.Sign(keys[i].key, g[i].toVerify))
		g[i] = newSignedTxn(s)
	}
	return g
}

// try checks and submits a group as a POST does.
func (l *ledger) try(g group) error {
	if err := l.rules.check(g); err != nil {
		return err
	}
	return l.submit(g)
}

func pay(to types.Address, amount uint64) types.Transaction {
	return types.Transaction{Type: types.PaymentTx, PaymentTxnFields: types.PaymentTxnFields{
		Receiver: to, Amount: types.MicroAlgos(amount),
	}}
}

func closeTo(to types.Address) types.Transaction {
	return types.Transaction{Type: types.PaymentTx, PaymentTxnFields: types.PaymentTxnFields{CloseRemainderTo: to}}
}

func create(p types.AssetParams) types.Transaction {
	return types.Transaction{Type: types.AssetConfigTx, AssetConfigTxnFields: types.AssetConfigTxnFields{AssetParams: p}}
}

func configure(id types.AssetIndex, p types.AssetParams) types.Transaction {
	return types.Transaction{Type: types.AssetConfigTx, AssetConfigTxnFields: types.AssetConfigTxnFields{
		ConfigAsset: id, AssetParams: p,
	}}
}

func transfer(id types.AssetIndex, to types.Address, amount uint64) types.Transaction {
	return types.Transaction{Type: types.AssetTransferTx, AssetTransferTxnFields: types.AssetTransferTxnFields{
		XferAsset: id, AssetReceiver: to, AssetAmount: amount,
	}}
}

func freeze(id types.AssetIndex, whom types.Address, frozen bool) types.Transaction {
	return types.Transaction{Type: types.AssetFreezeTx, AssetFreezeTxnFields: types.AssetFreezeTxnFields{
		FreezeAsset: id, FreezeAccount: whom, AssetFrozen: frozen,
	}}
}

// TestAssetRules walks one asset through what the recordings don't show.
func TestAssetRules(t *testing.T) {
	l, alice := newTestLedger(t, true)
	bob, carol := newActor(t), newActor(t)
	const id = types.AssetIndex(1003) // after two payments
	clawback := func(from, to types.Address, amount uint64) types.Transaction {
		tx := transfer(id, to, amount)
		tx.AssetSender = from
		return tx
	}
	closeOut := func(to types.Address) types.Transaction {
		tx := transfer(id, types.Address{}, 0)
		tx.AssetCloseTo = to
		return tx
	}
	stranger := newActor(t)
	for _, step := range []struct {
		name string
		from actor
		tx   types.Transaction
		want string // in the error; "" succeeds
	}{
		{"fund bob", alice, pay(bob.Address, 1_000_000), ""},
		{"fund carol", alice, pay(carol.Address, 1_000_000), ""},
		{"create", alice, create(types.AssetParams{
			Total: 100, DefaultFrozen: true, Manager: alice.Address, Freeze: alice.Address, Clawback: carol.Address,
		}), ""},
		{"opt in to nothing", bob, transfer(9999, bob.Address, 0), "asset 9999 does not exist or has been deleted"},
		{"bob opts in", bob, transfer(id, bob.Address, 0), ""},
		{"twice is harmless", bob, transfer(id, bob.Address, 0), ""},
		{"bob is frozen by default", alice, transfer(id, bob.Address, 10), "asset frozen in recipient"},
		{"only the freeze address thaws", bob, freeze(id, bob.Address, false), "freeze not allowed"},
		{"one can't thaw who holds nothing", alice, freeze(id, stranger.Address, false), "asset not found in account"},
		{"thaw", alice, freeze(id, bob.Address, false), ""},
		{"transfer", alice, transfer(id, bob.Address, 10), ""},
		{"more than there is", bob, transfer(id, alice.Address, 11), "underflow on subtracting 11 from sender amount 10"},
		{"what one does not hold", carol, transfer(id, alice.Address, 1), "asset 1003 missing from " + carol.String()},
		{"freeze", alice, freeze(id, bob.Address, true), ""},
		{"a frozen one sends nothing", bob, transfer(id, alice.Address, 1), "asset 1003 frozen in " + bob.String()},
		{"only the clawback address claws back", alice, clawback(bob.Address, alice.Address, 1), "clawback not allowed"},
		{"clawback from a frozen one", carol, clawback(bob.Address, alice.Address, 4), ""},
		{"destroy while bob holds some", alice, configure(id, types.AssetParams{}), "creator is holding only 94/100"},
		{"the creator can't close out", alice, closeOut(bob.Address), "cannot close asset ID in allocating account"},
		{"close out what is not held", carol, closeOut(alice.Address), "account is not opted in asset 1003"},
		{"close out to the creator, even frozen", bob, closeOut(alice.Address), ""},
		{"destroy", alice, configure(id, types.AssetParams{}), ""},
		{"thaw after the end", alice, freeze(id, bob.Address, false), "asset 1003 does not exist or has been deleted"},
		{"bob closes his account", bob, closeTo(alice.Address), ""},
		{"a closed account has nothing", bob, pay(alice.Address, 1), "overspend"},
	} {
		err := l.try(signAll(t, []actor{step.from}, []types.Transaction{l.txn(step.from, step.tx)}))
		switch {
		case step.want == "" && err != nil:
			t.Fatalf("%s: %v", step.name, err)
		case step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)):
			t.Errorf("%s: got %v, want an error with %q", step.name, err, step.want)
		}
	}
	_, s := l.tip()
	if acct := s.account(bob.Address); !acct.deleted || acct.balance != 0 || acct.assets != 0 {
		t.Errorf("bob's account is left with %+v", acct)
	}
	if acct := s.account(alice.Address); acct.assets != 0 || acct.createdAssets != 0 {
		t.Errorf("alice still holds %d and created %d", acct.assets, acct.createdAssets)
	}
}

func TestClearingAllRolesDestroys(t *testing.T) {
	l, alice := newTestLedger(t, true)
	send := func(tx types.Transaction) {
		t.Helper()
		if err := l.try(signAll(t, []actor{alice}, []types.Transaction{l.txn(alice, tx)})); err != nil {
			t.Fatal(err)
		}
	}
	send(create(types.AssetParams{Total: 1, Manager: alice.Address}))
	send(configure(1001, types.AssetParams{}))
	if _, s := l.tip(); s.assets.Len() != 1 {
		t.Error("there should be one asset, destroyed")
	} else if _, alive := s.asset(1001); alive {
		t.Error("the asset lives on without roles")
	}
}

func TestALeaseIsHeldToTheLastRoundOfItsTransaction(t *testing.T) {
	l, alice := newTestLedger(t, true)
	leased := func(note string) group {
		tx := l.txn(alice, pay(alice.Address, 1))
		tx.Note, tx.Lease = []byte(note), [32]byte{1}
		return signAll(t, []actor{alice}, []types.Transaction{tx})
	}
	first := l.txn(alice, pay(alice.Address, 1))
	first.Lease, first.LastValid = [32]byte{1}, 5
	if err := l.try(signAll(t, []actor{alice}, []types.Transaction{first})); err != nil {
		t.Fatal(err)
	}
	for tip, _ := l.tip(); tip.round() < 4; tip, _ = l.tip() {
		if err := l.tick(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.try(leased("in round 5")); err == nil || !strings.Contains(err.Error(), "overlapping lease") {
		t.Errorf("in the last round: %v", err)
	}
	if err := l.tick(); err != nil {
		t.Fatal(err)
	}
	if err := l.try(leased("in round 6")); err != nil {
		t.Errorf("after the last round: %v", err)
	}
}

func TestAClosedAccountForgetsThatItWasRekeyed(t *testing.T) {
	l, alice := newTestLedger(t, true)
	bob, carol := newActor(t), newActor(t)
	rekey := pay(bob.Address, 0)
	rekey.RekeyTo = carol.Address
	for _, step := range []struct {
		from, key actor
		tx        types.Transaction
	}{
		{alice, alice, pay(bob.Address, 1_000_000)},
		{bob, bob, rekey},
		{bob, carol, closeTo(alice.Address)},
		{alice, alice, pay(bob.Address, 1_000_000)},
		{bob, bob, pay(alice.Address, 1)},
	} {
		if err := l.try(signAll(t, []actor{step.key}, []types.Transaction{l.txn(step.from, step.tx)})); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTimestampsNeverGoBackNorMoreThan25SecondsAhead(t *testing.T) {
	l, _ := newTestLedger(t, true)
	start := time.Unix(l.history.tip().header.TimeStamp, 0)
	for _, step := range []struct{ clock, want time.Duration }{
		{10 * time.Second, 10 * time.Second},
		{time.Hour, 35 * time.Second},
		{time.Hour, 60 * time.Second},
		{-time.Hour, 60 * time.Second},
		{61 * time.Second, 61 * time.Second},
	} {
		l.now = func() time.Time { return start.Add(step.clock) }
		if err := l.tick(); err != nil {
			t.Fatal(err)
		}
		if got := time.Unix(l.history.tip().header.TimeStamp, 0).Sub(start); got != step.want {
			t.Errorf("with the clock at %v a block is stamped %v, want %v", step.clock, got, step.want)
		}
	}
}

func TestATransactionCutShortIsRefused(t *testing.T) {
	l, alice := newTestLedger(t, true)
	whole := msgpack.Encode(signAll(t, []actor{alice}, []types.Transaction{l.txn(alice, pay(alice.Address, 1))})[0].SignedTxn)
	if g, err := decodeGroup(bytes.NewReader(whole), 16); err != nil || len(g) != 1 {
		t.Fatalf("%d transactions, %v", len(g), err)
	}
	for n := 1; n < len(whole); n++ {
		if _, err := decodeGroup(bytes.NewReader(whole[:n]), 16); err == nil {
			t.Errorf("%d of %d bytes were taken for a transaction", n, len(whole))
		}
		if _, err := decodeGroup(bytes.NewReader(append(bytes.Clone(whole), whole[:n]...)), 16); err == nil {
			t.Errorf("%d bytes of a second transaction were overlooked", n)
		}
	}
}

func TestUnsupportedTransactionsAreRefusedInPlainWords(t *testing.T) {
	l, alice := newTestLedger(t, true)
	for _, kind := range []types.TxType{types.ApplicationCallTx, types.KeyRegistrationTx, types.StateProofTx, types.HeartbeatTx} {
		tx := l.txn(alice, types.Transaction{Type: kind})
		err := l.try(signAll(t, []actor{alice}, []types.Transaction{tx}))
		if err == nil || !strings.Contains(err.Error(), "not supported by the development chain") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	g := signAll(t, []actor{alice}, []types.Transaction{l.txn(alice, pay(alice.Address, 1))})
	s := g[0].SignedTxn
	s.Sig, s.Lsig.Logic = types.Signature{}, []byte{1}
	if err := l.try(group{newSignedTxn(s)}); err == nil || !strings.Contains(err.Error(), "logic signatures are not supported") {
		t.Errorf("logic signature: %v", err)
	}
}

func TestFieldsOfAnotherTypeAreRefused(t *testing.T) {
	l, alice := newTestLedger(t, true)
	tx := l.txn(alice, pay(alice.Address, 1))
	tx.XferAsset = 5
	err := l.try(signAll(t, []actor{alice}, []types.Transaction{tx}))
	if err == nil || !strings.Contains(err.Error(), "transaction of type pay has non-zero fields for type axfer") {
		t.Error(err)
	}
}

func TestAMultisigWithAKeyOfTheWrongLengthIsRefused(t *testing.T) {
	l, alice := newTestLedger(t, true)
	s := types.SignedTxn{Txn: l.txn(alice, pay(alice.Address, 1))}
	s.Msig = types.MultisigSig{Version: 1, Threshold: 1, Subsigs: []types.MultisigSubsig{{Key: []byte{1, 2}, Sig: types.Signature{1}}}}
	account, err := crypto.MultisigAccountFromSig(s.Msig)
	if err != nil {
		t.Fatal(err)
	}
	if s.Txn.Sender, err = account.Address(); err != nil {
		t.Fatal(err)
	}
	if err := l.try(group{newSignedTxn(s)}); err == nil || !strings.Contains(err.Error(), "multisig validation failed") {
		t.Error(err)
	}
}

func TestWhatDoesNotFitIntoABlockWaitsForTheNext(t *testing.T) {
	l, alice := newTestLedger(t, false)
	l.rules.MaxTxnBytesPerBlock = 1000
	var ids []txid
	for i := range 7 {
		tx := l.txn(alice, pay(alice.Address, 1))
		tx.Note = []byte{byte(i)}
		g := signAll(t, []actor{alice}, []types.Transaction{tx})
		if err := l.try(g); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, g[0].id)
	}
	for l.pool.size > 0 {
		if err := l.tick(); err != nil {
			t.Fatal(err)
		}
	}
	tip, _ := l.tip()
	if tip.round() != 2 {
		t.Errorf("it took %d rounds, want 2", tip.round())
	}
	var found []txid
	for _, b := range l.history.blocks {
		for _, tx := range b.txns {
			found = append(found, tx.id)
		}
		if len(b.raw) > 3000 {
			t.Errorf("block %d has %d bytes", b.round(), len(b.raw))
		}
	}
	if len(found) != len(ids) {
		t.Fatalf("%d of %d transactions confirmed", len(found), len(ids))
	}
	for i := range ids {
		if found[i] != ids[i] {
			t.Errorf("position %d holds another transaction", i)
		}
	}
}

func TestWhatExpiresInThePoolIsEvicted(t *testing.T) {
	l, alice := newTestLedger(t, false)
	l.rules.MaxTxnBytesPerBlock = 300 // one to a block
	var last group
	for i := range 3 {
		tx := l.txn(alice, pay(alice.Address, 1))
		tx.Note, tx.LastValid = []byte{byte(i)}, 2
		last = signAll(t, []actor{alice}, []types.Transaction{tx})
		if err := l.try(last); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := l.tick(); err != nil {
			t.Fatal(err)
		}
	}
	p, known, err := l.pending(last[0].id)
	if err != nil || !known || p.confirmed != 0 || p.poolError != "txn dead: round 3 outside of 0--2" {
		t.Errorf("known %t, round %d, pool error %q, %v", known, p.confirmed, p.poolError, err)
	}
}

func TestWaitingForABlockEndsWithTheRoundUnchanged(t *testing.T) {
	l, _ := newTestLedger(t, true)
	api := newAlgodAPI(&algodServer{ledger: l, token: "t", feePerByte: func() uint64 { return 0 }, patience: 20 * time.Millisecond})
	request := httptest.NewRequest(http.MethodGet, "/v2/status/wait-for-block-after/0", nil)
	request.Header.Set(tokenHeader, "t")
	w := httptest.NewRecorder()
	start := time.Now()
	api.ServeHTTP(w, request)
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("it waited %v", took)
	}
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"last-round":0`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestAmountsAreWrittenAsAlgodDoes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0.0A", 999: "999uA", 1000: "1mA", 1999: "1.999mA", 1001: "1.001mA", 2_000_000: "2A", 1_000_001: "1.000001A",
	} {
		if got := formatAlgos(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}
