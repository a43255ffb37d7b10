package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/serviceledger/slnode/internal/observable"
)

// commentedBlock is the section of a name that the config file shows, without its comment marks.
func commentedBlock(t *testing.T, header string) string {
	t.Helper()
	_, commented, found := strings.Cut(configTemplate, "# "+header+"\n")
	if !found {
		t.Fatalf("the config shows no %s", header)
	}
	text := header + "\n"
	for line := range strings.Lines(commented) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		text += strings.TrimPrefix(line, "# ")
	}
	return text
}

func TestTheDecayOfTheCommentedConfigIsOne(t *testing.T) {
	var c Config
	text := commentedBlock(t, "[[decay]]")
	meta, err := toml.Decode(text, &c)
	if err != nil || len(meta.Undecoded()) > 0 || len(c.Decay) != 1 {
		t.Fatalf("%v, unknown keys %v", err, meta.Undecoded())
	}
	rules, err := DecayRules(c.Decay)
	must(t, err)
	if !reflect.DeepEqual(rules[0].Kinds, []observable.Kind{observable.IPv4, observable.IPv6}) || rules[0].Model.Lifetime != 30*24*time.Hour || rules.ByMember() {
		t.Errorf("%+v", rules)
	}
	for i, shown := 0, reflect.TypeFor[Decay](); i < shown.NumField(); i++ {
		if key, _, _ := strings.Cut(shown.Field(i).Tag.Get("toml"), ","); !strings.Contains(text, key+" = ") {
			t.Errorf("the config does not show %s", key)
		}
	}
}

func TestDecaysAreReadAsTheyWereWritten(t *testing.T) {
	want := Default()
	want.Organisation.Name = "acme"
	want.Decay = []Decay{{Kinds: []string{"hash"}, Lifetime: Duration{24 * time.Hour}, Speed: 1.5, Threshold: 20}, {Members: []string{"bravo"}}}
	want.Feeds = []Feed{Feed{Name: "one", URL: "https://one.example"}.WithDefaults()}
	dir := t.TempDir()
	must(t, want.Write(dir))
	read, err := Read(dir)
	must(t, err)
	if !reflect.DeepEqual(read.Decay, want.Decay) || len(read.Feeds) != 1 {
		t.Errorf("%+v", read.Decay)
	}
	rules, err := DecayRules(read.Decay)
	if err != nil || rules[1].Model.Falls() || rules[1].Model.Threshold != 30 || rules[1].Model.Speed != 2 {
		t.Errorf("%+v, %v", rules, err)
	}
}

func TestMistakesInADecayAreNamed(t *testing.T) {
	dir := newConfigured(t)
	good, err := os.ReadFile(Path(dir))
	must(t, err)
	for text, want := range map[string]string{
		`kinds = ["email"]`: "section 1: kinds", `lifetime = "30s"`: "lifetime", `lifetime = "-1h"`: "lifetime", `speed = 0.01`: "speed", `speed = nan`: "speed",
		`threshold = 101`: "threshold", `threshold = -1`: "threshold", `colour = 1`: "decay.colour is not known",
		strings.Repeat("[[decay]]\n", maxDecays): "more than",
	} {
		must(t, os.WriteFile(Path(dir), append(good[:len(good):len(good)], "\n[[decay]]\n"+text...), 0o600))
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}
