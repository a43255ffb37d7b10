package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/taxii"
)

// taxiiSource walks through a TAXII 2.1 collection, again and again: each walk asks for what was added after the one
// before. Where the server gives a cursor the walk follows it, where it gives none it goes on by the dates of its
// pages.
type taxiiSource struct {
	config Config
	client *taxii.Client
	patience

	reached  int  // pages of the walk that came in this run, since it began again
	farthest int  // … before
	restarts int  // since a walk came farther than all before
	followed bool // the server went on from a cursor of its own, once at least
	gaveUp   bool // … it did not, several times in a row
}

var _ source = (*taxiiSource)(nil)

const (
	usualLimit = 500
	// againSpan is asked for again at the end of a walk: some servers stamp whole seconds, and more objects may get the
	// stamp of the last one seen.
	againSpan = time.Second
	// unstampedSpan is asked for again where the server gives no dates, by the server's own clock.
	unstampedSpan = 10 * time.Minute
	// sinceSpan allows for the clocks of who made an object and who serves it.
	sinceSpan = 24 * time.Hour
	// maxEmpty is how many empty pages in a row a run bears. A server may filter its pages after it has cut them.
	maxEmpty = 100
	// maxRepeats is how often in a row a page may come again.
	maxRepeats = 3
	// maxRestarts is how often in a row a walk begins again that comes no farther than the one before.
	maxRestarts = 5
	// maxAhead is how far a server's dates may be ahead of its clock, and its clock of ours, to be believed.
	maxAhead = 24 * time.Hour
)

// taxiiPlace is a place in a collection.
type taxiiPlace struct {
	After time.Time `json:"after,omitzero"` // what the walk asks for
	Next  string    `json:"next,omitempty"` // the server's cursor in the walk
	// Moves says that the server's cursors are others on every page. One that stays the same is used up by its use:
	// whoever asks twice misses a page.
	Moves bool      `json:"moves,omitempty"`
	Last  time.Time `json:"last,omitzero"`  // the latest date added that the walk has seen
	Began time.Time `json:"began,omitzero"` // by the server's clock, when the walk began
	Limit int       `json:"limit,omitempty"`
	Mixed bool      `json:"mixed,omitempty"` // the walk's dates are not in their order
	Page  []byte    `json:"page,omitempty"`  // a hash of the page before
	Same  int       `json:"same,omitempty"`  // how many pages in a row were empty, or came again
}

func readPlace(at []byte, p *taxiiPlace) bool { return at != nil && json.Unmarshal(at, p) == nil }

// fetch gets the page at a place.
func (s *taxiiSource) fetch(ctx context.Context, at []byte) (portion, error) {
	var p taxiiPlace
	if !readPlace(at, &p) {
		p = taxiiPlace{}
		if since := s.config.Filter.Since; !since.IsZero() {
			p.After = since.Add(-sinceSpan)
		}
	}
	if p.Limit == 0 {
		p.Limit = usualLimit
		if s.config.PageSize > 0 {
			p.Limit = s.config.PageSize
		}
	}
	page, err := s.page(ctx, &p)
	if err != nil {
		return portion{}, err
	}
	if s.reached++; s.reached > s.farthest {
		s.farthest, s.restarts = s.reached, 0
	}
	s.followed = s.followed || p.Next != ""
	if p.Began.IsZero() {
		p.Began = page.Asked
	}
	more, stuck := p.advance(page)
	if !more && stuck == nil && s.gaveUp && !s.followed {
		stuck = fmt.Errorf("%w: it was read by the dates of its pages", errCursor)
	}
	got := portion{objects: page.Objects, more: more, stuck: stuck}
	if got.place, err = json.Marshal(p); err != nil {
		return portion{}, fmt.Errorf("keeping the place in the collection: %w", err)
	}
	if got.keep = got.place; p.fragile() {
		if got.keep, err = json.Marshal(p.start()); err != nil {
			return portion{}, fmt.Errorf("keeping the place in the collection: %w", err)
		}
	}
	return got, nil
}

// fragile reports whether the place is lost if the next request fails, or what it brings.
func (p *taxiiPlace) fragile() bool { return p.Next != "" && !p.Moves }

// start is where the walk began.
func (p *taxiiPlace) start() taxiiPlace {
	return taxiiPlace{After: p.After, Limit: p.Limit, Moves: p.Moves}
}

// page asks for the page at a place. It changes the place where the server can't give that page: it asks for less at
// once, or it begins the walk again where the server has forgotten its cursor (medallion's last 30 seconds), or may
// have used it up.
func (s *taxiiSource) page(ctx context.Context, p *taxiiPlace) (page taxii.ObjectsPage, err error) {
	for {
		filter := taxii.Filter{Next: p.Next, Limit: p.Limit}
		if !p.After.IsZero() {
			filter.AddedAfter = taxii.FormatDate(p.After)
		}
		asked := s.clock.now().UTC()
		patience := s.patience
		if p.fragile() {
			patience.attempts = 1
		}
		err = patience.try(ctx, func(ctx context.Context) (err error) {
			page, err = s.client.Page(ctx, s.root(), s.config.Collection, filter)
			return err
		})
		switch {
		case err == nil:
			if page.Asked.IsZero() || page.Asked.After(asked.Add(maxAhead)) {
				page.Asked = asked
			}
			return page, nil
		case errors.Is(err, taxii.ErrTooLarge) && p.Limit > 1:
			fragile := p.fragile()
			p.Limit /= 2
			if fragile {
				*p = p.start()
			}
		case p.Next != "" && (forgotten(err) || p.fragile() && mayPass(err)):
			if err := s.restart(ctx, p, err); err != nil {
				return page, err
			}
		default:
			return page, err
		}
	}
}

// errCursor is a server that forgets its cursors, or never knew them.
var errCursor = errors.New("the server gives cursors and does not go on from them")

// restart waits, longer each time, and begins the walk again. A server that refuses the cursors that it gives would be
// asked for the same pages for ever: when the walk has come no farther several times, it goes on from the dates of the
// pages that it had or, where these tell nothing, ends.
func (s *taxiiSource) restart(ctx context.Context, p *taxiiPlace, cause error) error {
	if s.attempts == 1 { // somebody waits to be told
		return cause
	}
	most := maxRestarts
	if s.gaveUp && !s.followed {
		most = 0
	}
	if s.restarts++; s.restarts > most {
		if !p.skip() {
			return fmt.Errorf("%w, %d times in a row: %w", errCursor, s.restarts, cause)
		}
		s.gaveUp, s.restarts, s.farthest = true, 0, 0
	}
	const longest = 3 // of the pauses
	if err := s.pause(ctx, cause, min(max(s.restarts, 1), longest)); err != nil {
		return cause
	}
	s.reached, *p = 0, p.start()
	return nil
}

// skip moves the beginning of the walk behind what it has seen, as widely as the texts of dates may have been rounded.
// It reports false where that is nowhere, or where the dates are not in their order.
func (p *taxiiPlace) skip() bool {
	for _, step := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if after := p.Last.Add(-step); !p.Mixed && !p.Last.IsZero() && after.After(p.After) {
			p.After = after
			return true
		}
	}
	return false
}

// forgotten reports whether a server doesn't know its cursor.
func forgotten(err error) bool {
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func (s *taxiiSource) root() string {
	u, err := url.Parse(s.config.URL)
	if err != nil {
		return s.config.URL
	}
	return u.Path
}

// advance moves a place behind a page. It reports whether there is more already. It returns an error where the server
// says that there is more and gives no way to get there.
func (p *taxiiPlace) advance(page taxii.ObjectsPage) (more bool, stuck error) {
	sum := sha256.New()
	for _, object := range page.Objects {
		sum.Write(object)
	}
	hash := sum.Sum(nil)
	empty := len(page.Objects) == 0
	repeated := !empty && bytes.Equal(hash, p.Page)
	former := *p
	p.Page = hash
	p.Moves = p.Moves || former.Next != "" && page.Next != "" && page.Next != former.Next
	if p.Same++; !empty && !repeated {
		p.Same = 0
	}
	first, last := believable(page.First, page.Asked), believable(page.Last, page.Asked)
	if !repeated && !first.IsZero() && (first.Before(p.Last) || last.Before(first)) {
		p.Mixed = true
	}
	for _, d := range []time.Time{first, last} {
		if d.After(p.Last) {
			p.Last = d
		}
	}
	// To the letter a page that says nothing of more is the last. Some servers that say nothing give a cursor.
	unsaid := page.More == taxii.MoreUnsaid && page.Next != "" && !empty && !repeated
	if page.More != taxii.MoreYes && !unsaid {
		*p = taxiiPlace{After: p.end(!empty), Limit: p.Limit, Moves: p.Moves}
		return false, nil
	}
	if p.Next = page.Next; p.Next != "" && (empty && p.Same < maxEmpty || !empty && p.Same < maxRepeats) {
		return true, nil
	}
	// By the dates. What has the date of the last object may go on on the next page, so that this date is asked for,
	// too, as widely as its text may have been rounded; where this brings the same page, more narrowly.
	if !last.IsZero() && !last.Before(first) {
		steps := []time.Duration{precision(page.Last)}
		if repeated {
			steps = append(steps, time.Microsecond)
		}
		if repeated && len(page.Objects) == 1 { // there is nothing else on the page with this date
			steps = append(steps, 0)
		}
		for _, step := range steps {
			if after := last.Add(-step); after.After(p.After) {
				p.After, p.Next, p.Same = after, "", 0
				return true, nil
			}
		}
	}
	switch {
	case empty && p.Next != "": // the next run goes on from here
		stuck = fmt.Errorf("the server says that there is more, but sent %d empty pages", p.Same)
		p.Same = 0
	case empty:
		stuck = errors.New("the server says that there is more, but sent an empty page and no way to go on")
		*p = former
	case former.Limit < maxPageSize:
		*p = taxiiPlace{After: former.After, Last: p.Last, Began: p.Began, Limit: min(former.Limit*4, maxPageSize), Moves: p.Moves, Page: hash}
		return true, nil
	default:
		stuck = errors.New("the server says that there is more, but its pages repeat and it gives no way to go on")
		*p = former
	}
	return false, stuck
}

// end is what the next walk asks for, at the end of one.
func (p *taxiiPlace) end(any bool) time.Time {
	end := p.After
	switch {
	case !p.Last.IsZero():
		end = p.Last.Add(-againSpan)
	case any && !p.Began.IsZero():
		end = p.Began.Add(-unstampedSpan)
	}
	if end.Before(p.After) {
		return p.After
	}
	return end
}

// believable reads a date added; it is the zero time if there is none, or none that can be.
func believable(text string, now time.Time) time.Time {
	t, err := taxii.ParseDate(text)
	if err != nil || t.After(now.Add(maxAhead)) {
		return time.Time{}
	}
	return t.UTC()
}

// precision is the least difference that a date's text can show: servers cut their dates to whole milliseconds or
// seconds. It is a microsecond at least, which is TAXII's own.
func precision(text string) time.Duration {
	_, fraction, _ := strings.Cut(text, ".")
	digits := len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))
	least := time.Second
	for range min(digits, 6) {
		least /= 10
	}
	return least
}

// definitions asks for objects by their ids. A server that doesn't know that filter gives others, which are of no use.
func (s *taxiiSource) definitions(ctx context.Context, ids []string) ([]jsontext.Value, error) {
	var page taxii.ObjectsPage
	err := s.try(ctx, func(ctx context.Context) (err error) {
		page, err = s.client.Page(ctx, s.root(), s.config.Collection, taxii.Filter{IDs: ids, Limit: len(ids)})
		return err
	})
	if status := statusOf(err); status >= 400 && status < 500 && !Rejected(err) {
		return nil, nil
	}
	return page.Objects, err
}

// describe looks for the collection in the server's list. A server without a list is asked for objects later.
func (s *taxiiSource) describe(ctx context.Context) (d Description, err error) {
	var collections []taxii.CollectionResource
	err = s.try(ctx, func(ctx context.Context) (err error) {
		collections, err = s.client.Collections(ctx, s.root())
		return err
	})
	if status := statusOf(err); status != 0 && !Rejected(err) && status < 500 {
		d.Hints = append(d.Hints, "the API root lists no collections: "+err.Error())
		if found, err := s.client.Discovery(ctx); err == nil {
			d.Hints = append(d.Hints, firsts("API roots of this server", found.APIRoots)...)
		}
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.Reached = true
	var others []string
	for _, is := range []func(taxii.CollectionResource) bool{
		func(c taxii.CollectionResource) bool { return c.ID == s.config.Collection },
		func(c taxii.CollectionResource) bool { return c.Alias == s.config.Collection },
	} {
		if i := slices.IndexFunc(collections, is); i >= 0 {
			d.Title = collections[i].Title
			if !collections[i].CanRead {
				d.Hints = append(d.Hints, "the server says that these credentials can't read the collection")
			}
			return d, nil
		}
	}
	for _, c := range collections {
		if c.Title == s.config.Collection {
			return d, fmt.Errorf("%q is the title of a collection; its id is %q", c.Title, c.ID)
		}
		others = append(others, c.ID+" "+c.Title)
	}
	d.Hints = append(d.Hints, "the API root does not list the collection")
	d.Hints = append(d.Hints, firsts("collections there", others)...)
	return d, nil
}

// firsts shows the first few of a list.
func firsts(what string, list []string) []string {
	if len(list) == 0 {
		return nil
	}
	const most = 10
	text := what + ": " + strings.Join(list[:min(len(list), most)], ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d others", len(list)-most)
	}
	return []string{text}
}
