package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
)

// signedRecord is a peer's own word about its addresses (libp2p RFC 0003), checked: the signature is good and by
// the key that the peer id stands for.
type signedRecord struct {
	peer.PeerRecord
	envelope *record.Envelope
}

// maxRecord bounds a signed record in bytes, and maxRecordAddrs its addresses. How many of them are dialled, and which,
// is for the [dialGate] to say.
const (
	maxRecord      = 4 << 10
	maxRecordAddrs = 32
	maxRecordNames = 2 // addresses that have to be looked up in the DNS
)

// openRecord checks a signed record whose every byte may be hostile.
func openRecord(b []byte) (*signedRecord, error) {
	if len(b) > maxRecord {
		return nil, fmt.Errorf("a signed record of %d bytes", len(b))
	}
	var r peer.PeerRecord
	envelope, err := record.ConsumeTypedEnvelope(b, &r)
	if err != nil {
		return nil, fmt.Errorf("open a signed record: %w", err)
	}
	if !r.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return nil, fmt.Errorf("the record of %s is signed by somebody else", r.PeerID)
	}
	if len(r.Addrs) > maxRecordAddrs {
		return nil, fmt.Errorf("the record of %s has %d addresses", r.PeerID, len(r.Addrs))
	}
	names := 0
	for _, a := range r.Addrs {
		if len(a) > 0 && isName(a[0].Protocol().Code) {
			names++
		}
		if names > maxRecordNames || len(a) > 0 && a[0].Protocol().Code == multiaddr.P_DNSADDR {
			return nil, fmt.Errorf("the record of %s has names for addresses, too many or of a kind that leads to more", r.PeerID)
		}
	}
	return &signedRecord{PeerRecord: r, envelope: envelope}, nil
}

// clockSlack is how far a machine's clock may be ahead of another's without being called wrong.
const clockSlack = 10 * time.Minute

// olderThan reports whether a record is to give way to another of the same peer, or is the same. A record's number is
// the time at which it was signed, by the clock of who did; one of the future is the work of a wrong clock, and gives
// way.
func olderThan(r, other *peer.PeerRecord, now time.Time) bool {
	return r.Seq <= other.Seq && other.Seq <= uint64(now.Add(clockSlack).UnixNano())
}

// peerRecord reads an envelope that was checked before.
func peerRecord(envelope *record.Envelope) (*peer.PeerRecord, error) {
	r, err := envelope.Record()
	if err != nil {
		return nil, err
	}
	known, ok := r.(*peer.PeerRecord)
	if !ok {
		return nil, fmt.Errorf("a record of another kind, %T", r)
	}
	return known, nil
}

// addressBook remembers members' addresses across restarts, in the node's own store: signed records under
// /slnode/peers/<peer id>. They are not synced: what a power loss takes is learnt again.
type addressBook struct {
	data datastore.Datastore
}

func newAddressBook(data datastore.Datastore) *addressBook { return &addressBook{data: data} }

var addressesPrefix = datastore.NewKey("/slnode/peers")

func (b *addressBook) load(ctx context.Context) ([]*signedRecord, error) {
	results, err := b.data.Query(ctx, query.Query{Prefix: addressesPrefix.String()})
	if err != nil {
		return nil, err
	}
	entries, err := results.Rest()
	if err != nil {
		return nil, err
	}
	var records []*signedRecord
	for _, e := range entries {
		if r, err := openRecord(e.Value); err == nil { // an unreadable one is as good as none
			records = append(records, r)
		}
	}
	return records, nil
}

// save keeps the record unless a newer one of the same peer is kept already.
func (b *addressBook) save(ctx context.Context, r *signedRecord) error {
	key := addressesPrefix.ChildString(r.PeerID.String())
	old, err := b.data.Get(ctx, key)
	if err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return fmt.Errorf("read the addresses of %s: %w", r.PeerID, err)
	}
	if err == nil {
		if known, err := openRecord(old); err == nil && olderThan(&r.PeerRecord, &known.PeerRecord, time.Now()) {
			return nil
		}
	}
	value, err := r.envelope.Marshal()
	if err != nil {
		return fmt.Errorf("encode the addresses of %s: %w", r.PeerID, err)
	}
	if err := b.data.Put(ctx, key, value); err != nil {
		return fmt.Errorf("remember the addresses of %s: %w", r.PeerID, err)
	}
	return nil
}

func (b *addressBook) remove(ctx context.Context, id peer.ID) error {
	if err := b.data.Delete(ctx, addressesPrefix.ChildString(id.String())); err != nil {
		return fmt.Errorf("forget the addresses of %s: %w", id, err)
	}
	return nil
}
