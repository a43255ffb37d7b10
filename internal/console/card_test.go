package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

func TestACardSaysWhatWasSetAndWhatIsProposed(t *testing.T) {
	w := newWorld(t, nil)
	page := w.ask("admin", "member?name=bravo", nil).Body.String()
	has(t, page, "B, usually reliable", "right for years", "A proposed", "61 (6 %) of 1,000, drawn from 3,800", "25 hours", "2 objects", "3 indicators, after 2 hours in the median", "Say how reliable it is")
	if own := w.ask("admin", "member?name=acme", nil).Body.String(); strings.Contains(own, "As a source") {
		t.Error("this organisation has a card of itself")
	}
	if page := w.ask("reader", "member?name=bravo", nil).Body.String(); strings.Contains(page, "Say how reliable") || !strings.Contains(page, "usually reliable") {
		t.Error("a reader sees no card, or is let rate")
	}
	form := url.Values{"sudo": {"right"}, "do": {"rate"}, "reliability": {"C"}, "why": {"late"}}
	if a := w.ask("admin", "member?name=bravo", form); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "member?name=bravo&done=saved" {
		t.Errorf("rating is answered %d, %s", a.Code, a.Header().Get("Location"))
	}
	form.Set("reliability", "Z")
	if a := w.ask("admin", "member?name=bravo", form); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("no letter is answered %d", a.Code)
	}
	if m := cardOf(taxii.MemberCard{Reliability: "F", Proposal: "F", Objects: 3}, true); m.Proposal != "" || len(m.Facts) != 0 || !m.Choices[6].Now {
		t.Errorf("%+v", m)
	}
}

func TestTodaySaysWhatConcernsUs(t *testing.T) {
	page := newWorld(t, nil).ask("admin", "", nil).Body.String()
	has(t, page, "7 objects at least", "are about what we watch for", `href="object?id=indicator--2"`, "and more", "slnode watch check")
	page = newWorld(t, func(c *Config) { c.Rooms.Watch = nothingWatched{} }).ask("admin", "", nil).Body.String()
	if strings.Contains(page, "watch for") {
		t.Error("nothing concerns us, and Today says so")
	}
}

type nothingWatched struct{}

func (nothingWatched) Since(context.Context, By, time.Time, int) (Watched, error) {
	return Watched{}, nil
}
