package accept

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// BenchmarkAccept: a request of many objects of 0.8 kB, until all of them are in the outbox.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		b.Run(fmt.Sprintf("objects=%d", n), func(b *testing.B) {
			w := worldtest.NewStoredFoundedWorld(b)
			p := publisherIn(w)
			p.Anchor = outbox.Anchor{From: 101, Most: 1000, Bytes: 8 << 20}
			collection := taxii.Collection{ID: w.Collection}
			into, err := p.target(collection)
			nodetest.Must(b, err)
			first := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				addition := manyObjects(first, n)
				first += n
				b.StartTimer()
				_, err := p.Accept(taxii.Principal{User: "u", Role: taxii.RolePublisher}, collection, into, addition)
				nodetest.Must(b, err)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// manyObjects are n objects of 0.8 kB.
func manyObjects(first, n int) taxii.Addition {
	var list taxii.Listed
	for i := range n {
		object := nodetest.IndicatorJSON(first + i)
		object = object[:len(object)-1] + `,"description":"` + strings.Repeat(fmt.Sprintf("some words on it, %d; ", i), 17) + `"}`
		list = append(list, taxii.Incoming{Raw: []byte(object)})
	}
	return taxii.Addition{Objects: list}
}
