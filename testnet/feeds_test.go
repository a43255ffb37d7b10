package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// feedFrom makes a feed of one organisation from another's node, with the account that the other's tests use.
func (o *organisation) feedFrom(name string, source *organisation, collection string, options ...string) {
	o.t.Helper()
	source.client() // signs the account up
	password := filepath.Join(o.t.TempDir(), "password")
	must(o.t, os.WriteFile(password, []byte(source.Password+"\n"), 0o600))
	o.cli(append([]string{"feed", "add", name, "http://" + source.Daemon.TAXII + "/" + source.Name + "/", "--collection", collection,
		"--user", source.User, "--password", "file:" + password, "--max-objects", "1000", "--start"}, options...)...)
}

func (o *organisation) runFeed(name string, options ...string) feeds.Report {
	o.t.Helper()
	return cliJSON[feeds.Report](o, append([]string{"feed", "run", name}, options...)...)
}

// tryCollection reads a collection under the API root of its owner.
func (o *organisation) tryCollection(root, collection string) (list []string, err error) {
	for page, err := range o.client().Objects(o.t.Context(), "/"+root+"/", collection, taxii.Filter{}) {
		if err != nil {
			return nil, err
		}
		for _, object := range page.Objects {
			list = append(list, string(object))
		}
	}
	return list, nil
}

func TestAFeedBringsWhatAnotherConsortiumPublished(t *testing.T) {
	t.Parallel()
	chain := newChain(t)
	n, other := newNetwork(t, chain, "alpha", "bravo"), newNetwork(t, chain, "xenon")
	alpha, bravo, xenon := n.members[0], n.members[1], other.members[0]
	xenon.post(other.collection, indicators(0, 30)...)
	xenon.shows(other.collection, indicators(0, 30)...)
	alpha.post(n.collection, indicators(0, 5)...) // which alpha has already
	alpha.shows(n.collection, indicators(0, 5)...)

	// The schedule would bring the objects before the test has looked: this feed begins with a type that isn't there.
	alpha.feedFrom("later", xenon, other.collection, "--interval", "24h", "--types", "malware", "--page-size", "7")
	trial := cliJSON[feeds.Trial](alpha, "feed", "test", "later")
	if !trial.Trial.Source.Reached || trial.Trial.New != 0 || trial.Trial.Problem != "" {
		t.Errorf("the test of a feed says %+v", trial)
	}
	alpha.cli("feed", "remove", "later")

	alpha.stop() // commands run the node themselves, and no schedule
	alpha.configure("feeds = \"batch\"", "feeds = \"single\"")
	alpha.feedFrom("xenon", xenon, other.collection, "--interval", "24h", "--page-size", "7", "--max-algo", "2.03")
	trial = cliJSON[feeds.Trial](alpha, "feed", "test", "xenon")
	if trial.Trial.New != 16 || trial.Trial.Known != 5 || trial.Trial.Problem != "" || trial.Into == "" {
		t.Errorf("the test of a feed says %+v %+v", trial, trial.Trial.Report)
	}
	if out := alpha.cli("feed", "test", "xenon"); !strings.Contains(out, "reached") || strings.Contains(out, xenon.Password) {
		t.Errorf("the test of a feed prints %s", out)
	}
	first := alpha.runFeed("xenon")
	if first.New != 20 || first.Known != 5 || !first.Rest {
		t.Errorf("the first run: %+v", first)
	}
	alpha.start()
	bravo.shows(n.collection, indicators(0, 25)...)
	eventually(t, func() (bool, string) { // the daemon begins with a run
		list := cliJSON[[]feeds.Info](alpha, "feed", "list")
		return len(list) == 1 && list[0].Last != nil && list[0].Last.Problem == "" && !list[0].Last.Rest, alpha.cli("feed", "list")
	})
	bravo.shows(n.collection, indicators(0, 30)...)
	if log := alpha.cli("audit-log", "--json", "--user", "feed xenon"); !strings.Contains(log, `"event":"publish"`) || !strings.Contains(log, n.collection) {
		t.Errorf("what the feed published is not in the audit log: %s", log)
	}
	if again := alpha.runFeed("xenon", "--again"); again.New != 0 || again.Known != 30 || again.Problem != "" {
		t.Errorf("the run from the beginning: %+v", again)
	}
	if found := grep(t, alpha.Dir, xenon.Password); len(found) > 0 {
		t.Errorf("the password is in %v", found)
	}
	if log, err := os.ReadFile(alpha.Log); err != nil || strings.Contains(string(log), xenon.Password) {
		t.Errorf("the log holds the password, or can't be read: %v", err)
	}

	t.Run("a wrong password is a clear answer", func(t *testing.T) {
		settings, err := os.ReadFile(filepath.Join(alpha.Dir, "config.toml"))
		must(t, err)
		wrong := filepath.Join(t.TempDir(), "wrong")
		must(t, os.WriteFile(wrong, []byte("an old password"), 0o600))
		alpha.cli("feed", "add", "wrong", "http://"+xenon.Daemon.TAXII+"/"+xenon.Name+"/", "--collection", other.collection, "--user", "admin", "--password", "file:"+wrong)
		out, stderr, code := alpha.try("feed", "test", "wrong")
		if code != 3 || !strings.Contains(stderr, "401") || strings.Contains(out+stderr, "an old password") {
			t.Errorf("exit code %d: %s%s", code, out, stderr)
		}
		alpha.cli("feed", "remove", "wrong")
		after, err := config.Read(alpha.Dir)
		must(t, err)
		text, err := os.ReadFile(filepath.Join(alpha.Dir, "config.toml"))
		must(t, err)
		if len(after.Feeds) != 1 || strings.TrimSpace(string(text)) != strings.TrimSpace(string(settings)) {
			t.Errorf("adding and removing a feed changed the configuration to\n%s", text)
		}
	})
}

// Two members that pull from each other, and one from elsewhere: each object is minted once.
func TestMembersThatFeedEachOtherMintEachObjectOnce(t *testing.T) {
	t.Parallel()
	chain := newChain(t)
	n, other := newNetwork(t, chain, "alpha", "bravo"), newNetwork(t, chain, "xenon")
	alpha, bravo, xenon := n.members[0], n.members[1], other.members[0]
	xenon.post(other.collection, indicators(0, 10)...)
	xenon.shows(other.collection, indicators(0, 10)...)
	alpha.post(n.collection, indicators(100, 10)...)
	bravo.post(n.collection, indicators(200, 10)...)
	locked := func() uint64 { return alpha.status().Publishing.Locked + bravo.status().Publishing.Locked }
	before := locked()

	alpha.feedFrom("xenon", xenon, other.collection, "--interval", "10s")
	alpha.feedFrom("bravo", bravo, n.collection, "--interval", "10s")
	bravo.feedFrom("alpha", alpha, n.collection, "--interval", "10s")
	all := append(append(indicators(0, 10), indicators(100, 10)...), indicators(200, 10)...)
	for range 3 {
		for _, one := range []struct {
			o    *organisation
			feed string
		}{{alpha, "xenon"}, {alpha, "bravo"}, {bravo, "alpha"}} {
			if report := one.o.runFeed(one.feed, "--again"); report.Problem != "" {
				t.Errorf("feed %s: %+v", one.feed, report)
			}
		}
	}
	alpha.shows(n.collection, all...)
	bravo.shows(n.collection, all...)
	if minted := (locked() - before) / 100_000; minted != 1 { // what one feed brings at once is a batch
		t.Errorf("the feeds minted %d NFTs for a batch of 10 objects", minted)
	}
	for _, o := range n.members {
		if s := o.status(); s.View.Objects != 30 {
			t.Errorf("%s has %d objects, want 30", o.Name, s.View.Objects)
		}
	}

	// What is new depends on who reads: what everybody has is nothing new to some of them, but not the other way round.
	ring := cliJSON[collections.Info](alpha, "collection", "create", "Ring", "--alias", "ring", "--readers", "bravo", "--contributors", "bravo")
	alpha.post(ring.ID, indicator(300))
	alpha.shows(ring.ID, indicator(300))
	eventually(t, func() (bool, string) {
		list, err := bravo.tryCollection("alpha", ring.ID)
		return err == nil && len(list) == 1, fmt.Sprint(len(list), err)
	})
	bravo.feedFrom("inwards", alpha, n.collection, "--interval", "24h", "--into", "alpha/ring")
	if report := bravo.runFeed("inwards", "--again"); report.New != 0 || report.Known != 30 || report.Problem != "" {
		t.Errorf("from everybody's collection into one for some: %+v", report)
	}
	bravo.feedFrom("outwards", alpha, ring.ID, "--interval", "24h")
	bravo.runFeed("outwards", "--again")
	alpha.shows(n.collection, indicator(300))
}
