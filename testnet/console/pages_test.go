package console

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTheConsoleInABrowser has one browser and one consortium for all.
func TestTheConsoleInABrowser(t *testing.T) {
	if os.Getenv("SLNODE_TEST_BROWSER") == "" {
		t.Skip("SLNODE_TEST_BROWSER names no browser")
	}
	c := up(t)
	chromium := start(t)
	for _, one := range []struct {
		says string
		test func(*testing.T, *consortium, context.Context)
	}{
		{"AnalystsNeedFewClicks", testTasks},
		{"TheKeyboardIsEnough", testKeyboard},
		{"ItWorksWithoutJavaScript", testScriptless},
		{"EveryPageIsQuietAccessibleAndFitsItsWindow", testPages},
		{"WhatAMemberSendsThatWishesIllIsShownAndDoesNothing", testHostile},
		{"ItWorksBelowAPrefixOfAProxy", testPrefix},
		{"ItWorksByTLSOfTheNode", testTLS}, // the last: charlie has another address then
	} {
		t.Run(one.says, func(t *testing.T) {
			of := *c
			of.t = t // who fails
			one.test(t, &of, chromium)
		})
	}
}

// links gives the pages of the console that a page links to.
const links = `[...document.querySelectorAll("a[href]")].map(a => new URL(a.getAttribute("href"), location).href)`

// wide tells by how many pixels a page is wider than its window, and which elements reach beyond it.
const wide = `(() => {
	const edge = document.documentElement.clientWidth, over = document.documentElement.scrollWidth - edge;
	if (over <= 0) return "";
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), beyond = [], range = document.createRange();
	while (texts.nextNode()) {
		range.selectNodeContents(texts.currentNode);
		const e = texts.currentNode.parentElement;
		if (range.getBoundingClientRect().right > edge + 0.5 && !e.closest(".sheet, .chip, .wide")) beyond.push(e.outerHTML.slice(0, 200));
	}
	return over + " pixels wider: " + beyond.slice(0, 3).join(" | ");
})()`

// looker looks at pages.
type looker struct {
	*browser
	axe string
}

// pass looks at the page that is open, loaded anew in both colours, in three widths, one for each form that pages have.
func (l looker) pass(name string) {
	l.t.Helper()
	var paint float64
	l.ask(`new Promise(done => new PerformanceObserver(list => {
		const first = list.getEntriesByName("first-contentful-paint")[0]
		if (first) done(first.startTime)
	}).observe({type: "paint", buffered: true}))`, &paint)
	l.t.Logf("%s: painted after %.0f ms", name, paint)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 768, 1280} {
			l.look(scheme, width)
			if width == 320 {
				l.do(chromedp.Reload()) // in these colours from the beginning
			}
			if scheme == "light" {
				l.fits(name, width)
			}
			l.shoot(strings.Join([]string{name, scheme, map[int64]string{320: "320", 768: "768", 1280: "1280"}[width]}, "-"))
		}
		if l.axe != "" {
			for _, wrong := range l.violations(l.axe) {
				l.t.Errorf("%s, %s: %s", name, scheme, wrong)
			}
		}
	}
	l.quiet(name)
}

// fits fails if the page is wider than its window.
func (b *browser) fits(name string, width int64) {
	b.t.Helper()
	over := ""
	if b.ask(wide, &over); over != "" {
		b.t.Errorf("%s is wider than a window of %d: %s", name, width, over)
	}
}

func testPages(t *testing.T, c *consortium, chromium context.Context) {
	axe := ""
	if path := os.Getenv("SLNODE_TEST_AXE"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		axe = string(data)
	}
	alpha := c.member(1)
	l := looker{open(t, chromium, alpha.url), axe}
	visit := func(name, address string) {
		t.Helper()
		l.goTo(address)
		l.pass(name)
	}
	ticket := alpha.ticket()
	visit("login", alpha.console()+"login")
	visit("enter", ticket)
	l.leads(press("main form button"))
	l.until(`location.pathname === "/-/"`)
	l.said() // the favicon of a page that was left
	seen := l.crawl(alpha.console())
	for _, name := range []string{"today", "search", "object", "publish", "feedback", "collections", "collection", "members", "member", "node", "money", "outbox", "feeds", "access", "audit", "me"} {
		if !seen[name] {
			t.Errorf("no link leads to %s", name)
		}
	}
}

// crawl looks at a page of each kind that is found by following links.
func (l looker) crawl(first string) map[string]bool {
	l.t.Helper()
	seen, next := map[string]bool{}, []string{first}
	for len(next) > 0 && len(seen) < 40 {
		address := next[0]
		next = next[1:]
		at, err := url.Parse(address)
		if err != nil || at.Host != l.host || !strings.HasPrefix(at.Path, "/-/") {
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
		if l.saves(address) {
			continue // a file
		}
		l.pass(name)
		var found []string
		l.ask(links, &found)
		next = append(next, found...)
	}
	return seen
}
