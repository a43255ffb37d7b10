package replicate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/view"
)

// draftBatches drafts batches of the cast's objects, and some that break the rules.
func (c *cast) draftBatches(t testing.TB, by *nodetest.Org) {
	fits := func(private bool, epoch uint32) (list []*draft) {
		for _, o := range c.objects {
			if o.by == by && o.private == private && o.epoch == epoch {
				list = append(list, o)
			}
		}
		return list
	}
	batch := func(name, collection string, epoch uint32, lists ...*draft) *draft {
		var roots []cid.Cid
		for _, o := range lists {
			roots = append(roots, o.root)
		}
		d, err := consortium.DraftBatch(c.chain.ID, collection, epoch, roots, time.Now())
		nodetest.Must(t, err)
		made := drafted(t, by, "a batch of "+name, d)
		made.lists, made.private, made.epoch = lists, collection == c.collection, epoch
		c.batches = append(c.batches, made)
		return made
	}
	one := fits(false, 1)
	batch("epoch 1", c.chain.Collection, 1, one...)
	batch("one object", c.chain.Collection, 1, one[0])
	batch("epoch 2", c.chain.Collection, 2, fits(false, 2)...)
	batch("alpha's", c.collection, 1, fits(true, 1)...)
	listed := map[cid.Cid]bool{}
	all := slices.DeleteFunc(slices.Clone(c.objects), func(o *draft) bool {
		again := listed[o.root] // what is no object of anybody's
		listed[o.root] = true
		return again || o.name == hashOfSomethingElse
	})
	batch("everything", c.chain.Collection, 1, all...)
	batch("an epoch that doesn't begin", c.chain.Collection, 3, one[0])
	batch("no collection", uuid.NewString(), 1, one[0]).epoch = 0
	for name, change := range map[string]func(metadata, record string) (string, string){
		"which the metadata counts otherwise": func(m, r string) (string, string) { return strings.Replace(m, `"objects":2`, `"objects":3`, 1), r },
		"of which one is there twice": func(m, r string) (string, string) {
			return m, strings.Replace(r, one[1].root.String(), one[0].root.String(), 1)
		},
		"that is no list of CIDs": func(m, r string) (string, string) { return m, strings.Replace(r, one[1].root.String(), "x", 1) },
	} {
		d, err := consortium.DraftBatch(c.chain.ID, c.chain.Collection, 1, []cid.Cid{one[0].root, one[1].root}, time.Now())
		nodetest.Must(t, err)
		d = nodetest.By(t, by.Address(), d)
		metadata, record := change(string(d.Metadata), string(d.Payload))
		metadata = strings.Replace(metadata, wire.Integrity(d.Payload), wire.Integrity([]byte(record)), 1)
		d.Metadata, d.Payload = []byte(metadata), []byte(record)
		made := asDrafted(t, by, "a batch "+name, d)
		made.lists, made.broken = one[:2], true
		c.batches = append(c.batches, made)
	}
}

const hashOfSomethingElse = "a hash of something else"

// drawEnd draws that somebody takes back what was published, or one object of it, or that it is released.
func (p *plan) drawEnd(t *rapid.T, chain *nodetest.Chain, senders []*nodetest.Org) {
	published := slices.DeleteFunc(slices.Clone(p.events), func(e *minted) bool {
		return e.ends != nil || !isPublication(e.Note.Kind)
	})
	if len(published) == 0 {
		return
	}
	target := rapid.SampledFrom(published).Draw(t, "which")
	sender := rapid.SampledFrom(senders).Draw(t, "by")
	if rapid.IntRange(0, 3).Draw(t, "its own") > 0 {
		sender = senders[slices.IndexFunc(senders, func(o *nodetest.Org) bool { return o.Address() == target.Sender })]
	}
	e := &minted{ends: target}
	switch rapid.SampledFrom([]wire.Kind{wire.KindDestroy, wire.KindRelease, wire.KindRemoval, wire.KindRemoval}).Draw(t, "how") {
	case wire.KindDestroy:
		e.Event = chain.Destroy(sender, target.Asset)
	case wire.KindRelease:
		e.Event, e.ends = chain.Destroy(sender, target.Asset), &minted{}
		e.Note.Kind = wire.KindRelease
	default:
		e.index = uint32(rapid.IntRange(0, len(target.draft.lists)+1).Draw(t, "index"))
		note := wire.Note{Kind: wire.KindRemoval, Asset: target.Asset, Index: e.index}
		e.Event = chain.MintDirectory(sender, note, p.removal.root, p.removal.hash)
	}
	p.events = append(p.events, e)
}

// item is what an event publishes: an object, or a batch, or one object of that.
type item struct {
	*minted
	index uint32
	draft *draft
}

func (i item) name() wire.Publication { return wire.Publication{TxID: i.TxID, Index: i.index} }

func (i item) position() consortium.Position {
	return consortium.Position{Round: i.Round, Intra: i.Intra, Index: i.index}
}

// items are all that events publish, in the order of their positions.
func (s *script) items() (list []item) {
	for _, e := range s.events {
		list = append(list, item{minted: e, draft: e.draft})
		if e.draft == nil {
			continue
		}
		for n, d := range e.draft.lists {
			list = append(list, item{e, uint32(n + 1), d})
		}
	}
	return list
}

// takenBack reports whether the publisher took an item back, or just this one of its batch.
func (s *script) takenBack(i item) (whole, alone bool) {
	for _, o := range s.events {
		if o.ends == i.minted && o.Sender == i.Sender {
			whole = whole || o.index == 0
			alone = alone || o.index == i.index && i.index > 0
		}
	}
	return whole, alone
}

// fateOf is the state of an item, beside whether another one was first; 0 where nothing becomes of it.
func (s *script) fateOf(i item) view.State {
	if i.index == 0 {
		return s.fate(i.minted)
	}
	switch whole, alone := s.takenBack(i); {
	case !s.counts(i.minted):
		return 0
	case whole || alone:
		return view.Ended
	case s.fate(i.minted) != view.Held:
		return 0
	case i.draft.malformed:
		return view.Refused
	case s.never[i.draft.root]:
		return view.Waiting
	case i.draft.by.Address() != i.Sender || i.draft.private != i.minted.draft.private || i.draft.epoch != i.minted.draft.epoch || i.draft.publishes == "":
		return view.Refused
	}
	return view.InView
}
