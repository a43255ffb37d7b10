package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds how long a failure takes to show: cold starts of browsers have a long tail, and machines are busy.
const patience = 10 * time.Minute

// start starts a Chromium. Its windows are opened by open.
func start(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(os.Getenv("SLNODE_TEST_BROWSER")), chromedp.NoSandbox,
		chromedp.WSURLReadTimeout(patience), chromedp.Flag("ignore-certificate-errors", true)) // those of the nodes are their own
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated, chromedp.WithErrorf(t.Logf), chromedp.WithBrowserOption(chromedp.WithDialTimeout(patience)))
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil { // the browser lives as long as this context
		t.Fatal(err)
	}
	return ctx
}

// browser is a window with cookies of its own, which notes what no page may do.
type browser struct {
	t    *testing.T
	ctx  context.Context
	host string
	jar  cdp.BrowserContextID // of its cookies

	clicks, choices int    // that somebody made
	password        string // of who is logged in

	mu     sync.Mutex
	wrong  []string
	loads  int           // pages that were loaded whole
	loaded chan struct{} // is closed with the next one
}

// open opens a window for the pages of the host of an address.
func open(t *testing.T, chromium context.Context, address string) *browser {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, host: at.Host, loaded: make(chan struct{})}
	all := cdp.WithExecutor(chromium, chromedp.FromContext(chromium).Browser)
	if b.jar, err = target.CreateBrowserContext().Do(all); err != nil {
		t.Fatal(err)
	}
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(b.jar).WithNewWindow(true).Do(all)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithTargetID(window))
	t.Cleanup(cancel)
	b.ctx = ctx
	chromedp.ListenTarget(ctx, b.note)
	if err := chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable(), page.Enable()); err != nil { // the window lives as long as this context
		t.Fatal(err)
	}
	return b
}

// note takes down what is wrong with a page.
func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := func(format string, args ...any) { b.wrong = append(b.wrong, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *page.EventLoadEventFired:
		b.loads++
		close(b.loaded)
		b.loaded = make(chan struct{})
	case *page.EventJavascriptDialogOpening:
		wrong("a dialog: %s", e.Message)
		go chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false)) //nolint:errcheck // the test has failed already
	case *runtime.EventExceptionThrown:
		wrong("an exception: %v", e.ExceptionDetails)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Source == log.SourceSecurity {
			wrong("the console says: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != b.host && u.Scheme != "data" && u.Scheme != "about" {
			wrong("a request to %s", e.Request.URL)
		}
	}
}

// said gives what was wrong since it was last asked.
func (b *browser) said() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.wrong = b.wrong, nil
	return list
}

// quiet fails if anything was wrong.
func (b *browser) quiet(where string) {
	b.t.Helper()
	for _, wrong := range b.said() {
		b.t.Errorf("%s: %s", where, wrong)
	}
}

// loading gives how many pages were loaded, and what is closed with the next one.
func (b *browser) loading() (int, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loads, b.loaded
}

func (b *browser) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.try(actions...); err != nil {
		b.t.Fatal(err)
	}
}

// goTo opens a page.
func (b *browser) goTo(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

// saves opens an address, and tells whether it is a file that a browser saves rather than shows.
func (b *browser) saves(address string) bool {
	b.t.Helper()
	err := b.try(chromedp.Navigate(address))
	if err != nil && !strings.Contains(err.Error(), "ERR_ABORTED") {
		b.t.Fatalf("%s: %v", address, err)
	}
	return err != nil
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// ask evaluates an expression.
func (b *browser) ask(expression string, into any) {
	b.t.Helper()
	b.do(chromedp.Evaluate(expression, into, awaited))
}

// text is what the first element of a selector says, as it is shown.
func (b *browser) text(selector string) (text string) {
	b.t.Helper()
	b.ask(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text)
	return text
}

// says fails if the page's main part does not say something.
func (b *browser) says(words ...string) {
	b.t.Helper()
	shown := strings.Join(strings.Fields(b.text("main")), " ")
	for _, w := range words {
		if !strings.Contains(shown, w) {
			var at string
			b.ask("location.href", &at)
			b.t.Errorf("%s does not say %q, but: %.3000s", at, w, shown)
		}
	}
}

// becomes is a promise that a page keeps once an expression is true.
const becomes = `new Promise(kept => {
	const look = () => { if (%s) { watch.disconnect(); kept(true); } };
	const watch = new MutationObserver(look);
	watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
	for (const event of ["readystatechange", "focusin", "input", "change"]) document.addEventListener(event, look);
	look();
})`

// until waits until an expression is true, also through the change of pages.
func (b *browser) until(expression string) {
	b.t.Helper()
	end := time.After(patience)
	for {
		n, _ := b.loading()
		is := false
		err := b.try(chromedp.Evaluate(fmt.Sprintf(becomes, expression), &is, awaited))
		if is {
			return
		}
		loads, next := b.loading() // the page has gone, and its promise with it
		if loads != n {
			continue
		}
		select {
		case <-next:
		case <-end:
			b.t.Fatalf("%s is not true: %v; the page says %.2000s", expression, err, b.text("main"))
		}
	}
}

// leads does what loads another page, and waits for it.
func (b *browser) leads(actions ...chromedp.Action) {
	b.t.Helper()
	_, next := b.loading()
	b.do(actions...)
	select {
	case <-next:
	case <-time.After(patience):
		b.t.Fatal("no page was loaded")
	}
}

// comes opens a page again and again until an expression is true there.
func (b *browser) comes(address, expression string) {
	b.t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		b.goTo(address)
		is := false
		if b.ask(fmt.Sprintf("!!(%s)", expression), &is); is {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s does not become true at %s, which says %.2000s", expression, address, b.text("main"))
		}
	}
}

// look sets the colours and the width of the window.
func (b *browser) look(scheme string, width int64) {
	b.t.Helper()
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}), // colours change at once
		emulation.SetDeviceMetricsOverride(width, 900, 1, false))
}

// shoot keeps a picture of the whole page, where pictures are wanted.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("SLNODE_TEST_SHOTS")
	if dir == "" {
		return
	}
	b.do(chromedp.ActionFunc(func(ctx context.Context) error {
		data, err := page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600)
	}))
}

// violations gives what axe-core finds wrong with the page, at the levels A and AA of WCAG 2.2.
func (b *browser) violations(axe string) (list []string) {
	b.t.Helper()
	var loaded bool
	b.ask("typeof axe === 'object'", &loaded)
	if !loaded {
		b.ask(axe+";true", &loaded)
	}
	var result string
	b.ask(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v =>
		v.id + ": " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).join(" | "))))`, &result)
	if err := json.Unmarshal([]byte(result), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// click has somebody click on the first element of a selector.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.clicks++
	b.do(press(selector))
}

// follow clicks on what leads to another page.
func (b *browser) follow(selector string) {
	b.t.Helper()
	b.clicks++
	b.leads(press(selector))
}

// choose picks one of several: a box, a name.
func (b *browser) choose(selector string) {
	b.t.Helper()
	b.choices++
	b.do(press(selector))
}

func press(selector string) chromedp.Action { return chromedp.Click(selector, chromedp.ByQuery) }

// login enters with a password.
func (b *browser) login(m member) {
	b.t.Helper()
	b.goTo(m.console() + "login")
	b.do(chromedp.SendKeys("input[name=user]", m.user, chromedp.ByQuery), chromedp.SendKeys("input[name=password]", m.password, chromedp.ByQuery))
	b.leads(press("main form button"))
	b.password = m.password
	b.said() // nothing is wrong before somebody is in
}

// insert types a text at once, as an input method or a paste without a script does.
func insert(text string) chromedp.Action { return input.InsertText(text) }

// key strikes a key, as a keyboard does: what a script prevents types nothing.
func key(text string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for _, struck := range text {
			down, up := *kb.Keys[struck], input.DispatchKeyEvent(input.KeyUp)
			event := input.DispatchKeyEvent(input.KeyDown).WithKey(down.Key).WithCode(down.Code).WithWindowsVirtualKeyCode(down.Windows)
			if down.Print {
				event = event.WithText(down.Text)
			} else if struck == '\r' {
				event = event.WithText("\r")
			}
			up = up.WithKey(down.Key).WithCode(down.Code).WithWindowsVirtualKeyCode(down.Windows)
			if err := errors.Join(event.Do(ctx), up.Do(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
}
