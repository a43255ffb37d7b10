package main

import (
	"context"
	"os"
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
	live      func() uint64 // bytes that the last collection left
	limit     func(uint64)  // has the collector try to stay below bytes
}

// memoryLimit is what the garbage collector tries to stay below, in bytes. It is no hard limit. An idle node needs a
// fraction of it; but while many objects come in, the stores and their compaction hold about half of it.
const memoryLimit = 200 << 20

// ofProcess is for the process itself. Where GOMEMLIMIT says what to stay below, that counts.
func ofProcess() rest {
	r := rest{
		look: 15 * time.Second, much: 16 << 20, free: debug.FreeOSMemory,
		allocated: metric("/gc/heap/allocs:bytes"), live: metric("/gc/heap/live:bytes"), limit: func(uint64) {},
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		r.limit = func(bytes uint64) { debug.SetMemoryLimit(int64(bytes)) }
	}
	return r
}

func metric(name string) func() uint64 {
	return func() uint64 {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
}

// run goes on until the context ends.
func (r rest) run(ctx context.Context) {
	ticker := time.NewTicker(r.look)
	defer ticker.Stop()
	given, last := r.allocated(), r.allocated()
	for {
		// Below what is needed the collector would run all the time.
		r.limit(max(memoryLimit, r.live()/2*3))
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
