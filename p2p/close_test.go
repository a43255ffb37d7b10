package p2p

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/serviceledger/slnode/internal/waiting"
)

// kubosLeaks are the goroutines that Kubo and its libraries leave behind when a node is closed; none is ours. A node
// lives as long as its process, so they cost nothing.
var kubosLeaks = []goleak.Option{
	// Kubo's warning of a private network without peers sleeps up to 30 s before it looks whether it is wanted.
	goleak.IgnoreAnyFunction("github.com/ipfs/kubo/core/node/libp2p.PNetChecker.func1.1"),
	// Kubo makes bitswap's provider query manager and never closes it, with the queue that it holds.
	goleak.IgnoreAnyFunction("github.com/ipfs/boxo/routing/providerquerymanager.(*ProviderQueryManager).run"),
	goleak.IgnoreAnyFunction("github.com/ipfs/boxo/routing/providerquerymanager.(*ProviderQueryManager).findProviderWorker"),
	goleak.IgnoreAnyFunction("github.com/gammazero/chanqueue.(*ChanQueue[...]).bufferData"),
}

func TestCloseEndsEveryGoroutine(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"private": func(*Config) {},
		"public": func(c *Config) {
			c.Public, c.SwarmKey, c.Bootstrap = true, nil, []string{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			w := newWorld(t)
			ca, cb := w.config(), w.config()
			change(&ca)
			change(&cb)
			a, b := openForLeaks(t, ca), openForLeaks(t, cb)
			w.members.set(a.ID(), true)
			w.members.set(b.ID(), true)
			connect(t, a, b)
			say, _ := join(t, a)
			_, heard := join(t, b)
			reaches(t, say, heard)
			dirs := directories(t, 20)
			put(t, a, dirs...)
			fetchAll(t, b, dirs[:10]...)
			withoutCAR(a)
			fetchAll(t, b, dirs[10:]...)
			start := time.Now()
			closeHost(t, a)
			closeHost(t, b)
			if took := time.Since(start); took > waiting.Limit {
				t.Errorf("closing took %v", took)
			}
			goleak.VerifyNone(t, append(kubosLeaks, before)...)
		})
	}
}

func openForLeaks(t *testing.T, c Config) *Host {
	t.Helper()
	h, err := open(context.Background(), c, vfs.Default)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
