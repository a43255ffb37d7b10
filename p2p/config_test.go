package p2p

import (
	"context"
	"strings"
	"testing"

	"github.com/ipfs/kubo/config"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Config){
		"no directory":            func(c *Config) { c.Dir = "" },
		"no key":                  func(c *Config) { c.Key = nil },
		"no members":              func(c *Config) { c.Members = nil },
		"no swarm key":            func(c *Config) { c.SwarmKey = nil },
		"public with a swarm key": func(c *Config) { c.Public = true },
		"a short swarm key":       func(c *Config) { c.SwarmKey = c.SwarmKey[:len(c.SwarmKey)-10] },
		"a bad listen address":    func(c *Config) { c.Listen = []string{"127.0.0.1:4001"} },
		"a bad announce address":  func(c *Config) { c.Announce = []string{"/ip4/x"} },
		"a bad bootstrap address": func(c *Config) { c.Bootstrap = []string{"nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := w.config()
			change(&c)
			h, err := Open(context.Background(), c)
			if err == nil {
				closeHost(t, h)
				t.Fatal("no error")
			}
			for _, secret := range strings.Fields(string(w.swarmKey)) {
				if len(secret) >= 32 && strings.Contains(err.Error(), secret[:32]) {
					t.Fatalf("the error shows the swarm key: %v", err)
				}
			}
		})
	}
}

func TestAFailedOpenLeavesTheStoreFree(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	bad := c
	bad.Listen = []string{"/ip4/203.0.113.1/tcp/1"} // not an address of this machine
	if h, err := Open(context.Background(), bad); err == nil {
		closeHost(t, h)
		t.Fatal("no error")
	}
	put(t, w.start(c), directory(t))
}

func TestAPrivateNodeContactsNobodyButMembers(t *testing.T) {
	c := newWorld(t).config()
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	k, err := kuboConfig(&c)
	if err != nil {
		t.Fatal(err)
	}
	for what, off := range map[string]bool{
		"no bootstrap peers":     k.Bootstrap != nil && len(k.Bootstrap) == 0,
		"no automatic settings":  k.AutoConf.Enabled == config.False,
		"no own DNS resolvers":   len(k.DNS.Resolvers) == 0,
		"no routing":             k.Routing.Type.WithDefault("") == "none",
		"no delegated routing":   len(k.Routing.DelegatedRouters) == 0 && len(k.Ipns.DelegatedPublishers) == 0,
		"nothing provided":       k.Provide.Enabled == config.False,
		"no mDNS":                !k.Discovery.MDNS.Enabled,
		"no AutoNAT":             k.AutoNAT.ServiceMode == config.AutoNATServiceDisabled,
		"no AutoTLS":             k.AutoTLS.Enabled == config.False && k.AutoTLS.AutoWSS == config.False,
		"no port mapping":        k.Swarm.DisableNatPortMap,
		"no hole punching":       k.Swarm.EnableHolePunching == config.False,
		"no relays":              k.Swarm.RelayClient.Enabled == config.False && k.Swarm.RelayService.Enabled == config.False && k.Swarm.Transports.Network.Relay == config.False,
		"no transport but TCP":   k.Swarm.Transports.Network.TCP == config.True && k.Swarm.Transports.Network.QUIC == config.False && k.Swarm.Transports.Network.Websocket == config.False && k.Swarm.Transports.Network.WebTransport == config.False && k.Swarm.Transports.Network.WebRTCDirect == config.False,
		"no version check":       k.Version.SwarmCheckEnabled == config.False,
		"no HTTP retrieval":      k.HTTPRetrieval.Enabled == config.False,
		"no API or gateway port": len(k.Addresses.API) == 0 && len(k.Addresses.Gateway) == 0,
		"no pubsub of Kubo's":    k.Pubsub.Enabled != config.True,
		"blocks hashed on read":  k.Datastore.HashOnRead,
		"no reduced broadcast":   k.Internal.Bitswap.BroadcastControl.Enable == config.False,
	} {
		if !off {
			t.Error("not so:", what)
		}
	}
}

func TestAPublicNodeIsADHTClientThatProvidesRoots(t *testing.T) {
	c := newWorld(t).config()
	c.Public, c.SwarmKey = true, nil
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	k, err := kuboConfig(&c)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Bootstrap) == 0 || k.Routing.Type.WithDefault("") != "dhtclient" || k.Provide.Enabled != config.True ||
		k.Provide.Strategy.WithDefault("") != "roots" || k.Swarm.Transports.Network.QUIC != config.True || k.AutoConf.Enabled != config.False {
		t.Fatalf("configuration %+v", k)
	}
}

// The public variant, in a public network of two.
func TestPublicNodesFetchFromEachOther(t *testing.T) {
	w := newWorld(t)
	public := func(c *Config) {
		c.Public, c.SwarmKey, c.Bootstrap = true, nil, []string{}
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	a, b := w.member(public), w.member(public)
	if a.SwarmKeyFingerprint() != "" {
		t.Error("a fingerprint without a swarm key")
	}
	dirs := directories(t, 20)
	put(t, a, dirs...)
	connect(t, a, b)
	fetchAll(t, b, dirs[:10]...)
	withoutCAR(a)
	fetchAll(t, b, dirs[10:]...)
}
