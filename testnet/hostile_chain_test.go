package testnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// between starts a gateway in front of a server, which notes what it is asked.
func between(t testing.TB, server string) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(server)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

// Its notes name an account of somebody else, with a history as long as an exchange's: nobody reads that.
func TestHostileNotesThatNameABusyAccount(t *testing.T) {
	l := newChain(t)
	if l.dev == nil {
		t.Skip("on a real network so many rounds take too long")
	}
	n := newNetwork(t, l, "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	other := crypto.GenerateAccount()
	busy := other.Address.String()
	unconsented := wire.Note{Kind: wire.KindRotation, Account: busy, Former: mallory.Address(), PeerDigest: wire.PeerDigest(mallory.Host.ID().String())}
	forged, err := unconsented.WithConsent(mallory.Consortium.ID, mallory.Keys.Account.PrivateKey)
	must(t, err)
	elsewhere, err := unconsented.WithConsent(mallory.Consortium.ID+1, other.PrivateKey)
	must(t, err)
	var mints []ledger.Mint
	for _, note := range []wire.Note{
		{Kind: wire.KindMember, Account: busy}, {Kind: wire.KindAmendment, Account: busy}, {Kind: wire.KindRemoval, Account: busy}, unconsented, forged, elsewhere,
		{Kind: wire.KindRotation, Account: mallory.Address(), Former: busy, PeerDigest: unconsented.PeerDigest},
	} {
		_, mint := mallory.record(note, 0, []byte("{}"))
		mints = append(mints, mint)
	}
	mallory.mint(mints...)
	n.quickly(1, 20*time.Second)

	// The same, as history: so long ago that it is read account by account.
	indexer := between(t, n.Indexer)
	bravo.stop()
	l.advance(t, 2000)
	must(t, os.RemoveAll(filepath.Join(bravo.Dir, "view")))
	bravo.start("SLNODE_ALGORAND_INDEXER_URL=" + indexer.URL())
	n.quickly(2, 20*time.Second)
	if asked := indexer.Requests(mallory.Address()); len(asked) == 0 {
		t.Error("the history of a member is not read")
	}
	if asked := indexer.Requests(busy); len(asked) > 0 {
		t.Errorf("somebody else's history is read: %d requests, first %+v", len(asked), asked[0])
	}
	for _, o := range n.members {
		list := o.consortium().Members
		if len(list) != 3 || slices.ContainsFunc(list, func(m members.Info) bool { return m.Account == busy }) {
			t.Errorf("%s: the members are %+v", o.Name, list)
		}
	}
}

// It leaves sequence numbers out, as many as it likes: algod is asked for blocks about all of them together.
func TestHostileGapsInNumbers(t *testing.T) {
	l := newChain(t)
	if l.dev == nil {
		t.Skip("on a real network so many rounds take too long")
	}
	n := newNetwork(t, l, "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	mallory := n.hostile("mallory", 500*110_000+enoughAlgo)
	algod := between(t, l.direct.Algod)
	bravo.stop()
	bravo.start("SLNODE_ALGORAND_ALGOD_URL=" + algod.URL())
	measured := bravo.watch()
	mints := mallory.absent(200)
	for i := range mints {
		note, err := mallory.Note(wire.Note{Kind: wire.KindObject, Sequence: uint64(10 + 3*i)})
		must(t, err)
		mints[i].Note = note
	}
	mallory.mint(mints...)
	n.quickly(1, 15*time.Second)
	first := l.round(t)
	l.advance(t, 100)
	alpha.post(n.collection, indicator(2))
	bravo.folded(2)
	eventually(t, func() (bool, string) {
		asked := len(algod.Requests("^GET /v2/blocks/"))
		return asked > 50, fmt.Sprintf("%d blocks of %d rounds are asked for", asked, first)
	})
	time.Sleep(20 * time.Second) // nothing more comes: there is no condition to wait for
	blocks := len(algod.Requests("^GET /v2/blocks/"))
	t.Logf("%d blocks were asked for, of %d rounds", blocks, l.round(t))
	if most := 2 * int(l.round(t)); blocks > most {
		t.Errorf("%d blocks were asked for, at most %d may be", blocks, most)
	}
	if missing := bravo.status().Missing; len(missing) == 0 || len(missing) > 128 {
		t.Errorf("%d gaps are shown", len(missing))
	}
	measured().within(t, bravo, 250, time.Minute)
}

// Notes that only look like ours, thousands of them: they are counted, and fill no log.
func TestHostileNotesThatAreMalformed(t *testing.T) {
	const count = 2000
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", count*110_000+enoughAlgo)
	before, err := os.Stat(bravo.Log)
	must(t, err)
	measured := bravo.watch()
	prefix := wire.NotePrefix(mallory.Consortium.ID)
	bodies := []string{
		"", "{", "[]", `{"v":1}`, `{"v":2,"k":"object","s":1}`, `{"v":1,"k":"member","s":1,"a":"x"}`, `{"v":1,"v":1,"k":"object","s":1}`, `{"v":1,"k":"object","s":-1}`,
		`{"v":1,"k":"` + strings.Repeat("k", 900) + `","s":1}`, strings.Repeat("[", 900), "\xff\xfe", "msg=\"forged\"\nlevel=ERROR",
	}
	mints := mallory.absent(count)
	for i := range mints {
		mints[i].Note = append(slices.Clone(prefix), bodies[i%len(bodies)]...)
	}
	for i := range 64 { // and other things about them that don't fit
		note, err := mallory.Note(wire.Note{Kind: wire.KindObject})
		must(t, err)
		mints[i].Note = note
		switch i % 3 {
		case 0:
			mints[i].URL = "https://example.com/"
		case 1:
			mints[i].URL = "ipfs://" + strings.Repeat("b", 80)
		case 2:
			mints[i].MetadataHash = [32]byte(bytes.Repeat([]byte{7}, 32))
		}
	}
	mallory.mint(mints...)
	n.quickly(1, 20*time.Second)
	if counted := bravo.status().Watching.Malformed; counted == 0 {
		t.Error("none was counted")
	}
	log, err := os.ReadFile(bravo.Log)
	must(t, err)
	if lines := bytes.Count(log[before.Size():], []byte("a transaction does not count")); lines == 0 || lines > 10 {
		t.Errorf("the log has %d lines about them", lines)
	}
	if slices.Contains(grep(t, filepath.Dir(bravo.Log), "\nlevel=ERROR"), bravo.Log) {
		t.Error("a note writes a line of its own into the log")
	}
	measured().within(t, bravo, 250, time.Minute)
}

// The largest object that there is, under many NFTs: it is looked at once.
func TestHostileDirectoryUnderManyNFTs(t *testing.T) {
	const count = 1000
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", count*110_000+enoughAlgo)
	c := mallory.learn()
	object := strings.Replace(indicator(7), `"name"`, `"description":"`+strings.Repeat("x", 7<<20)+`","name"`, 1)
	var mints []ledger.Mint
	for _, draft := range []string{object, strings.Repeat("[", 7<<20)} { // one that is an object, and one that is none
		d, err := mallory.DirectoryOf(mallory.object(c, indicatorID(7), "2026-01-02T03:04:05.678Z", draft))
		must(t, err)
		mallory.Serve(d)
		some, err := mallory.NFTs(count/2, wire.Note{Kind: wire.KindObject}, d)
		must(t, err)
		mints = append(mints, some...)
	}
	measured := bravo.watch()
	mallory.mint(mints...)
	n.quickly(100, 20*time.Second)
	bravo.shows(n.collection, object, indicator(100))
	eventually(t, func() (bool, string) {
		s := bravo.status()
		return s.View.Waiting == 0, fmt.Sprintf("%d events wait", s.View.Waiting)
	})
	measured().within(t, bravo, 350, 40*time.Second)
}
