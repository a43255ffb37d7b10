package watch

import (
	"bytes"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// mostConcerns is how many assets of one object are told of.
const mostConcerns = 50

// mostMisses is how many assets are looked at that a value does not contain, though they are in its stretch of keys: of
// a network that is too wide all are.
const mostMisses = 100

// Concerns tells which assets an object is about: each once.
func (r *Room) Concerns(object []byte) []taxii.Concern { return r.list.Load().concerns(object) }

func (l *list) concerns(object []byte) (all []taxii.Concern) {
	if len(l.of) == 0 {
		return nil
	}
	found, _ := observable.FromObject(object)
	seen := map[observable.Value]bool{}
	for _, f := range found {
		l.each(f.Value, func(asset observable.Value, how string) bool {
			if !seen[asset] {
				seen[asset] = true
				all = append(all, taxii.Concern{Asset: l.of[asset], How: how, Value: f.Value.Text})
			}
			return len(all) < mostConcerns
		})
		if len(all) >= mostConcerns {
			break
		}
	}
	return all
}

// each visits the assets that a value is, is in or contains, until visit returns false.
func (l *list) each(v observable.Value, visit func(asset observable.Value, how string) bool) {
	if _, is := l.of[v]; is && !visit(v, taxii.ConcernSame) {
		return
	}
	for _, wider := range v.Around() {
		if _, is := l.of[wider]; is && !visit(wider, taxii.ConcernIn) {
			return
		}
	}
	for _, span := range v.Within() {
		at, _ := slices.BinarySearchFunc(l.keys, span.First, func(k keyed, first []byte) int { return bytes.Compare(k.key, first) })
		for misses := 0; at < len(l.keys) && span.Has(l.keys[at].key) && misses < mostMisses; at++ {
			switch asset := l.keys[at].value; {
			case asset == v:
			case !v.Contains(asset): // a network as wide as that is about nothing
				misses++
			case !visit(asset, taxii.ConcernAround):
				return
			}
		}
	}
}
