package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// seed is what the checks look for.
type seed struct {
	batch     []string // indicators posted in one envelope
	versioned string   // an indicator with three versions, of which the second came last
	malware   string
	address   string // an observable, which has no version

	versions []string // of the versioned one, in their order
}

func (s seed) ids() []string {
	return append(append([]string{}, s.batch...), s.versioned, s.malware, s.address)
}

// sowing is how long the seeds may take to be found: some rounds of the chain, on a busy machine too.
const sowing = 5 * time.Minute

// sow posts the seeds and waits until they are there.
func (s *session) sow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sowing)
	defer cancel()
	sd := seed{versioned: newID("indicator"), malware: newID("malware"), address: newID("ipv4-addr"),
		versions: []string{"2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z", "2026-01-01T00:00:03.000Z"}}
	var batch []string
	for range 8 {
		id := newID("indicator")
		sd.batch = append(sd.batch, id)
		batch = append(batch, indicator(id, "2026-01-01T00:00:01.000Z"))
	}
	s.seed = sd
	wanted := 0
	for _, objects := range [][]string{
		batch,
		{indicator(sd.versioned, sd.versions[0]), malware(sd.malware)},
		{indicator(sd.versioned, sd.versions[2])},
		{indicator(sd.versioned, sd.versions[1]), address(sd.address)},
	} {
		a, err := s.send(ctx, request{method: http.MethodPost, path: s.collection + "objects/", body: envelope(objects...)})
		if err != nil {
			return err
		}
		if a.status < 200 || a.status > 299 {
			return fmt.Errorf("objects to look for can't be added: %d: %.300s", a.status, a.body)
		}
		// One after the other, so that the order in which they come is known.
		wanted += len(objects)
		if err := s.awaitSeeds(ctx, wanted); err != nil {
			return err
		}
	}
	return nil
}

// awaitSeeds waits until so many versions of the seeds are there.
func (s *session) awaitSeeds(ctx context.Context, wanted int) error {
	t := &trial{session: s, ctx: ctx}
	path := t.at("manifest/", "match[version]", "all")
	for {
		var l listing
		if err := s.read(ctx, path, &l); err != nil {
			return err
		}
		if len(l.Objects) >= wanted {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("of %d versions that were added, %d are there after %v", wanted, len(l.Objects), sowing)
		}
	}
}

func newID(kind string) string { return kind + "--" + uuid.NewString() }

// green is TLP:GREEN, so that a server that honours markings takes the objects.
const green = `"object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"]`

func indicator(id, modified string, more ...string) string {
	return object(append([]string{fmt.Sprintf(`"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":%q`, id, modified),
		`"pattern":"[ipv4-addr:value = '198.51.100.1']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"`, green}, more...)...)
}

func malware(id string) string {
	return object(fmt.Sprintf(`"type":"malware","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"`, id),
		`"name":"Conformity","is_family":false`, green)
}

func address(id string) string {
	return object(fmt.Sprintf(`"type":"ipv4-addr","spec_version":"2.1","id":%q`, id), `"value":"198.51.100.7"`, green)
}

func object(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

func envelope(objects ...string) *strings.Reader {
	return strings.NewReader(`{"objects":[` + strings.Join(objects, ",") + `]}`)
}

// post adds objects and returns the answer.
func (t *trial) post(body string, headers ...string) *answer {
	return t.do(request{method: http.MethodPost, path: t.session.collection + "objects/", body: strings.NewReader(body), headers: headers})
}

// status is the status resource, by its properties, so that absent ones show.
type status struct {
	ID        string          `json:"id"`
	Status    string          `json:"status"`
	Timestamp *string         `json:"request_timestamp"`
	Total     *int            `json:"total_count"`
	Success   *int            `json:"success_count"`
	Failure   *int            `json:"failure_count"`
	Pending   *int            `json:"pending_count"`
	Successes []detail        `json:"successes"`
	Failures  []detail        `json:"failures"`
	Pendings  []detail        `json:"pendings"`
	raw       json.RawMessage // all of it
}

type detail struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Message any    `json:"message"`
}

// added adds objects and follows the status until it is complete.
func (t *trial) added(objects ...string) status {
	a := t.post(`{"objects":[` + strings.Join(objects, ",") + `]}`)
	t.want(a, http.StatusOK, http.StatusAccepted) // of which one is right, as another check finds
	return t.followed(a)
}

func (t *trial) followed(a *answer) status {
	deadline := time.Now().Add(sowing)
	for {
		s := t.status(a)
		if s.Total == nil || s.Success == nil || s.Failure == nil || s.Pending == nil {
			t.fail("the status lacks a count: %.200s", s.raw)
		}
		if s.Status == "complete" {
			return s
		}
		if time.Now().After(deadline) {
			t.fail("the status is not complete after %v: %.200s", sowing, s.raw)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.ctx.Done():
			t.fail("%v", t.ctx.Err())
		}
		a = t.get(t.root + "status/" + s.ID + "/")
		t.want(a, http.StatusOK)
	}
}

func (t *trial) status(a *answer) status {
	var s status
	t.decode(a, &s)
	s.raw = a.body
	return s
}

// shows waits until an object can be got, which may be a little after its status is complete, and returns its envelope.
func (t *trial) shows(id string) listing {
	deadline := time.Now().Add(10 * time.Second)
	for {
		a := t.get(t.session.collection + "objects/" + id + "/")
		if a.status == http.StatusOK || time.Now().After(deadline) {
			t.want(a, http.StatusOK)
			var l listing
			t.decode(a, &l)
			if len(l.Objects) == 0 {
				t.fail("%s was added but its envelope is %.100s", id, a.body)
			}
			return l
		}
		time.Sleep(50 * time.Millisecond)
	}
}
