package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// rest gives memory back to the system when the node has done something and come to rest. The collector alone keeps
// what a start, a password or a large bundle took: where little is allocated, it runs once in two minutes and frees
// nothing to the system.
type rest struct {
	look      time.Duration // how often it is looked
	much      uint64        // bytes that were allocated since, for which a collection is worth its time
	allocated func() uint64 // bytes, since the start of the process
	free      func()        // collects and gives back
}

// ofProcess is for the process itself.
func ofProcess() rest {
	const allocs = "/gc/heap/allocs:bytes"
	return rest{
		look: 15 * time.Second, much: 16 << 20, free: debug.FreeOSMemory,
		allocated: func() uint64 {
			sample := []metrics.Sample{{Name: allocs}}
			metrics.Read(sample)
			return sample[0].Value.Uint64()
		},
	}
}

// run goes on until the context ends.
func (r rest) run(ctx context.Context) {
	ticker := time.NewTicker(r.look)
	defer ticker.Stop()
	given, last := r.allocated(), r.allocated()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := r.allocated()
		if atRest := now-last < r.much/8; atRest && now-given >= r.much {
			r.free()
			now = r.allocated()
			given = now
		}
		last = now
	}
}
