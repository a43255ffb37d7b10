package repo

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/archive"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// collectionA is where [publish] publishes.
const collectionA = "6f2c9e0e-3a1b-4c58-9d67-1f0b8a7c5e42"

func submission(name string) outbox.Submission {
	item := outbox.Item{Key: []byte(name), ObjectID: name, Note: wire.Note{Kind: wire.KindObject}}
	return outbox.Submission{Item: item, Payload: []byte("payload of " + name)}
}

func accept(t testing.TB, o *outbox.Outbox, names ...string) []outbox.Item {
	t.Helper()
	var submissions []outbox.Submission
	for _, name := range names {
		submissions = append(submissions, submission(name))
	}
	items, err := o.Accept(submissions)
	must(t, err)
	return items
}

// group signs items, as far as the outbox is concerned.
func group(t testing.TB, o *outbox.Outbox, items []outbox.Item) outbox.Group {
	t.Helper()
	items, err := o.Number(items)
	must(t, err)
	g := outbox.Group{Raw: []byte("signed"), FirstValid: 1, LastValid: 1000}
	for _, item := range items {
		g.TxIDs = append(g.TxIDs, fmt.Sprintf("TX-%s-%d", item.ObjectID, item.Note.Sequence))
	}
	groups, err := o.AddGroups([]outbox.Group{g}, items)
	must(t, err)
	return groups[0]
}

func queue(t testing.TB, o *outbox.Outbox, state outbox.State) []outbox.Item {
	t.Helper()
	items, err := o.Queue(state, 0, 1000)
	must(t, err)
	return items
}

// publish brings an object all the way into the view, as what the chain has in a round.
func publish(t testing.TB, v *view.View, round uint64, id, content string) {
	t.Helper()
	txid := fmt.Sprintf("TX%d", round)
	must(t, v.Append([]view.NewEvent{{Effect: consortium.Object, Event: consortium.Event{
		Position: consortium.Position{Round: round}, TxID: txid, Sender: "PUBLISHER", Asset: 1000 + round,
		Note: wire.Note{Kind: wire.KindObject, Sequence: round}, Directory: "bafy",
	}}}, nil))
	logged, found, err := v.Event(txid)
	must(t, err)
	if !found {
		t.Fatalf("event %s was appended but is not there", txid)
	}
	must(t, v.Settle([]view.Outcome{{Event: logged, State: view.InView, Entry: &view.Entry{
		Collection: collectionA, ID: id, Type: "indicator", Version: wire.FormatTime(monday), Instant: monday, Hash: []byte(content[:min(32, len(content))]),
		Position: logged.Position, Publisher: logged.Sender, TxID: txid, Asset: 1000 + round, Object: []byte(content),
	}}}))
}

func says(passphrase string) keys.Passphrase {
	return func() (string, error) { return passphrase, nil }
}

// sealCheaply seals the keys of a repository in a way that costs a test no time.
func sealCheaply(t testing.TB, dir, passphrase string) {
	t.Helper()
	files, err := keys.Files(keysPath(dir))
	must(t, err)
	recipient, err := age.NewScryptRecipient(passphrase)
	must(t, err)
	recipient.SetWorkFactor(10)
	file, err := os.OpenFile(filepath.Join(keysPath(dir), "sealed.age"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	sealed, err := age.Encrypt(file, recipient)
	must(t, err)
	out := archive.NewWriter(sealed)
	for name, content := range files {
		must(t, out.Add(name, content))
	}
	must(t, out.Close())
	must(t, sealed.Close())
	must(t, file.Close())
}

func namesIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
