package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// pipes notes which feeds are made and ended.
type pipes struct {
	room
	made  []NewFeed
	ended []string
}

func (p *pipes) AddFeed(_ context.Context, _ By, f NewFeed) error {
	p.made = append(p.made, f)
	return nil
}

func (p *pipes) RemoveFeed(_ context.Context, _ By, name string) error {
	p.ended = append(p.ended, name)
	return nil
}

func TestAFeedIsMadeAndEndedAfterThePasswordAndByAdministrators(t *testing.T) {
	t.Parallel()
	p := &pipes{}
	w := newWorld(t, func(c *Config) { c.Rooms.Feeds = p })
	form := url.Values{
		"name": {" misp "}, "kind": {"misp"}, "url": {"https://misp.example"}, "api_key": {"secret"}, "into": {"c1"}, "every": {"15m"}, "types": {"indicator, malware\nreport"},
		"marking": {"clear", "green"}, "min_confidence": {"60"}, "max_objects": {""}, "max_algo": {"1.5"}, "unmarked": {"refuse"},
	}
	for _, c := range []struct {
		who, password string
		want          int
		made          int
	}{
		{"", "right", http.StatusSeeOther, 0}, {"publisher", "right", http.StatusForbidden, 0}, {"narrow", "right", http.StatusForbidden, 0},
		{"admin", "", http.StatusForbidden, 0}, {"admin", "wrong", http.StatusForbidden, 0}, {"admin", "right", http.StatusSeeOther, 1},
	} {
		form.Set("sudo", c.password)
		answer := w.ask(c.who, "feeds", form)
		if answer.Code != c.want || len(p.made) != c.made {
			t.Errorf("%q with %q is answered with %d, and %d feeds are made", c.who, c.password, answer.Code, len(p.made))
		}
	}
	if len(p.made) != 1 {
		t.Fatal(p.made)
	}
	want := NewFeed{Name: "misp", Kind: "misp", URL: "https://misp.example", APIKey: "secret", Into: "c1", Every: 15 * time.Minute, Types: []string{"indicator", "malware", "report"},
		Markings: []string{"clear", "green"}, MinConfidence: 60, MaxALGO: 1.5, Unmarked: "refuse"}
	if got := fmt.Sprintf("%+v", p.made[0]); got != fmt.Sprintf("%+v", want) {
		t.Errorf("the feed is %s", got)
	}
	if answer := w.ask("admin", "feed?name=otx", url.Values{"do": {"remove"}}); answer.Code != http.StatusSeeOther || len(p.ended) != 1 || p.ended[0] != "otx" {
		t.Errorf("its end is answered with %d: %v", answer.Code, p.ended)
	}
}

// A web page does not read the files of the node's machine, and sends none of them to an address that it chose.
func TestAFeedOfTheConsoleNamesNoFilesOfTheMachine(t *testing.T) {
	t.Parallel()
	p := &pipes{}
	w := newWorld(t, func(c *Config) { c.Rooms.Feeds = p })
	for _, field := range []string{"user", "password", "token", "api_key"} {
		for _, secret := range []string{"file:/etc/shadow", "env:HOME"} {
			answer := w.ask("admin", "feeds", url.Values{"sudo": {"right"}, "name": {"x"}, "url": {"https://attacker.example"}, field: {secret}})
			if answer.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s=%s is answered with %d", field, secret, answer.Code)
			}
		}
	}
	for _, field := range []string{"every", "min_confidence", "max_objects", "max_algo"} {
		if answer := w.ask("admin", "feeds", url.Values{"sudo": {"right"}, "name": {"x"}, field: {"many"}}); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s=many is answered with %d", field, answer.Code)
		}
	}
	if len(p.made) > 0 {
		t.Errorf("made is %+v", p.made)
	}
}
