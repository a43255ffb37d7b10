package chainwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
)

// part is what one source gives of a window; what was found late has none.
type part struct {
	from *source
	window
}

// join makes one window of the parts that sources give: a transaction proves itself, so that what any of them shows is
// taken. It ends where the first part does. Where they differ about a place or an asset, algod's block decides.
func (w *Watcher) join(ctx context.Context, parts []part) (window, error) {
	joined := window{first: parts[0].first, last: parts[0].last}
	for _, p := range parts {
		joined.last = min(joined.last, p.last)
	}
	for i := range parts {
		if parts[i].last > joined.last {
			parts[i].events = slices.Clone(parts[i].events) // it may be needed again as it was
			parts[i].bad = slices.Clone(parts[i].bad)
			parts[i].cut(joined.last)
		}
		joined.bad = append(joined.bad, parts[i].bad...)
	}
	if more, err := w.found(joined.first, joined.last); err != nil {
		return joined, err
	} else if len(more) > 0 {
		parts = append(slices.Clip(parts), part{window: window{first: joined.first, last: joined.last, events: more}})
	}
	if len(parts) == 1 {
		joined.events = parts[0].events
		if joined.order() == nil {
			return joined, nil
		}
		joined.events = nil
	}
	w.preferFound(parts)
	for _, p := range parts {
		joined.events = append(joined.events, p.events...)
	}
	if disputed := disputes(joined.events); len(disputed) > 0 {
		if err := w.decide(ctx, parts, disputed); err != nil {
			return joined, err
		}
		joined.events = joined.events[:0:0]
		for _, p := range parts {
			joined.events = append(joined.events, p.events...)
		}
	}
	if err := joined.order(); err != nil {
		return joined, err
	}
	w.compareParts(parts, joined.events)
	return joined, nil
}

// found are the events of some rounds that were found late.
func (w *Watcher) found(first, last uint64) ([]consortium.Event, error) {
	if w.config.Found == nil {
		return nil, nil
	}
	events, err := w.config.Found(first, last)
	if err != nil {
		return nil, &sinkError{err}
	}
	return events, nil
}

// preferFound takes out of the parts what gives another place to something that was found late: that was decided then.
func (w *Watcher) preferFound(parts []part) {
	last := parts[len(parts)-1]
	if last.from != nil {
		return
	}
	known := make(map[string]consortium.Event, len(last.events))
	for _, e := range last.events {
		known[e.TxID] = e
	}
	for i := range parts[:len(parts)-1] {
		p := &parts[i]
		p.events = slices.DeleteFunc(slices.Clone(p.events), func(e consortium.Event) bool {
			so, found := known[e.TxID]
			if !found || spotOf(so) == spotOf(e) {
				return false
			}
			if p.from != nil {
				w.accuse(p.from, so, "it gives it another place, or another asset")
			}
			return true
		})
	}
}

// disputes are the transactions about whose places or assets not all agree who give them, by their ids.
func disputes(events []consortium.Event) map[string]bool {
	disputed := map[string]bool{}
	places, at := map[string]consortium.Event{}, map[consortium.Position]string{}
	for _, e := range events {
		known, found := places[e.TxID]
		if found && (spotOf(known) != spotOf(e)) {
			disputed[e.TxID] = true
		}
		if other, taken := at[e.Position]; taken && other != e.TxID {
			disputed[e.TxID], disputed[other] = true, true
		}
		places[e.TxID], at[e.Position] = e, e.TxID
	}
	return disputed
}

// maxDisputed bounds the blocks that are asked for to decide about a window.
const maxDisputed = 64

// decide asks algod for the blocks in which sources see what they differ about, and puts in every part what these have.
func (w *Watcher) decide(ctx context.Context, parts []part, disputed map[string]bool) error {
	truth, rounds := map[string]*consortium.Event{}, map[uint64]bool{}
	for _, p := range parts {
		for _, e := range p.events {
			if disputed[e.TxID] {
				rounds[e.Round] = true
			}
		}
	}
	undecided := func(why string) error {
		names := make([]string, 0, len(parts))
		for _, p := range parts {
			if p.from != nil {
				names = append(names, p.from.name)
			}
		}
		return &disputeError{fmt.Sprintf("the sources (%v) give %d transactions different places, and algod's block can't decide: %s", names, len(disputed), why)}
	}
	if w.config.Blocks == nil || len(rounds) > maxDisputed {
		return undecided("there are too many, or there is no algod")
	}
	for round := range rounds {
		r, found, err := w.config.Blocks.Read(ctx, round)
		switch {
		case err != nil:
			return undecided(err.Error())
		case !found:
			return undecided(fmt.Sprintf("it doesn't have block %d", round))
		case r.GenesisHash != w.config.GenesisHash || r.Fit != onchain.Fits:
			return undecided(fmt.Sprintf("block %d can't be held against its header", round))
		}
		events, _ := w.decode.events(r)
		for _, e := range events {
			if disputed[e.TxID] {
				truth[e.TxID] = &e
			}
		}
	}
	for i := range parts {
		w.correct(&parts[i], disputed, truth)
	}
	return nil
}

// correct puts into a part what is so of what is disputed.
func (w *Watcher) correct(p *part, disputed map[string]bool, truth map[string]*consortium.Event) {
	p.events = slices.DeleteFunc(slices.Clone(p.events), func(e consortium.Event) bool {
		if !disputed[e.TxID] {
			return false
		}
		switch so := truth[e.TxID]; {
		case so == nil && p.from != nil:
			w.accuseOfMore(p.from, e)
		case so != nil && p.from != nil && spotOf(*so) != spotOf(e):
			w.accuse(p.from, *so, "it gives it another place, or another asset")
		}
		return true
	})
	for _, e := range truth {
		if e.Round >= p.first && e.Round <= p.last {
			p.events = append(p.events, *e)
		}
	}
}

// compareParts suspects those sources that lack something which is in the window.
func (w *Watcher) compareParts(parts []part, all []consortium.Event) {
	for _, p := range parts {
		if p.from == nil || len(p.events) == len(all) {
			continue
		}
		has := make(map[string]bool, len(p.events))
		for _, e := range p.events {
			has[e.TxID] = true
		}
		for _, e := range all {
			if !has[e.TxID] {
				w.accuse(p.from, e, "it leaves it out")
			}
		}
	}
}

// disputeError is that sources differ and nobody can tell who is right.
type disputeError struct{ text string }

func (e *disputeError) Error() string { return e.text }

// past is the history as all the sources give it that were waited for when it was begun. Each is read whole, given what
// the others have shown, since any of them can show who else counts.
type past struct {
	parts []*history
	froms []*source
	asked func(*source, error) // is told how it went with each
}

func (w *Watcher) newPast(first, last uint64, publishers func([]consortium.Event) []consortium.Publisher) *past {
	p := &past{froms: w.active(), asked: w.asked}
	for _, s := range p.froms {
		p.parts = append(p.parts, newHistory(&s.reader, first, last, func([]consortium.Event) []consortium.Publisher {
			return publishers(p.known(w))
		}))
	}
	return p
}

// known are the events that any source has shown of the window, and what was found of it before.
func (p *past) known(w *Watcher) []consortium.Event {
	h := p.parts[0]
	more, err := w.found(h.first, h.last)
	if len(p.parts) == 1 && len(more) == 0 || err != nil { // join tells of the error
		return h.events
	}
	for _, h := range p.parts {
		more = append(more, h.events...)
	}
	slices.SortStableFunc(more, func(a, b consortium.Event) int {
		return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.TxID, b.TxID))
	})
	return slices.CompactFunc(more, func(a, b consortium.Event) bool { return a.TxID == b.TxID })
}

// without leaves out the sources that are not waited for any more.
func (p *past) without(gone func(*source) bool) {
	for i := len(p.froms) - 1; i >= 0 && len(p.froms) > 1; i-- {
		if gone(p.froms[i]) {
			p.parts, p.froms = slices.Delete(p.parts, i, i+1), slices.Delete(p.froms, i, i+1)
		}
	}
}

func (p *past) first() uint64 { return p.parts[0].first }

func (p *past) last() uint64 { return p.parts[0].last }

// step reads a page of the first source that has one to be read. Done is true when the window is whole. A failure of
// one source keeps the others from nothing.
func (p *past) step(ctx context.Context) (done bool, givenUp string, err error) {
	var failed error
	for i, h := range p.parts {
		done, givenUp, err := h.step(ctx)
		p.asked(p.froms[i], err)
		p.froms[i].answered = done && err == nil
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case givenUp != "":
			return false, givenUp, failed
		case !done:
			p.shorten()
			return false, "", failed
		}
	}
	return failed == nil, "", failed
}

// shorten ends all parts where the first one does, if one was shortened.
func (p *past) shorten() {
	last := p.parts[0].last
	for _, h := range p.parts {
		last = min(last, h.last)
	}
	for _, h := range p.parts {
		if h.last == last {
			continue
		}
		h.after = append(h.after, h.last)
		h.cut(last)
		for _, s := range h.stretches {
			s.book = book{}
		}
	}
}

// window joins what the sources have given.
func (p *past) window(ctx context.Context, w *Watcher) (window, error) {
	parts := make([]part, len(p.parts))
	for i, h := range p.parts {
		parts[i] = part{p.froms[i], h.window}
	}
	return w.join(ctx, parts)
}

// advance goes on to the window that comes after this one. It reports whether there is one.
func (p *past) advance() bool {
	more := true
	for _, h := range p.parts {
		more = h.advance() && more
	}
	return more
}
