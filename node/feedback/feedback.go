// Package feedback is what this organisation says of others' objects, above all that they are false positives, and
// what others say of its own. Both are STIX opinions, which every program understands that reads STIX.
//
//   - feedback.go has the room; opinion.go makes and reads opinions;
//   - give.go says something of an object, decisions.go keeps what this organisation itself holds to be a mistake,
//     given.go lists it, telling.go tells others what they could not be told at once;
//   - voices.go knows the last word of each member about each object, inbox.go shows what is said of ours, answer.go
//     does something about it;
//   - regard.go tells of one object what is held of it, and what can be done;
//   - judge.go says what lists leave out therefore.
//
// Nothing is merged, deleted or hidden because of what others say: of that lists leave out what so many distinct
// members dispute, if the operator wants it (quality.disputed_by).
package feedback

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Room answers for feedback.
type Room struct {
	View   *view.View
	Index  *find.Index
	State  *state.Shared
	Outbox *outbox.Outbox
	Author author
	Log    *slog.Logger

	mu        sync.Mutex // of what follows
	settings  settings
	decisions map[string]decision // by object and member
	untold    map[string]bool     // … of which others are still to be told
	turns     turns               // … in their order
	changed   int                 // counts changes of the decisions
	voices    voices
	left      judged

	giving sync.Mutex // one at a time: what was said before is what is changed
}

// author publishes in the organisation's name.
type author interface {
	IdentityID() string
	MayPublish(c consortium.Collection, level stix.Level) bool
	// Planned gives the collection that For would, and whether it is there.
	Planned(member string) (c consortium.Collection, exists bool, err error)
	For(ctx context.Context, who taxii.Principal, member string) (consortium.Collection, error)
	Publish(ctx context.Context, who taxii.Principal, into consortium.Collection, objects ...json.RawMessage) (taxii.Status, error)
}

var _ taxii.Feedback = (*Room)(nil)

// settings are those of the configuration.
type settings struct {
	readers    bool // what readers say counts here
	disputedBy int  // members that dispute an object before lists leave it out; 0: never
}

// Load reads what was decided before.
func (r *Room) Load(c config.Config) error {
	r.Configure(c)
	return r.loadDecisions()
}

// Configure goes on with another configuration.
func (r *Room) Configure(c config.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings = settings{c.Quality.ReaderFeedback, int(c.Quality.DisputedBy)}
}

// entry gives the last version of an object in the line of one member, with its object; nil if there is none.
func (r *Room) entry(member, collection, id string) (*view.Entry, error) {
	return r.View.LatestOf(member, collection, id)
}

// at gives the entry with a date_added if it is the last version in its line; else nil.
func (r *Room) at(date int64) (e *view.Entry, err error) {
	err = r.Index.Read(func(reader *find.Reader) error {
		if e, err = reader.Entry(date, true); err != nil || e == nil {
			return err
		}
		last, err := reader.IsLast(e)
		if !last {
			e = nil
		}
		return err
	})
	return e, err
}
