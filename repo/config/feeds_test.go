package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

func TestFeedsAreAddedAndRemovedInTheConfigFile(t *testing.T) {
	dir := newConfigured(t)
	before, err := os.ReadFile(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	one := Feed{Name: "one", URL: "https://one.example/root", Collection: "c", Types: []string{"indicator"}, Password: "a \"b\" \\ c", MaxALGO: 2.5}
	two := Feed{Name: "two", Kind: "misp", URL: "https://two.example", APIKey: "env:KEY", Interval: Duration{15 * time.Minute}, Labels: []string{"[[feed]]"}}
	for _, f := range []Feed{one, two} {
		if _, err := AddFeed(dir, f); err != nil {
			t.Fatal(err)
		}
	}
	config, err := Read(dir)
	if err != nil || !reflect.DeepEqual(config.Feeds, []Feed{one.WithDefaults(), two.WithDefaults()}) {
		t.Fatalf("%+v, %v", config.Feeds, err)
	}
	if _, err := AddFeed(dir, one); err == nil {
		t.Error("a second feed of the same name is taken")
	}
	if _, err := AddFeed(dir, Feed{Name: "three", Interval: Duration{time.Millisecond}}); err == nil || !strings.Contains(err.Error(), "interval") {
		t.Errorf("a feed that never rests: %v", err)
	}
	for _, name := range []string{"one", "two"} {
		if config, err = RemoveFeed(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.ReadFile(Path(dir))
	if err != nil || len(config.Feeds) != 0 || strings.TrimSpace(string(after)) != strings.TrimSpace(string(before)) {
		t.Errorf("the file is now\n%s", after)
	}
	if _, err := RemoveFeed(dir, "one"); err == nil {
		t.Error("a feed is removed twice")
	}
}

// A feed is paused in the text of the file, in which everything else stays: comments, and webhooks before and after it.
func TestAFeedIsPausedAndRemovedAmongOtherTables(t *testing.T) {
	dir := newConfigured(t)
	text, err := os.ReadFile(Path(dir))
	must(t, err)
	hook := "\n[[webhook]]\nname = \"%s\"\nurl = \"https://hook.example/\"\nsecret = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n"
	for _, part := range []string{
		fmt.Sprintf(hook, "before"), "\n[[feed]]\nname = \"one\"\nurl = \"https://one.example\" # ours\n", fmt.Sprintf(hook, "between"),
		"\n[[ feed ]]\nname = \"two\"\npaused = false\ntypes = [\n\"indicator\",\n]\nurl = \"https://two.example\"\n", fmt.Sprintf(hook, "after"),
	} {
		text = append(text, part...)
	}
	must(t, os.WriteFile(Path(dir), text, 0o600))
	for _, step := range []struct {
		name   string
		paused bool
		want   []bool
	}{{"two", true, []bool{false, true}}, {"two", true, []bool{false, true}}, {"one", true, []bool{true, true}}, {"two", false, []bool{true, false}}, {"one", false, []bool{false, false}}} {
		config, err := PauseFeed(dir, step.name, step.paused)
		must(t, err)
		for i, f := range config.Feeds {
			if f.Paused != step.want[i] {
				t.Errorf("after %+v the feed %s is paused: %t", step, f.Name, f.Paused)
			}
		}
	}
	after, err := os.ReadFile(Path(dir))
	must(t, err)
	_, added, _ := strings.Cut(string(text), "\n[[webhook]]\nname = \"before\"")
	if !strings.HasSuffix(string(after), strings.Replace(added, "paused = false\n", "", 1)) {
		t.Errorf("the file is now\n%s", after)
	}
	if _, err := PauseFeed(dir, "three", true); !errors.Is(err, ErrNoFeed) {
		t.Errorf("a feed that is not there: %v", err)
	}
	config, err := RemoveFeed(dir, "one")
	must(t, err)
	if len(config.Feeds) != 1 || config.Feeds[0].Name != "two" || len(config.Webhooks) != 3 {
		t.Errorf("what is left is %+v", config)
	}
}

func TestTheFeedOfTheCommentedConfigIsOne(t *testing.T) {
	_, commented, found := strings.Cut(configTemplate, "# [[feed]]\n")
	if !found {
		t.Fatal("the config shows no feed")
	}
	text := "[[feed]]\n"
	for line := range strings.Lines(commented) {
		text += strings.TrimPrefix(line, "# ")
	}
	var config Config
	meta, err := toml.Decode(text, &config)
	if err != nil || len(meta.Undecoded()) > 0 || len(config.Feeds) != 1 {
		t.Fatalf("%v, unknown keys %v", err, meta.Undecoded())
	}
	if err := checkFeeds(config.Feeds); err != nil {
		t.Error(err)
	}
	for i, shown := 0, reflect.TypeFor[Feed](); i < shown.NumField(); i++ {
		key, _, _ := strings.Cut(shown.Field(i).Tag.Get("toml"), ",")
		if !strings.Contains(commented, key) {
			t.Errorf("the config does not show %s", key)
		}
	}
}

func TestTheConfigFileKeepsFeedsThatItIsMadeWith(t *testing.T) {
	config := Default()
	config.Organisation.Name = "acme"
	config.Feeds = []Feed{Feed{Name: "one", URL: "https://one.example/root", Collection: "c"}.WithDefaults()}
	text, err := config.encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if read, err := Load(path, []string{"SLNODE_LOG_LEVEL=debug"}); err != nil || !reflect.DeepEqual(read.Feeds, config.Feeds) || read.Log.Level != "debug" {
		t.Errorf("%+v, %v", read, err)
	}
}
