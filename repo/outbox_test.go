package repo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

func newOutbox(t testing.TB, dir string) (*Outbox, func()) {
	t.Helper()
	s, err := openStore(dir, kv.Options{Key: make([]byte, 32), Durable: true, Create: true})
	must(t, err)
	o, err := openOutbox(s)
	must(t, err)
	return o, func() { must(t, s.close()) }
}

func submission(name string) Submission {
	return Submission{Item: Item{Key: []byte(name), ObjectID: name, Note: wire.Note{Kind: wire.KindObject}}, Payload: []byte("payload of " + name)}
}

func accept(t testing.TB, o *Outbox, names ...string) []Item {
	t.Helper()
	var submissions []Submission
	for _, name := range names {
		submissions = append(submissions, submission(name))
	}
	items, err := o.Accept(submissions)
	must(t, err)
	return items
}

// group signs items, as far as the outbox is concerned.
func group(t testing.TB, o *Outbox, items []Item) Group {
	t.Helper()
	items, err := o.Number(items)
	must(t, err)
	g := Group{Raw: []byte("signed"), FirstValid: 1, LastValid: 1000}
	for _, item := range items {
		g.TxIDs = append(g.TxIDs, fmt.Sprintf("TX-%s-%d", item.ObjectID, item.Note.Sequence))
	}
	groups, err := o.AddGroups([]Group{g}, items)
	must(t, err)
	return groups[0]
}

func queue(t testing.TB, o *Outbox, state State) []Item {
	t.Helper()
	items, err := o.Queue(state, 0, 1000)
	must(t, err)
	return items
}

func TestAnItemGoesFromAcceptedToConfirmed(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	items := queue(t, o, Accepted)
	if len(items) != 2 {
		t.Fatalf("%d items are accepted", len(items))
	}
	if payload, err := o.Payload(items[0].Number); err != nil || string(payload) != "payload of a" {
		t.Fatalf("payload %q, %v", payload, err)
	}
	must(t, o.SetStored(items))
	if _, err := o.Payload(items[0].Number); err == nil {
		t.Error("the plaintext is still there after the object was stored")
	}
	g := group(t, o, queue(t, o, Stored))
	if groups, err := o.Groups(0, 10); err != nil || len(groups) != 1 || !slices.Equal(groups[0].TxIDs, []string{"TX-a-1", "TX-b-2"}) {
		t.Fatalf("groups %+v, %v", groups, err)
	}
	confirmations := []Confirmation{{TxID: g.TxIDs[0], Round: 5, Asset: 100}, {TxID: g.TxIDs[1], Round: 5, Asset: 101}, {TxID: "SOMEBODY ELSE'S", Round: 5, Asset: 102}}
	confirmed, err := o.Confirm(confirmations)
	must(t, err)
	again, err := o.Confirm(confirmations)
	must(t, err)
	if len(confirmed) != 2 || len(again) != 0 || confirmed[1].Asset != 101 {
		t.Errorf("confirmed %+v, then %+v", confirmed, again)
	}
	if groups, err := o.Groups(0, 10); err != nil || len(groups) != 0 {
		t.Errorf("a confirmed group is kept: %+v, %v", groups, err)
	}
	if counts := o.Count(); counts[Accepted]+counts[Stored]+counts[Signed] != 0 {
		t.Errorf("something is queued still: %v", counts)
	}
}

func TestWhatIsPublishedAlreadyIsNotPublishedAgain(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	first := accept(t, o, "a")[0]
	if again := accept(t, o, "a", "a"); again[0].Number != first.Number || again[1].Number != first.Number {
		t.Errorf("the same key gave items %d and %d, want %d", again[0].Number, again[1].Number, first.Number)
	}
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	_, err := o.Confirm([]Confirmation{{TxID: g.TxIDs[0], Round: 5, Asset: 100}})
	must(t, err)
	if again := accept(t, o, "a")[0]; again.Number != first.Number || again.TxID != g.TxIDs[0] {
		t.Errorf("after its confirmation the key gave %+v", again)
	}
	must(t, o.Withdraw(g.TxIDs[0]))
	if again := accept(t, o, "a")[0]; again.Number == first.Number || again.Publication != 1 || again.State != Accepted {
		t.Errorf("after its withdrawal the key gave %+v, want a new publication", again)
	}
}

func TestAnExpiredGroupIsSignedAnewWithTheSameNumbers(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	must(t, o.Expire(g))
	items := queue(t, o, Stored)
	if len(items) != 2 || items[0].Note.Sequence != 1 || items[1].Note.Sequence != 2 || items[0].TxID != "" {
		t.Fatalf("after the expiry: %+v", items)
	}
	if _, err := o.Confirm([]Confirmation{{TxID: g.TxIDs[0], Round: 9, Asset: 9}}); err != nil {
		t.Fatal(err)
	}
	if items := queue(t, o, Stored); len(items) != 2 {
		t.Error("the old transaction of an expired group was taken for a confirmation")
	}
	again := group(t, o, items)
	if again.Number == g.Number || len(queue(t, o, Signed)) != 2 {
		t.Errorf("signed anew as %+v", again)
	}
}

// Whatever happens in whatever order, with the store closed and opened in between, every key has one item, numbers have
// no holes, and no item is lost.
func TestWhatIsGivenUpLeavesNothingBehindAndCanBePublishedAgain(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	items := accept(t, o, "a", "marking-definition--x")
	must(t, o.SetStored(items[:1]))
	numbered, err := o.Number(queue(t, o, Stored))
	must(t, err)
	g := group(t, o, numbered)
	if err := o.GiveUp(queue(t, o, Signed)[0], "too late"); err == nil {
		t.Fatal("what can be confirmed is given up")
	}
	must(t, o.Expire(g))
	must(t, o.GiveUp(queue(t, o, Stored)[0], "too wide"))
	must(t, o.GiveUp(queue(t, o, Accepted)[0], "too wide"))
	done()
	o, done = newOutbox(t, dir)
	defer done()
	if counts := o.Count(); counts[Accepted]+counts[Stored]+counts[Signed] != 0 {
		t.Errorf("%v wait", counts)
	}
	item, _, err := o.Find([]byte("a"))
	if err != nil || item.State != Withdrawn || item.Failure != "too wide" {
		t.Errorf("the item is %+v (%v)", item, err)
	}
	if _, err := o.Payload(items[1].Number); err == nil {
		t.Error("its content is kept")
	}
	if definitions, err := o.Markings("marking-definition--x", 10); err != nil || len(definitions) != 0 {
		t.Errorf("%d definitions are kept (%v)", len(definitions), err)
	}
	again := accept(t, o, "a")
	must(t, o.SetStored(again))
	numbered, err = o.Number(queue(t, o, Stored))
	must(t, err)
	if again[0].Publication != 1 || numbered[0].Note.Sequence != 1 {
		t.Errorf("published again it is number %d with the sequence number %d, want 1 and 1", again[0].Publication, numbered[0].Note.Sequence)
	}
}

func TestTheOutboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		o, done := newOutbox(t, dir)
		defer func() { done() }()
		expected := map[string]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "name")
				accept(t, o, name)
				expected[name] = true
			case 1:
				must(t, o.SetStored(queue(t, o, Accepted)))
			case 2:
				if stored := queue(t, o, Stored); len(stored) > 0 {
					group(t, o, stored[:rapid.IntRange(1, len(stored)).Draw(rt, "size")])
				}
			case 3, 4:
				groups, err := o.Groups(0, 100)
				must(t, err)
				if len(groups) == 0 {
					continue
				}
				g := rapid.SampledFrom(groups).Draw(rt, "group")
				if rapid.Bool().Draw(rt, "expires") {
					must(t, o.Expire(g))
					continue
				}
				var confirmations []Confirmation
				for i, txid := range g.TxIDs {
					confirmations = append(confirmations, Confirmation{TxID: txid, Round: 7, Asset: uint64(i)})
				}
				_, err = o.Confirm(confirmations)
				must(t, err)
			case 5:
				done()
				o, done = newOutbox(t, dir)
			}
		}
		states := map[State]int{}
		var sequences []uint64
		for n := uint64(1); n <= o.counters.Items; n++ {
			item, found, err := o.Item(n)
			must(t, err)
			if !found || !expected[item.ObjectID] {
				rt.Fatalf("item %d is %+v, %v", n, item, found)
			}
			delete(expected, item.ObjectID)
			states[item.State]++
			if item.Note.Sequence > 0 {
				sequences = append(sequences, item.Note.Sequence)
			}
			if item.State == Accepted {
				if _, err := o.Payload(n); err != nil {
					rt.Fatalf("item %d is accepted but %v", n, err)
				}
			}
		}
		if len(expected) > 0 {
			rt.Fatalf("lost: %v", expected)
		}
		slices.Sort(sequences)
		for i, s := range sequences {
			if s != uint64(i+1) {
				rt.Fatalf("sequence numbers %v have a hole or a double", sequences)
			}
		}
		counts := o.Count()
		for _, state := range []State{Accepted, Stored, Signed} {
			if counts[state] != states[state] {
				rt.Fatalf("%d items are in the queue of %v, %d in that state", counts[state], state, states[state])
			}
		}
	})
}

func TestAStatusIsKeptWithItsItems(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	item := accept(t, o, "a")[0]
	must(t, o.AddStatus(Status{ID: "s", Root: "acme", User: "ann", Requested: monday, Lines: []StatusLine{
		{ObjectID: "a", Item: item.Number}, {ObjectID: "b", Failure: "refused"},
	}}))
	s, items, found, err := o.Status("s")
	must(t, err)
	if !found || s.User != "ann" || len(s.Lines) != 2 || items[item.Number].ObjectID != "a" || !s.Requested.Equal(monday) {
		t.Errorf("read %+v with %+v, %v", s, items, found)
	}
	if _, _, found, err := o.Status("another"); err != nil || found {
		t.Errorf("a status that nobody made: %v, %v", found, err)
	}
}

func newRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	config := DefaultConfig()
	config.Organisation.Name, config.Organisation.Title = "acme", `ACME "CERT"`
	_, err := Init(dir, config, "")
	must(t, err)
	return openRepo(t, dir)
}

func openRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := Open(dir, nil)
	must(t, err)
	return r
}

func TestARepositoryIsUsedByOneAtATime(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "is a daemon running?") {
		t.Errorf("opened twice: %v", err)
	}
	must(t, r.Close())
	must(t, openRepo(t, dir).Close())
}

func TestKeysStayTheSameAndAreForTheOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	address, peerKey, recipient := r.Keys.Address(), r.Keys.Peer, r.Keys.Identity.Recipient()
	must(t, r.Close())
	if _, err := Init(dir, r.Config, ""); err == nil || !strings.Contains(err.Error(), ErrExists.Error()) {
		t.Errorf("initialised twice: %v", err)
	}
	r = openRepo(t, dir)
	if r.Keys.Address() != address || !r.Keys.Peer.Equals(peerKey) || r.Keys.Identity.Recipient() != recipient {
		t.Error("the keys have changed")
	}
	must(t, r.Close())
	files, err := os.ReadDir(filepath.Join(dir, "keys"))
	must(t, err)
	for _, file := range files {
		info, err := file.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", file.Name(), info.Mode().Perm())
		}
	}
	must(t, os.Chmod(filepath.Join(dir, "keys", accountFile), 0o644))
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a key file that all can read: %v", err)
	}
}

func TestADamagedKeyIsNamedButNotShown(t *testing.T) {
	dir := t.TempDir()
	must(t, newRepo(t, dir).Close())
	for _, name := range []string{accountFile, peerFile, identityFile, storeFile} {
		path := filepath.Join(dir, "keys", name)
		good, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte("hunter2"), 0o600))
		_, err = Open(dir, nil)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s damaged: %v", name, err)
		}
		must(t, os.WriteFile(path, good, 0o600))
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, newRepo(t, dir).Close())
	must(t, os.WriteFile(versionPath(dir), []byte("3\n"), 0o600))
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), `version "3"`) {
		t.Errorf("opened another version: %v", err)
	}
	if _, err := Open(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "slnode init") {
		t.Errorf("opened an empty folder: %v", err)
	}
}

func TestPlaintextIsInNoFile(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	marker := "MARKER-8f2b1d"
	accept(t, r.Outbox, marker)
	c := &chain{}
	e := c.event()
	publish(t, r.View, e, entryOf(e, collectionA, "malware-1", monday, marker))
	_, err := r.Accounts.Add("ann", marker, "reader", Limits{}, false, monday)
	must(t, err)
	must(t, r.Close())
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), marker) {
			t.Errorf("%s contains plaintext", path)
		}
		return err
	}))
}

func TestTheConfigFileIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	defer func() { must(t, r.Close()) }()
	want := DefaultConfig()
	want.Organisation.Name, want.Organisation.Title = "acme", `ACME "CERT"`
	want.IPFS.Announce = []string{}
	if fmt.Sprintf("%+v", r.Config) != fmt.Sprintf("%+v", want) {
		t.Errorf("read\n%+v\nwant\n%+v", r.Config, want)
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	dir := t.TempDir()
	must(t, newRepo(t, dir).Close())
	good, err := os.ReadFile(configPath(dir))
	must(t, err)
	for change, want := range map[[2]string]string{
		{"listen = \"127.0.0.1:9440\"", "listen = \"nowhere\""}: "taxii.listen",
		{"publish_wait", "publish_weight"}:                      "taxii.publish_weight is not known",
		{"name = \"acme\"", "name = \"ACME\""}:                  "organisation.name",
		{"level = \"info\"", "level = \"loud\""}:                "log.level",
		{"max_fee = 10000", "max_fee = 1"}:                      "algorand.max_fee",
		{"poll = \"5s\"", "poll = \"often\""}:                   "often",
	} {
		must(t, os.WriteFile(configPath(dir), []byte(strings.Replace(string(good), change[0], change[1], 1)), 0o600))
		if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to name %s", change[1], err, want)
		}
	}
}

func TestTheEnvironmentOverridesTheConfigFile(t *testing.T) {
	dir := t.TempDir()
	must(t, newRepo(t, dir).Close())
	c, err := loadConfig(configPath(dir), []string{
		"SLNODE_ALGORAND_ALGOD_TOKEN=secret", "SLNODE_TAXII_PUBLISH_WAIT=1m", "SLNODE_IPFS_LISTEN=/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2",
		"SLNODE_ALGORAND_MAX_FEE=2000", "HOME=/nowhere",
	})
	must(t, err)
	if c.Algorand.AlgodToken != "secret" || c.TAXII.PublishWait.Duration != time.Minute || len(c.IPFS.Listen) != 2 || c.Algorand.MaxFee != 2000 {
		t.Errorf("got %+v", c)
	}
	if _, err := loadConfig(configPath(dir), []string{"SLNODE_ALGORAND_MAX_FEE=much"}); err == nil || !strings.Contains(err.Error(), "SLNODE_ALGORAND_MAX_FEE") {
		t.Errorf("a value that isn't one: %v", err)
	}
}

func BenchmarkAccept(b *testing.B) {
	o, done := newOutbox(b, b.TempDir())
	defer done()
	n := 0
	for b.Loop() {
		var submissions []Submission
		for range 1000 {
			n++
			s := submission(fmt.Sprintf("indicator--%08d-17d4-4cbf-938f-98ee46b3cd3f", n))
			s.Payload = make([]byte, 1000)
			submissions = append(submissions, s)
		}
		_, err := o.Accept(submissions)
		must(b, err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "objects/s")
}

func TestASigningIsConfirmedWhicheverItWas(t *testing.T) {
	for _, confirmed := range []string{"TX-a-1", "DEARER"} {
		o, done := newOutbox(t, t.TempDir())
		accept(t, o, "a")
		must(t, o.SetStored(queue(t, o, Accepted)))
		g := group(t, o, queue(t, o, Stored))
		resigned, found, err := o.Resign(g.Number, []string{"DEARER"}, []byte("signed anew"))
		if err != nil || !found || len(resigned.Signings()) != 2 || string(resigned.Raw) != "signed anew" {
			t.Fatalf("signed anew: %+v, %t, %v", resigned, found, err)
		}
		if item := queue(t, o, Signed)[0]; item.TxID != "DEARER" {
			t.Errorf("the item's transaction is %s", item.TxID)
		}
		items, err := o.Confirm([]Confirmation{{TxID: confirmed, Round: 7, Asset: 8}})
		if err != nil || len(items) != 1 || items[0].TxID != confirmed || items[0].Asset != 8 {
			t.Errorf("%s is confirmed: %+v, %v", confirmed, items, err)
		}
		if again, err := o.Confirm([]Confirmation{{TxID: "TX-a-1", Round: 9}, {TxID: "DEARER", Round: 9}}); err != nil || len(again) != 0 {
			t.Errorf("confirmed twice: %+v, %v", again, err)
		}
		if groups, err := o.Groups(0, 10); err != nil || len(groups) != 0 {
			t.Errorf("groups %+v, %v", groups, err)
		}
		if _, found, err := o.Resign(g.Number, []string{"X"}, nil); err != nil || found {
			t.Errorf("what is confirmed is signed anew: %t, %v", found, err)
		}
		done()
	}
}

func TestWhatExpiredIsForgottenWithAllItsSignings(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	g, _, err := o.Resign(g.Number, []string{"A2", "B2"}, []byte("2"))
	must(t, err)
	g, _, err = o.Resign(g.Number, []string{"A3", "B3"}, []byte("3"))
	must(t, err)
	must(t, o.Expire(g))
	for _, txids := range g.Signings() {
		for _, txid := range txids {
			if _, found, err := o.ItemByTxID(txid); err != nil || found {
				t.Errorf("%s is still known: %t, %v", txid, found, err)
			}
		}
	}
	if got := queue(t, o, Stored); len(got) != 2 || got[0].Note.Sequence != 1 {
		t.Errorf("stored: %+v", got)
	}
}

func TestRecordsComeFirstAndInTheirOrder(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	var submissions []Submission
	for i, note := range []wire.Note{
		{Kind: wire.KindObject}, {Kind: wire.KindMember}, {Kind: wire.KindObject}, {Kind: wire.KindCollection}, {Kind: wire.KindRotation},
		{Kind: wire.KindKeyring}, {Kind: wire.KindRemoval, Asset: 7}, {Kind: wire.KindRemoval}, {Kind: wire.KindDestroy}, {Kind: wire.KindAmendment},
	} {
		item := Item{Key: []byte{byte(i)}, Note: note}
		if note.Kind == wire.KindObject || note.Kind == wire.KindDestroy || note.Asset != 0 {
			item.User = "somebody"
		}
		submissions = append(submissions, Submission{Item: item})
	}
	_, err := o.Accept(submissions)
	must(t, err)
	var kinds []wire.Kind
	for _, item := range queue(t, o, Stored)[:6] {
		kinds = append(kinds, item.Note.Kind)
	}
	if want := []wire.Kind{wire.KindMember, wire.KindCollection, wire.KindRotation, wire.KindKeyring, wire.KindRemoval, wire.KindAmendment}; !slices.Equal(kinds, want) {
		t.Errorf("first come %v, want %v", kinds, want)
	}
}
