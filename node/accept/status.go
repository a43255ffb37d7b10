package accept

import (
	"cmp"
	"context"
	"time"

	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// Await gives the status when nothing in it is pending any more, when it has waited enough, or when waiting is of no
// use.
func (p *Publisher) Await(ctx context.Context, id string) (taxii.Status, error) {
	rest, found, err := p.itemsOf(id)
	if err != nil || !found {
		return taxii.Status{}, err
	}
	deadline, look := time.After(p.Wait), time.Tick(lasting)
	for len(rest) > 0 {
		changed, shown := p.Outbox.Done.Changed(), p.Shown.Changed()
		for len(rest) > 0 { // each item is looked at until it is done, and not again
			done, err := p.isDone(rest[0])
			if err != nil {
				return taxii.Status{}, err
			}
			if !done {
				break
			}
			rest = rest[1:]
		}
		if len(rest) == 0 {
			break
		}
		select {
		case <-changed:
			continue
		case <-shown:
			continue
		case <-look:
			if !p.Delay.isLasting() && !p.followingIsHopeless() {
				continue
			}
		case <-deadline:
		case <-ctx.Done():
		}
		break
	}
	status, err := p.status(id)
	return status.Status, err
}

// itemsOf are the items that a request waits for, by their numbers.
func (p *Publisher) itemsOf(id string) (items []uint64, found bool, err error) {
	kept, found, err := p.Outbox.Status(id)
	if err != nil {
		return nil, false, err
	}
	for part := range kept.Parts() {
		lines, err := p.Outbox.StatusLines(id, part)
		if err != nil {
			return nil, false, err
		}
		for _, line := range lines {
			if line.Failure == "" && line.Before == nil {
				items = append(items, line.Item)
			}
		}
	}
	return items, found, nil
}

// isDone reports whether nothing will become of an item any more.
func (p *Publisher) isDone(number uint64) (bool, error) {
	item, _, err := p.Outbox.Item(number)
	if err != nil {
		return false, err
	}
	fate, err := p.fate(item)
	return fate.done || fate.failure != "", err
}

// Status gives the status of an earlier request to who made it, and to administrators.
func (p *Publisher) Status(_ context.Context, who taxii.Principal, root, id string) (taxii.Status, error) {
	status, err := p.status(id)
	if err != nil {
		return taxii.Status{}, err
	}
	if status.root != root || (status.user != who.User && who.Role != taxii.RoleAdmin) {
		return taxii.Status{}, taxii.ErrNotFound
	}
	return status.Status, nil
}

// ownedStatus is a status and whose it is.
type ownedStatus struct {
	taxii.Status
	root, user string
}

func (p *Publisher) status(id string) (ownedStatus, error) {
	kept, found, err := p.Outbox.Status(id)
	if err != nil {
		return ownedStatus{}, err
	}
	if !found {
		return ownedStatus{}, taxii.ErrNotFound
	}
	status := ownedStatus{Status: taxii.Status{ID: kept.ID, RequestedAt: kept.Requested}, root: kept.Root, user: kept.User}
	for n := range kept.Parts() {
		read := statusPart{Publisher: p, id: id, part: n}
		lists, err := read.lists()
		if err != nil {
			return ownedStatus{}, err
		}
		if n == 0 {
			status.Successes, status.Failures, status.Pendings = lists.Successes, lists.Failures, lists.Pendings
			continue
		}
		status.Rest = append(status.Rest, taxii.StatusChunk{
			Successes: len(lists.Successes), Failures: len(lists.Failures), Pendings: len(lists.Pendings), Read: read.lists,
		})
	}
	return status, nil
}

// outcome is which of a status's lists an object is in.
type outcome byte

const (
	succeeds outcome = iota + 1
	fails
	pends
)

// statusPart is a part of a status. It may be read twice; in which list an object is doesn't change between the two,
// since the lists' lengths have been told.
type statusPart struct {
	*Publisher
	id       string
	part     int
	outcomes []outcome // of its lines, once it was read
}

func (s *statusPart) lists() (lists taxii.Status, err error) {
	lines, err := s.Outbox.StatusLines(s.id, s.part)
	if err != nil {
		return lists, err
	}
	items, err := s.Outbox.ItemsOf(lines)
	if err != nil {
		return lists, err
	}
	own, decided := s.State.Name(s.State.Self), s.outcomes != nil
	for i, line := range lines {
		detail, outcome, err := s.detail(line, items[line.Item], own)
		if err != nil {
			return lists, err
		}
		if decided {
			outcome = s.outcomes[i]
		} else {
			s.outcomes = append(s.outcomes, outcome)
		}
		switch outcome {
		case succeeds:
			lists.Successes = append(lists.Successes, detail)
		case fails:
			lists.Failures = append(lists.Failures, detail)
		case pends:
			lists.Pendings = append(lists.Pendings, detail)
		}
	}
	return lists, nil
}

// detail is what is told of an object.
func (s *statusPart) detail(line outbox.StatusLine, item outbox.Item, own string) (taxii.StatusDetail, outcome, error) {
	detail := taxii.StatusDetail{ID: line.ObjectID, Version: line.Version, Note: line.Note, Publisher: own}
	switch {
	case line.Failure != "":
		detail.Message, detail.Publisher = line.Failure, ""
		return detail, fails, nil
	case line.Before != nil:
		detail.Message, detail.TxID, detail.AssetID, detail.Index = line.Before.TxID, line.Before.TxID, line.Before.Asset, line.Before.Index
		detail.CID, detail.StoredAt = line.Before.Directory, line.Before.StoredAt
		return detail, succeeds, nil
	}
	detail.CID, detail.TxID, detail.StoredAt, detail.AssetID, detail.Index = item.Directory, item.TxID, item.StoredAt, item.Asset, item.Index
	detail.Message = item.TxID // the transaction's id is known as soon as it is signed, and stays
	fate, err := s.fate(item)
	switch {
	case err != nil:
		return detail, 0, err
	case fate.failure != "":
		return taxii.StatusDetail{ID: detail.ID, Version: detail.Version, Message: fate.failure}, fails, nil
	case fate.done:
		return detail, succeeds, nil
	}
	detail.Message = cmp.Or(fate.waits, detail.Message)
	return detail, pends, nil
}
