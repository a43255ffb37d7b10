package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds how long a failure takes to show: cold starts of browsers have a long tail.
const patience = 2 * time.Minute

// root is where the programs are run: the repository, in which they are built, or a folder that stands for it, with
// those that SLNODE_TEST_BIN has.
func root(t *testing.T) string {
	t.Helper()
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	built := os.Getenv("SLNODE_TEST_BIN")
	if built == "" {
		return repository
	}
	dir := t.TempDir()
	for name, to := range map[string]string{"bin": built, "internal": filepath.Join(repository, "internal")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte("build:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// consortium is one on this machine.
type consortium struct {
	t    *testing.T
	root string
	dir  string // of the network
	base string // URL of the first node's console
}

func up(t *testing.T) *consortium {
	t.Helper()
	short, err := os.MkdirTemp("", "net") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	c := &consortium{t: t, root: root(t), dir: filepath.Join(short, "net")}
	if os.Getenv("SLNODE_TEST_BIN") == "" {
		c.run("make", "--silent", "build")
	}
	t.Cleanup(func() { c.run("bin/testnet", "down") })
	c.run("bin/testnet", "up", "--nodes", "2")
	return c
}

func (c *consortium) run(name string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if strings.Contains(name, "/") {
		name = filepath.Join(c.root, name)
	}
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = c.root, append(os.Environ(), "SL_TESTNET="+c.dir)
	out, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// ticket gives the address at which the operator enters.
func (c *consortium) ticket() string {
	c.t.Helper()
	address := c.run("bin/slnode", "--repo", filepath.Join(c.dir, "alpha"), "console")
	c.base, _, _ = strings.Cut(address, "enter?")
	return address
}

// browser is one that notes what no page may do.
type browser struct {
	t    *testing.T
	ctx  context.Context
	host string

	mu    sync.Mutex
	wrong []string
}

func open(t *testing.T, host string) *browser {
	t.Helper()
	path := os.Getenv("SLNODE_TEST_BROWSER")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience))
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, host: host}
	chromedp.ListenTarget(ctx, b.note)
	b.do(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

// note takes down what is wrong with a page.
func (b *browser) note(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = "an exception: " + e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Source == log.SourceSecurity {
			text = fmt.Sprintf("the console says: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != b.host && u.Scheme != "data" && u.Scheme != "about" {
			text = "a request to " + e.Request.URL
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, text)
	}
}

// said gives what was wrong since it was last asked.
func (b *browser) said() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.wrong = b.wrong, nil
	return list
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	first := chromedp.FromContext(b.ctx).Browser == nil
	if first { // the browser lives as long as the context that starts it
		ctx = b.ctx
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
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
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.Navigate(address))
	if err != nil && !strings.Contains(err.Error(), "ERR_ABORTED") {
		b.t.Fatal(err)
	}
	return err != nil
}

// ask evaluates an expression.
func (b *browser) ask(expression string, into any) {
	b.t.Helper()
	b.do(chromedp.Evaluate(expression, into, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// look sets the colours and the width of the window.
func (b *browser) look(scheme string, width int64) {
	b.t.Helper()
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
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

// click clicks on the first element of a selector.
func click(selector string) chromedp.Action { return chromedp.Click(selector, chromedp.ByQuery) }

// until waits until an expression is true, also through the change of pages.
func (b *browser) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		is := false
		err := chromedp.Run(ctx, chromedp.Evaluate(expression, &is))
		if err == nil && is {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s is not true: %v", expression, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
