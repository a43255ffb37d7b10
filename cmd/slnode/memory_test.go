package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackWhenTheNodeComesToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var allocated, freed atomic.Uint64
		r := rest{look: time.Second, much: 800, allocated: allocated.Load, free: func() { freed.Add(1) }, live: func() uint64 { return 0 }, limit: func(uint64) {}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.run(ctx) }()
		defer func() { stop(); <-ended }()
		synctest.Wait()
		for _, step := range []struct {
			name      string
			allocates uint64
			freed     uint64
		}{
			{"nothing", 0, 0},
			{"a little", 99, 0},
			{"much at once: it is at work", 900, 0},
			{"… and goes on", 101, 0},
			{"… and rests", 99, 1},
			{"it rests on", 99, 1},
			{"little by little what is worth it gathers", 99, 1}, {"…", 99, 1}, {"…", 99, 1}, {"…", 99, 1}, {"…", 99, 1}, {"…", 99, 1}, {"…", 99, 1},
			{"… until it is much", 99, 2},
		} {
			allocated.Add(step.allocates)
			time.Sleep(time.Second)
			synctest.Wait()
			if freed.Load() != step.freed {
				t.Fatalf("%s: memory was given back %d times, want %d", step.name, freed.Load(), step.freed)
			}
		}
	})
}

func TestTheCollectorIsLeftRoomWhereMuchIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live, limit atomic.Uint64
		r := rest{look: time.Second, much: 1 << 40, allocated: func() uint64 { return 0 }, free: func() {}, live: live.Load, limit: limit.Store}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.run(ctx) }()
		defer func() { stop(); <-ended }()
		for _, step := range []struct{ live, limit uint64 }{{0, 200 << 20}, {100 << 20, 200 << 20}, {400 << 20, 600 << 20}, {30 << 20, 200 << 20}} {
			live.Store(step.live)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := limit.Load(); got != step.limit {
				t.Errorf("where %d bytes are needed, the limit is %d, want %d", step.live, got, step.limit)
			}
		}
	})
}
