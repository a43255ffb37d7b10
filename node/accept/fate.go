package accept

import (
	"cmp"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// fate is the result of an item, as its client sees it. It is done when the node serves what was published, and
// nothing any more of what was withdrawn: not when the chain has it, which is a moment earlier.
type fate struct {
	done    bool
	failure string // why it never will be
	waits   string // else what it waits for, as far as that is known; without what only the operator is to know
}

const waitsForReplaced = "on the chain; it is served when what it replaces is withdrawn"

func (p *Publisher) fate(item outbox.Item) (fate, error) {
	switch {
	case item.Failure != "":
		return fate{failure: item.Failure}, nil
	case item.Destroys != 0:
		return p.fateOfWithdrawal(item)
	case item.State < outbox.Confirmed:
		return fate{waits: p.Delay.of(item)}, nil
	case item.State == outbox.Withdrawn, item.Note.Kind != wire.KindObject:
		return fate{done: true}, nil
	}
	event, found, err := p.published(item)
	if err != nil {
		return fate{}, err
	}
	if !found {
		return p.fateUnseen(item)
	}
	switch event.State {
	case view.InView, view.Ended:
		if gone, err := p.replacedIsGone(item); err != nil || !gone {
			return fate{waits: waitsForReplaced}, err
		}
		return fate{done: true}, nil
	case view.Refused:
		return fate{failure: fmt.Sprintf("transaction %s is on the chain and does not count: %s", item.TxID, event.Reason)}, nil
	case view.Duplicate:
		return p.fateOfDuplicate(item)
	case view.Undecided:
		return fate{waits: "on the chain; it waits for a record of its collection"}, nil
	}
	return fate{waits: "on the chain; its blocks are being read"}, nil
}

// published is what the chain has shown of an item: of an object in a batch what has become of it or, as long as
// nothing has, of the batch.
func (p *Publisher) published(item outbox.Item) (view.Event, bool, error) {
	name := wire.Publication{TxID: item.TxID, Index: item.Index}
	event, found, err := p.View.Published(name)
	if err != nil || found || name.Index == 0 {
		return event, found, err
	}
	return p.View.Event(name.TxID)
}

// fateOfWithdrawal: the object is gone when the view says so.
func (p *Publisher) fateOfWithdrawal(item outbox.Item) (fate, error) {
	event, _, err := p.View.EventOf(item.Destroys)
	switch {
	case err != nil || event.State == view.Ended || item.Note.Index > 0 && event.HasWithdrawn(item.Note.Index):
		return fate{done: true}, err
	case item.State < outbox.Confirmed:
		return fate{waits: p.Delay.of(item)}, nil
	}
	return p.fateUnseen(item)
}

// fateOfDuplicate is that of an object which another transaction of this organisation published before.
func (p *Publisher) fateOfDuplicate(item outbox.Item) (fate, error) {
	entry, err := publish.PublishedAs(p.View, p.State.Own(), item)
	switch {
	case err != nil:
		return fate{}, err
	case entry == nil:
		return fate{waits: "on the chain; its blocks are being read"}, nil
	case string(entry.Hash) == string(item.Hash):
		if gone, err := p.replacedIsGone(item); err != nil || !gone { // it is what leaves
			return fate{waits: waitsForReplaced}, err
		}
		return fate{done: true}, nil
	case item.Replaces != 0 || item.ReplacesAsset != 0:
		return fate{waits: waitsForReplaced}, nil
	}
	return fate{failure: publish.Conflict}, nil
}

// fateUnseen is that of an item which is on the chain and of which the indexer has not told.
func (p *Publisher) fateUnseen(item outbox.Item) (fate, error) {
	followed, err := p.View.Cursor()
	if err != nil {
		return fate{}, err
	}
	switch {
	case p.watchingProblem() != "":
		return fate{waits: fmt.Sprintf("on the chain in round %d; it waits, since %s; the node has followed it to round %d", item.Round, p.watchingProblem(), followed)}, nil
	case followed < item.Round:
		return fate{waits: fmt.Sprintf("on the chain in round %d; it waits until the node has followed the chain to that round, and it has followed it to round %d", item.Round, followed)}, nil
	case p.State.TellsOf(item.Note.Sequence) && item.Destroys == 0:
		return fate{failure: fmt.Sprintf("transaction %s is on the chain and counts for nothing: this organisation might not publish in the collection when it was made", item.TxID)}, nil
	}
	return fate{waits: fmt.Sprintf("on the chain in round %d; the node has followed the chain to that round, and has not seen this transaction", item.Round)}, nil
}

// unfollowed are the words for a problem of following the chain. Clients are told less than the operator.
var unfollowed = map[string]string{
	chainwatch.ProblemIndexer: "the node can't follow the indexer",
	chainwatch.ProblemBehind:  "the indexer lacks what the chain has had for a while",
}

// watchingProblem says what keeps the node from following the chain; "" if nothing does.
func (p *Publisher) watchingProblem() string {
	if p.Watching == nil {
		return ""
	}
	problem := p.Watching().Problem
	if problem == "" {
		return ""
	}
	return cmp.Or(unfollowed[problem], "the indexer and algod don't agree")
}

// followingIsHopeless reports whether nothing that is on the chain will be served before somebody does something about
// it, or something recovers.
func (p *Publisher) followingIsHopeless() bool {
	return p.watchingProblem() != "" && time.Since(p.Watching().Since) > lasting
}
