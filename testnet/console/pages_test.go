package console

import (
	"net/url"
	"os"
	"strings"
	"testing"
)

// links gives the pages of the console that a page links to, without their parameters' repetitions.
const links = `[...document.querySelectorAll("a[href]")].map(a => new URL(a.getAttribute("href"), location).href)`

// wide tells by how many pixels a page is wider than its window.
const wide = `document.documentElement.scrollWidth - document.documentElement.clientWidth`

func TestEveryPageIsQuietAccessibleAndFitsItsWindow(t *testing.T) {
	if os.Getenv("SLNODE_TEST_BROWSER") == "" {
		t.Skip("SLNODE_TEST_BROWSER names no browser")
	}
	axe := ""
	if path := os.Getenv("SLNODE_TEST_AXE"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		axe = string(data)
	}
	c := up(t)
	address := c.ticket()
	base, err := url.Parse(c.base)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, base.Host)
	visit := func(name, address string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{320, 800, 1440} {
				if scheme == "dark" && width == 800 {
					continue
				}
				b.look(scheme, width)
				b.goTo(address)
				over := 0
				b.ask(wide, &over)
				if over > 0 {
					t.Errorf("%s is %d pixels wider than a window of %d", name, over, width)
				}
				b.shoot(strings.Join([]string{name, scheme, map[int64]string{320: "320", 800: "800", 1440: "1440"}[width]}, "-"))
			}
			if axe != "" {
				for _, wrong := range b.violations(axe) {
					t.Errorf("%s, %s: %s", name, scheme, wrong)
				}
			}
		}
		for _, wrong := range b.said() {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	visit("login", c.base+"login")
	visit("enter", address)
	b.goTo(address)
	b.do(click("main form button"))
	b.until(`location.pathname.endsWith("/-/") && document.readyState === "complete"`)
	b.said() // the favicon of a page that was left

	// From the first page everything is found by following links.
	seen, next := map[string]bool{}, []string{c.base}
	for len(next) > 0 && len(seen) < 40 {
		address := next[0]
		next = next[1:]
		at, err := url.Parse(address)
		if err != nil || at.Host != base.Host || !strings.HasPrefix(at.Path, "/-/") {
			continue
		}
		name := strings.TrimPrefix(at.Path, "/-/")
		if name == "" {
			name = "today"
		}
		if at.Query().Has("format") || seen[name] {
			continue // a file, or a page of the same kind
		}
		seen[name] = true
		if b.saves(address) {
			continue // a file
		}
		visit(name, address)
		var found []string
		b.ask(links, &found)
		next = append(next, found...)
	}
	for _, name := range []string{"today", "collections", "collection", "members", "member", "node", "money", "outbox", "feeds", "access", "audit", "me"} {
		if !seen[name] {
			t.Errorf("no link leads to %s", name)
		}
	}
}
