package outbox

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// booked is what the day-book has, in all and by purpose and cause.
func booked(t interface {
	Helper()
	Fatal(...any)
}, o *Outbox) (map[daybook.Entry]daybook.Sums, daybook.Sums) {
	t.Helper()
	lines, all := map[daybook.Entry]daybook.Sums{}, daybook.Sums{}
	if err := daybook.New(o.store).Each(0, 1<<30, func(l daybook.Line) error {
		e := daybook.Entry{For: l.For, By: l.By}
		sums := lines[e]
		sums.Add(l.Sums)
		lines[e] = sums
		all.Add(l.Sums)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines, all
}

func by(user, name string) Submission {
	s := submission(name)
	s.Item.User = user
	return s
}

func TestTheDayBookSaysWhatWasSpentForWhatAndByWhom(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	o.Now = func() time.Time { return monday }
	must(t, ignore(o.Accept([]Submission{by("alice", "a"), by("key:siem", "b")})))
	r := o.Begin()
	r.Batch(Anchor{From: 1, Most: 2, Bytes: 1000})
	must(t, ignore(r.Accept([]Submission{by("feed misp", "c"), by("feed misp", "d"), by("feed misp", "e")})))
	r.End()
	for _, item := range queue(t, o, Accepted) {
		if item.Note.Kind == wire.KindBatch {
			storeBatch(t, o, item)
		} else {
			must(t, o.SetStored([]Item{item}))
		}
	}
	must(t, ignore(o.Accept([]Submission{
		{Item: Item{Key: []byte("record"), Note: wire.Note{Kind: wire.KindCollection}, By: "operator"}},
		{Item: Item{Key: []byte("key"), Note: wire.Note{Kind: wire.KindCollection}}},
		{Item: Item{Key: []byte("destroy"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 7, User: "withdrawals:", By: "operator"}},
		{Item: Item{Key: []byte("remove"), Note: wire.Note{Kind: wire.KindRemoval}, Destroys: 8, By: "alice"}},
		{Item: Item{Key: []byte("release"), Note: wire.Note{Kind: wire.KindRelease}, Destroys: 9, User: "releases:"}},
	})))
	items, err := o.Number(queue(t, o, Stored))
	must(t, err)
	g := Group{Raw: []byte("signed"), FirstValid: 1, LastValid: 1000, Fees: []uint64{2000}}
	var places []consortium.Place
	for i := range items {
		g.TxIDs = append(g.TxIDs, fmt.Sprint("TX", i))
		places = append(places, consortium.Place{TxID: g.TxIDs[i], Round: 5, Asset: uint64(100 + i)})
	}
	must(t, ignore(o.AddGroups([]Group{g}, items)))
	for range 2 { // by algod, and by the indexer
		must(t, ignore(o.Confirm(places)))
	}
	const fee, lock = 2000, microalgo.PerAsset
	want := map[daybook.Entry]daybook.Sums{
		{For: daybook.Objects, By: "alice"}:        {Taken: 1, Promised: microalgo.PerNFT, Objects: 1, NFTs: 1, Fees: fee, Locked: lock},
		{For: daybook.Objects, By: "key:siem"}:     {Taken: 1, Promised: microalgo.PerNFT, Objects: 1, NFTs: 1, Fees: fee, Locked: lock},
		{For: daybook.Objects, By: "feed misp"}:    {Taken: 3, Promised: 2 * microalgo.PerNFT, Objects: 3, NFTs: 2, Fees: 2 * fee, Locked: 2 * lock},
		{For: daybook.Records, By: "operator"}:     {NFTs: 1, Fees: fee, Locked: lock},
		{For: daybook.Records}:                     {NFTs: 1, Fees: fee, Locked: lock},
		{For: daybook.Withdrawals, By: "operator"}: {Ended: 1, Fees: fee, Freed: lock},
		{For: daybook.Withdrawals, By: "alice"}:    {NFTs: 1, Fees: fee, Locked: lock},
		{For: daybook.Releases}:                    {Ended: 1, Fees: fee, Freed: lock},
	}
	if got, _ := booked(t, o); !maps.Equal(got, want) {
		t.Errorf("the book has %+v, want %+v", got, want)
	}
}

func TestWhatIsSignedAgainCostsWhatTheConfirmedSigningDoes(t *testing.T) {
	for confirmed, want := range map[string]microalgo.Amount{"TX-a-1": 1000, "DEARER": 2000} {
		o := inMemory(t, newMemory(t))
		accept(t, o, "a")
		must(t, o.SetStored(queue(t, o, Accepted)))
		items, err := o.Number(queue(t, o, Stored))
		must(t, err)
		groups, err := o.AddGroups([]Group{{TxIDs: []string{"TX-a-1"}, FirstValid: 1, LastValid: 1000, Fees: []uint64{1000}}}, items)
		must(t, err)
		_, _, err = o.Resign(groups[0].Number, []string{"DEARER"}, nil, 2000)
		must(t, err)
		must(t, ignore(o.Confirm([]consortium.Place{{TxID: confirmed, Round: 5, Asset: 6}})))
		if _, all := booked(t, o); all.Fees != want {
			t.Errorf("%s cost %s, want %s", confirmed, all.Fees, want)
		}
	}
}

func newMemory(t testing.TB) *kv.Memory {
	t.Helper()
	memory, err := kv.NewMemory()
	must(t, err)
	t.Cleanup(func() { must(t, memory.Close()) })
	return memory
}

// However many post at the same time, and whenever the process dies and begins again, never is more taken in than the
// limits say, never less while they allow it, and the book counts what is in the outbox.
func TestLimitsHoldForWhatComesAtTheSameTimeAndAfterACrash(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		if err != nil {
			rt.Fatal(err)
		}
		defer memory.Close()
		most, ofAll := rapid.Uint64Range(1, 20).Draw(rt, "most"), rapid.Uint64Range(1, 40).Draw(rt, "of all")
		users := []string{"alice", "bob", "key:siem"}
		posted, next := map[string]int{}, 0
		for range rapid.IntRange(1, 4).Draw(rt, "lives") {
			o := inMemory(t, memory)
			o.Now = func() time.Time { return monday }
			var wait sync.WaitGroup
			for range rapid.IntRange(1, 5).Draw(rt, "posts") {
				user := rapid.SampledFrom(users).Draw(rt, "user")
				batched := rapid.Bool().Draw(rt, "batched")
				var list []Submission
				for range rapid.IntRange(1, 12).Draw(rt, "objects") {
					next++
					list = append(list, by(user, fmt.Sprint(user, next)))
				}
				posted[user] += len(list)
				wait.Go(func() {
					r := o.Begin()
					defer r.End()
					r.Limit(daybook.Quota{Name: user, User: daybook.Limit{Objects: most}, All: daybook.Limit{Objects: ofAll}})
					if batched {
						r.Batch(Anchor{From: 1, Most: 3, Bytes: 1000})
					}
					items, err := r.Accept(list)
					if err != nil {
						panic(err)
					}
					for _, item := range items {
						if (item.Over == nil) != item.New || item.Over != nil && !strings.Contains(item.Over.Error(), "opens again") {
							panic(fmt.Sprintf("%+v", item))
						}
					}
				})
			}
			wait.Wait()
		}
		o := inMemory(t, memory)
		lines, all := booked(rt, o)
		taken := uint64(0)
		for _, user := range users {
			sums := lines[daybook.Entry{For: daybook.Objects, By: user}]
			if sums.Taken > most || sums.Taken < min(most, uint64(posted[user])) && all.Taken < ofAll {
				rt.Fatalf("%s posted %d and had %d taken in of %d", user, posted[user], sums.Taken, most)
			}
			taken += sums.Taken
		}
		if all.Taken > ofAll || taken != all.Taken || uint64(o.Count()[Accepted]) != taken {
			rt.Fatalf("%d taken in of %d, %d booked, %d in the outbox", all.Taken, ofAll, taken, o.Count()[Accepted])
		}
	})
}
