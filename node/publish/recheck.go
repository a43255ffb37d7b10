package publish

import (
	"errors"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// recheck looks again, before an object is sealed and before it is signed, at who would read it: between its acceptance
// and that moment the collection's owner can have let others in, and a collection that was to be made for it can have
// become another member's. It is for one batch of items; collections are looked at once.
type recheck struct {
	state  *state.Shared
	outbox *outbox.Outbox
	seen   map[string]audienceNow
}

// audienceNow is who reads a collection now.
type audienceNow struct {
	stolen   bool     // the collection was to be this organisation's, and isn't
	removed  []string // it is this organisation's, and they have its key though they are no members any more
	known    bool
	title    string
	audience stix.Audience
}

func (r *recheck) look(collection string) (now audienceNow, err error) {
	if now, seen := r.seen[collection]; seen {
		return now, nil
	}
	if r.state.Taken(collection) {
		if _, now.stolen, err = r.outbox.Find(RecordKey(collection, 1)); err != nil {
			return now, err
		}
	}
	if c, found := r.state.Collection(collection); found && !c.Pending {
		now.known, now.title, now.audience = true, c.Properties.Title, r.state.Audience(c)
		if c.Owner == r.state.Self {
			if now.removed, err = r.state.RemovedFrom(r.outbox, c); err != nil {
				return now, err
			}
		}
	}
	if r.seen == nil {
		r.seen = map[string]audienceNow{}
	}
	r.seen[collection] = now
	return now, nil
}

// holds says why an object of a collection of our own has to wait: a removed member can read it until the next epoch
// has begun, which is on its way. nil if it needn't.
func (now audienceNow) holds() *obstacle {
	if len(now.removed) == 0 {
		return nil
	}
	return &obstacle{Problem: "rekeying", Detail: fmt.Sprintf(
		"a removed member still has the key of %q (%s); what is published there waits for another one", now.title, strings.Join(now.removed, ", "))}
}

// withholds says why an object must not be published any more, whatever may come; nil if it may be, or if that isn't
// known yet.
func (now audienceNow) withholds(item outbox.Item) (why error) {
	switch {
	case now.stolen:
		return errors.New("another member has taken the id of the collection that was to be made for it; post it again")
	case !now.known || item.Level == 0:
		return nil
	}
	level := stix.Level(item.Level)
	if err := stix.Permits(level, now.audience); err != nil {
		return fmt.Errorf("not published in %q, whose readers are others than when it was accepted: the object is %s; %w", now.title, level, err)
	}
	return nil
}
