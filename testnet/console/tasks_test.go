package console

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// aValue is what two organisations of the demonstration know, and a third one the network around it.
const aValue = "203.0.113[.]7"

const isKnown = "Yes: in 2 indicators by 2 members (alpha, bravo), from 2 independent sources; inside 203.0.113[.]0/24 of charlie."

// mail has ten indicators in it.
const mail = `Hi all, please block: 192.0.2[.]101, 192.0.2[.]102 and 192.0.2[.]103 (port 443),
hxxps://login.harbour-pilots[.]example/owa, mail.harbour-pilots[.]example,
cdn.night-ferry[.]example, 2001:db8::bad:1, d41d8cd98f00b204e9800998ecf84271,
a3c4f1d2e5b60718293a4b5c6d7e8f9001122334455667788990aabbccddeeff, and ops@harbour-pilots[.]example.`

// paste has the clipboard's text pasted where the cursor is: what a script does with it, and else what a browser does.
func (b *browser) paste(text string) {
	b.t.Helper()
	taken := false
	b.ask(fmt.Sprintf(`(() => {
		const data = new DataTransfer();
		data.setData("text/plain", %q);
		return !document.activeElement.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
	})()`, text), &taken)
	if !taken {
		b.do(insert(text))
	}
}

// task is what an analyst does, from a page on, and how often they click at most.
type task struct {
	says   string
	from   string // a page
	clicks int
	do     func(*browser)
}

func testTasks(t *testing.T, c *consortium, chromium context.Context) {
	alpha, delta := c.member(1), c.member(4)
	b := open(t, chromium, alpha.url)
	b.look("light", 1280)
	b.login(alpha)
	b.comes(alpha.console()+"members", `document.querySelector("main").textContent.includes("delta")`) // it was admitted just now
	for _, one := range []task{
		{"has anyone seen an address?", "money", 0, seenAnywhere},
		{"a list of 200 values", "money", 0, seenList},
		{"what is new?", "", 0, whatIsNew},
		{"understand an object", "search?type=malware", 1, understand},
		{"publish ten indicators from a mail", "money", 2, publishMail},
		{"this is a false positive", "search?type=indicator&member=charlie", 2, falsePositive},
		{"give an organisation access to a collection", "", 2, giveAccess},
	} {
		t.Run(one.says, func(t *testing.T) { one.run(t, b, alpha) })
	}
	charlie := c.member(3)
	producer := open(t, chromium, charlie.url)
	producer.login(charlie)
	producer.comes(charlie.console()+"feedback", `document.querySelector("article")`)
	t.Run("what others say is answered", func(t *testing.T) {
		task{"", "feedback", 2, answerIt}.run(t, producer, charlie)
	})
	poor := open(t, chromium, delta.url)
	poor.login(delta)
	poor.goTo(delta.console() + "publish")
	poor.do(chromedp.SendKeys("textarea[name=paste]", "evil.example", chromedp.ByQuery))
	poor.until(`!document.getElementById("go").hidden && document.querySelector("#rows input")`)
	poor.leads(press("#go"))
	poor.comes(delta.console(), `document.querySelector("main .need")`) // what the node says of itself is some seconds old
	t.Run("why is nothing going out?", func(t *testing.T) {
		task{"", "", 0, whyNothing}.run(t, poor, delta)
	})
}

func (one task) run(t *testing.T, b *browser, m member) {
	before := b.t
	b.t = t
	defer func() { b.t = before }()
	b.goTo(m.console() + one.from)
	b.said()
	b.clicks, b.choices = 0, 0
	one.do(b)
	b.quiet(one.says)
	if b.clicks > one.clicks {
		t.Errorf("it takes %d clicks, and not %d", b.clicks, one.clicks)
	}
	t.Logf("%d clicks, %d choices", b.clicks, b.choices)
}

func seenAnywhere(b *browser) {
	b.do(key("/"))
	b.until(`document.activeElement.id === "q"`)
	b.paste(aValue)
	b.leads(key(kb.Enter))
	b.says(isKnown)
}

func seenList(b *browser) {
	list := []string{aValue}
	for i := range 199 {
		list = append(list, fmt.Sprintf("198.18.%d[.]%d", i/50, 1+i%50))
	}
	b.do(key("/"))
	b.until(`document.activeElement.id === "q"`)
	b.paste(strings.Join(list, "\n"))
	b.leads(key(kb.Enter))
	b.says("1 of 200 are known, 199 are not.", "203.0.113[.]7 address 2 objects", "alpha, bravo", "198.18.3[.]49 address not found")
	var csv string
	b.ask(`fetch(document.querySelector("a[href*='format=csv']")?.href ?? document.querySelector("[value=csv]").form.action,
		document.querySelector("a[href*='format=csv']") ? {} : {method: "POST", body: new URLSearchParams([...new FormData(document.querySelector("[value=csv]").form), ["format", "csv"]])}).then(a => a.text())`, &csv)
	if lines := strings.Count(csv, "\n"); lines != 201 || !strings.Contains(csv, "203.0.113.7,ipv4,2,alpha bravo") {
		b.t.Errorf("the CSV has %d lines: %.300s", lines, csv)
	}
}

func whatIsNew(b *browser) {
	b.says("Today", "What came in")
	rows := 0
	if b.ask(`document.querySelectorAll("table[data-rows] tbody tr").length`, &rows); rows != 20 {
		b.t.Errorf("%d objects are shown", rows)
	}
}

func understand(b *browser) {
	b.follow("table[data-rows] tbody th a")
	b.says("malware", "Around it", "Shared", "signed on the chain", "who can read it", "Proof")
	nodes := 0
	if b.ask(`document.querySelectorAll("svg .node").length`, &nodes); nodes < 3 {
		b.t.Errorf("%d objects are drawn around it", nodes)
	}
	clicks := b.clicks
	b.follow("#proof a.button")
	b.says("pass transaction signature", "pass decryption")
	b.clicks = clicks // the proof asks the chain: a click of its own
}

func publishMail(b *browser) {
	b.follow(`nav a[href="./"], .groups a`)
	b.clicks = 0
	b.follow(`a[href="publish"]`)
	b.until(`document.activeElement.name === "paste"`)
	b.paste(mail)
	b.until(`document.querySelectorAll("#rows input:checked").length === 10`)
	b.says("10 found, 10 chosen")
	if button := b.text("#go"); button != "Publish 10 for 1.01 ALGO to 3 other organisations" {
		b.t.Errorf("the button says %q", button)
	}
	b.follow("#go")
	b.until(`[...document.querySelectorAll("#progress .state")].every(s => s.textContent === "confirmed")`)
	b.until(`document.querySelectorAll("#progress tbody a").length === 10`)
}

func falsePositive(b *browser) {
	b.leads(press("table[data-rows] tbody th a")) // they were reading it
	b.said()
	b.click("#held summary")
	b.says("charlie alone, for the first time 0.202 ALGO", "It counts here at once")
	b.do(chromedp.SetValue("#held select[name=reason]", "shared", chromedp.ByQuery))
	b.choices++
	b.follow("#held details[open] button.main")
	b.says("It counts here from now on", "This organisation strongly disagrees: shared infrastructure", "In none of our lists therefore", "charlie alone")
}

// answerIt is what who published it does.
func answerIt(b *browser) {
	b.says("1 waits for an answer", "alpha strongly disagrees: shared infrastructure", "told us alone")
	b.click("article summary")
	b.says("That can't be undone", "Revoke it for 0.101 ALGO")
	b.follow("article details[open] button")
	b.says("The next version is on its way to the chain")
	var at string
	b.ask("location.pathname", &at)
	b.comes("http://"+b.host+at+"?all=1", `document.querySelector("article").textContent.includes("revoked")`)
}

func giveAccess(b *browser) {
	at := func() (address string) { b.ask("location.href", &address); return }()
	b.goTo(at + "collections")
	b.do(chromedp.SendKeys("#new input[name=title]", "Grid operators", chromedp.ByQuery))
	b.leads(chromedp.SendKeys("#new input[name=sudo]", b.password, chromedp.ByQuery), press("#new button.main"))
	b.says("Grid operators", "and nobody else")
	b.said()
	b.click("details.do summary")
	b.choose(`input[name=name][value=bravo]`)
	b.says("Two records, 0.101 ALGO each")
	b.follow("details.do[open] button.main")
	b.says("They can read it", "bravo")
}

func whyNothing(b *browser) {
	first := b.text("main .need")
	for _, w := range []string{"publishing", "funds", "Send ALGO to the organisation's account", "copy"} {
		if !strings.Contains(first, w) {
			b.t.Errorf("the first line does not say %q: %s", w, first)
		}
	}
	account := ""
	if b.ask(`document.querySelector("main .need [data-copy]").textContent`, &account); len(account) != 58 {
		b.t.Errorf("the account to be copied is %q", account)
	}
}

// testKeyboard looks a value up, understands an object and publishes, without a mouse.
func testKeyboard(t *testing.T, c *consortium, chromium context.Context) {
	alpha := c.member(1)
	b := open(t, chromium, alpha.url)
	b.look("light", 1280)
	b.goTo(alpha.console() + "login")
	b.until(`document.activeElement.name === "user"`)
	b.leads(insert(alpha.user), key(kb.Tab), insert(alpha.password), key(kb.Enter))
	b.said()

	seenAnywhere(b)
	b.do(key("j"))
	b.until(`document.activeElement.closest("tr.here")`)
	b.leads(key(kb.Enter))
	b.says("Around it")
	b.tabTo(`document.activeElement.textContent === "Check now"`)
	b.leads(key(kb.Enter))
	b.says("pass transaction signature")

	b.do(key("?"))
	b.until(`document.getElementById("help").open`)
	b.do(key(kb.Escape))
	b.until(`!document.getElementById("help").open`)

	b.leads(key("p"))
	b.until(`document.activeElement.name === "paste"`)
	b.do(insert("keyboard.harbour-pilots.example"))
	b.until(`document.querySelectorAll("#rows input:checked").length === 1`)
	b.tabTo(`document.activeElement.id === "go"`)
	b.leads(key(kb.Enter))
	b.until(`document.querySelector("#progress .state")?.textContent === "confirmed"`)

	b.goTo(alpha.console())
	b.do(key(kb.Tab))
	b.leadsWithin(key(kb.Enter), `location.hash === "#main" && document.activeElement.id === "main"`)
	b.quiet("the keyboard")
}

// tabTo goes to what an expression tells, by the tabulator, and holds that it can be seen where one is.
func (b *browser) tabTo(expression string) {
	b.t.Helper()
	for range 150 {
		b.do(key(kb.Tab))
		is, seen := false, false
		b.ask(expression, &is)
		if is {
			return
		}
		b.ask(`document.activeElement === document.body || document.activeElement.closest(".skip") !== null || (r => r.width > 0 && r.height > 0 && getComputedStyle(document.activeElement).outlineStyle !== "none")(document.activeElement.getBoundingClientRect())`, &seen)
		if !seen {
			var what string
			b.ask(`document.activeElement.outerHTML.slice(0, 200)`, &what)
			b.t.Errorf("it can't be seen that the cursor is on %s", what)
		}
	}
	b.t.Fatalf("the tabulator does not come to %s", expression)
}

// leadsWithin does what moves the cursor within a page.
func (b *browser) leadsWithin(action chromedp.Action, expression string) {
	b.t.Helper()
	b.do(action)
	b.until(expression)
}

// testScriptless looks up, reads and publishes where pages run no scripts.
func testScriptless(t *testing.T, c *consortium, chromium context.Context) {
	alpha := c.member(1)
	b := open(t, chromium, alpha.url)
	b.do(emulation.SetScriptExecutionDisabled(true))
	b.login(alpha)
	b.do(chromedp.SendKeys("#q", aValue, chromedp.ByQuery))
	b.leads(chromedp.SendKeys("#q", kb.Enter, chromedp.ByQuery))
	b.says(isKnown)
	b.goTo(alpha.console() + "search?q=" + url.QueryEscape(aValue+"\n198.18.0.1"))
	b.says("1 of 2 are known, 1 are not.")
	b.goTo(alpha.console())
	b.says("What came in")
	b.leads(press("table[data-rows] tbody th a"))
	b.says("Around it", "signed on the chain")
	b.leads(press("#proof a.button"))
	b.says("pass transaction signature")

	b.goTo(alpha.console() + "publish")
	b.do(chromedp.SendKeys("textarea[name=paste]", "scriptless.harbour-pilots.example 10.0.0.1", chromedp.ByQuery))
	b.leads(press("[data-preview]"))
	b.says("2 found, 1 chosen")
	b.leads(press("#go"))
	b.says("Published", "scriptless.harbour-pilots[.]example", "Nothing is lost if this page is closed")
	b.quiet("without scripts")
}
