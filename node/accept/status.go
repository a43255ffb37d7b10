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
	rest, found, err := p.Outbox.StatusLines(id)
	if err != nil || !found {
		return taxii.Status{}, err
	}
	deadline, look := time.After(p.Wait), time.Tick(lasting)
	for len(rest) > 0 {
		changed, shown := p.Outbox.Done.Changed(), p.Shown.Changed()
		for len(rest) > 0 { // each line is looked at until it is done, and not again
			done, err := p.lineIsDone(rest[0])
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

// lineIsDone reports whether nothing will become of a line of a status any more.
func (p *Publisher) lineIsDone(line outbox.StatusLine) (bool, error) {
	if line.Failure != "" || line.Before != nil {
		return true, nil
	}
	item, _, err := p.Outbox.Item(line.Item)
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
	kept, items, found, err := p.Outbox.Status(id)
	if err != nil {
		return ownedStatus{}, err
	}
	if !found {
		return ownedStatus{}, taxii.ErrNotFound
	}
	own := p.State.Name(p.State.Self)
	status := ownedStatus{Status: taxii.Status{ID: kept.ID, RequestedAt: kept.Requested}, root: kept.Root, user: kept.User}
	for _, line := range kept.Lines {
		detail := taxii.StatusDetail{ID: line.ObjectID, Version: line.Version, Note: line.Note, Publisher: own}
		switch {
		case line.Failure != "":
			detail.Message, detail.Publisher = line.Failure, ""
			status.Failures = append(status.Failures, detail)
		case line.Before != nil:
			detail.Message, detail.TxID, detail.AssetID, detail.Index = line.Before.TxID, line.Before.TxID, line.Before.Asset, line.Before.Index
			detail.CID, detail.StoredAt = line.Before.Directory, line.Before.StoredAt
			status.Successes = append(status.Successes, detail)
		default:
			item := items[line.Item]
			detail.CID, detail.TxID, detail.StoredAt, detail.AssetID, detail.Index = item.Directory, item.TxID, item.StoredAt, item.Asset, item.Index
			// The transaction's id is known as soon as it is signed, and stays.
			detail.Message = item.TxID
			fate, err := p.fate(item)
			switch {
			case err != nil:
				return ownedStatus{}, err
			case fate.failure != "":
				status.Failures = append(status.Failures, taxii.StatusDetail{ID: detail.ID, Version: detail.Version, Message: fate.failure})
			case fate.done:
				status.Successes = append(status.Successes, detail)
			default:
				detail.Message = cmp.Or(fate.waits, detail.Message)
				status.Pendings = append(status.Pendings, detail)
			}
		}
	}
	return status, nil
}
