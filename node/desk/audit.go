package desk

import (
	"context"
	"encoding/json"
	"time"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/taxii"
)

// audit is the log of who did what.
type audit struct{ *Desk }

// mostLooked is how much of the log one page looks through, in bytes: a filter that takes next to nothing ends there.
const mostLooked = 64 << 20

// Events lists what lines can be called by.
func (audit) Events() []string { return auditlog.Events() }

// Latest visits lines, the last written first.
func (a audit) Latest(ctx context.Context, before time.Time, event, user string, visit func(taxii.Event) bool) (more bool, err error) {
	return a.api.Trail.Latest(ctx, before, event, user, mostLooked, func(line []byte) bool {
		var e taxii.Event
		if json.Unmarshal(line, &e) != nil {
			return true // it is none of this build's
		}
		return visit(e)
	})
}
