package withdraw

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Progress is how far the withdrawal of many objects is, and what it costs at the lowest fee. Amounts are in microalgo.
type Progress struct {
	Objects int `json:"objects"` // that are chosen so far, and in the end
	NFTs    int `json:"nfts"`    // whose destruction that takes, each a transaction
	Records int `json:"records"` // … and of single objects of batches, or what has no NFT any more: each a transaction and an NFT
	// Begun are transactions that were on their way before.
	Begun int `json:"begun,omitempty"`
	// Skipped are objects that are being published once more just now: withdraw them when that is complete.
	Skipped int `json:"skipped,omitempty"`
	Done    int `json:"done"` // transactions that the chain has

	Fees   microalgo.Amount `json:"fee_microalgo"`
	Locked microalgo.Amount `json:"locked_microalgo"`
	Freed  microalgo.Amount `json:"freed_microalgo"`
}

// Transactions is how many there are, as far as is known.
func (p Progress) Transactions() int { return p.NFTs + p.Records + p.Begun }

func (p *Progress) count(one chosen) {
	p.Objects += max(1, one.Objects)
	p.Fees += microalgo.PerTransaction
	if one.record {
		p.Records, p.Locked = p.Records+1, p.Locked+microalgo.PerAsset
		return
	}
	p.NFTs, p.Freed = p.NFTs+1, p.Freed+microalgo.PerAsset
}

const (
	manyAtOnce  = 256  // are taken into the outbox in one write
	manyWaiting = 4096 // are on their way to the chain at most, of one call: more than a round takes
	sayEvery    = 500 * time.Millisecond
)

// many is one call on its way.
type many struct {
	*Withdrawer
	Progress
	choice  Choice
	by      intake
	most    int      // that are on their way at once
	taken   []chosen // not in the outbox yet
	waiting []uint64 // items that the chain doesn't have yet, in their order
	say     func(Progress) error
	said    time.Time
}

// intake bounds what is taken into the outbox. What it gives as an error ends it all.
type intake interface {
	// room is how many objects may be taken in the next write.
	room() (objects int, err error)
	// before is told what is about to be taken, and after that it was.
	before(ctx context.Context, all []chosen) error
	after(all []chosen)
}

// freely is what somebody asked for: it may take what it needs.
type freely struct{}

func (freely) room() (int, error)                     { return math.MaxInt, nil }
func (freely) before(context.Context, []chosen) error { return nil }
func (freely) after([]chosen)                         {}

// errEnough means that what is chosen is more than may be taken now.
var errEnough = errors.New("no more may be taken now")

// WithdrawMany takes all that is chosen back, and returns when the chain has it. It tells now and then how far it is.
// What it has taken into the outbox is withdrawn whatever happens; who is interrupted calls it again, and it goes on
// with the rest. Each object is withdrawn once. It holds no more than some thousands that are on their way, whoever
// began them; beside those it remembers which batches it met, a number each, as the objects of one may stand apart.
func (w *Withdrawer) WithdrawMany(ctx context.Context, c Choice, say func(Progress) error) (Progress, error) {
	if err := c.check(); err != nil {
		return Progress{}, err
	}
	if err := state.AwaitTip(ctx, w.Watcher); err != nil {
		return Progress{}, err
	}
	m := &many{Withdrawer: w, choice: c, by: freely{}, most: manyWaiting, say: say}
	err := m.run(ctx)
	return m.Progress, err
}

// run takes what is chosen.
func (m *many) run(ctx context.Context) error {
	each := m.each
	if len(m.choice.Named) > 0 {
		each = m.eachNamed
	}
	err := each(m.choice, func(one chosen) error {
		switch {
		case m.choice.DryRun && one.begun > 0:
			m.Begun++
		case m.choice.DryRun:
			m.count(one)
		default:
			return m.take(ctx, one)
		}
		return ctx.Err()
	})
	if m.choice.DryRun {
		return err
	}
	if err == nil {
		err = m.flush(ctx)
	}
	if err == nil {
		err = m.await(ctx, 0)
	}
	return err
}

// take takes one, with what would come in its place.
func (m *many) take(ctx context.Context, one chosen) error {
	if one.begun > 0 {
		m.Begun++
		if m.waiting = append(m.waiting, one.begun); len(m.waiting) <= m.most {
			return nil
		}
		return m.flush(ctx)
	}
	more := []chosen{one}
	if one.Objects == 0 { // not all of a batch
		all, err := m.withFollowing([]Withdrawal{one.Withdrawal})
		if beingPublished(err) {
			m.Skipped++
			return nil
		}
		if err != nil {
			return err
		}
		more = more[:0]
		for _, w := range all {
			more = append(more, chosen{Withdrawal: w, record: w.Index > 0 || one.record, expired: one.expired})
		}
	}
	if err := m.makeRoom(ctx, max(one.Objects, len(more))); err != nil {
		return err
	}
	if m.taken = append(m.taken, more...); len(m.taken) < manyAtOnce {
		return nil
	}
	return m.flush(ctx)
}

// makeRoom has so many more objects fit into the next write.
func (m *many) makeRoom(ctx context.Context, more int) error {
	for _, one := range m.taken {
		more += max(1, one.Objects)
	}
	room, err := m.by.room()
	if err != nil || more <= room {
		return err
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	return errEnough
}

// flush takes what was chosen into the outbox, and waits while very many are on their way.
func (m *many) flush(ctx context.Context) error {
	if len(m.taken) > 0 {
		if err := m.by.before(ctx, m.taken); err != nil {
			return err
		}
		items, err := m.beginMany(ctx, m.taken)
		if err != nil {
			return err
		}
		for i, item := range items {
			one := m.taken[i]
			one.record = item.Note.Kind != wire.KindDestroy
			m.count(one)
			m.waiting = append(m.waiting, item.Number)
		}
		m.by.after(m.taken)
		m.taken = m.taken[:0]
	}
	return m.await(ctx, m.most)
}

// await waits until no more than so many are on their way.
func (m *many) await(ctx context.Context, most int) error {
	err := signal.Until(ctx, func() (bool, error) {
		for len(m.waiting) > 0 {
			item, found, err := m.Outbox.Item(m.waiting[0])
			if err != nil {
				return false, err
			}
			if found && item.State < outbox.Confirmed {
				break
			}
			m.waiting, m.Progress.Done = m.waiting[1:], m.Progress.Done+1
		}
		if time.Since(m.said) >= sayEvery {
			m.said = time.Now()
			if err := m.say(m.Progress); err != nil {
				return false, err
			}
		}
		return len(m.waiting) <= most, nil
	}, m.Withdrawer.Done)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = publish.NotYet(fmt.Sprintf("each of %d withdrawals", len(m.waiting)), err, m.Problem)
	}
	return err
}

// beginMany takes withdrawals into the outbox: the destructions in one write, and what is remembered of all in another.
func (w *Withdrawer) beginMany(ctx context.Context, all []chosen) (items []outbox.Item, err error) {
	if err := w.rememberMany(all); err != nil { // before a feed can see it gone
		return nil, err
	}
	var destroys []outbox.Submission
	for _, one := range all {
		if !one.record {
			destroys = append(destroys, destruction(ctx, one.Asset))
		}
	}
	done, err := w.Outbox.Accept(destroys)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		var item outbox.Item
		if !one.record {
			item, done = done[0], done[1:]
		}
		if one.record || item.Note.Kind == wire.KindRelease { // it was released in this moment
			draft, err := consortium.DraftWithdrawal(w.Consortium, one.Asset, one.Index, state.Now())
			if err != nil {
				return nil, err
			}
			if item, err = w.Records.Store(ctx, endKey(one.of()), draft); err != nil {
				return nil, fmt.Errorf("withdrawing %s: %w", one.Name(), err)
			}
		}
		items = append(items, item)
	}
	return items, nil
}

// destruction is the end of an NFT, for the outbox.
func destruction(ctx context.Context, asset uint64) outbox.Submission {
	return outbox.Submission{Unless: releaseKey(asset), Item: outbox.Item{
		Key: destroyKey(asset), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: asset, StoredAt: state.Now(), User: withdrawals, By: auditlog.ActorIn(ctx).User,
	}}
}

// rememberMany keeps what is withdrawn, for feeds and for who asks which members have seen it, in one write.
func (w *Withdrawer) rememberMany(all []chosen) error {
	memos := map[string][]byte{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range all {
		if err := w.takeBackAll(one, memos); err != nil {
			return err
		}
		kept, err := w.recall(one.of())
		if err != nil {
			return err
		}
		if kept != nil {
			continue
		}
		one.Requested = state.Now()
		data, err := encodeAcknowledged(acknowledged{Withdrawal: one.Withdrawal})
		if err != nil {
			return err
		}
		memos[acknowledgedMemo(one.of())] = data
		if w.open != nil && len(w.open) < maxOpen {
			w.open[one.of()] = true
		}
	}
	return w.Outbox.SetMemos(memos)
}

// takeBackAll adds what remembers that the objects of a withdrawal, those of a batch as well, were taken back.
func (w *Withdrawer) takeBackAll(one chosen, memos map[string][]byte) error {
	if one.Objects == 0 {
		return w.takeBackOne(one.Collection, one.ID, one.expired, memos)
	}
	batch, _, err := w.View.EventOf(one.Asset)
	if err != nil {
		return err
	}
	objects, err := w.View.Objects(batch)
	if err != nil {
		return err
	}
	for _, object := range objects {
		entry, err := w.View.Entry(object)
		if err != nil {
			return err
		}
		if entry == nil {
			continue
		}
		if err := w.takeBackOne(entry.Collection, entry.ID, one.expired, memos); err != nil {
			return err
		}
	}
	return nil
}
