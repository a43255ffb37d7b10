package feedback

import (
	"slices"
	"sort"
	"strings"
)

// spoken is a voice about an object of ours, in the order in which voices came.
type spoken struct {
	place
	member string
}

// order has voices as they came, so that a page of the inbox costs what is on it, and not what is in the inbox. What
// counts no more stays in it until it is most of it.
type order struct {
	list []spoken // by date_added; those of one opinion from the last object to the first
	dead int      // … that count no more, at the most
}

// fewDead are not worth to be taken out.
const fewDead = 1000

// bury notes that a voice counts no more, and takes such out once they are most.
func (o *order) bury(counts func(spoken) bool) {
	if o.dead++; o.dead > fewDead && o.dead > len(o.list)/2 {
		o.list = slices.DeleteFunc(o.list, func(s spoken) bool { return !counts(s) })
		o.dead = 0
	}
}

// before gives how many come after a place of the inbox: in this order, before it.
func (o *order) before(at place) int {
	return sort.Search(len(o.list), func(i int) bool { return !at.before(o.list[i].place) })
}

// isLast reports whether a voice is the last word of its member.
func (v *voices) isLast(s spoken) bool {
	is := v.of[s.object][s.member]
	return is.word != "" && is.date == s.date
}

// waits reports whether a voice may wait for an answer.
func (v *voices) waits(s spoken) bool { return v.isLast(s) && !v.answered[s.place] }

// arrange takes a voice in that came after all others, in place of what the member said before.
func (v *voices) arrange(s spoken, before string) {
	if !v.ours[s.object] {
		return
	}
	if word := v.of[s.object][s.member].word; word != "" {
		v.all.list = append(v.all.list, s)
		if disagrees(word) {
			v.open.list = append(v.open.list, s)
		}
	}
	if before != "" {
		v.all.bury(v.isLast)
		if disagrees(before) {
			v.open.bury(v.waits)
		}
	}
}

// settle notes that what a member says was answered, unless something left the view since that was looked at.
func (r *Room) settle(at place, removed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := &r.voices
	if v.removed == removed && v.of != nil && !v.answered[at] {
		v.answered[at] = true
		v.open.bury(v.waits)
	}
}

// reopen forgets that what was said of an object was answered: its answer may be gone.
func (v *voices) reopen(object string) {
	for member, is := range v.of[object] {
		at := place{is.date, object}
		if !v.answered[at] {
			continue
		}
		delete(v.answered, at)
		if i := v.open.before(at); i == len(v.open.list) || v.open.list[i].place != at {
			v.open.list = slices.Insert(v.open.list, i, spoken{at, member})
		}
	}
}

// upcoming gives some of what is said of objects of ours after a place of the inbox, the newest first, whether there is
// more, and what had left the view then.
func (r *Room) upcoming(after place, answered bool, most int) (list []heard, more bool, removed int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.follow(); err != nil {
		return nil, false, 0, err
	}
	v := &r.voices
	from, counts := &v.open, v.waits
	if answered {
		from, counts = &v.all, v.isLast
	}
	n := from.before(after)
	for n > 0 && len(list) < most {
		n--
		if s := from.list[n]; counts(s) {
			list = append(list, heard{s.object, s.member, v.of[s.object][s.member]})
		}
	}
	return list, n > 0, v.removed, nil
}

// heardOf lists what is said of an object, the newest first, and whether it is ours.
func (r *Room) heardOf(object string) (list []heard, ours bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.follow(); err != nil {
		return nil, false, err
	}
	for member, v := range r.voices.of[object] {
		if v.word != "" {
			list = append(list, heard{object, member, v})
		}
	}
	slices.SortFunc(list, func(a, b heard) int { return int(b.date - a.date) })
	return list, r.voices.ours[object], nil
}

// lastFirst is the order in which the objects of one opinion are taken in.
func lastFirst(objects []string) []string {
	return slices.SortedFunc(slices.Values(objects), func(a, b string) int { return strings.Compare(b, a) })
}
