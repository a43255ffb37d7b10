package feedback

import (
	"fmt"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/taxii"
)

// BenchmarkInbox reads the first page of inboxes with few and many opinions that wait, and of one in which all were
// answered.
func BenchmarkInbox(b *testing.B) {
	for _, n := range []int{200, 20_000} {
		w := newWorld(b)
		w.disputes(w.Mallory, n)
		page := func(name string, q taxii.InboxQuery) {
			for { // what was answered is noted as it is met
				box, err := w.Inbox(b.Context(), publisher, q)
				nodetest.Must(b, err)
				if box.Open > 0 || !box.OpenMore {
					break
				}
			}
			b.Run(fmt.Sprintf("opinions=%d/%s", n, name), func(b *testing.B) {
				for b.Loop() {
					_, err := w.Inbox(b.Context(), publisher, q)
					nodetest.Must(b, err)
				}
			})
		}
		page("open", taxii.InboxQuery{Limit: 25})
		page("all", taxii.InboxQuery{Limit: 25, All: true})
		page("object", taxii.InboxQuery{Object: indicatorID(1)})
		for i := range n {
			_, err := w.Respond(b.Context(), publisher, taxii.Response{Object: indicatorID(i), Answer: taxii.AnswerKeep})
			nodetest.Must(b, err)
		}
		page("answered", taxii.InboxQuery{Limit: 25})
	}
}
