package accept

import (
	"bytes"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// What is taken into the outbox at once, at most.
const (
	partItems = 1000
	partBytes = 512 << 10
)

// intake takes what is to be published of a request into the outbox while the rest of it is checked. As long as it is
// open whether there is enough for batches, what is new waits, without its content: that is read again.
type intake struct {
	*Batch
	user    string
	as      outbox.Anchor
	request publish.Request

	decided bool // whether there are batches
	waiting []outbox.Submission
	lines   []int // which line each of them has
	bytes   int   // of their content, as far as it is here

	over    *daybook.OverError // what a day may bring is reached
	refused int                // … and that is why so many were not taken in
}

// intake begins to take in, as the request of a user. Its request must be ended.
func (b *Batch) intake(user string, as outbox.Anchor) *intake {
	return &intake{Batch: b, user: user, as: as, request: b.Outbox.Begin(), decided: as.From <= 0 || len(b.order) < as.From}
}

// add takes an object in, at once or later.
func (in *intake) add(at int, s outbox.Submission) error {
	s.Item.User = in.user
	in.waiting, in.lines = append(in.waiting, s), append(in.lines, at)
	if in.bytes += len(s.Payload); len(in.waiting) < partItems && in.bytes < partBytes {
		return nil
	}
	if !in.decided {
		if err := in.decide(); err != nil {
			return err
		}
	}
	return in.takeAll()
}

// finish takes in what is left.
func (in *intake) finish() error {
	if !in.decided {
		if err := in.decide(); err != nil {
			return err
		}
		in.decided = true // there is nothing more to come
	}
	return in.takeAll()
}

// decide looks whether there are enough new ones for batches. If not, it takes in what is there already, and the rest
// goes on waiting for more.
func (in *intake) decide() error {
	fresh, err := in.Outbox.Fresh(in.waiting)
	if err != nil {
		return err
	}
	if outbox.Count(fresh) >= in.as.From {
		in.request.Batch(in.as)
		in.decided = true
		return nil
	}
	var known, rest intake
	for i, s := range in.waiting {
		to := &known
		if fresh[i] {
			to, s.Payload = &rest, nil
		}
		to.waiting, to.lines = append(to.waiting, s), append(to.lines, in.lines[i])
	}
	in.waiting, in.lines, in.bytes = rest.waiting, rest.lines, 0
	return in.take(known.waiting, known.lines)
}

// takeAll takes in what waits, if it is decided how.
func (in *intake) takeAll() error {
	if !in.decided {
		return nil
	}
	err := in.take(in.waiting, in.lines)
	clear(in.waiting) // so that what they hold is let go
	in.waiting, in.lines, in.bytes = in.waiting[:0], in.lines[:0], 0
	return err
}

// take takes submissions in, which have the given lines.
func (in *intake) take(submissions []outbox.Submission, lines []int) (err error) {
	for len(submissions) > 0 {
		n, bytes := 0, 0
		for ; n < len(submissions) && bytes < partBytes; n++ {
			s := &submissions[n]
			if s.Payload == nil {
				if s.Payload, err = in.raw(lines[n]); err != nil {
					return err
				}
			}
			bytes += len(s.Payload)
		}
		if err := in.takePart(submissions[:n], lines[:n]); err != nil {
			return err
		}
		submissions, lines = submissions[n:], lines[n:]
	}
	return nil
}

func (in *intake) takePart(submissions []outbox.Submission, lines []int) error {
	if err := in.shareAgain(submissions); err != nil {
		return err
	}
	items, err := in.accept(submissions)
	for i, item := range items {
		if item.Over != nil {
			line := &in.Lines[lines[i]]
			line.Failure, line.Note = item.Over.Error(), ""
			in.over, in.refused = item.Over, in.refused+1
			continue
		}
		in.accepted(&in.Lines[lines[i]], submissions[i].Item, item)
		submissions[i].Payload = nil
	}
	return err
}

// accept takes submissions into the outbox. It may not have been told yet of what the view has seen withdrawn: that is
// published anew.
func (in *intake) accept(submissions []outbox.Submission) ([]outbox.Item, error) {
	items, err := in.request.Accept(submissions)
	if err != nil {
		return nil, err
	}
	var ended []wire.Publication
	for _, item := range items {
		if item.State != outbox.Confirmed || item.Failure != "" {
			continue
		}
		name := wire.Publication{TxID: item.TxID, Index: item.Index}
		event, _, err := in.View.Published(name)
		if err != nil {
			return nil, err
		}
		if event.State == view.Ended {
			ended = append(ended, name)
		}
	}
	if len(ended) == 0 {
		return items, nil
	}
	if err := in.Outbox.Withdraw(ended...); err != nil {
		return nil, err
	}
	return in.request.Accept(submissions)
}

// accepted takes down which item publishes an object.
func (b *Batch) accepted(line *outbox.StatusLine, wanted, item outbox.Item) {
	if !bytes.Equal(item.Hash, wanted.Hash) {
		line.Failure, line.Note = ownConflict, ""
		return
	}
	if item.Version == "" {
		line.Version = wire.FormatTime(item.StoredAt) // of the item, which may have been there already
	}
	if line.Item = item.Number; item.Replaces != 0 || item.ReplacesAsset != 0 {
		line.Note = joinedNotes(replacedNote, line.Note)
	}
}
