package ledger

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestAFeeIsByTheByteAndNoLessThanTheLeast(t *testing.T) {
	for _, c := range []struct{ min, perByte, want uint64 }{
		{1000, 0, 1000}, {1000, 1, 1000}, {1000, 2, 1200}, {1000, 10, 6000}, {1000, math.MaxUint64, math.MaxUint64}, {1000, math.MaxUint64 / 600, math.MaxUint64 / 600 * 600},
	} {
		if got := (Params{MinFee: c.min, FeePerByte: c.perByte}).Fee(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestAGroupHasOneToSixteenOfTheFormOfTheProtocol(t *testing.T) {
	_, l := newFakeAlgod(t)
	for n, good := range map[int]bool{0: false, 1: true, 2: true, 16: true, 17: false} {
		var list []Mint
		for i := range n {
			list = append(list, oneMint(i))
		}
		g, err := l.Sign(params, list)
		if (err == nil) != good || good && (len(g.TxIDs) != n || g.FirstValid != 100 || g.LastValid != 600) {
			t.Errorf("a group of %d: %+v, %v", n, g, err)
			continue
		}
		if !good {
			continue
		}
		transactions, err := decode(g.Raw)
		if err != nil || len(transactions) != n {
			t.Fatal(err)
		}
		for i, u := range transactions {
			m := list[i]
			want := types.AssetParams{Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: m.URL, MetadataHash: m.MetadataHash, Manager: l.account.Address}
			if u.AssetParams != want || u.ConfigAsset != 0 || u.Fee != 1000 || u.Sender != l.account.Address || string(u.Note) != string(m.Note) || u.Lease != m.Lease ||
				u.GenesisID != "test-v1" || u.GenesisHash != params.GenesisHash || (u.Group != types.Digest{}) != (n > 1) || crypto.TransactionIDString(u) != g.TxIDs[i] {
				t.Errorf("transaction %d of %d: %+v", i, n, u)
			}
		}
	}
	early, err := l.Sign(Params{MinFee: 1000}, []Mint{{Destroys: 7}})
	if err != nil || early.FirstValid != 1 || early.LastValid != 501 {
		t.Errorf("at the chain's beginning: %+v, %v", early, err)
	}
	if list, err := decode(early.Raw); err != nil || list[0].ConfigAsset != 7 || list[0].AssetParams != (types.AssetParams{}) {
		t.Errorf("a destruction: %+v, %v", list, err)
	}
	for fee, good := range map[uint64]bool{10_000: true, 10_001: false} {
		var congested *CongestedError
		_, err := l.Sign(Params{Round: 1, MinFee: fee}, []Mint{oneMint(1)})
		if (err == nil) != good || !good && (!errors.As(err, &congested) || *congested != CongestedError{10_001, 10_000}) {
			t.Errorf("for %d: %v", fee, err)
		}
	}
	if MaxGroup != 16 || Window != 500 {
		t.Error("a group or its window is another than the protocol's")
	}
}

func TestAGroupIsSignedAnewForMoreAndNothingElse(t *testing.T) {
	_, l := newFakeAlgod(t)
	g, err := l.Sign(params, []Mint{oneMint(1), oneMint(2)})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := decode(g.Raw)
	for need, want := range map[uint64]uint64{999: 0, 1000: 0, 1001: 2002, 5000: 10_000, 5001: 10_000, 10_000: 10_000, 10_001: 0} {
		raised, err := l.Raise(Params{Round: 555, MinFee: need}, g.Raw)
		var congested *CongestedError
		if errors.As(err, &congested) != (need > 10_000) || (len(raised.TxIDs) == 2) != (want > 0) {
			t.Errorf("for %d: %+v, %v", need, raised, err)
			continue
		}
		if want == 0 {
			continue
		}
		after, err := decode(raised.Raw)
		if err != nil || raised.FirstValid != g.FirstValid || raised.LastValid != g.LastValid {
			t.Fatal(err)
		}
		for i := range after {
			u := after[i]
			if uint64(u.Fee) != want || u.Group == before[i].Group || u.Group == (types.Digest{}) {
				t.Errorf("for %d: fee %d, group %x", need, u.Fee, u.Group)
			}
			if u.Fee, u.Group = before[i].Fee, before[i].Group; string(msgpack.Encode(u)) != string(msgpack.Encode(before[i])) {
				t.Errorf("for %d something else is another: %+v", need, u)
			}
		}
	}
	free := oneMint(1)
	free.Lease = [32]byte{}
	unleased, err := l.Sign(params, []Mint{oneMint(2), free})
	if err != nil {
		t.Fatal(err)
	}
	if raised, err := l.Raise(Params{MinFee: 2000}, unleased.Raw); err == nil || raised.Raw != nil {
		t.Error("without a lease both could be confirmed")
	}
	for what, raw := range map[string][]byte{"nothing": nil, "nonsense": []byte("x"), "a part": g.Raw[:len(g.Raw)-1]} {
		if _, err := l.Raise(Params{MinFee: 2000}, raw); err == nil || !strings.HasPrefix(err.Error(), "reading a signed group: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOneWrongRoundIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("x")
		for _, c := range []struct {
			what         string
			known        uint64 // 0 for nothing
			after        time.Duration
			said, second uint64
			err          error
			want         uint64 // 0 for an error
			asked        bool
		}{
			{"the first, confirmed", 0, 0, 500, 510, nil, 510, true}, {"the first, contradicted", 0, 0, 500, 700, nil, 0, true}, {"the first, by a little", 0, 0, 500, 600, nil, 600, true},
			{"the first, by too much", 0, 0, 500, 601, nil, 0, true}, {"the first, downwards", 0, 0, 500, 400, nil, 400, true}, {"the first, too far down", 0, 0, 500, 399, nil, 0, true},
			{"near", 500, 0, 600, 0, nil, 600, false}, {"behind", 500, 0, 400, 0, nil, 400, false},
			{"too far ahead", 500, 0, 601, 550, nil, 550, true}, {"too far behind", 500, 0, 399, 550, nil, 550, true}, {"far ahead, twice", 500, 0, 9000, 9001, nil, 9001, true},
			{"later", 500, 60 * time.Second, 660, 0, nil, 660, false}, {"too far ahead later", 500, 60 * time.Second, 661, 0, failed, 0, true},
			{"far and away", 500, 0, 9000, 0, failed, 0, true}, {"two others", 500, 0, 9000, 700, nil, 0, true},
		} {
			var k clock
			if c.known > 0 {
				k.set(c.known)
			}
			time.Sleep(c.after)
			asked := false
			got, err := k.check(c.said, func() (uint64, error) { asked = true; return c.second, c.err })
			if got != c.want || (err != nil) != (c.want == 0) || asked != c.asked || c.err != nil && !errors.Is(err, failed) {
				t.Errorf("%s: %d, %v; asked again: %v", c.what, got, err, asked)
			}
			if c.want > 0 && k.round != c.want || c.want == 0 && k.round != c.known {
				t.Errorf("%s: remembered is %d", c.what, k.round)
			}
		}
	})
}

func TestAnAlgodThatIsBehindSaysSo(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.round(7)
	if got, err := l.Tip(t.Context()); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	for _, more := range []string{`"catchup-time":1`, `"catchpoint":"x"`, `"stopped-at-unsupported-round":true`} {
		f.says["/v2/status"] = text(`{"last-round":7,"last-version":"v",%s}`, more)
		if got, err := l.Tip(t.Context()); !errors.Is(err, ErrCatchingUp) || got != 0 {
			t.Errorf("%s: %d, %v", more, got, err)
		}
		if got, err := l.Round(t.Context()); err != nil || got != 7 {
			t.Errorf("%s: the round is %d, %v", more, got, err)
		}
	}
	var foreign *algorand.ForeignError
	for body, bad := range map[string]bool{`{}`: true, `{"last-round":0,"last-version":"v"}`: false, `{"last-round":7}`: false} {
		f.says["/v2/status"] = text("%s", body)
		if _, err := l.Tip(t.Context()); errors.As(err, &foreign) != bad || (err != nil) != bad {
			t.Errorf("%s: %v", body, err)
		}
	}
	f.says["/v2/status"] = words(500, "x")
	for name, ask := range map[string]func(context.Context) (uint64, error){"Tip": l.Tip, "Round": l.Round} {
		if _, err := ask(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "asking algod for the last round: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoWaitsForARoundIsToldTheLastOne(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.round(8)
	f.says["/v2/status/wait-for-block-after/7"] = text(`{"last-round":8,"last-version":"v"}`)
	if got, err := l.WaitAfter(t.Context(), 7); err != nil || got != 8 {
		t.Errorf("%d, %v", got, err)
	}
	f.says["/v2/status/wait-for-block-after/7"] = text(`{}`)
	if got, err := l.WaitAfter(t.Context(), 7); err == nil || !strings.HasPrefix(err.Error(), "waiting for round 8: ") {
		t.Errorf("%d, %v", got, err)
	}
}

func TestAlgodsClockIsThatOfItsLastTwoBlocks(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.says["/v2/status"] = text(`{"last-round":7,"last-version":"v","time-since-last-round":5000000000}`)
	f.block(6, blockOf(6))
	f.block(7, blockOf(7))
	round, at, before, ago, err := l.Clock(t.Context())
	if err != nil || round != 7 || at.Unix() != 1007 || before.Unix() != 1006 || ago != 5*time.Second {
		t.Errorf("%d, %s, %s, %s, %v", round, at, before, ago, err)
	}
	f.block(6, blockOf(5))
	if _, _, _, _, err := l.Clock(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the time of block 6: algod gave block 5") {
		t.Errorf("%v", err)
	}
	f.says["/v2/status"] = text(`{"last-round":0,"last-version":"v"}`)
	f.block(0, blockOf(0))
	if round, at, before, _, err := l.Clock(t.Context()); err != nil || round != 0 || !at.Equal(before) {
		t.Errorf("at the chain's beginning: %d, %s, %s, %v", round, at, before, err)
	}
	f.says["/v2/status"] = words(500, "x")
	if _, _, _, _, err := l.Clock(t.Context()); err == nil {
		t.Error("without a status there is a time")
	}
}
