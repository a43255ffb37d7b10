package p2p

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// What a member says of where it is, seen from a node of the internet, from one with a private address too, and from
// one that is on loopback alone, as in a trial.
func TestOnlyPlausibleAddressesAreDialled(t *testing.T) {
	public := reach{private: func() bool { return false }}
	office := reach{private: func() bool { return true }}
	trial := reach{loopback: true, private: func() bool { return false }}
	for address, want := range map[string][3]bool{
		"/ip4/198.51.100.7/tcp/4001":            {true, true, true},
		"/ip4/198.51.100.7/tcp/443":             {true, true, true},
		"/ip4/198.51.100.7/udp/4001/quic-v1":    {true, true, true},
		"/ip6/2001:db8::7/tcp/4001":             {true, true, true},
		"/ip4/198.51.100.7/tcp/25":              {},
		"/ip4/198.51.100.7/tcp/22":              {},
		"/ip4/198.51.100.7/tcp/0":               {},
		"/ip4/198.51.100.7":                     {},
		"/ip4/127.0.0.1/tcp/4001":               {false, false, true},
		"/ip6/::1/tcp/4001":                     {false, false, true},
		"/ip4/127.8.8.8/tcp/6379":               {false, false, true},
		"/ip4/10.1.2.3/tcp/4001":                {false, true, true},
		"/ip4/172.16.0.1/tcp/4001":              {false, true, true},
		"/ip4/192.168.1.1/tcp/4001":             {false, true, true},
		"/ip6/fd12:3456::1/tcp/4001":            {false, true, true},
		"/ip4/100.64.1.1/tcp/4001":              {false, true, true},
		"/ip4/169.254.169.254/tcp/80":           {},
		"/ip4/169.254.1.1/tcp/4001":             {},
		"/ip4/100.100.100.200/tcp/80":           {},
		"/ip4/168.63.129.16/tcp/80":             {},
		"/ip6/fd00:ec2::254/tcp/80":             {},
		"/ip6/fe80::1/tcp/4001":                 {},
		"/ip6zone/eth0/ip6/fe80::1/tcp/4001":    {},
		"/ip4/0.0.0.0/tcp/4001":                 {},
		"/ip4/0.1.2.3/tcp/4001":                 {},
		"/ip6/::/tcp/4001":                      {},
		"/ip4/224.0.0.1/tcp/4001":               {},
		"/ip4/255.255.255.255/tcp/4001":         {},
		"/ip4/240.0.0.1/tcp/4001":               {},
		"/ip6/ff02::1/tcp/4001":                 {},
		"/ip6/::ffff:127.0.0.1/tcp/4001":        {false, false, true},
		"/ip6/::ffff:169.254.169.254/tcp/80":    {},
		"/ip6/64:ff9b::a9fe:a9fe/tcp/80":        {},
		"/ip6/2002:a9fe:a9fe::1/tcp/80":         {},
		"/ip6/::127.0.0.1/tcp/4001":             {},
		"/unix/var/run/docker.sock":             {},
		"/dns4/metadata.google.internal/tcp/80": {}, // only what it leads to is looked at
	} {
		a := multiaddr.StringCast(address)
		for i, r := range []reach{public, office, trial} {
			if got := r.plausible(a); got != want[i] {
				t.Errorf("%s, seen from %d: %v, want %v", address, i, got, want[i])
			}
		}
	}
}

func TestOnlyANodeThatIsOnLoopbackAloneIsATrial(t *testing.T) {
	for want, listens := range map[bool][][]string{
		true:  {{"/ip4/127.0.0.1/tcp/0"}, {"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}},
		false: {nil, {"/ip4/0.0.0.0/tcp/4001"}, {"/ip4/127.0.0.1/tcp/4001", "/ip4/10.0.0.1/tcp/4001"}},
	} {
		for _, listen := range listens {
			if got := reachOf(listen).loopback; got != want {
				t.Errorf("%v: %v", listen, got)
			}
		}
	}
}

// gateFor is a gate of a node of the internet.
func gateFor(m *members) *dialGate {
	return newDialGate(true, reach{private: func() bool { return false }}, m)
}

func addr(format string, args ...any) multiaddr.Multiaddr {
	return multiaddr.StringCast(fmt.Sprintf(format, args...))
}

// One member can't have the others dial whatever it lists, and many members can't have them dial one victim.
func TestWhatAMemberNamesIsDialledWithinBounds(t *testing.T) {
	m := &members{}
	g := gateFor(m)
	m.set("liar", true)
	dialled := 0
	for n := range 32 {
		if g.mayDial("liar", addr("/ip4/198.51.100.%d/tcp/4001", n+1)) {
			dialled++
		}
	}
	if dialled != dialAddrs {
		t.Errorf("%d addresses of one member are dialled at once, want %d", dialled, dialAddrs)
	}
	m.set("scanner", true)
	dialled = 0
	for port := 4001; port < 4010; port++ {
		if g.mayDial("scanner", addr("/ip4/198.51.100.99/tcp/%d", port)) {
			dialled++
		}
	}
	if dialled != dialPorts {
		t.Errorf("%d ports of one machine are dialled, want %d", dialled, dialPorts)
	}
	dialled = 0
	for n := range 500 {
		id := peer.ID(fmt.Sprint("accomplice ", n))
		m.set(id, true)
		if g.mayDial(id, addr("/ip4/203.0.113.5/tcp/4001")) {
			dialled++
		}
	}
	if dialled < dialBurst || dialled > dialBurst+2 {
		t.Errorf("one address is dialled %d times for 500 members, want %d", dialled, dialBurst)
	}
}

// The operator, and who invites, may name any address; the word of a peer about itself is not theirs.
func TestWhatTheCallerNamesIsDialledWhereverItIs(t *testing.T) {
	m := &members{}
	g := gateFor(m)
	m.set("founder", true)
	for what, c := range map[string]struct {
		told, to multiaddr.Multiaddr
		want     bool
	}{
		"the address":               {addr("/ip4/10.0.0.1/tcp/4001"), addr("/ip4/10.0.0.1/tcp/4001"), true},
		"another port":              {addr("/ip4/10.0.0.1/tcp/4001"), addr("/ip4/10.0.0.1/tcp/4002"), false},
		"another address":           {addr("/ip4/10.0.0.1/tcp/4001"), addr("/ip4/10.0.0.2/tcp/4001"), false},
		"what a name leads to":      {addr("/dns4/node.example/tcp/4001"), addr("/ip4/10.0.0.9/tcp/4001"), true},
		"another port of that":      {addr("/dns4/node.example/tcp/4001"), addr("/ip4/10.0.0.9/tcp/22"), false},
		"what a longer name led to": {addr("/dnsaddr/node.example"), addr("/ip4/10.0.0.9/tcp/4001"), true},
	} {
		g.disallow("founder")
		g.allow(peer.AddrInfo{ID: "founder", Addrs: []multiaddr.Multiaddr{c.told}})
		if got := g.mayDial("founder", c.to); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
	g.allow(peer.AddrInfo{ID: "founder", Addrs: []multiaddr.Multiaddr{addr("/ip4/10.0.0.1/tcp/4001")}})
	addrs := []multiaddr.Multiaddr{addr("/ip4/10.0.0.1/tcp/4001"), addr("/ip4/169.254.169.254/tcp/80"), addr("/ip4/198.51.100.1/tcp/4001")}
	for n := range 20 {
		addrs = append(addrs, addr("/ip4/198.51.100.1/tcp/%d", 5000+n))
	}
	known := g.known("founder", addrs)
	if len(known) != dialAddrs || !slices.ContainsFunc(known, addrs[0].Equal) || slices.ContainsFunc(known, addrs[1].Equal) {
		t.Errorf("what is written down for the next start is %v", known)
	}
}

// End to end: a member's signed record leads nobody to a machine that is none of ours.
func TestAVictimIsNotDialledForAMembersWord(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var knocks atomic.Int32
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			knocks.Add(1)
			_ = c.Close()
		}
	}()
	w := newWorld(t)
	h, teller := w.member(), w.member()
	var records [][]byte
	for range 40 { // more members than an address is dialled for
		var addrs []string
		for n := range 32 {
			addrs = append(addrs, fmt.Sprintf("/ip4/127.0.0.%d/tcp/%d", n+2, listener.Addr().(*net.TCPAddr).Port))
		}
		id, record := recordOf(t, append([]string{"/ip4/169.254.169.254/tcp/80", "/ip4/127.0.0.1/tcp/22", listenerAddr(listener)}, addrs[3:]...)...)
		w.members.set(id, true)
		records = append(records, record)
	}
	for _, one := range []*Host{h, teller} { // who told asks what it is told of, and dials as well
		one.keeper.dials.reach = reach{private: func() bool { return false }} // as seen from a node of the internet
	}
	teller.host.SetStreamHandler(peersProtocol, func(s network.Stream) {
		_ = writeRecords(s, records)
		_ = s.Close()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Connect(ctx, teller.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every record was taken and its peer tried", func() bool {
		tried := 0
		for _, s := range h.Peers() {
			if s.LastError != "" {
				tried++
			}
		}
		return tried == len(records)
	})
	if n := knocks.Load(); n > 0 {
		t.Errorf("the victim is dialled %d times", n)
	}
}

func listenerAddr(l net.Listener) string {
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
}

// A member that says every moment that it has moved is not dialled every moment.
func TestAMemberThatMovesAllTheTimeIsNotDialledAllTheTime(t *testing.T) {
	w := newWorld(t)
	h := w.member()
	key := newKey(t)
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.members.set(id, true)
	for n := range 3 {
		r, err := openRecord(sealRecord(t, key, uint64(n+1), fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 40000+n)))
		if err != nil {
			t.Fatal(err)
		}
		if !h.keeper.learn(r) {
			t.Fatalf("record %d is no news", n)
		}
		h.keeper.mu.Lock()
		c := h.keeper.contact(id)
		if due := c.next.IsZero() && c.failures == 0; due != (n == 0) {
			t.Errorf("after record %d it is to be dialled at once: %v", n, due)
		}
		c.failures, c.next = 5, time.Now().Add(time.Hour)
		h.keeper.mu.Unlock()
	}
}

func TestARecordWithNamesThatLeadToMoreIsRefused(t *testing.T) {
	key := newKey(t)
	for want, list := range map[bool][]string{
		true:  {"/dns4/node.example/tcp/4001", "/dns6/node.example/tcp/4001", "/ip4/198.51.100.1/tcp/4001"},
		false: {"/dnsaddr/node.example"},
	} {
		if _, err := openRecord(sealRecord(t, key, 1, list...)); (err == nil) != want {
			t.Errorf("%v: %v", list, err)
		}
	}
	if _, err := openRecord(sealRecord(t, key, 1, "/dns4/a.example/tcp/1", "/dns4/b.example/tcp/1", "/dns/c.example/tcp/1")); err == nil {
		t.Error("a record of three names is believed")
	}
}
