package testnet

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/node/control"
)

// A marker in an object must be found nowhere but where it belongs: in the answers of the members' TAXII servers.
func TestPlaintextAndSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo", "charlie")
	publisher, reader, absent := n.members[0], n.members[1], n.members[2]
	absent.stop()
	info := publisher.consortium()
	overheard := listenAs(t, absent, publisher, info)

	const marker = "MARKER-5d0c1a7e"
	const id = "indicator--5d0c1a7e-17d4-4cbf-938f-98ee46b3cd3f"
	object := strings.NewReplacer("Indicator 1561074302", marker).Replace(indicator(0x5d0c1a7e))
	if !strings.Contains(object, marker) || !strings.Contains(object, id) {
		t.Fatalf("the test's object is %s", object)
	}
	status := publisher.post(n.collection, object)
	reader.shows(n.collection, object)
	txid, directory := status.Successes[0].TxID, status.Successes[0].CID

	secrets := map[string]string{"the marker": marker, "the passwords": publisher.Password, "an age identity": "AGE-SECRET-KEY-"}
	for _, o := range n.members {
		words, err := os.ReadFile(filepath.Join(o.Dir, "keys", "account.mnemonic"))
		must(t, err)
		secrets["the words of "+o.Name] = strings.TrimSpace(string(words))
	}
	swarmKey, err := os.ReadFile(filepath.Join(publisher.Dir, "keys", "swarm.key"))
	must(t, err)
	secrets["the swarm key"] = strings.Split(strings.TrimSpace(string(swarmKey)), "\n")[2]

	t.Run("in no gossip message", func(t *testing.T) {
		// That the object's metadata was overheard shows that the listener hears.
		eventually(t, func() (bool, string) { return overheard.contains(id), "the announcement was not overheard" })
		for what, secret := range secrets {
			if overheard.contains(secret) || overheard.contains(base64.StdEncoding.EncodeToString([]byte(secret))) {
				t.Errorf("%s was overheard", what)
			}
		}
	})
	t.Run("in no block of the chain", func(t *testing.T) {
		found := l.event(t, txid)
		blocks := rawBlocks(t, l, found.Round-min(found.Round, 40), found.Round)
		if !bytes.Contains(blocks, []byte(directory)) {
			t.Fatal("the blocks don't even hold the NFT's URL")
		}
		for what, secret := range secrets {
			if bytes.Contains(blocks, []byte(secret)) {
				t.Errorf("the chain holds %s", what)
			}
		}
	})
	t.Run("in no file", func(t *testing.T) {
		publisher.stop()
		reader.stop()
		for _, o := range n.members {
			for what, secret := range secrets {
				for _, file := range grep(t, filepath.Dir(o.Dir), secret) {
					if filepath.Base(filepath.Dir(file)) != "keys" {
						t.Errorf("%s is in %s", what, file)
					}
				}
			}
		}
		if found := grep(t, publisher.Dir, "ALGORAND"); len(found) == 0 && len(grep(t, publisher.Dir, "algod_url")) == 0 {
			t.Error("the search finds nothing at all")
		}
	})
}

// recorder keeps what was overheard.
type recorder struct {
	mu       sync.Mutex
	messages [][]byte
}

func (r *recorder) contains(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, message := range r.messages {
		if bytes.Contains(message, []byte(text)) {
			return true
		}
	}
	return false
}

// listenAs takes part in the gossip with the keys of a member whose daemon doesn't run, and records every message.
func listenAs(t testing.TB, as, of *organisation, info control.ConsortiumInfo) *recorder {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(as.Dir, "keys", "peer.key"))
	must(t, err)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	must(t, err)
	key, err := p2pcrypto.UnmarshalPrivateKey(raw)
	must(t, err)
	swarmKey, err := os.Open(filepath.Join(as.Dir, "keys", "swarm.key"))
	must(t, err)
	defer swarmKey.Close()
	psk, err := pnet.DecodeV1PSK(swarmKey)
	must(t, err)
	host, err := libp2p.New(libp2p.Identity(key), libp2p.PrivateNetwork(psk), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	gossip, err := pubsub.NewGossipSub(ctx, host)
	must(t, err)
	topic, err := gossip.Join("/serviceledger/1/" + formatID(info.ID))
	must(t, err)
	subscription, err := topic.Subscribe()
	must(t, err)
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			message, err := subscription.Next(ctx)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.messages = append(r.messages, message.Data)
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		must(t, host.Close())
	})
	address := addressOf(t, of, info)
	eventually(t, func() (bool, string) {
		connectCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := host.Connect(connectCtx, address)
		return err == nil && len(topic.ListPeers()) > 0, "the listener is not in the mesh: " + errorText(err)
	})
	return r
}

// addressOf is where a running node listens, from the configuration that it was given.
func addressOf(t testing.TB, o *organisation, info control.ConsortiumInfo) peer.AddrInfo {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(o.Dir, "config.toml"))
	must(t, err)
	for line := range strings.Lines(string(config)) {
		address, found := strings.CutPrefix(line, `listen = ["`)
		if !found {
			continue
		}
		for _, m := range info.Members {
			if m.Name == o.Name {
				result, err := peer.AddrInfoFromString(strings.TrimSuffix(strings.TrimSpace(address), `"]`) + "/p2p/" + m.Peer)
				must(t, err)
				return *result
			}
		}
	}
	t.Fatalf("the address of %s is not known", o.Name)
	return peer.AddrInfo{}
}

// rawBlocks are blocks as algod gives them, in one piece.
func rawBlocks(t testing.TB, l *blockchain, first, last uint64) (all []byte) {
	t.Helper()
	client, err := algorand.NewAlgod(l.Algod, l.AlgodToken)
	must(t, err)
	for round := max(first, 1); round <= last; round++ {
		block, err := client.BlockRaw(round).Do(t.Context())
		must(t, err)
		all = append(all, block...)
	}
	return all
}
