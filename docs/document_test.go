// Package docs_test holds docs/PROTOCOL.md to the code: the values that the document names are computed anew, and the
// files of docs/vectors go through the packages of the node, and through a libp2p host that knows only the document.
package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/wire"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// document is the text of PROTOCOL.md.
func document(t *testing.T) string {
	t.Helper()
	return string(must[[]byte](t)(os.ReadFile("PROTOCOL.md")))
}

// mustSay fails unless the document says something word for word.
func mustSay(t *testing.T, what, value string) {
	t.Helper()
	if value == "" || !strings.Contains(document(t), value) {
		t.Errorf("PROTOCOL.md does not say that %s is %s", what, value)
	}
}

// block is the content of a code block of the document, by the second word of its info string.
func block(t *testing.T, name string) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```[a-z]+ " + regexp.QuoteMeta(name) + "\n(.*?)^```$").FindStringSubmatch(document(t))
	if found == nil {
		t.Fatalf("PROTOCOL.md has no block %q", name)
	}
	return found[1]
}

// Whoever adds a property or a kind finds out here that the document wants a row for it.
func TestTheDocumentNamesEveryKindAndProperty(t *testing.T) {
	for _, kind := range []wire.Kind{
		wire.KindCharter, wire.KindAmendment, wire.KindMember, wire.KindRemoval, wire.KindCollection, wire.KindKeyring, wire.KindObject, wire.KindDestroy, wire.KindBatch, wire.KindRelease,
		wire.KindRotation, wire.KindInvite, wire.KindProposal,
	} {
		mustSay(t, "a kind", "`"+string(kind)+"`")
	}
	for _, form := range []any{
		wire.Note{}, wire.Metadata{}, wire.Properties{}, wire.SealedObject{}, wire.Charter{}, wire.Member{}, wire.Signatures{},
		wire.CollectionRecord{}, wire.KeyringRecord{}, wire.Keyring{}, wire.KeyringEpoch{}, wire.Collection{}, wire.Accounts{}, wire.Invite{},
		wire.Amendment{}, wire.Quorum{}, wire.Removal{}, wire.Rotation{}, wire.Proposal{}, wire.Batch{},
	} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(form)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			mustSay(t, fmt.Sprintf("a property of %T", form), "`"+name+"`")
		}
	}
}

// vector is a file of the worked example.
func vector(t *testing.T, name ...string) []byte {
	t.Helper()
	return must[[]byte](t)(os.ReadFile(filepath.Join(append([]string{"vectors"}, name...)...)))
}

// exampleKeys is keys.json.
type exampleKeys struct {
	Acme, Borealis struct {
		AccountSeed string `json:"account_seed"`
		Account     string `json:"account"`
		PeerSeed    string `json:"peer_seed"`
		Peer        string `json:"peer"`
		Identity    string `json:"identity"`
		Recipient   string `json:"recipient"`
	}
	Epoch1      string `json:"epoch_1"`
	SwarmKey    string `json:"swarm_key"`
	GenesisID   string `json:"genesis_id"`
	GenesisHash []byte `json:"genesis_hash"`
	Consortium  uint64 `json:"consortium"`
	Charter     string `json:"charter_txid"`
}

func keys(t *testing.T) exampleKeys {
	t.Helper()
	var k exampleKeys
	if err := json.Unmarshal(vector(t, "keys.json"), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// transaction is one of transactions.json. Its name is that of the directory with its files.
type transaction struct {
	Name    string          `json:"name"`
	Raw     []byte          `json:"raw"`     // signed, in msgpack
	Indexer json.RawMessage `json:"indexer"` // as an indexer tells it
}

func transactions(t *testing.T) []transaction {
	t.Helper()
	var list []transaction
	if err := json.Unmarshal(vector(t, "transactions.json"), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 11 {
		t.Fatalf("%d transactions", len(list))
	}
	return list
}
