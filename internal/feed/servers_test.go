package feed

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/stix"
)

// pull runs a feed until there is no rest, and returns the sum of what was new.
func pull(t *testing.T, f *Feed, sink Sink) (fresh int) {
	t.Helper()
	for range 20 {
		report, err := f.Run(t.Context(), sink)
		must(t, err)
		fresh += report.New
		if !report.Rest {
			return fresh
		}
	}
	t.Fatal("there is no end")
	return 0
}

// OpenCTI (httpTaxii.js, taxii.js): a cursor on every page, also the last; date headers that say "undefined"; paths
// without a slash at the end are its own, with one they work too; http_status is a number.
func TestPullingFromOpenCTI(t *testing.T) {
	var objects []string
	for n := range 7 {
		objects = append(objects, indicator(n, ""))
	}
	asked := 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/taxii+json;version=2.1")
		if r.Header.Get("Authorization") != "Bearer 0e6f4f4c" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"title":"You must be logged in to do this.","error_code":"AUTH_REQUIRED","http_status":401}`)
			return
		}
		asked++
		from, _ := strconv.Atoi(r.URL.Query().Get("next"))
		to := min(from+3, len(objects))
		w.Header().Set("X-TAXII-Date-Added-First", "undefined")
		w.Header().Set("X-TAXII-Date-Added-Last", "undefined")
		fmt.Fprintf(w, `{"more":%t,"next":"%d","objects":[%s]}`, to < len(objects), to, strings.Join(objects[from:to], ","))
	}))
	config := taxiiConfig(url)
	config.Credentials.Token = "0e6f4f4c"
	sink, memory := newLedger(), memo{}
	f, _ := newFeed(t, config, memory)
	if n := pull(t, f, sink); n != 7 || asked != 3 {
		t.Errorf("%d objects with %d requests", n, asked)
	}
	objects = append(objects, indicator(7, ""))
	if n := pull(t, f, sink); n != 1 {
		t.Errorf("then %d", n)
	}
	config.Credentials.Token = "expired1"
	f, pauses := newFeed(t, config, memory)
	_, err := f.Run(t.Context(), sink)
	if !Rejected(err) || len(*pauses) > 0 {
		t.Errorf("a wrong token: %v after %v", err, *pauses)
	}
}

// AlienVault OTX: the API key is the user and the password is empty; a collection's id is a name.
func TestPullingFromOTX(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok || user != "otx-api-key" || password != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/taxii/root/collections/":
			fmt.Fprint(w, `{"collections":[{"id":"user_AlienVault","title":"AlienVault","can_read":true,"can_write":false}]}`)
		case "/taxii/root/collections/user_AlienVault/objects/":
			fmt.Fprintf(w, `{"more":false,"objects":[%s]}`, indicator(1, ""))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Setenv("OTX_TEST_KEY", "otx-api-key")
	config := taxiiConfig(url)
	config.URL, config.Collection, config.Credentials.User = url+"/taxii/root", "user_AlienVault", "env:OTX_TEST_KEY"
	sink := newLedger()
	f, _ := newFeed(t, config, memo{})
	trial, err := f.Test(t.Context(), sink)
	must(t, err)
	if !trial.Source.Reached || trial.Source.Title != "AlienVault" || trial.New != 1 || trial.Cost != price || len(sink.order) != 0 {
		t.Errorf("%+v %+v", trial, trial.Report)
	}
	if pull(t, f, sink) != 1 {
		t.Error("the object does not come")
	}
	config.Collection = "AlienVault"
	f, _ = newFeed(t, config, memo{})
	if _, err := f.Test(t.Context(), sink); err == nil || !strings.Contains(err.Error(), `its id is "user_AlienVault"`) {
		t.Errorf("a title in place of the id: %v", err)
	}
}

// medallion (memory_backend.py): a whole envelope has one date; the cursor is the same on every page, each use of it
// takes objects away, and it is forgotten after 30 seconds.
func TestPullingFromMedallion(t *testing.T) {
	const total, date = 118, "2026-01-02T03:04:05.123456Z"
	for name, lose := range map[string]func(int) bool{
		"nothing goes wrong":      func(int) bool { return false },
		"an answer is lost":       func(request int) bool { return request == 3 },
		"the cursor is forgotten": func(request int) bool { return request == 5 },
	} {
		t.Run(name, func(t *testing.T) {
			rest, requests := map[string][]string{}, 0
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				next := r.URL.Query().Get("next")
				if lose(requests) && name == "the cursor is forgotten" {
					clear(rest)
				}
				list, known := rest[next]
				switch {
				case next == "":
					next = fmt.Sprintf("next-%d", requests)
					for n := range total {
						list = append(list, indicator(n, ""))
					}
					if r.URL.Query().Get("added_after") >= date {
						list = nil
					}
				case !known:
					w.WriteHeader(http.StatusBadRequest)
					fmt.Fprint(w, `{"title":"ProcessingError","description":"'next' not valid"}`)
					return
				}
				page := list[:min(10, len(list))]
				rest[next] = list[len(page):]
				if lose(requests) && name != "the cursor is forgotten" {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				w.Header().Set("X-TAXII-Date-Added-First", date)
				w.Header().Set("X-TAXII-Date-Added-Last", date)
				if len(rest[next]) == 0 {
					fmt.Fprintf(w, `{"objects":[%s]}`, strings.Join(page, ","))
					return
				}
				fmt.Fprintf(w, `{"more":true,"next":%q,"objects":[%s]}`, next, strings.Join(page, ","))
			}))
			sink := newLedger()
			f, _ := newFeed(t, taxiiConfig(url), memo{})
			if n := pull(t, f, sink); n != total {
				t.Errorf("%d objects of %d", n, total)
			}
			if n := pull(t, f, sink); n != 0 {
				t.Errorf("%d objects come twice", n)
			}
		})
	}
}

// misp is a MISP instance as far as a feed sees it.
type misp struct {
	published map[int]int64 // event -> publish_timestamp
	broken    map[int]bool  // events that its converter fails at
	exports   int
}

func (m *misp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "misp-key" || r.Header.Get("Accept") != "application/json" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"name":"Authentication failed.","message":"Authentication failed with the key %s.","url":"/events/restSearch"}`, r.Header.Get("Authorization"))
		return
	}
	if r.URL.Path == "/servers/getVersion" {
		fmt.Fprint(w, `{"version":"2.5.3","perm_sync":false}`)
		return
	}
	var query struct {
		ReturnFormat string   `json:"returnFormat"`
		StixVersion  string   `json:"stix-version"`
		Since        string   `json:"publish_timestamp"`
		EventID      []string `json:"eventid"`
		Limit        int
		Page         int
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &query); err != nil || r.URL.Path != "/events/restSearch" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if query.ReturnFormat == "json" {
		since, _ := strconv.ParseInt(query.Since, 10, 64)
		var list []string
		for id, at := range m.published {
			if at >= since {
				list = append(list, fmt.Sprintf(`{"Event":{"id":"%d","published":true,"publish_timestamp":"%d","timestamp":"1"}}`, id, at))
			}
		}
		list = append(list, `{"Event":{"id":"99","published":false,"publish_timestamp":"1767322999"}}`)
		slices.Sort(list)
		from := min((query.Page-1)*query.Limit, len(list))
		fmt.Fprintf(w, `{"response":[%s]}`, strings.Join(list[from:min(from+query.Limit, len(list))], ","))
		return
	}
	m.exports++
	var objects []string
	for _, text := range query.EventID {
		id, _ := strconv.Atoi(text)
		if m.broken[id] || query.StixVersion != "2.1" {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"Error while processing your query during STIX export"}`)
			return
		}
		objects = append(objects, indicator(id, ""))
	}
	fmt.Fprintf(w, `{"type":"bundle","id":"bundle--1","objects":[%s]}`+"\n", strings.Join(objects, ","))
}

func TestPullingFromMISP(t *testing.T) {
	const at = 1767322800
	m := &misp{published: map[int]int64{}, broken: map[int]bool{13: true}}
	for n := 1; n <= 25; n++ {
		m.published[n] = at + int64(n%7)*1000 // events keep no order
	}
	url := serve(t, m)
	config := Config{Name: "misp", Kind: KindMISP, URL: url, MaxObjects: 10}
	config.Credentials.APIKey = "misp-key"
	sink, memory := newLedger(), memo{}
	f, _ := newFeed(t, config, memory)
	trial, err := f.Test(t.Context(), sink)
	must(t, err)
	if trial.Source.Title != "MISP 2.5.3" || trial.New != 10 || !trial.Rest {
		t.Errorf("%+v %+v", trial, trial.Report)
	}
	if n := pull(t, f, sink); n != 24 {
		t.Errorf("%d events of 24", n)
	}
	m.broken = nil // the one that could not be converted is not forgotten
	m.published[30] = at + 6000
	m.published[3] += 100 // an old one is published again, with nothing new
	m.published[31] = at + 9000
	if n := pull(t, f, sink); n != 3 {
		t.Errorf("then %d events of 3", n)
	}
	before := m.exports
	if n := pull(t, f, sink); n != 0 || m.exports != before {
		t.Errorf("with nothing new %d events and %d exports", n, m.exports-before)
	}

	config.Credentials.APIKey = "wrong-key"
	f, _ = newFeed(t, config, memory)
	_, err = f.Run(t.Context(), sink)
	if !Rejected(err) || strings.Contains(err.Error(), "wrong-key") {
		t.Errorf("a wrong key: %v", err)
	}
}

// A source that wants to be left alone is, for as long as it says.
func TestASourceIsAskedAgainWhenItSaysSo(t *testing.T) {
	answers := []string{"7", "", "3600"}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(answers) == 0 {
			t.Error("it is asked once too often")
			return
		}
		w.Header().Set("Retry-After", answers[0])
		answers = answers[1:]
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	f, pauses := newFeed(t, taxiiConfig(url), memo{})
	_, err := f.Run(t.Context(), newLedger())
	if Pause(err) != time.Hour || len(*pauses) != 2 || (*pauses)[0] != 7*time.Second || (*pauses)[1] < 4*time.Second {
		t.Errorf("%v after the pauses %v", err, *pauses)
	}
}

func TestAnswersThatAreTooLargeAreAskedForInSmallerPieces(t *testing.T) {
	var limits []int
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("next"))
		limits = append(limits, limit)
		var page []string
		for n := from; n < min(from+limit, 8); n++ {
			page = append(page, indicator(n, `,"x_padding":"`+strings.Repeat("x", 7<<10)+`"`))
		}
		fmt.Fprintf(w, `{"more":%t,"next":"%d","objects":[%s]}`, from+limit < 8, from+limit, strings.Join(page, ","))
	}))
	config := taxiiConfig(url)
	config.PageSize, config.most = 16, 32<<10
	sink := newLedger()
	f, _ := newFeed(t, config, memo{})
	if n := pull(t, f, sink); n != 8 || !slices.Equal(limits[:3], []int{16, 8, 4}) {
		t.Errorf("%d objects of 8, asked for by %v", n, limits)
	}
}

func TestMarkingDefinitionsComeWithWhatTheyMark(t *testing.T) {
	const id = "marking-definition--7a1b2c3d-17d4-4cbf-938f-98ee46b3cd3f"
	definition := `{"type":"marking-definition","spec_version":"2.1","id":"` + id + `","created":"2026-01-02T03:04:05Z","definition_type":"statement","definition":{"statement":"Ours"}}`
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("match[id]") == id {
			fmt.Fprintf(w, `{"objects":[%s]}`, definition)
			return
		}
		fmt.Fprintf(w, `{"objects":[%s,%s]}`, indicator(1, `,"object_marking_refs":["`+id+`"]`), indicator(2, `,"object_marking_refs":["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]`))
	}))
	config := taxiiConfig(url)
	config.Filter = Filter{Types: []string{"indicator"}, Markings: []string{"green"}}
	sink := newLedger()
	f, _ := newFeed(t, config, memo{})
	report, err := f.Run(t.Context(), sink)
	must(t, err)
	if !slices.Equal(sink.order, []string{id, indicatorID(1)}) || report.Passed["markings"] != 1 {
		t.Errorf("published %v; %+v", sink.order, report)
	}
}

func TestFiltersLetThroughWhatTheySay(t *testing.T) {
	for name, test := range map[string]struct {
		filter  Filter
		further string
		over    string
	}{
		"no filter":           {Filter{}, "", ""},
		"a type":              {Filter{Types: []string{"malware", "indicator"}}, "", ""},
		"another type":        {Filter{Types: []string{"malware"}}, "", "types"},
		"confidence":          {Filter{MinConfidence: 50}, `,"confidence":50`, ""},
		"less confidence":     {Filter{MinConfidence: 50}, `,"confidence":49`, "min_confidence"},
		"no confidence":       {Filter{MinConfidence: 50}, "", "min_confidence"},
		"a text as one":       {Filter{MinConfidence: 50}, `,"confidence":"90"`, "min_confidence"},
		"a label":             {Filter{Labels: []string{"a", "b"}}, `,"labels":["b","c"]`, ""},
		"no such label":       {Filter{Labels: []string{"a"}}, `,"labels":["b"]`, "labels"},
		"an author":           {Filter{Authors: []string{"identity--1"}}, `,"created_by_ref":"identity--1"`, ""},
		"another author":      {Filter{Authors: []string{"identity--1"}}, `,"created_by_ref":"identity--2"`, "authors"},
		"made since":          {Filter{Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, "", ""},
		"made before":         {Filter{Since: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}, "", "since"},
		"all of them are met": {Filter{Types: []string{"indicator"}, MinConfidence: 1, Labels: []string{"a"}}, `,"confidence":1,"labels":["a"]`, ""},
		"one of them is not":  {Filter{Types: []string{"indicator"}, MinConfidence: 2, Labels: []string{"a"}}, `,"confidence":1,"labels":["a"]`, "min_confidence"},
	} {
		object, err := stix.Parse([]byte(indicator(1, test.further)))
		must(t, err)
		if over := test.filter.passesOver(object); over != test.over {
			t.Errorf("%s: passed over by %q, want %q", name, over, test.over)
		}
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"name":            func(c *Config) { c.Name = "A feed" },
		"url":             func(c *Config) { c.URL = "ftp://x" },
		"holds cred":      func(c *Config) { c.URL = "https://user:secret@x/" },
		"kind":            func(c *Config) { c.Kind = "rss" },
		"collection":      func(c *Config) { c.Collection = "" },
		"max_objects":     func(c *Config) { c.MaxObjects = 0 },
		"page_size":       func(c *Config) { c.PageSize = -1 },
		"markings":        func(c *Config) { c.Filter.Markings = []string{"purple"} },
		"authors":         func(c *Config) { c.Filter.Authors = []string{"acme"} },
		"min_confidence":  func(c *Config) { c.Filter.MinConfidence = 101 },
		"only one":        func(c *Config) { c.Credentials.Token, c.Credentials.APIKey = "t", "k" },
		"client_cert":     func(c *Config) { c.Credentials.ClientCert = "x" },
		"api_key_header:": func(c *Config) { c.Credentials.APIKeyHeader = "X" },
		"api_key: MISP":   func(c *Config) { c.Kind, c.Collection = KindMISP, "" },
	} {
		config := taxiiConfig("http://127.0.0.1:1")
		change(&config)
		if _, err := New(config, memo{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := Credentials{User: "env:WHO", Password: "hush-hush"}
	for _, text := range []string{c.String(), fmt.Sprintf("%v %+v %#v", c, c, c.Password)} {
		if strings.Contains(text, "hush") {
			t.Error(text)
		}
	}
	if data, err := json.Marshal(c); err != nil || strings.Contains(string(data), "hush") {
		t.Errorf("%s, %v", data, err)
	}
	echo := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"title": "no", "description": "your " + r.Header.Get("Authorization") + "\x1b[2J is " + strings.Repeat("bad", 1000)})
	}))
	config := taxiiConfig(echo)
	config.Credentials.Token = "hush-hush"
	f, _ := newFeed(t, config, memo{})
	report, err := f.Run(t.Context(), newLedger())
	if err == nil || strings.Contains(err.Error()+report.Problem, "hush") || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 500 {
		t.Errorf("%v", err)
	}
}

func TestAFeedThatIsChangedBeginsAgain(t *testing.T) {
	memory := memo{}
	config := taxiiConfig("http://127.0.0.1:1")
	f, _ := newFeed(t, config, memory)
	must(t, f.setPlace([]byte(`{"next":"x"}`)))
	config.MaxObjects, config.Credentials.Token = 5, "new"
	same, _ := newFeed(t, config, memory)
	config.Filter.Types = []string{"malware"}
	other, _ := newFeed(t, config, memory)
	if place, err := same.place(); err != nil || place == nil {
		t.Errorf("with other limits: %s, %v", place, err)
	}
	if place, err := other.place(); err != nil || place != nil {
		t.Errorf("with another filter: %s, %v", place, err)
	}
}
