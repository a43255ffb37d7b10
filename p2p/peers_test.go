package p2p

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/internal/splice"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/p2p/swarm"
)

func (h *Host) isConnected(other *Host) bool {
	_, connected := h.Connected()[other.ID()]
	return connected
}

func TestMembersFindEachOtherThroughTheInviter(t *testing.T) {
	w := newWorld(t)
	inviter, a, b := w.member(), w.member(), w.member()
	a.KeepConnected(inviter.AddrInfo())
	b.KeepConnected(inviter.AddrInfo())
	eventually(t, "a and b are connected, though nobody told them", func() bool { return a.isConnected(b) && b.isConnected(a) })
}

func TestAddressesAreRememberedAcrossARestart(t *testing.T) {
	w := newWorld(t)
	inviter, other := w.member(), w.member()
	c := w.config()
	h := w.start(c)
	w.members.set(h.ID(), true)
	h.KeepConnected(inviter.AddrInfo())
	other.KeepConnected(inviter.AddrInfo())
	eventually(t, "all are connected", func() bool { return h.isConnected(inviter) && h.isConnected(other) })
	eventually(t, "both addresses are remembered", func() bool { return len(keys(t, h, addressesPrefix.String())) == 2 })
	closeHost(t, h)
	closeHost(t, inviter)

	again := startOn(t, c, vfs.Default) // told of nobody, and the inviter is gone
	eventually(t, "it is connected again", func() bool { return again.isConnected(other) })
}

func TestALostConnectionComesBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	b.KeepConnected(a.AddrInfo())
	eventually(t, "both are connected", func() bool { return b.isConnected(a) && a.isConnected(b) })
	lost := map[string]bool{} // it may be back before anybody sees that it is gone: another one tells
	for _, c := range a.host.Network().ConnsToPeer(b.ID()) {
		lost[c.ID()] = true
	}
	if err := a.host.Network().ClosePeer(b.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are connected anew", func() bool {
		anew := slices.ContainsFunc(a.host.Network().ConnsToPeer(b.ID()), func(c network.Conn) bool { return !lost[c.ID()] })
		return anew && a.isConnected(b) && b.isConnected(a)
	})
}

func TestAPeerThatIsNotThereIsTriedAgainWithPauses(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	c := w.config()
	absent := w.start(c)
	w.members.set(absent.ID(), true)
	info := absent.AddrInfo()
	closeHost(t, absent)

	h.KeepConnected(info)
	state := func() swarm.Peer {
		for _, s := range h.Peers() {
			if s.ID == info.ID {
				return s
			}
		}
		return swarm.Peer{}
	}
	eventually(t, "the failure shows", func() bool { return state().LastError != "" })
	if s := state(); s.Connected || s.NextAttempt.IsZero() || !strings.Contains(s.LastError, "cannot be reached") || strings.Count(s.LastError, info.ID.String()) != 1 || len(s.Addrs) == 0 {
		t.Fatalf("state %+v", s)
	}

	c.Listen = []string{info.Addrs[0].String()}
	startOn(t, c, vfs.Default)
	eventually(t, "once it is there, it is found", func() bool { return state().Connected })
	if s := state(); s.LastError != "" || s.Since.IsZero() || !s.NextAttempt.IsZero() {
		t.Fatalf("state %+v", s)
	}
}

func TestAnotherSwarmKeyIsNamedAsACause(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	a, b := w.member(), elsewhere.member()
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	defer cancel()
	err := b.Connect(ctx, a.AddrInfo())
	if err == nil || !strings.Contains(err.Error(), "another swarm key") {
		t.Fatalf("error %v", err)
	}
	if a.SwarmKeyFingerprint() == b.SwarmKeyFingerprint() || len(a.SwarmKeyFingerprint()) != 32 {
		t.Fatalf("fingerprints %q and %q", a.SwarmKeyFingerprint(), b.SwarmKeyFingerprint())
	}
	for _, line := range strings.Fields(string(w.swarmKey)) {
		if strings.Contains(a.SwarmKeyFingerprint(), line) {
			t.Fatal("the fingerprint shows the key")
		}
	}
}

func TestInAPrivateSwarmOnlyKnownPeersAreDialled(t *testing.T) {
	w := newWorld(t)
	h, stranger := w.member(), w.outsider()
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	defer cancel()
	// Past our own methods, as some part of the node might.
	err := h.host.Connect(ctx, stranger.AddrInfo())
	if err == nil || !strings.Contains(err.Error(), "gater") {
		t.Fatalf("error %v", err)
	}
	if err := h.Connect(ctx, stranger.AddrInfo()); err != nil {
		t.Fatalf("a peer that the caller names: %v", err)
	}
	if len(h.Connected()) != 0 {
		t.Fatal("a stranger is listed as a connected member")
	}
}

func TestADroppedMemberIsGoneAndStaysAway(t *testing.T) {
	w := newWorld(t)
	h, removed := w.member(), w.member()
	h.KeepConnected(removed.AddrInfo())
	eventually(t, "they are connected", func() bool { return h.isConnected(removed) })
	eventually(t, "its address is remembered", func() bool { return len(keys(t, h, addressesPrefix.String())) == 1 })

	w.members.set(removed.ID(), false)
	if err := h.Drop(context.Background(), removed.ID()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.host.Network().ConnsToPeer(removed.ID())); n != 0 {
		t.Errorf("%d connections", n)
	}
	if n := len(keys(t, h, addressesPrefix.String())); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
	if addrs := h.host.Peerstore().Addrs(removed.ID()); len(addrs) != 0 {
		t.Errorf("it is still known at %v", addrs)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	defer cancel()
	if err := h.host.Connect(ctx, removed.AddrInfo()); err == nil {
		t.Error("it is dialled again")
	}
}

func TestANewMemberIsMetThoughItWasConnectedBefore(t *testing.T) {
	w := newWorld(t)
	h, late := w.member(), w.outsider()
	connect(t, h, late)
	w.members.set(late.ID(), true)
	h.KeepConnected() // what a caller does when membership has changed
	eventually(t, "its address is remembered", func() bool { return len(keys(t, h, addressesPrefix.String())) == 1 })
}

// recordOf makes the signed record of a new peer.
func recordOf(tb testing.TB, addrs ...string) (peer.ID, []byte) {
	tb.Helper()
	key := newKey(tb)
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return id, sealRecord(tb, key, peer.TimestampSeq(), addrs...)
}

// sealRecord is a signed record with a number.
func sealRecord(tb testing.TB, key crypto.PrivKey, number uint64, addrs ...string) []byte {
	tb.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	info := peer.AddrInfo{ID: id}
	for _, a := range addrs {
		info.Addrs = append(info.Addrs, multiaddr.StringCast(a))
	}
	r := peer.PeerRecordFromAddrInfo(info)
	r.Seq = number
	envelope, err := record.Seal(r, key)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := envelope.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestOnlyRecordsOfMembersSignedByThemselvesAreBelieved(t *testing.T) {
	w := newWorld(t)
	h, teller := w.member(), w.member()
	known, good := recordOf(t, "/ip4/127.0.0.1/tcp/1")
	w.members.set(known, true)
	stranger, strange := recordOf(t, "/ip4/127.0.0.1/tcp/2")

	// A member's record, signed with another key.
	victim, _ := recordOf(t)
	w.members.set(victim, true)
	liar := newKey(t)
	envelope, err := record.Seal(peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: victim, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/3")}}), liar)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openRecord(forged); err == nil {
		t.Error("a forged record opens")
	}
	var out bytes.Buffer
	if err := writeRecords(&out, [][]byte{strange, good, forged}); err != nil {
		t.Fatal(err)
	}
	if _, err := readRecords(&out); err == nil {
		t.Error("an answer with a forged record is read")
	}

	teller.host.SetStreamHandler(peersProtocol, func(s network.Stream) {
		_ = writeRecords(s, [][]byte{strange, good})
		_ = s.Close()
	})
	connect(t, h, teller)
	has := func(id peer.ID) bool {
		return slices.ContainsFunc(h.Peers(), func(s swarm.Peer) bool { return s.ID == id })
	}
	eventually(t, "the member's record is believed", func() bool { return has(known) })
	if has(stranger) {
		t.Error("a stranger's record was taken")
	}
}

func TestRecordsHaveBounds(t *testing.T) {
	_, good := recordOf(t, "/ip4/127.0.0.1/tcp/1")
	var many []string
	for range maxRecordAddrs + 1 {
		many = append(many, "/ip4/127.0.0.1/tcp/1")
	}
	_, wide := recordOf(t, many...)
	var list bytes.Buffer
	if err := writeRecords(&list, slices.Repeat([][]byte{good}, maxRecords+5)); err != nil {
		t.Fatal(err)
	}
	if got, err := readRecords(&list); err != nil || len(got) != maxRecords {
		t.Errorf("%d records, error %v", len(got), err)
	}
	for name, b := range map[string][]byte{
		"too many addresses": append([]byte{byte(len(wide)&0x7f | 0x80), byte(len(wide) >> 7)}, wide...),
		"a long record":      {0xff, 0xff, 0x7f},
		"a truncated record": {10, 1, 2},
		"a truncated length": {0x80},
		"no record":          {3, 1, 2, 3},
	} {
		if got, err := readRecords(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: %d records", name, len(got))
		}
	}
}

func FuzzReadRecords(f *testing.F) {
	_, good := recordOf(f, "/ip4/127.0.0.1/tcp/1")
	var b bytes.Buffer
	if err := writeRecords(&b, [][]byte{good, good}); err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(5), uint16(1), []byte{0xff})
	f.Fuzz(func(t *testing.T, at, cut uint16, with []byte) {
		got, err := readRecords(bytes.NewReader(splice.Splice(b.Bytes(), at, cut, with)))
		if err != nil {
			return
		}
		for _, r := range got {
			if !r.PeerID.MatchesPublicKey(r.envelope.PublicKey) {
				t.Fatal("a record that is not its peer's")
			}
		}
	})
}

// numbered makes a peer's signed record of a moment by its clock.
func numbered(tb testing.TB, key crypto.PrivKey, at time.Time, addr string) *signedRecord {
	tb.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	envelope, err := record.Seal(&peer.PeerRecord{PeerID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(addr)}, Seq: uint64(at.UnixNano())}, key)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := envelope.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	r, err := openRecord(b)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestAClockThatWasAheadDoesNotKeepANewAddressOut(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	key := newKey(t)
	now := time.Now()
	old, wrong, moved := numbered(t, key, now.Add(-time.Hour), "/ip4/127.0.0.1/tcp/1"), numbered(t, key, now.Add(3*time.Hour), "/ip4/127.0.0.1/tcp/2"), numbered(t, key, now, "/ip4/127.0.0.1/tcp/3")
	is := func(want *signedRecord) {
		t.Helper()
		got := h.keeper.records.GetPeerRecord(want.PeerID)
		if got == nil || !got.Equal(want.envelope) {
			t.Errorf("another record is known than that of %v", want.Addrs)
		}
		if addrs := h.host.Peerstore().Addrs(want.PeerID); !slices.ContainsFunc(addrs, want.Addrs[0].Equal) {
			t.Errorf("the addresses are %v, and %v is not among them", addrs, want.Addrs)
		}
		if err := h.keeper.book.save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		kept, err := h.keeper.book.load(t.Context())
		if err != nil || len(kept) != 1 || !kept[0].Addrs[0].Equal(want.Addrs[0]) {
			t.Errorf("kept are %v, %v", kept, err)
		}
	}
	for _, r := range []*signedRecord{old, wrong, moved} {
		if !h.keeper.learn(r) {
			t.Fatalf("the record of %v is refused", r.Addrs)
		}
		is(r)
	}
	if h.keeper.learn(old) { // nobody brings an old address back
		t.Error("an old record takes the place of a newer one")
	}
	is(moved)
	// What the peer itself says, over a connection, counts whatever its number.
	if !h.keeper.consume(old, time.Hour, true) {
		t.Error("what the peer itself says is refused")
	}
}

func TestAWrongClockIsCalledByItsName(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	id, _ := recordOf(t)
	err := h.keeper.explain(id, errors.New("failed to negotiate security protocol: certificate verification failed: x509: certificate has expired or is not yet valid: current time X is before Y"))
	if !strings.Contains(err.Error(), "clock") || strings.Contains(err.Error(), "swarm key") {
		t.Errorf("the error is %v", err)
	}
}
