package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// stream gives date_addeds before one, or from the newest on if that is 0: the newest first, up to so many.
type stream func(before int64, most int) ([]int64, error)

var (
	isID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*--[0-9A-Fa-f-]{36}$`)
	isTx = regexp.MustCompile(`^([A-Z2-7]{52})(?:/([0-9]{1,4}))?$`)
)

// Find answers a question as somebody types it. Who asks for words gets what has all of them.
func (f *Finder) Find(ctx context.Context, who taxii.Principal, q Query) (page Page, err error) {
	before, err := decodeCursor(q.Cursor)
	if err == nil {
		err = q.check()
	}
	if err == nil {
		err = mayAsk(who)
	}
	if err != nil {
		return page, err
	}
	text := strings.TrimSpace(q.Text)
	var dates stream
	values := observable.Parse(text)
	switch {
	case text == "":
		page.Read, dates = "everything", f.newest(who, q)
	case isID.MatchString(text):
		page.Read = "id"
		dates, err = f.ofID(text)
	case isTx.MatchString(strings.ToUpper(text)):
		page.Read = "transaction"
		dates, err = f.ofTransaction(isTx.FindStringSubmatch(strings.ToUpper(text)))
	case len(values) == 1 && (!strings.ContainsAny(text, " \t") || values[0].Kind == observable.RegistryKey):
		if page.Read = "value"; values[0].Kind == observable.CID {
			page.Read = "cid"
		}
		dates, err = f.ofValue(ctx, who, values[0], &page)
	}
	if err != nil {
		return page, fmt.Errorf("searching: %w", err)
	}
	if dates == nil {
		page.Read = "words"
		if dates, err = f.ofWords(ctx, who, find.Words(text), &page); err != nil {
			return page, fmt.Errorf("searching: %w", err)
		}
	}
	return page, f.fill(ctx, who, q, before, dates, &page)
}

// check refuses what no query asks for.
func (q *Query) check() error {
	if q.Limit == 0 {
		q.Limit = 50
	}
	switch {
	case q.Limit < 1 || q.Limit > MaxPage:
		return &taxii.InvalidError{Reason: fmt.Sprintf("a page has 1 to %d objects", MaxPage)}
	case len(q.Text) > observable.MaxValue:
		return &taxii.InvalidError{Reason: fmt.Sprintf("the question has more than %d bytes", observable.MaxValue)}
	case q.MinConfidence < 0 || q.MinConfidence > 100:
		return &taxii.InvalidError{Reason: "a confidence is 0 to 100"}
	}
	if q.Level != "" {
		level, err := stix.ParseLevel(q.Level)
		if err != nil {
			return &taxii.InvalidError{Reason: err.Error()}
		}
		q.Level = level.String()
	}
	return nil
}

// fill looks at candidates until a page is full, or enough were looked at.
func (f *Finder) fill(ctx context.Context, who taxii.Principal, q Query, before int64, dates stream, page *Page) error {
	chunk := q.Limit + 1 // as many as a page needs that takes them all, to know whether there are more
	d := f.describer()
	for looked := 0; ; {
		list, err := dates(before, chunk)
		if err != nil || len(list) == 0 {
			return cmp.Or(err, d.err)
		}
		entries := map[int64]*view.Entry{}
		read := 0
		err = f.read(ctx, who, func(r *reading) (err error) {
			read, err = r.candidates(q, list, entries)
			return err
		})
		if err != nil {
			return err
		}
		isMore := read < len(list) || len(list) == chunk
		for i, date := range list[:read] {
			before = date
			looked++
			e := entries[date]
			if e == nil {
				continue
			}
			if s := d.summary(e); q.takes(s) {
				page.Objects = append(page.Objects, s)
			}
			if len(page.Objects) == q.Limit && (i+1 < read || isMore) {
				page.Next = encodeCursor(before)
				return d.err
			}
		}
		if looked >= MaxCandidates {
			page.Next, page.Narrow = encodeCursor(before), true
			return d.err
		}
	}
}

// candidates reads the entries that a query may take, as many of the first as are held at once, and says how many it
// looked at: one at least.
func (r *reading) candidates(q Query, dates []int64, entries map[int64]*view.Entry) (looked int, err error) {
	held := 0
	for _, date := range dates {
		if held > cmp.Or(r.finder.most, maxHeld) {
			break
		}
		looked++
		e, err := r.head(date)
		if err != nil {
			return looked, err
		}
		if e == nil || q.Type != "" && e.Type != q.Type || q.Collection != "" && e.Collection != q.Collection ||
			q.Member != "" && r.finder.State.Name(e.Publisher) != q.Member {
			continue
		}
		if e, err = r.Entry(date, true); err != nil {
			return looked, err
		}
		if entries[date] = e; e != nil {
			held += len(e.Object)
		}
	}
	return looked, nil
}

// takes reports whether a query takes an object that it may take by its type, member and collection.
func (q *Query) takes(s Summary) bool {
	return (q.Level == "" || q.Level == s.Level) && (q.Standing == "" || q.Standing == s.Standing) &&
		(q.Label == "" || slices.Contains(s.Labels, q.Label)) && (q.MinConfidence == 0 || s.Confidence != nil && *s.Confidence >= q.MinConfidence)
}

// newest is all that who asks may read in its last version, or that of a type or a collection.
func (f *Finder) newest(who taxii.Principal, q Query) stream {
	return func(before int64, most int) ([]int64, error) {
		var dates []int64
		for _, collection := range f.served(who, q) {
			v := view.Query{Collection: collection, Versions: view.Versions{Last: true}, Descending: true, Before: before, Limit: most}
			if q.Type != "" {
				v.Types = []string{q.Type}
			}
			entries, _, err := f.View.Page(v)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				dates = append(dates, e.DateAdded)
			}
		}
		return fixed(dates)(before, most)
	}
}

// served are the collections of the view that a query is about: the one that it names, or those that who asks may read.
func (f *Finder) served(who taxii.Principal, q Query) (list []string) {
	switch {
	case q.Collection != "":
		return []string{q.Collection}
	case who.Limits.Read == nil:
		return []string{view.Everything}
	}
	for _, id := range who.Limits.Read {
		switch id {
		case f.Everything:
			id = view.Everything
		case f.Others:
			id = view.Others
		}
		list = append(list, id)
	}
	return list
}

// fixed are dates that are known.
func fixed(dates []int64) stream {
	slices.SortFunc(dates, func(a, b int64) int { return cmp.Compare(b, a) })
	dates = slices.Compact(dates)
	return func(before int64, most int) ([]int64, error) {
		from := 0
		for before > 0 && from < len(dates) && dates[from] >= before {
			from++
		}
		return dates[from:min(from+most, len(dates))], nil
	}
}

func (f *Finder) ofID(id string) (stream, error) {
	entries, _, err := f.View.Page(view.Query{Collection: view.Everything, IDs: []string{id}, AnyLine: true, Versions: view.Versions{Last: true}, Limit: MaxPage})
	var dates []int64
	for _, e := range entries {
		dates = append(dates, e.DateAdded)
	}
	return fixed(dates), err
}

// ofTransaction is what a transaction published: an object, those of a batch, or one of them.
func (f *Finder) ofTransaction(parts []string) (stream, error) {
	index, _ := strconv.ParseUint(parts[2], 10, 32)
	event, found, err := f.View.Published(wire.Publication{TxID: parts[1], Index: uint32(index)})
	if err != nil || !found {
		return fixed(nil), err
	}
	dates := []int64{event.Entered}
	if event.Note.Kind == wire.KindBatch && index == 0 {
		objects, err := f.View.Objects(event)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			dates = append(dates, o.Entered)
		}
	}
	return fixed(dates), nil
}

// ofValue is what is about a value or what that contains; nil if nothing is.
func (f *Finder) ofValue(ctx context.Context, who taxii.Principal, v observable.Value, page *Page) (stream, error) {
	dates, err := f.collect(ctx, who, func(r *reading, take func(int64) (bool, error)) error {
		visit := func(p find.Posting) (bool, error) { return take(p.Date) }
		return errors.Join(r.Exact(v, 0, visit), r.Within(v, visit))
	})
	if len(dates) == 0 {
		return nil, err
	}
	page.Narrow = len(dates) == MaxCandidates
	return fixed(dates), err
}

// collect gathers up to MaxCandidates dates.
func (f *Finder) collect(ctx context.Context, who taxii.Principal, visit func(*reading, func(int64) (bool, error)) error) (dates []int64, err error) {
	err = f.read(ctx, who, func(r *reading) error {
		return visit(r, func(date int64) (bool, error) {
			dates = append(dates, date)
			return len(dates) < MaxCandidates, ctx.Err()
		})
	})
	return dates, err
}

// ofWords is what has all the words, or one that begins with the last of them.
func (f *Finder) ofWords(ctx context.Context, who taxii.Principal, words []string, page *Page) (stream, error) {
	const most = 10
	words = words[:min(len(words), most)]
	switch len(words) {
	case 0:
		return fixed(nil), nil
	case 1:
		dates, err := f.collect(ctx, who, func(r *reading, take func(int64) (bool, error)) error { return r.Beginning(words[0], take) })
		page.Narrow = len(dates) == MaxCandidates
		return fixed(dates), err
	}
	rarest := slices.MaxFunc(words[:len(words)-1], func(a, b string) int { return cmp.Compare(len(a), len(b)) }) // as far as that tells
	last := words[len(words)-1]
	return func(before int64, most int) (dates []int64, err error) {
		err = f.read(ctx, who, func(r *reading) error {
			looked := 0
			return r.Word(rarest, before, func(date int64) (bool, error) {
				looked++
				has := true
				for _, word := range words[:len(words)-1] {
					if has && word != rarest {
						if has, err = r.HasWord(word, date); err != nil {
							return false, err
						}
					}
				}
				if has {
					if has, err = r.beginsWith(last, date); err != nil {
						return false, err
					}
				}
				if has {
					dates = append(dates, date)
				}
				page.Narrow = page.Narrow || looked == MaxCandidates
				return len(dates) < most && looked < MaxCandidates, ctx.Err()
			})
		})
		return dates, err
	}, nil
}

// beginsWith reports whether an entry has a word with a beginning.
func (r *reading) beginsWith(beginning string, date int64) (bool, error) {
	if has, err := r.HasWord(beginning, date); err != nil || has {
		return has, err
	}
	e, err := r.Entry(date, true)
	if err != nil || e == nil {
		return false, err
	}
	return slices.ContainsFunc(find.WordsOf(e.Object), func(word string) bool { return strings.HasPrefix(word, beginning) }), nil
}
