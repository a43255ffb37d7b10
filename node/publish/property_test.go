package publish

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// alone lets one goroutine run at a time, so that the same happens in the same order, and saves time.
func alone(t *testing.T) {
	procs, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(800)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
	})
}

// drawHistory draws one.
func drawHistory(t *rapid.T) history {
	h := history{Faults: map[string][]fault{}, Lag: rapid.SampledFrom([]uint64{0, 1, 1, 2, 5, 20}).Draw(t, "lag")}
	h.Calm = rapid.Uint64Range(10, 120).Draw(t, "calm")
	long := rapid.IntRange(0, 9).Draw(t, "long") == 0
	if long {
		h.Calm += ledgerWindow
	}
	does := []string{posts, posts, posts, posts, withdraws, releases, happens + revocation, happens + opening, happens + removal, foreign, clashes, congests, kills}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		does = append(does, rotates, rotates)
	case 1:
		if long {
			does = append(does, backs, restores, restores)
			h.Contents = rapid.SampledFrom([]uint64{0, 20, ledgerWindow + 100}).Draw(t, "contents")
		}
	case 2:
		h.Liar = rapid.SampledFrom([]string{askFate, askIndexer}).Draw(t, "liar")
	}
	once := map[string]bool{}
	for range rapid.IntRange(1, 8).Draw(t, "ops") {
		o := drawOp(t, does)
		if strings.HasPrefix(o.Does, happens) && once[o.Does] {
			o.Does = posts
		}
		once[o.Does] = true
		h.Ops = append(h.Ops, o)
	}
	for _, request := range []string{askParams, askFunds, askSubmit, askRound, askWait, askBlock, askFate, askIndexer} {
		list := slices.Concat([]fault{fine, lost, unanswered, slow, throttled}, faultsOf[request])
		if request == h.Liar {
			list = append(list, lying[request]...)
		}
		if faults := rapid.SliceOfN(rapid.SampledFrom(list), 0, 5).Draw(t, request); len(faults) > 0 {
			h.Faults[request] = faults
		}
	}
	h.Commits = rapid.Bool().Draw(t, "commits")
	h.Crashes = rapid.SliceOfN(rapid.IntRange(0, 60), 0, 4).Draw(t, "crashes")
	down := []int{0, 1, 10}
	if long {
		down = append(down, ledgerWindow+5)
	}
	h.Down = rapid.SliceOfN(rapid.SampledFrom(down), 0, 3).Draw(t, "down")
	return h
}

// drawOp draws one thing that is done.
func drawOp(t *rapid.T, does []string) op {
	o := op{At: rapid.Uint64Range(0, 12).Draw(t, "at"), Does: rapid.SampledFrom(does).Draw(t, "does"), N: rapid.IntRange(0, 5).Draw(t, "n"), Many: 1}
	o.In = rapid.SampledFrom([]string{"everybody", "ring", "own"}).Draw(t, "in")
	switch o.Does {
	case posts:
		o.Many = rapid.SampledFrom([]int{1, 1, 1, 2, 2, 2, 3, 3, 3, 20}).Draw(t, "many")
		o.From = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "from")
	case withdraws:
		o.All = rapid.Bool().Draw(t, "all")
	case restores:
		o.Many = rapid.SampledFrom([]int{0, 3, 6}).Draw(t, "many again")
		o.From = 1
	case congests:
		o.N, o.Many = rapid.SampledFrom([]int{4, 40}).Draw(t, "fee"), 30
	case foreign, clashes:
		o.In = "everybody"
	}
	return o
}

// Whatever goes wrong, and whenever the node dies: what was accepted is on the chain once, and in the end it is.
func TestWhatIsAcceptedIsPublishedExactlyOnce(t *testing.T) {
	alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		if wrongs, _ := run(t, h); len(wrongs) > 0 {
			rt.Fatalf("%#v\n%s", h, strings.Join(wrongs, "\n"))
		}
	})
}

// The process dies before and after each of its commits.
func TestTheNodeMayDieAtAnyCommit(t *testing.T) {
	alone(t)
	h := history{Commits: true, Calm: 60, Lag: 1, Faults: map[string][]fault{askSubmit: {unanswered, forgotten}, askBlock: times(20, lost)}, Ops: []op{
		{Does: posts, N: 1, Many: 2, In: "everybody"}, {At: 1, Does: happens + removal}, {Does: posts, N: 3, Many: 1, In: "own"}, {Does: posts, N: 4, Many: 1, In: "ring"},
		{Does: happens + revocation}, {At: 10, Does: withdraws, N: 1, In: "everybody"}, {At: 12, Does: posts, N: 1, Many: 1, In: "everybody"},
	}}
	diesEverywhere(t, h, 50)
}

// diesEverywhere lives through a history again and again, and dies at another of its points each time.
func diesEverywhere(t *testing.T, h history, least int) {
	t.Helper()
	wrongs, points := run(t, h)
	if len(wrongs) > 0 {
		t.Fatal(strings.Join(wrongs, "\n"))
	}
	if points < least {
		t.Errorf("there are %d of them", points)
	}
	for at := range points {
		h.Crashes = []int{at}
		if wrongs, _ := run(t, h); len(wrongs) > 0 {
			t.Errorf("it dies at point %d: %s", at, strings.Join(wrongs, "\n"))
		}
	}
}

// Nothing that fails on this machine is passed over: the node ends, and goes on where it was when it is started again.
func TestTheNodeEndsWhenItsStoreFails(t *testing.T) {
	alone(t)
	for name, c := range map[string]struct {
		h      history
		points int
	}{
		"publishing": {history{Calm: 60, Lag: 1, Faults: map[string][]fault{askSubmit: {forgotten, contradicted}, askBlock: times(20, lost), askFunds: times(6, noFunds)}, Ops: []op{
			{Does: posts, N: 1, Many: 2, In: "everybody"}, {Does: posts, N: 3, Many: 1, In: "own"}, {Does: posts, N: 4, Many: 1, In: "ring"},
			{At: 2, Does: happens + revocation}, {At: 10, Does: withdraws, N: 1, In: "everybody"}, {Does: rotates},
		}}, 15},
		"recovering": {history{Calm: 600, Faults: map[string][]fault{askSubmit: {fine, never}}, Ops: []op{
			{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 5, Does: backs}, {Does: posts, N: 2, Many: 2, In: "everybody"}, {At: 5, Does: restores},
		}}, 15},
		"confirming":    {history{Calm: 20, Ops: []op{onePost}}, 15},
		"signing again": {history{Calm: 600, Faults: map[string][]fault{askSubmit: {never}}, Ops: []op{{Does: posts, N: 1, Many: 1, In: "everybody"}}}, 15},
	} {
		t.Run(name, func(t *testing.T) { failsEverywhere(t, c.h, c.points) })
	}
}

// failsEverywhere lives through a history again and again, with another failure each time.
func failsEverywhere(t *testing.T, h history, least int) {
	points := 0
	for at, more := 0, true; more; at += 1 + max(0, at-12)/4 { // the later ones are much alike
		h.Fails = []int{at}
		live(t, h, func(_ context.Context, w *world) {
			if more = len(w.failing.left) == 0; more {
				points++
			}
			if more && !w.failed {
				t.Errorf("what fails at point %d is passed over", at)
			}
			if len(w.wrongs) > 0 {
				t.Errorf("it fails at point %d: %s", at, strings.Join(w.wrongs, "\n"))
			}
		})
	}
	if points < least {
		t.Errorf("there are %d points", points)
	}
}

// Histories in which something was wrong once.
func TestHistoriesThatWereWrongOnce(t *testing.T) {
	for name, h := range map[string]history{
		"an object is posted in two collections, and the node restored": {Calm: 540, Ops: []op{
			{Does: backs}, {At: 1, Does: posts, N: 3, Many: 1, In: "everybody"}, {At: 1, Does: posts, N: 3, Many: 1, In: "ring"}, {At: 10, Does: restores},
		}},
		"what the lost node did for itself after its backup": {Calm: 540, Lag: 1, Ops: []op{
			{Does: posts, N: 0, Many: 3, In: "own"}, {At: 3, Does: backs}, {At: 3, Does: happens + removal}, {At: 10, Does: restores},
		}},
		"a node begins in the moment in which its view is deleted": {Calm: 10, Lag: 1, Liar: askIndexer, Down: []int{0, 0, 0}, Crashes: []int{4, 58}, Ops: []op{
			{At: 2, Does: clashes, N: 2, In: "everybody"}, {At: 7, Does: posts, N: 0, Many: 3, In: "everybody"},
		}, Faults: map[string][]fault{askParams: {fine, unanswered}, askFunds: {throttled}}},
		"an object is withdrawn while the account is about to change": {Calm: 10, Ops: []op{
			{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 10, Does: posts, N: 2, Many: 20, In: "everybody"}, {Does: rotates}, {Does: withdraws, N: 1, In: "everybody"},
		}},
		"a batch is withdrawn while the account is about to change": {Calm: 10, Ops: []op{
			{Does: posts, N: 1, Many: 4, From: 1, In: "everybody"}, {At: 10, Does: rotates}, {Does: withdraws, N: 1, In: "everybody", All: true},
		}},
		"an NFT is released while the account is about to change": {Calm: 10, Ops: []op{
			{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 10, Does: rotates}, {Does: releases, N: 1, In: "everybody"},
		}},
	} {
		t.Run(name, func(t *testing.T) { nothingWrong(t, h, func(*world, *process) {}) })
	}
}
