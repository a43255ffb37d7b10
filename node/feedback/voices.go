package feedback

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
)

// What is kept of what others say.
const (
	voicePage    = 500    // opinions that are read at once
	maxVoices    = 20_000 // objects about which one member is heard: who says more than that costs others nothing
	readAnewFrom = 10 * time.Minute
)

// voice is the last word of a member about an object, by the order of the chain.
type voice struct {
	word string // "" once it was taken back
	date int64  // date_added of the opinion
	at   consortium.Position
}

// voices is the last word of each member about each object. It is read from the opinions in the view and goes on with
// what is new; as what leaves the view may let an earlier word count again, it is read anew then.
type voices struct {
	upTo     int64                       // date_added up to which opinions are in it
	removed  int64                       // … and removals
	of       map[string]map[string]voice // by object, and by member's first account
	count    map[string]int              // of a member
	ours     map[string]bool             // objects that this organisation has published
	all      order                       // … what is said of these
	open     order                       // … of it what disputes them, and is not known to be answered
	answered map[place]bool              // … and what is
	stale    bool                        // something may count that does not any more
	read     time.Time                   // when it was read anew
	took     time.Duration               // … how long that was
	turn     int                         // counts changes
}

// follow brings the voices up to date. The caller holds the mutex.
func (r *Room) follow() error {
	v := &r.voices
	if err := r.noticeRemovals(v); err != nil {
		return err
	}
	// To read anew is work that a member could cause by taking opinions back, one by one.
	if idle := time.Since(v.read); v.of == nil || v.stale && idle > 20*v.took || idle > readAnewFrom && v.upTo > v.read.UnixMicro() {
		began := time.Now()
		before, answered := v.of, v.answered
		*v = voices{removed: v.removed, turn: v.turn, of: map[string]map[string]voice{}, count: map[string]int{}, ours: map[string]bool{}, answered: map[place]bool{}}
		if err := r.hear(v); err != nil {
			v.of = nil
			return err
		}
		v.read, v.took = time.Now(), time.Since(began)
		for _, s := range v.open.list {
			if answered[s.place] {
				v.answered[s.place] = true
			}
		}
		v.open.list = slices.DeleteFunc(v.open.list, func(s spoken) bool { return !v.waits(s) })
		if !maps.EqualFunc(before, v.of, func(a, b map[string]voice) bool { return maps.Equal(a, b) }) {
			v.turn++
		}
		return nil
	}
	return r.hear(v)
}

// noticeRemovals looks whether an opinion has left the view.
func (r *Room) noticeRemovals(v *voices) error {
	for {
		left, more, err := r.View.Removals(view.Everything, v.removed, voicePage)
		if err != nil {
			return err
		}
		for _, one := range left {
			v.stale, v.removed = v.stale || one.Type == "opinion", one.Date
			v.reopen(one.ID)
		}
		if !more {
			return nil
		}
	}
}

// hear takes in the opinions that are new.
func (r *Room) hear(v *voices) error {
	q := view.Query{
		Collection: view.Everything, Types: []string{"opinion"}, AnyLine: true, Versions: view.Versions{Last: true}, After: v.upTo, Limit: voicePage, WithObjects: true,
	}
	for more := true; more; {
		var entries []*view.Entry
		var err error
		if entries, more, err = r.View.Page(q); err != nil {
			return fmt.Errorf("reading opinions: %w", err)
		}
		for _, e := range entries {
			q.After, v.upTo = e.DateAdded, e.DateAdded
			if e.Owner() == r.State.Own() || !bytes.Contains(e.Object, []byte("opinion")) {
				continue
			}
			s, is := read(e.Object)
			if !is {
				continue
			}
			v.stale = v.stale || s.again && !s.revoked // an earlier version may have been about other objects, too
			for _, object := range lastFirst(s.objects) {
				if err := r.listen(v, e, s, object); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// listen takes in what a member says of one object.
func (r *Room) listen(v *voices, e *view.Entry, s said, object string) error {
	member := e.Owner()
	before, known := v.of[object][member]
	switch {
	case known && e.Position.Before(before.at):
		return nil
	case !known && v.count[member] >= maxVoices:
		return nil
	case v.of[object] == nil:
		v.of[object] = map[string]voice{}
		own, err := r.entry(r.State.Own(), view.Everything, object)
		if err != nil {
			return err
		}
		v.ours[object] = own != nil
	}
	if !known {
		v.count[member]++
	}
	word := s.word
	if s.revoked {
		word = ""
	}
	v.of[object][member] = voice{word, e.DateAdded, e.Position}
	v.arrange(spoken{place{e.DateAdded, object}, member}, before.word)
	v.turn++
	return nil
}

// present are the members that belong to the consortium now, by their first accounts.
func (r *Room) present() map[string]bool {
	members := map[string]bool{}
	for _, m := range r.State.Members() {
		if m.Removed == nil {
			members[m.ID] = true
		}
	}
	return members
}

// disputed are the objects that so many distinct members dispute, in the order of their ids. The caller holds the
// mutex.
func (r *Room) disputed(by int) (list []string) {
	members := r.present()
	for object, said := range r.voices.of {
		n := 0
		for member, v := range said {
			if members[member] && disagrees(v.word) {
				n++
			}
		}
		if n >= by {
			list = append(list, object)
		}
	}
	slices.Sort(list)
	return list
}

// Dispute is that some hold an object to be wrong.
type Dispute struct {
	Object string
	Of     string   // whose version of it is meant, by the member's first account; "": the one that is served
	By     []string // members, by their first accounts
}

// Disputes lists what members dispute that belong to the consortium, and what this organisation itself holds to be
// wrong.
func (r *Room) Disputes() (list []Dispute, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.follow(); err != nil {
		return nil, err
	}
	members := r.present()
	for object, said := range r.voices.of {
		one := Dispute{Object: object}
		for member, v := range said {
			if members[member] && disagrees(v.word) {
				one.By = append(one.By, member)
			}
		}
		if len(one.By) > 0 {
			list = append(list, one)
		}
	}
	for _, d := range r.decisions {
		if d.counts(r.settings) {
			list = append(list, Dispute{Object: d.Object, Of: d.Member, By: []string{r.State.Own()}})
		}
	}
	return list, nil
}

// headAt gives an entry, whichever version it is; nil if it is gone.
func (r *Room) headAt(date int64) (e *view.Entry, err error) {
	err = r.Index.Read(func(reader *find.Reader) error {
		e, err = reader.Entry(date, false)
		return err
	})
	return e, err
}
