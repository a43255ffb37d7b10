package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
)

// has holds that a page says things, and not others, which have an ! before them.
func has(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		not, is := strings.CutPrefix(w, "!")
		if strings.Contains(page, not) == is {
			t.Errorf("of the page this is not as it should be: %q", w)
		}
	}
}

func TestAValueIsAnsweredInWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	answer := w.ask("reader", "search?q=203.0.113%5B.%5D7", nil)
	has(t, answer.Body.String(), "Yes: in 2 indicators by 2 members (bravo, charlie), from 2 independent sources; seen 31 times by 3 members; inside 203.0.113[.]0/24 of alpha.", `href="object?id=`+indicatorID+`"`)
	answer = w.ask("reader", "search?q=evil.example", nil)
	has(t, answer.Body.String(), "No. Nothing that this account may read has it.")
}

func TestAListOfValuesSaysWhatIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	list := "203.0.113.7\nevil[.]example\nhxxps://cdn.example/a"
	page := w.ask("reader", "search?q="+url.QueryEscape(list), nil).Body.String()
	has(t, page, `value="203.0.113.7 evil[.]example hxxps://cdn.example/a"`, "1 of 3 are known, 2 are not.", "evil[.]example", "not found", "hxxps://cdn[.]example/a")
	answer := w.ask("reader", "search", url.Values{"q": {list}, "format": {"csv"}})
	if got := answer.Header().Get("Content-Disposition"); got != `attachment; filename="values.csv"` {
		t.Errorf("the list is %q", got)
	}
	has(t, answer.Body.String(), "value,kind,found,members,marking,last,contained_in\n", "203.0.113.7,ipv4,2,alpha bravo charlie,", "evil.example,domain,0,,,,0\n")
}

func TestAListKeepsItsStateInTheAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("reader", "search?type=malware&rows=25&member=bravo", nil).Body.String()
	has(t, page, `href="search?type=malware&amp;member=bravo&amp;before=24&amp;rows=25"`, `href="search?member=bravo&amp;rows=25"`, `aria-current="true">malware<`,
		`href="search?type=malware&amp;member=bravo&amp;rows=100"`, `href="search?type=malware&amp;member=bravo&amp;rows=25&amp;format=csv"`)
	has(t, page, `<tr data-plain="203.0.113.1">`, "203.0.113[.]1<") // the key c copies the value, and what is shown is defanged
	has(t, page, `>31× by 3<`)
	has(t, w.ask("reader", "search?q=nothing", nil).Body.String(), "Nothing that this account may read fits.")
	csv := w.ask("reader", "search?format=csv", nil).Body.String()
	has(t, csv, "id,type,name,marking,member,confidence,state,collection,added,seen,seen_by\n", indicatorID+",indicator,TarnLocker,TLP:CLEAR,bravo,40,in force,", "Z,31,3\n")
}

func TestAnObjectIsOnOnePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("reader", "object?id="+malwareID, nil).Body.String()
	has(t, page, "A family of malware: ransomware.", "Confidence 85", "TLP:AMBER", "Also known as", "TARN", `role="group"`, "&#43;18 indicators", "As a table", "this organisation, bravo, charlie",
		"Bravo Energy CERT", "(not proved)", "round 48211004", `href="leave?to=https%3A%2F%2Fcsirt.charlie.example`, "hxxps://csirt.charlie[.]example", "Versions", "Check now", "!https://csirt")
	page = w.ask("reader", "object?id="+indicatorID+"&check=1", nil).Body.String()
	has(t, page, "Who sees this address sees a sign of malicious activity.", "203.0.113[.]7", "Who else has it", "not checked", "transaction signature", "Check again")
	open := w.ask("reader", "object?id="+malwareID+"&open=campaign--21", nil).Body.String()
	if answer := w.ask("reader", "object?id=unknown", nil); answer.Code != http.StatusNotFound || !strings.Contains(open, "Close what is around") {
		t.Errorf("an unknown object is answered with %d, and what is opened is %s", answer.Code, open)
	}
}

func TestFilesOfStrangersAreNotShownByTheBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, page := range []string{"object.json", "proof.json"} {
		h := w.ask("reader", page+"?id="+malwareID, nil).Header()
		if !strings.HasPrefix(h.Get("Content-Disposition"), "attachment;") || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s is answered with %v", page, h)
		}
	}
}

func TestTheConsoleIsLeftForTheWebOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	has(t, w.ask("reader", "leave?to=https%3A%2F%2Fexample.org%2Fa", nil).Body.String(), `href="https://example.org/a" rel="noopener noreferrer" referrerpolicy="no-referrer"`)
	for _, to := range []string{"javascript:alert(1)", "//example.org", "data:text/html,x", ""} {
		if answer := w.ask("reader", "leave?to="+url.QueryEscape(to), nil); answer.Code != http.StatusNotFound {
			t.Errorf("%q is answered with %d", to, answer.Code)
		}
	}
}

func TestWhatIsPublishedIsWhatWasChosen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	paste := "Block 203.0.113[.]7, evil[.]example, 8.8.8[.]8 and 10.0.0.1"
	page := w.ask("publisher", "publish", url.Values{"paste": {paste}, "do": {"preview"}}).Body.String()
	has(t, page, "4 found, 2 chosen, 1 refused.", "Publish 2 for 0.202 ALGO to 2 other organisations", "10.0.0[.]1 is on the warning list RFC 1918 (hard, 2026-08-20)", "8.8.8[.]8 is on the warning list Public resolvers (shared, 2026-11-30)", "shared already by alpha, bravo, charlie")
	answer := w.ask("publisher", "publish", url.Values{"paste": {paste}, "do": {"publish"}, "take": {"0", "1"}, "collection": {"c1"}})
	if got := answer.Header().Get("Location"); answer.Code != http.StatusSeeOther || got != "published?id=status-2" {
		t.Errorf("publishing leads to %d %q", answer.Code, got)
	}
	has(t, w.ask("publisher", "publish", url.Values{"paste": {paste}, "do": {"publish"}}).Body.String(), "Nothing was chosen.", "evil[.]example")
	has(t, w.ask("publisher", "published?id=status-2", nil).Body.String(), "1 of 3 are confirmed on the chain.", "data-pending", "signed")
	if answer := w.ask("reader", "publish", nil); answer.Code != http.StatusForbidden {
		t.Errorf("a reader gets %d", answer.Code)
	}
}

func TestWhatAHardWarningListRefusesIsPublishedAnywayIfSomebodySaysSo(t *testing.T) {
	t.Parallel()
	var taken []Publication
	w := newWorld(t, func(config *Config) { config.Rooms.Press = noting{someLibrary, &taken} })
	const paste = "10.0.0.1 8.8.8.8 cloud.example 203.0.113.7"
	for _, c := range []struct {
		paste, anyway string
		can, chosen   string // rows, by their place
		mistaken      bool
	}{
		{paste, "", "123", "23", true},
		{paste, "1", "0123", "23", true},
		{"8.8.8.8", "", "0", "", false},
	} {
		var p previewModel
		answer := w.ask("publisher", "publish", url.Values{"paste": {c.paste}, "do": {"json"}, "anyway": {c.anyway}})
		if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		can, chosen := "", ""
		for _, row := range p.Rows {
			if row.Can {
				can += row.Index
			}
			if row.Chosen {
				chosen += row.Index
			}
			if strings.Contains(row.Why, "--publish-anyway") || strings.Count(row.Why, "warning list") > 1 {
				t.Errorf("%s: %q", row.Value, row.Why)
			}
		}
		if can != c.can || chosen != c.chosen || p.Mistaken != c.mistaken {
			t.Errorf("of %q, anyway %q, %s can be published and %s are chosen; mistaken: %t", c.paste, c.anyway, can, chosen, p.Mistaken)
		}
	}
	page := w.ask("publisher", "publish", url.Values{"paste": {paste}, "do": {"preview"}, "anyway": {"1"}}).Body.String()
	has(t, page, `<p id="anyway"><label`, `name="anyway" value="1" checked`)
	for _, anyway := range []string{"", "1"} {
		w.ask("publisher", "publish", url.Values{"paste": {paste}, "do": {"publish"}, "take": {"0"}, "anyway": {anyway}})
	}
	if len(taken) != 2 || taken[0].Anyway || !taken[1].Anyway {
		t.Errorf("what was published is %+v", taken)
	}
}

// noting notes what is published.
type noting struct {
	library
	taken *[]Publication
}

func (n noting) Publish(ctx context.Context, by By, p Publication) (string, error) {
	*n.taken = append(*n.taken, p)
	return n.library.Publish(ctx, by, p)
}

func TestThePreviewIsJSONForTheScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	answer := w.ask("publisher", "publish", url.Values{"paste": {"evil[.]example <script>"}, "do": {"json"}})
	var p previewModel
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || answer.Header().Get("Content-Type") != "application/json" {
		t.Fatal(err, answer.Header())
	}
	if len(p.Rows) != 1 || p.Rows[0].Value != "evil[.]example" || !p.Rows[0].Chosen || p.Rows[0].Cost != 101_000 {
		t.Errorf("the preview is %+v", p)
	}
	var is struct {
		Lines   []publishedLine
		Pending bool
	}
	if err := json.Unmarshal(w.ask("publisher", "published?id=status-1&format=json", nil).Body.Bytes(), &is); err != nil || len(is.Lines) != 3 || !is.Pending {
		t.Errorf("what became of it is %+v: %v", is, err)
	}
}

func TestTheLastCollectionIsChosenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	answer := w.ask("publisher", "publish", url.Values{"paste": {"evil.example"}, "do": {"publish"}, "take": {"0"}, "collection": {"c2"}})
	again := w.ask("publisher", "publish", nil, func(r *http.Request) {
		for _, c := range answer.Result().Cookies() {
			r.AddCookie(c)
		}
	})
	has(t, again.Body.String(), `value="c2" selected`)
}

func TestAnObjectSaysWhatItIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ object, name, sentence, state string }{
		{`{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value='evil.example']","valid_from":"2026-01-01T00:00:00Z"}`, "evil.example", "Who sees this domain sees a sign of something suspicious.", "in force"},
		{`{"type":"indicator","pattern_type":"sigma","pattern":"title: x","name":"S","valid_from":"2027-01-01T00:00:00Z"}`, "S", "What matches this sigma rule is a sign of something suspicious.", "not yet in force"},
		{`{"type":"indicator","pattern_type":"stix","pattern":"[file:name='a' AND file:size=1]","valid_from":"2026-01-01T00:00:00Z","valid_until":"2026-02-01T00:00:00Z"}`, "a", "What matches is a sign of something suspicious.", "expired"},
		{`{"type":"report","name":"R","report_types":["campaign"],"object_refs":["a--1"]}`, "R", "A report: campaign, about 1 object.", ""},
		{`{"type":"sighting","count":31,"first_seen":"2026-01-02T00:00:00Z","last_seen":"2026-02-03T00:00:00Z"}`, "seen 31 times", "Seen 31 times, from 2 January 2026 to 3 February 2026.", ""},
		{`{"type":"malware","name":"M","malware_types":["ransomware","resource-exploitation"],"revoked":true}`, "M", "Malware: ransomware, resource exploitation.", "revoked"},
		{`{"type":"opinion","opinion":"strongly-disagree"}`, "strongly-disagree", "Somebody's opinion: strongly disagree.", ""},
		{`not JSON`, "", "", ""},
		{`{"type":7,"name":[],"confidence":"x","labels":{},"external_references":[1,{"url":9}],"valid_until":"when"}`, "", "", ""},
	} {
		s := summarise([]byte(c.object), now)
		if s.Name != c.name || s.Sentence != c.sentence || s.State != c.state {
			t.Errorf("%s says %q, %q, %q", c.object, s.Name, s.Sentence, s.State)
		}
	}
}

func TestAnObjectIsShownInPart(t *testing.T) {
	t.Parallel()
	o := map[string]any{"type": "x-large", "id": "x-large--1", "name": strings.Repeat("n", 1<<20), "description": strings.Repeat("d", 8<<20)}
	for i := range 1000 {
		o["x_"+strings.Repeat("p", i+1)] = strings.Repeat("v", 4<<10)
	}
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	s := summarise(raw, time.Now())
	if len(s.Properties) != maxProperties || s.MoreProperties != 800 || len(s.Description.Text) != maxText || s.Description.Cut != 8<<20-maxText || len(s.Name) > maxName+4 {
		t.Errorf("it has %d properties and %d more, %d bytes of text, a name of %d", len(s.Properties), s.MoreProperties, len(s.Description.Text), len(s.Name))
	}
}

func FuzzAnObjectIsSummed(f *testing.F) {
	for _, o := range someLibrary.objects() {
		f.Add([]byte(o))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := summarise(raw, someLibrary.at)
		if strings.ContainsFunc(s.Name+s.Sentence, hidden) || len(s.Values) > maxValues || len(s.Properties) > maxProperties {
			t.Fatalf("%q says %+v", raw, s)
		}
		for _, v := range s.Values {
			if kind, err := observable.ParseKind(v.Kind); err != nil || kind == 0 {
				t.Fatalf("%q has %+v", raw, v)
			}
		}
	})
}

func TestWhatAnAdmissionCostsIsSaidBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	look := func(request string) string {
		return w.ask("admin", "members", url.Values{"do": {"look"}, "request": {request}, "sudo": {"right"}}).Body.String()
	}
	has(t, look("request"), "It costs <strong>0.202 ALGO</strong>: 0.002 ALGO in fees, and 0.2 ALGO that stay locked", "Admit echo for 0.202 ALGO")
	if page := look("poor"); !strings.Contains(page, "It can't be done now: the account can&#39;t pay for that") || strings.Contains(page, `value="admit"`) {
		t.Errorf("what can't be paid for can be done: %s", page)
	}
}

func TestAnObjectSaysHowManyIndependentSourcesSayTheSame(t *testing.T) {
	t.Parallel()
	has(t, newWorld(t, nil).ask("reader", "object?id="+indicatorID, nil).Body.String(), "3 members say it, by 4 objects from 2 independent sources.")
	for want, is := range map[string]Corroborated{
		"": {}, "So many objects have the value that this says nothing.": {Objects: 5, More: true},
		"1 member says it, by 3 objects; all of it is from one source.": {Objects: 2, Members: 1, Independent: 1},
	} {
		if got := is.inWords(); got != want {
			t.Errorf("%+v is %q", is, got)
		}
	}
}

// asked notes what a list was asked for.
type asked struct {
	library
	last *Question
}

func (a asked) List(ctx context.Context, by By, q Question) (Listing, error) {
	*a.last = q
	return a.library.List(ctx, by, q)
}

func TestAListIsNarrowedDownByLinks(t *testing.T) {
	t.Parallel()
	var q Question
	w := newWorld(t, func(c *Config) { c.Rooms.Finder = asked{someLibrary, &q} })
	page := w.ask("reader", "search?type=indicator&state=in+force&min=70&rows=25", nil).Body.String()
	if q != (Question{Type: "indicator", State: "in force", Least: 70, Limit: 25}) {
		t.Errorf("asked is %+v", q)
	}
	has(t, page, `href="search?type=indicator&amp;state=expired&amp;min=70&amp;rows=25"`, `href="search?type=indicator&amp;state=in&#43;force&amp;rows=25"`, `aria-current="true">70 or more</a>`,
		`href="search?type=indicator&amp;state=in&#43;force&amp;min=70&amp;before=24&amp;rows=25" rel="next"`)
	for _, wrong := range []string{"state=best", "min=0", "min=101", "min=x"} {
		if answer := w.ask("reader", "search?"+wrong, nil); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s is answered %d", wrong, answer.Code)
		}
	}
}

func TestAnIndicatorSaysHowMuchItIsWorthAndUntilWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.now = someLibrary.at
	has(t, w.ask("reader", "object?id="+indicatorID, nil).Body.String(), "Score 74 of 80; it falls below 30 on 14 January 2027 unless it is seen again.")
	has(t, w.ask("reader", "object?id="+malwareID, nil).Body.String(), "!Score")
	for want, is := range map[string]Worth{
		"Score 80; it does not fall with time.":                                                      {Score: 80, Base: 80, Least: 30},
		"Score 20 of 80; it is below 30 since 1 January 2026: lists that ask for that leave it out.": {Score: 20, Base: 80, Falls: true, Least: 30, Until: then},
		"Score 20, which was never above 30.":                                                        {Score: 20, Base: 20, Falls: true, Least: 30},
	} {
		if got := is.inWords(then.AddDate(0, 1, 0)); got != want {
			t.Errorf("%+v is %q", is, got)
		}
	}
}

func TestASearchSaysOnWhichWarningListsAValueIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	has(t, w.ask("reader", "search?q=8.8.8.8", nil).Body.String(), "It is on a warning list: Public resolvers (shared, 2026-11-30), b, c and 2 others.")
	has(t, w.ask("reader", "search?q=8.8.8.8+203.0.113.7", nil).Body.String(), "on a warning list: Public resolvers")
	has(t, w.ask("reader", "search?q=203.0.113.7", nil).Body.String(), "!warning list")
}
