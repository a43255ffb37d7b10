package feed

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

func FuzzReadBundle(f *testing.F) {
	f.Add([]byte(`{"type":"bundle","id":"bundle--1","objects":[` + indicator(1, "") + `]}`))
	f.Add([]byte(`{"type":"bundle","objects":[]}`))
	f.Add([]byte(`{"type":"bundle","objects":{}}`))
	f.Add([]byte(`{"message":"Error while processing your query during STIX export"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		objects, err := readBundle(body)
		size := 0
		for _, o := range objects {
			size += len(o)
		}
		if err == nil && size > len(body) {
			t.Errorf("%d bytes of objects from %d", size, len(body))
		}
	})
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"response":[{"Event":{"id":"7","published":true,"publish_timestamp":"1767322999"}}]}`))
	f.Add([]byte(`{"response":[{"Event":{"id":7,"published":"0","publish_timestamp":1767322999}},{}]}`))
	f.Add([]byte(`{"response":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := readEvents(body)
		for _, e := range events {
			if err != nil || e.ID <= 0 || e.Published <= 0 {
				t.Errorf("%+v, %v", e, err)
			}
		}
	})
}

// Whatever a page says, the place after it is no earlier, and can be written down and read again.
func FuzzAdvance(f *testing.F) {
	f.Add("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z", "cursor", 2, 1, []byte(`{"next":"cursor","limit":10}`))
	f.Add("undefined", "2026-01-02T03:04:05+00:00", "", 0, 0, []byte(`{}`))
	f.Add("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "x", 2, 3, []byte(`{"after":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, first, last, next string, more, count int, at []byte) {
		page := taxii.ObjectsPage{First: first, Last: last, Next: next, More: taxii.More(more % 3), Asked: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}
		for n := range count & 3 {
			page.Objects = append(page.Objects, []byte(fmt.Sprint(n)))
		}
		var p taxiiPlace
		if !readPlace(at, &p) {
			return
		}
		before := p.After
		on, stuck := p.advance(page)
		if on && stuck != nil {
			t.Error("it goes on and is stuck")
		}
		if p.After.Before(before) {
			t.Errorf("from %s back to %s", before, p.After)
		}
		if p.After.After(page.Asked.Add(maxAhead)) && !p.After.Equal(before) {
			t.Errorf("%s is in the future", p.After)
		}
	})
}

// answers is a server that says the same again and again, and at last nothing.
type answers struct {
	body []byte
	date string
	left int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte("{}")
	if a.left > 0 {
		a.left, body = a.left-1, a.body
	}
	header := http.Header{"X-Taxii-Date-Added-Last": {a.date}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// Whatever a server answers, a run ends, and takes no more than it may.
func FuzzRun(f *testing.F) {
	const object = `{"type":"tool","spec_version":"2.1","id":"tool--00000001-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05Z","modified":"2026-01-02T03:04:05Z","name":"x"}`
	for _, page := range []string{`{"more":true,"next":"x","objects":[1]}`, `{"more":true,"objects":[{},null,[1]]}`, `{"more":true,"next":7}`, `[]`} {
		f.Add([]byte(page), "2026-01-02T03:04:05Z")
	}
	config := taxiiConfig("http://127.0.0.1")
	config.MaxObjects = 1
	const pages = 8
	f.Fuzz(func(t *testing.T, page []byte, date string) {
		feed, _ := newFeed(t, config, memo{})
		server := &answers{body: bytes.ReplaceAll(page, []byte("1"), []byte(object)), date: date, left: pages}
		client, err := taxii.NewClient(config.URL, taxii.ClientConfig{HTTP: &http.Client{Transport: server}})
		must(t, err)
		r := feed.run(newLedger(), false)
		r.source = &taxiiSource{config: config, client: client, patience: patience{clock: feed.clock, attempts: maxAttempts}}
		_ = r.walk(t.Context()) // an error is as good as any end
		if r.report.New > 1 || r.report.Pages > maxRunPages {
			t.Errorf("%+v", r.report)
		}
	})
}
