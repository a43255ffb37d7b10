package chainwatch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/transaction"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/testnet/devchain"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// world is a chain with a consortium on it, as far as notes go: nothing is on IPFS.
type world struct {
	t          testing.TB
	chain      *devchain.Chain
	algod      *algod.Client
	governor   *publisher
	consortium uint64
	charter    string
	blocks     bool             // they are followed
	account    crypto.Account   // the governor's
	indexer    *gateway.Gateway // between the watcher and the indexer, where a test needs one
}

type publisher struct {
	*ledger.Ledger
	sequence uint64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	chain, err := devchain.Start(t.Context(), devchain.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, chain.Close()) })
	client, err := algorand.NewAlgod(chain.AlgodURL(), chain.Token())
	must(t, err)
	w := &world{t: t, chain: chain, algod: client}
	w.governor = w.publisher()
	minted := w.mint(w.governor, wire.Note{Kind: wire.KindCharter})
	w.consortium, w.charter = minted[0].Asset, minted[0].TxID
	w.admit(w.governor)
	return w
}

func (w *world) publisher() *publisher {
	w.t.Helper()
	account := crypto.GenerateAccount()
	key, err := mnemonic.ToPrivateKey(w.chain.Funder())
	must(w.t, err)
	funder, err := crypto.AccountFromPrivateKey(key)
	must(w.t, err)
	params, err := w.algod.SuggestedParams().Do(w.t.Context())
	must(w.t, err)
	payment, err := transaction.MakePaymentTxn(funder.Address.String(), account.Address.String(), 10_000_000_000, nil, "", params)
	must(w.t, err)
	_, raw, err := crypto.SignTransaction(key, payment)
	must(w.t, err)
	_, err = w.algod.SendRawTransaction(raw).Do(w.t.Context())
	must(w.t, err)
	if w.governor == nil {
		w.account = account
	}
	return &publisher{Ledger: ledger.New(w.algod, account, 10_000)}
}

// mint puts a group of notes on the chain, each with an NFT of the protocol's form.
func (w *world) mint(p *publisher, notes ...wire.Note) []consortium.Place {
	w.t.Helper()
	var mints []ledger.Mint
	for _, note := range notes {
		if note.Kind != wire.KindCharter {
			p.sequence++
			note.Sequence = p.sequence
		}
		encoded, err := note.Encode(w.consortium)
		must(w.t, err)
		directory, err := wire.DirectoryCID.Sum(encoded)
		must(w.t, err)
		mints = append(mints, ledger.Mint{URL: wire.URL(directory), MetadataHash: sha256.Sum256(encoded), Note: encoded})
	}
	return w.submit(p, mints)
}

func (w *world) submit(p *publisher, mints []ledger.Mint) []consortium.Place {
	w.t.Helper()
	params, err := p.Params(w.t.Context())
	must(w.t, err)
	group, err := p.Sign(params, mints)
	must(w.t, err)
	must(w.t, p.Submit(w.t.Context(), group.Raw))
	minted, err := p.Minted(w.t.Context(), w.chain.Round())
	must(w.t, err)
	return minted
}

func (w *world) admit(p *publisher) {
	w.t.Helper()
	w.mint(w.governor, wire.Note{Kind: wire.KindMember, Account: p.Address()})
}

func (w *world) objects(p *publisher, n int) {
	w.t.Helper()
	for ; n > 0; n -= ledger.MaxGroup {
		w.mint(p, slices.Repeat([]wire.Note{{Kind: wire.KindObject}}, min(n, ledger.MaxGroup))...)
	}
}

// sink keeps what it is delivered in memory, and folds it.
type sink struct {
	t     testing.TB
	mu    sync.Mutex
	state *consortium.State
	last  uint64
	got   []consortium.Event
	tip   func() uint64
}

func (s *sink) Cursor() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, nil
}

func (s *sink) Publishers(next []consortium.Event) []consortium.Publisher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Publishers(next)
}

func (s *sink) Deliver(_ context.Context, last uint64, events []consortium.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last <= s.last {
		s.t.Errorf("delivered up to %d after %d", last, s.last)
	}
	if tip := s.tip(); last > tip {
		s.t.Errorf("delivered up to round %d, the indexer is at %d", last, tip)
	}
	for _, e := range events {
		if e.Round <= s.last || e.Round > last {
			s.t.Errorf("an event of round %d in a window from %d to %d", e.Round, s.last+1, last)
		}
		if n := len(s.got); n > 0 && !s.got[n-1].Before(e.Position) {
			s.t.Errorf("event %s after %s", e.Position, s.got[n-1].Position)
		}
		s.state.Apply(e)
		s.got = append(s.got, e)
	}
	s.last = last
	return nil
}

func (s *sink) count(p *publisher) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.got {
		if e.Sender == p.Address() {
			n++
		}
	}
	return n
}

// watch starts a watcher and returns how to wait for it to have caught up.
func (w *world) watch(change func(*Watcher)) (*Watcher, *sink, func()) {
	w.t.Helper()
	identity, err := seal.NewIdentity()
	must(w.t, err)
	s := &sink{t: w.t, state: consortium.New(w.consortium, w.charter, identity), tip: w.chain.IndexerRound}
	url := w.chain.IndexerURL()
	if w.indexer != nil {
		url = w.indexer.URL()
	}
	client, err := algorand.NewIndexer(url, "")
	must(w.t, err)
	watcher := New(Config{
		Indexers: []Indexer{{"the indexer", client}}, Consortium: w.consortium, Charter: w.charter, GenesisHash: w.chain.GenesisHash(), Sink: s,
		Witness: w.governor.Round, Blocks: w.governor, Follow: w.blocks, Poll: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if change != nil {
		change(watcher)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- watcher.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		must(w.t, <-done)
	})
	return watcher, s, func() {
		w.t.Helper()
		eventually(w.t, func() (bool, string) {
			last, _ := s.Cursor()
			return last >= w.chain.IndexerRound(), fmt.Sprintf("at round %d of %d: %+v", last, w.chain.IndexerRound(), watcher.State())
		})
	}
}

func eventually(t testing.TB, done func() (bool, string)) {
	t.Helper()
	waiting.See(t, done)
}

func TestEveryEventIsDeliveredOnceAndInOrder(t *testing.T) {
	w := newWorld(t)
	member := w.publisher()
	w.admit(member)
	w.objects(member, 40)
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	w.objects(w.governor, 20)
	w.objects(member, 5)
	caughtUp()
	if got := s.count(member); got != 45 {
		t.Errorf("%d events of the member, want 45", got)
	}
	if got := s.count(w.governor); got != 1+2+20 {
		t.Errorf("%d events of the governor, want the charter, two admissions and 20 objects", got)
	}
}

func TestHistoryIsReadAccountByAccount(t *testing.T) {
	w := newWorld(t)
	early, late := w.publisher(), w.publisher()
	w.admit(early)
	w.objects(early, 100)
	must(t, w.chain.Advance(tipWindow)) // too far back for one query
	w.admit(late)
	w.objects(late, 30)
	must(t, w.chain.Advance(tipWindow))
	w.objects(early, 3)
	for name, change := range map[string]func(*Watcher){
		"at once":           nil,
		"in small portions": func(w *Watcher) { w.sources[0].reader.most = 20 },
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			_, s, caughtUp := w.watch(change)
			caughtUp()
			if a, b := s.count(early), s.count(late); a != 103 || b != 30 {
				t.Errorf("%d and %d events, want 103 and 30", a, b)
			}
		})
	}
}

func TestAReleasedIndexerIsFollowedToo(t *testing.T) {
	w := newWorld(t)
	must(t, w.chain.SetFaults(devchain.Faults{IndexerReleased: true}))
	member := w.publisher()
	w.admit(member)
	w.objects(member, 20)
	watcher, s, caughtUp := w.watch(nil)
	caughtUp()
	w.objects(member, 20)
	caughtUp()
	if got := s.count(member); got != 40 {
		t.Errorf("%d events, want 40", got)
	}
	if watcher.State().Filtered {
		t.Error("the watcher believes that the indexer takes filters")
	}
}

func TestALaggingIndexerLosesNothing(t *testing.T) {
	w := newWorld(t)
	must(t, w.chain.SetFaults(devchain.Faults{IndexerLag: 7}))
	member := w.publisher()
	w.admit(member)
	must(t, w.chain.Advance(10))
	_, s, caughtUp := w.watch(nil)
	for range 10 {
		w.objects(member, 3)
		caughtUp()
	}
	must(t, w.chain.SetFaults(devchain.Faults{}))
	caughtUp()
	if got := s.count(member); got != 30 {
		t.Errorf("%d events, want 30", got)
	}
}

func TestAnIndexerInTroubleIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher, s, caughtUp := w.watch(nil)
	caughtUp()
	for name, fault := range map[string]devchain.EndpointFaults{
		"busy": {Status: 429, RetryAfter: 1, Next: 3}, "broken": {Status: 500, Next: 3}, "gone": {Down: true},
	} {
		must(t, w.chain.SetFaults(devchain.Faults{Indexer: fault}))
		eventually(t, func() (bool, string) { return watcher.State().Problem != "", name + " goes unnoticed" })
		w.objects(w.governor, 1)
		must(t, w.chain.SetFaults(devchain.Faults{}))
		caughtUp()
	}
	if got := s.count(w.governor); got != 5 {
		t.Errorf("%d events, want 5", got)
	}
	eventually(t, func() (bool, string) { s := watcher.State(); return s.Problem == "", s.Problem })
}

func TestALieOfTheIndexerNeverEnters(t *testing.T) {
	w := newWorld(t)
	minted := w.mint(w.governor, wire.Note{Kind: wire.KindObject})
	must(t, w.chain.SetFaults(devchain.Faults{Forge: []devchain.Forgery{
		{TxID: minted[0].TxID, Field: "asset-config-transaction.params.url-b64", Value: "aXBmczovL2V2aWw="},
	}}))
	watcher, s, caughtUp := w.watch(nil)
	caughtUp()
	if got := s.count(w.governor); got != 2 {
		t.Errorf("%d events, want the charter and the admission", got)
	}
	if got := watcher.State().Forged; got == 0 {
		t.Error("the lie goes unnoticed")
	}
}

// The charter comes first or nothing does: without it every other event would be passed over, for good.
func TestTheCursorDoesNotPassACharterThatIsLeftOut(t *testing.T) {
	w := newWorld(t)
	must(t, w.chain.SetFaults(devchain.Faults{Hide: []string{w.charter}}))
	watcher, s, caughtUp := w.watch(nil)
	eventually(t, func() (bool, string) {
		return strings.Contains(watcher.State().Detail, "charter"), watcher.State().Detail
	})
	if last, _ := s.Cursor(); last != 0 {
		t.Errorf("the cursor is at round %d", last)
	}
	must(t, w.chain.SetFaults(devchain.Faults{}))
	caughtUp()
	if got := s.count(w.governor); got != 2 {
		t.Errorf("%d events, want the charter and the admission", got)
	}
}

func TestWhatBreaksTheFormDoesNotCount(t *testing.T) {
	w := newWorld(t)
	note, err := wire.Note{Kind: wire.KindObject, Sequence: 2}.Encode(w.consortium)
	must(t, err)
	w.submit(w.governor, []ledger.Mint{{URL: "https://example.org/x", Note: note}})
	w.submit(w.governor, []ledger.Mint{{URL: "ipfs://x", Note: append(note, 'x')}})
	watcher, s, caughtUp := w.watch(nil)
	caughtUp()
	if got := s.count(w.governor); got != 2 {
		t.Errorf("%d events, want the charter and the admission", got)
	}
	if got := watcher.State().Malformed; got != 2 {
		t.Errorf("%d malformed transactions reported, want 2", got)
	}
}

func TestOneTransactionIsFoundAndItsAbsenceIsDated(t *testing.T) {
	w := newWorld(t)
	minted := w.mint(w.governor, wire.Note{Kind: wire.KindObject})
	watcher, _, caughtUp := w.watch(nil)
	caughtUp()
	found, err := watcher.Find(t.Context(), minted[0].TxID)
	if err != nil || !found.Found || found.Event.Asset != minted[0].Asset {
		t.Errorf("found %+v, %v", found, err)
	}
	missing, err := watcher.Find(t.Context(), strings.Repeat("A", 52))
	if err != nil || missing.Found || missing.Round != w.chain.Round() {
		t.Errorf("found what isn't there: %+v, %v", missing, err)
	}
}

func BenchmarkCatchUp(b *testing.B) {
	w := newWorld(b)
	const n = 3200
	w.objects(w.governor, n)
	for b.Loop() {
		_, s, caughtUp := w.watch(nil)
		caughtUp()
		if s.count(w.governor) != n+2 {
			b.Fatal(s.count(w.governor))
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
