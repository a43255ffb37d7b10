package testnet

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// latency asks a node for a page again and again until the returned function is called, and tells the longest that it
// took.
func (o *organisation) latency(path string) (longest func() time.Duration) {
	o.t.Helper()
	o.client() // signs up
	var most time.Duration
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			began := time.Now()
			request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.Daemon.TAXII+path, nil)
			if err != nil {
				return
			}
			request.SetBasicAuth(o.User, o.Password)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				continue
			}
			response.Body.Close()
			most = max(most, time.Since(began))
		}
	}()
	end := sync.OnceValue(func() time.Duration {
		close(stop)
		<-done
		return most
	})
	o.t.Cleanup(func() { end() })
	return end
}

// folded waits until a node has folded everything that is on the chain, and nothing fresh waits there.
func (o *organisation) folded(marker int) {
	o.t.Helper()
	o.shows(o.collectionID(), indicator(marker))
}

func (o *organisation) collectionID() string {
	o.t.Helper()
	for _, c := range o.consortium().Collections {
		if c.Default {
			return c.ID
		}
	}
	o.t.Fatal("there is no default collection")
	return ""
}

// Two collections that begin alike, and objects in them that are alike: what was served of everything is served, after
// some were withdrawn, too, and webhooks go on.
func TestHostileTwinsInTheView(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	hook, err := os.OpenFile(filepath.Join(bravo.Dir, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = fmt.Fprintf(hook, "\n[[webhook]]\nname = \"siem\"\nurl = \"http://127.0.0.1:9/\"\nsecret = \"whsec_%s\"\nallow_private = true\n",
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)))
	must(t, err)
	must(t, hook.Close())
	bravo.stop()
	bravo.start()
	mallory := n.hostile("mallory", enoughAlgo)
	id := uuid.NewString()
	twins := []consortium.Collection{mallory.collection(id), mallory.collection(id[:8] + uuid.NewString()[8:])}
	now := time.Now()
	draft := func(in consortium.Collection, text string) consortium.Draft {
		object := fmt.Sprintf(`{"type":"software","spec_version":"2.1","id":"software--8e3a7d2c-5a1b-5f0e-9c3d-0123456789ab","name":%q}`, text)
		d, err := consortium.DraftObject(mallory.Consortium.ID, in, "software--8e3a7d2c-5a1b-5f0e-9c3d-0123456789ab", "", true, []byte(object), now)
		must(t, err)
		return d
	}
	minted := mallory.publish(draft(twins[0], "a"), draft(twins[1], "a"), draft(twins[0], "b"), draft(twins[1], "b"))
	alpha.post(n.collection, indicator(1))
	for _, o := range n.members {
		o.shows(n.collection, indicator(1))
		eventually(t, func() (bool, string) {
			list, err := o.at("consortium", everythingOf(o))
			return err == nil && len(list) == 5, fmt.Sprintf("everything at %s: %d objects, %s", o.Name, len(list), errorText(err))
		})
	}
	for withdrawn, one := range minted {
		destroys, err := mallory.Destroys(one)
		must(t, err)
		mallory.mint(destroys...)
		for _, o := range n.members {
			eventually(t, func() (bool, string) {
				list, err := o.at("consortium", everythingOf(o))
				return err == nil && len(list) == 4-withdrawn, fmt.Sprintf("everything at %s: %d objects, %s", o.Name, len(list), errorText(err))
			})
		}
	}
	alpha.post(n.collection, indicator(2))
	for _, o := range n.members {
		o.folded(2)
	}
	bravo.stop() // it ends well: it has not ended before
	bravo.start()
	bravo.folded(2)
}

// everythingOf is the id of a node's collection of everything.
func everythingOf(o *organisation) string {
	o.t.Helper()
	_, _, body := o.get("/consortium/collections/")
	_, rest, _ := strings.Cut(body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// strangersKeyring is a record of keyrings that are for nobody here, as large as one may be.
func strangersKeyring(t testing.TB, collection string, size int) []byte {
	t.Helper()
	strangers := make([]string, 1000)
	for i := range strangers {
		if i >= 16 { // making keys takes longer than sealing to them
			strangers[i] = strangers[i%16]
			continue
		}
		identity, err := seal.NewIdentity()
		must(t, err)
		strangers[i] = identity.Recipient()
	}
	var keyrings [][]byte
	for length := 0; ; {
		keyring, err := seal.SealTo(strangers, []byte(`{"collection":"`+collection+`","epochs":[]}`))
		must(t, err)
		if length += len(keyring) * 4 / 3; length > size-4096 || len(keyrings) == 64 {
			break
		}
		keyrings = append(keyrings, keyring)
	}
	payload, err := wire.KeyringRecord{Collection: collection, Keyrings: keyrings}.Encode()
	must(t, err)
	return payload
}

// Records as large as can be, one of them named by many NFTs: they take little memory, while they are read and after
// each start, and nobody who reads waits for them.
func TestHostileRecords(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	own := mallory.collection(uuid.NewString())
	measured, longest := bravo.watch(), bravo.latency("/"+bravo.Name+"/collections/")

	var mints []ledger.Mint
	payload := strangersKeyring(t, own.ID, wire.MaxKeyrings)
	for range 4 { // different ones: the white space at the end counts
		payload = append(payload, ' ')
		_, mint := mallory.record(wire.Note{Kind: wire.KindKeyring, Collection: own.ID}, 0, payload)
		mints = append(mints, mint)
	}
	// The largest directory that there is, as a record of many NFTs.
	giant, _ := mallory.record(wire.Note{Kind: wire.KindKeyring, Collection: own.ID}, 0, bytes.Repeat([]byte(" "), wire.MaxObject))
	giants, err := mallory.NFTs(40, wire.Note{Kind: wire.KindKeyring, Collection: own.ID}, giant)
	must(t, err)
	// Properties as large as they may be, in collections that are for everybody.
	everybody := wire.Accounts{Members: true}
	for range 60 {
		key, err := seal.NewEpochKey()
		must(t, err)
		properties := wire.Collection{Title: "Large", Readers: everybody, DefaultLevel: "green", Metadata: wire.MetadataOpen,
			Contributors: wire.Accounts{Named: slices.Repeat([]string{mallory.Address()}, 1000)}}
		draft, err := consortium.DraftCollection(mallory.Consortium.ID, uuid.NewString(), 1, properties, map[uint32]*seal.EpochKey{1: key}, mallory.recipients(), time.Now())
		must(t, err)
		d, err := mallory.DirectoryOf(draft)
		must(t, err)
		mallory.Serve(d)
		mint, err := mallory.NFT(draft.Note, d)
		must(t, err)
		mints = append(mints, mint)
	}
	mallory.mint(append(mints, giants...)...)
	began := time.Now()
	alpha.post(n.collection, indicator(1))
	bravo.folded(1)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("an object of another member took %s", took)
	}
	eventually(t, func() (bool, string) {
		s := bravo.status()
		return s.View.Waiting == 0, fmt.Sprintf("%d events wait", s.View.Waiting)
	})
	measured().within(t, bravo, 400, 2*time.Minute)
	if took := longest(); took > 3*time.Second {
		t.Errorf("a reader waited %s", took)
	}

	bravo.stop()
	began = time.Now()
	bravo.start()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the start took %s", took)
	}
	measured = bravo.watch()
	alpha.post(n.collection, indicator(2))
	bravo.folded(2)
	measured().within(t, bravo, 250, 30*time.Second)
}
