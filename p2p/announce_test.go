package p2p

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// join takes part in the consortium "1000".
func join(tb testing.TB, h *Host) (*Topic, *recorder) {
	tb.Helper()
	r := &recorder{}
	topic, err := h.Join(context.Background(), "1000", r)
	if err != nil {
		tb.Fatal(err)
	}
	return topic, r
}

// reaches waits until what is said on the topic is heard at once: until then gossipsub has yet to graft the link, at
// its next heartbeat.
func reaches(tb testing.TB, topic *Topic, heard ...*recorder) {
	tb.Helper()
	for _, r := range heard {
		round := rand.Uint64N(math.MaxInt64)
		eventually(tb, "the topics have found each other", func() bool {
			round++
			if err := topic.Hint(context.Background(), round); err != nil {
				tb.Fatal(err)
			}
			for range 20 {
				if r.hinted(round) != "" {
					return true
				}
				time.Sleep(5 * time.Millisecond)
			}
			return false
		})
	}
}

// theRound is what tests announce in.
const theRound = 4711

func announce(tb testing.TB, topic *Topic, dirs ...unixfs.Directory) {
	tb.Helper()
	if err := topic.Announce(context.Background(), theRound, dirs); err != nil {
		tb.Fatal(err)
	}
}

func isHeard(tb testing.TB, r *recorder, from *Host, dirs ...unixfs.Directory) {
	tb.Helper()
	for _, d := range dirs {
		eventually(tb, "the announcement is heard", func() bool { return r.heard(d) == from.ID() })
	}
}

func TestAnAnnouncementBringsTheBlocks(t *testing.T) {
	w := newWorld(t)
	publisher, h := w.member(), w.member()
	connect(t, publisher, h)
	say, _ := join(t, publisher)
	_, heard := join(t, h)
	reaches(t, say, heard)
	dirs := directories(t, 300)
	announce(t, say, dirs...)
	isHeard(t, heard, publisher, dirs...)
	if heard.hinted(theRound) != publisher.ID() {
		t.Error("the round in which they were confirmed is not heard")
	}
	mustLack(t, h, dirs...) // in memory, not in the store
	if n := len(keys(t, h, "/blocks")); n > 1 {
		t.Fatalf("%d blocks are in the store", n)
	}

	closeHost(t, publisher)
	eventually(t, "the publisher is gone", func() bool { return len(h.Connected()) == 0 })
	fetchAll(t, h, dirs...)
	if n := h.staged.size(); n != 0 {
		t.Fatalf("%d bytes are still staged", n)
	}
}

func TestALargeDirectoryIsAnnouncedByItsRoot(t *testing.T) {
	w := newWorld(t)
	publisher, h := w.member(), w.member()
	connect(t, publisher, h)
	say, _ := join(t, publisher)
	_, heard := join(t, h)
	reaches(t, say, heard)
	large := directoryOf(t, 2*unixfs.ChunkSize, "large")
	put(t, publisher, large)
	announce(t, say, large)
	isHeard(t, heard, publisher, large)
	if _, ok := h.staged.get(large.Root()); ok {
		t.Fatal("it came inline")
	}
	fetchAll(t, h, large)
}

func TestHintsAreHeard(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	connect(t, a, b)
	say, own := join(t, a)
	_, heard := join(t, b)
	reaches(t, say, heard)
	if err := say.Hint(context.Background(), 12345); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hint is heard", func() bool { return heard.hinted(12345) == a.ID() })
	if own.hinted(12345) != "" {
		t.Fatal("a hears itself")
	}
	if err := say.Hint(context.Background(), 1<<63); err == nil {
		t.Fatal("a round that no message can hold")
	}
	if err := say.Announce(context.Background(), 1<<63, directories(t, 1)); err == nil {
		t.Fatal("a round that no announcement can hold")
	}
}

func TestAnnouncementsAreRelayed(t *testing.T) {
	w := newWorld(t)
	// One end cannot be dialled and does not know of the other, so they stay without a connection.
	relay, b := w.member(), w.member()
	view := &members{}
	view.set(relay.ID(), true)
	a := w.member(func(c *Config) { c.Listen, c.Members = nil, view })
	connect(t, relay, a, b)
	say, _ := join(t, a)
	_, _ = join(t, relay)
	_, heard := join(t, b)
	reaches(t, say, heard)
	d := directory(t)
	announce(t, say, d)
	isHeard(t, heard, a, d) // by its author, not by the relay
	if a.host.Network().Connectedness(b.ID()) == network.Connected {
		t.Fatal("the ends are connected, so nothing was relayed")
	}
}

func TestAnOutsidersAnnouncementsReachNobodyAndNothingReachesIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	everybody := &members{}
	outsider := w.outsider(func(c *Config) { c.Members = everybody })
	for _, h := range []*Host{a, b, outsider} {
		everybody.set(h.ID(), true)
	}
	connect(t, a, b, outsider)
	topicA, heardA := join(t, a)
	topicB, heardB := join(t, b)
	say, heardOut := join(t, outsider)
	reaches(t, topicA, heardB)
	reaches(t, topicB, heardA)
	eventually(t, "the outsider would send to a", func() bool { return slices.Contains(say.topic.ListPeers(), a.ID()) })

	foreign := directory(t, "foreign")
	announce(t, say, foreign)
	fromA, fromB := directory(t, "a"), directory(t, "b")
	announce(t, topicA, fromA)
	announce(t, topicB, fromB)
	isHeard(t, heardA, b, fromB)
	isHeard(t, heardB, a, fromA)

	// The control, which also lets what went before arrive: once admitted, it hears and is heard.
	w.members.set(outsider.ID(), true)
	eventually(t, "the admitted member is heard by both, and hears them", func() bool {
		late, lateA := directory(t, "late"), directory(t, "late a")
		announce(t, say, late)
		announce(t, topicA, lateA)
		return heardA.heard(late) == outsider.ID() && heardB.heard(late) == outsider.ID() && heardOut.heard(lateA) == a.ID()
	})
	for name, r := range map[string]*recorder{"a": heardA, "b": heardB} {
		if r.heard(foreign) != "" {
			t.Errorf("%s heard the outsider", name)
		}
	}
	for _, d := range []unixfs.Directory{fromA, fromB} {
		if heardOut.heard(d) != "" {
			t.Error("the outsider heard a member")
		}
	}
}

func TestARemovedMemberIsNotHeardAndHearsNothing(t *testing.T) {
	w := newWorld(t)
	a := w.member()
	view := &members{}
	b := w.member(func(c *Config) { c.Members = view })
	c := w.member()
	for _, h := range []*Host{a, b, c} {
		view.set(h.ID(), true)
	}
	connect(t, a, b, c)
	topicA, heardA := join(t, a)
	topicB, heardB := join(t, b)
	_, heardC := join(t, c)
	reaches(t, topicA, heardB, heardC)
	reaches(t, topicB, heardA, heardC)
	before := directory(t, "before")
	announce(t, topicB, before)
	isHeard(t, heardA, b, before)
	isHeard(t, heardC, b, before)

	w.members.set(b.ID(), false)
	after := directory(t, "after")
	announce(t, topicB, after)
	// At the next heartbeat it is out of the mesh.
	eventually(t, "nothing reaches the removed member any more", func() bool {
		d := directory(t, "probe ", len(heardB.roots))
		announce(t, topicA, d)
		isHeard(t, heardC, a, d)
		return heardB.heard(d) == ""
	})
	if heardA.heard(after) != "" || heardC.heard(after) != "" {
		t.Fatal("the removed member was heard")
	}
}

func TestForgedAndMalformedMessagesAreDroppedAndTheirSenderIsShutOut(t *testing.T) {
	w := newWorld(t)
	h, liar, honest := w.member(), w.member(), w.member()
	connect(t, h, liar, honest)
	_, heard := join(t, h)
	lie, _ := join(t, liar)
	say, _ := join(t, honest)
	reaches(t, lie, heard)
	reaches(t, say, heard)
	ctx := context.Background()

	victim, other := directory(t, "victim"), directory(t, "other")
	forged := slices.Clone(victim.Blocks())
	forged[2] = other.Blocks()[2]
	control := directory(t, "control")
	announce(t, lie, control)
	isHeard(t, heard, liar, control)
	for range 6 {
		if err := lie.publish(ctx, announcementOf(t, roots([]unixfs.Directory{victim}), forged)); err != nil {
			t.Fatal(err)
		}
	}
	if err := lie.publish(ctx, []byte{77, 1, 2, 3}); err != nil { // a later version's, not malformed
		t.Fatal(err)
	}
	ignored := directory(t, "ignored")
	announce(t, lie, ignored)
	good := directory(t, "good")
	announce(t, say, good)
	isHeard(t, heard, honest, good)
	eventually(t, "the liar is shut out", func() bool {
		d := directory(t, "probe")
		probe := directory(t, d.Root(), len(heard.roots))
		announce(t, lie, probe)
		announce(t, say, good, directory(t, "sync ", probe.Root()))
		isHeard(t, heard, honest, directory(t, "sync ", probe.Root()))
		return heard.heard(probe) == ""
	})
	if heard.heard(victim) != "" {
		t.Error("a forged announcement was heard")
	}
	if _, ok := h.staged.get(victim.Root()); ok {
		t.Error("a forged directory is staged")
	}
}

// validated says what the validator makes of a message.
func validated(topic *Topic, author peer.ID, data []byte) pubsub.ValidationResult {
	return topic.validate(context.Background(), author, &pubsub.Message{Message: &pb.Message{From: []byte(author), Data: data}})
}

func TestAnAuthorHasABudget(t *testing.T) {
	w := newWorld(t)
	h := w.member(func(c *Config) {
		c.Limits = Limits{AnnouncedBytesPerSecond: 1, AnnouncedBytesBurst: 100_000, StagedBytes: 1 << 20}
	})
	topic, _ := join(t, h)
	w.members.set("spammer", true)
	w.members.set("honest", true)
	accepted := 0
	for _, d := range directories(t, 400, "spam") {
		switch validated(topic, "spammer", announcement(t, roots([]unixfs.Directory{d}), d)) {
		case pubsub.ValidationAccept:
			accepted++
		case pubsub.ValidationReject:
			t.Fatal("who relays spam is blamed for it")
		}
	}
	if accepted < 20 || accepted > 30 { // small messages cost 4 KiB
		t.Errorf("%d messages were accepted", accepted)
	}
	hints := 0
	for range 400 {
		if validated(topic, "hinter", encodeHint(1)) == pubsub.ValidationAccept {
			t.Fatal("a stranger's hint was accepted")
		}
		if validated(topic, "honest", encodeHint(1)) == pubsub.ValidationAccept {
			hints++
		}
	}
	if hints < 20 || hints > 30 {
		t.Errorf("%d hints were accepted", hints)
	}
}

// However many members there are: what they say together is bounded, and with it what gossip holds in memory.
func TestAllAuthorsHaveOneBudget(t *testing.T) {
	w := newWorld(t)
	h := w.member(func(c *Config) {
		c.Limits = Limits{AnnouncedBytesPerSecond: 1, AnnouncedBytesBurst: 100_000, AllAnnouncedBytesPerSecond: 1, AllAnnouncedBytesBurst: 250_000}
	})
	topic, _ := join(t, h)
	accepted := 0
	for n := range 20 {
		author := peer.ID(fmt.Sprintf("author %d", n))
		w.members.set(author, true)
		for _, d := range directories(t, 30, "spam", n) {
			if validated(topic, author, announcement(t, roots([]unixfs.Directory{d}), d)) == pubsub.ValidationAccept {
				accepted++
			}
		}
	}
	if accepted < 55 || accepted > 65 { // 250 kB, at 4 KiB each, are 61
		t.Errorf("%d messages of 20 authors were accepted", accepted)
	}
}

// What a member passes on waits in memory to be checked: no more of it is let in than all authors may say.
func TestARelayIsHeardOnlySoMuch(t *testing.T) {
	w := newWorld(t)
	h := w.member(func(c *Config) {
		c.Limits = Limits{AnnouncedBytesPerSecond: 1, AnnouncedBytesBurst: 100_000, AllAnnouncedBytesPerSecond: 1, AllAnnouncedBytesBurst: 200_000}
	})
	topic, _ := join(t, h)
	w.members.set("relay", true)
	w.members.set("other", true)
	pass := func(relay peer.ID) (n int) {
		for range 100 {
			rpc := &pubsub.RPC{RPC: pb.RPC{Publish: []*pb.Message{
				{Topic: &topic.name, Data: make([]byte, 10_000)}, {Topic: &topic.name, Signature: make([]byte, 10_000)}, {Data: []byte("of no topic")},
			}}}
			if err := topic.inspect(relay, rpc); err != nil {
				t.Fatal(err)
			}
			n += len(rpc.Publish)
		}
		return n
	}
	for _, relay := range []peer.ID{"relay", "other"} {
		if n := pass(relay); n < 28 || n > 31 { // 300 kB
			t.Errorf("%d messages of 10 kB are let in from %s", n, relay)
		}
	}
	if n := pass("stranger"); n != 0 {
		t.Errorf("%d messages are let in from a stranger", n)
	}
}

// Messages wait to be checked within a number of bytes, whatever their number is and whatever becomes of them.
func TestWhatWaitsToBeCheckedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog()
		var in []*pb.Message
		fill := func() (n int) {
			for range 1000 {
				if m := (&pb.Message{Data: make([]byte, 100<<10)}); b.admit(m) {
					in, n = append(in, m), n+1
				}
			}
			return n
		}
		const room = maxUnchecked / (100 << 10)
		if n := fill(); n < room-2 || n > room {
			t.Fatalf("%d messages of 100 KiB are let in, want %d", n, room)
		}
		for i, leave := range []func(*pubsub.Message){b.ValidateMessage, b.DuplicateMessage, func(m *pubsub.Message) { b.RejectMessage(m, "") }} {
			leave(&pubsub.Message{Message: in[i]})
			leave(&pubsub.Message{Message: in[i]})                                 // it is told of twice, sometimes
			leave(&pubsub.Message{Message: &pb.Message{Data: make([]byte, 1000)}}) // our own
		}
		if n := fill(); n != 3 {
			t.Errorf("%d more are let in when 3 have left", n)
		}
		time.Sleep(checkedBy + time.Second) // gossipsub has dropped them and not said so
		if n := fill(); n < room-2 || n > room {
			t.Errorf("%d are let in when the others are gone, want %d", n, room)
		}
		if len(b.unchecked) > room {
			t.Errorf("%d are remembered", len(b.unchecked))
		}
	})
}

// A member that is connected and does not read what is said to it.
func TestWhoDoesNotReadIsToldNothingAfterAWhile(t *testing.T) {
	w := newWorld(t)
	h, deaf := w.member(func(c *Config) {
		c.Limits = Limits{AnnouncedBytesPerSecond: 1 << 30, AnnouncedBytesBurst: 1 << 30}
	}), w.member()
	topic, _ := join(t, h)
	const most = 2 << 20
	topic.backlog.most = most // nobody is there yet
	for _, id := range pubsub.GossipSubDefaultProtocols {
		deaf.host.SetStreamHandler(id, func(s network.Stream) { <-t.Context().Done() })
	}
	connect(t, h, deaf)
	stream, err := deaf.host.NewStream(context.Background(), h.ID(), pubsub.GossipSubDefaultProtocols...)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Reset()
	subscribed := true
	rpc, err := proto.Marshal(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Subscribe: &subscribed, Topicid: &topic.name}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(append(binary.AppendUvarint(nil, uint64(len(rpc))), rpc...)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is known to listen", func() bool { return len(topic.topic.ListPeers()) == 1 })
	dirs := directories(t, 100)
	waiting := func() int {
		topic.backlog.mu.Lock()
		defer topic.backlog.mu.Unlock()
		return topic.backlog.unsent[deaf.ID()]
	}
	eventually(t, "it is told nothing any more", func() bool { // from the next heartbeat on
		before := waiting()
		for range 5 {
			announce(t, topic, dirs...)
		}
		return before > most && waiting() == before
	})
}

func TestAStrangersMessageIsIgnoredWithoutBlamingItsRelay(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	everybody := &members{}
	relay := w.member(func(c *Config) { c.Members = everybody })
	stranger := w.outsider(func(c *Config) { c.Members = everybody })
	for _, host := range []*Host{h, relay, stranger} {
		everybody.set(host.ID(), true)
	}
	connect(t, relay, h, stranger)
	_, heard := join(t, h)
	relayed, heardByRelay := join(t, relay)
	say, _ := join(t, stranger)
	reaches(t, relayed, heard)
	reaches(t, say, heardByRelay)
	for i := range 20 {
		d := directory(t, "strange", i)
		announce(t, say, d)
		isHeard(t, heardByRelay, stranger, d)
	}
	// The relay sends in order, so this comes after all of the above; and the relay is still listened to.
	d := directory(t, "the relay's own")
	announce(t, relayed, d)
	isHeard(t, heard, relay, d)
	for i := range 20 {
		if heard.heard(directory(t, "strange", i)) != "" {
			t.Fatal("a stranger was heard")
		}
	}
}

func TestNothingIsTakenFromARelayThatIsNoMember(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	// The author can be reached through the outsider only.
	everybody := &members{}
	outsider := w.outsider(func(c *Config) { c.Members = everybody })
	author := w.member(func(c *Config) { c.Listen, c.Members = nil, everybody })
	for _, host := range []*Host{outsider, author} {
		everybody.set(host.ID(), true)
	}
	connect(t, outsider, h, author)
	_, heard := join(t, h)
	_, heardByOutsider := join(t, outsider)
	say, _ := join(t, author)
	reaches(t, say, heardByOutsider)
	d := directory(t)
	announce(t, say, d)
	isHeard(t, heardByOutsider, author, d)

	everybody.set(h.ID(), true) // now it relays, and still counts for nothing
	w.members.set(outsider.ID(), true)
	reaches(t, say, heard) // the control: a member's relaying counts
	if heard.heard(d) != "" {
		t.Fatal("it was heard")
	}
}

// A peer that takes no gossip streams has no score; what it sends is not read for another reason.
func TestNothingIsReadFromAStrangerThatOnlyTalks(t *testing.T) {
	w := newWorld(t)
	h, stranger := w.member(), w.outsider()
	connect(t, h, stranger)
	topic, heard := join(t, h)

	// Member's messages, soundly signed, in the stranger's hands.
	key := newKey(t)
	author, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.members.set(author, true)
	stream, err := stranger.host.NewStream(context.Background(), h.ID(), pubsub.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Reset()
	send := func(rpc *pb.RPC) {
		b, err := proto.Marshal(rpc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
			t.Fatal(err)
		}
	}
	talk := func(round uint64) {
		m := &pb.Message{From: []byte(author), Seqno: binary.BigEndian.AppendUint64(nil, round), Topic: proto.String(topic.topic.String()), Data: encodeHint(round)}
		signed, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if m.Signature, err = key.Sign(append([]byte(pubsub.SignPrefix), signed...)); err != nil {
			t.Fatal(err)
		}
		send(&pb.RPC{Publish: []*pb.Message{m}})
	}
	events, err := topic.topic.EventHandler()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Cancel()
	for round := range uint64(10) {
		talk(round)
	}
	send(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Subscribe: proto.Bool(true), Topicid: proto.String(topic.topic.String())}}})
	// Its subscription is remembered for the day of its admission, and by now all before it has been dealt with.
	if e, err := events.NextPeerEvent(t.Context()); err != nil || e.Type != pubsub.PeerJoin || e.Peer != stranger.ID() {
		t.Fatalf("event %+v, error %v", e, err)
	}
	w.members.set(stranger.ID(), true) // the control
	round := uint64(10)
	eventually(t, "a member is heard", func() bool { round++; talk(round); return heard.hinted(round-1) == author })
	for round := range uint64(10) {
		if heard.hinted(round) != "" {
			t.Fatal("the stranger's word was read")
		}
	}
}

func TestAHostJoinsOnce(t *testing.T) {
	w := newWorld(t)
	h, other := w.member(), w.member()
	connect(t, other, h)
	ctx := context.Background()
	for _, bad := range []string{"", "a/b", "a b", strings.Repeat("1", 65)} {
		if _, err := h.Join(ctx, bad, &recorder{}); err == nil {
			t.Errorf("joined %q", bad)
		}
	}
	topic, _ := join(t, h)
	say, heard := join(t, other)
	reaches(t, topic, heard)
	for range 2 { // closing twice is harmless
		if err := topic.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := topic.Announce(ctx, theRound, directories(t, 1)); err == nil {
		t.Error("announced after Close")
	}
	eventually(t, "the other side notices", func() bool { return !slices.Contains(say.topic.ListPeers(), h.ID()) })
	if _, err := h.Join(ctx, "2000", &recorder{}); err == nil {
		t.Fatal("joined again")
	}
}
