package clients

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// sending is a webhook whose receiver, view and memory are the test's.
type sending struct {
	*Webhook
	attempts []time.Duration // since the beginning
	sent     []string        // the bodies
	answer   func(attempt int) (status int, retryAfter string, err error)
	entries  []*view.Entry
	place    string
	lost     error // the memory can't be written
	shown    signal.Signal
	began    time.Time
	said     bytes.Buffer
}

// serving are webhooks that are made already.
func serving(hooks ...*Webhook) *Webhooks { return &Webhooks{list: hooks} }

func newSending(t *testing.T) *sending {
	t.Helper()
	s := &sending{began: time.Now()}
	config := config.Webhook{Name: "siem", Secret: webhookSecret, URL: "https://siem.example/hook?key=hunter2"}
	hook, err := NewWebhook(config, nil, s, &s.shown, slog.New(slog.NewTextHandler(&s.said, nil)))
	nodetest.Must(t, err)
	hook.view = s
	hook.client.Transport = s
	s.Webhook = hook
	return s
}

func (s *sending) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.attempts, s.sent = append(s.attempts, time.Since(s.began)), append(s.sent, string(body))
	status, after, err := s.answer(len(s.attempts))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

func (s *sending) Page(q view.Query) (list []*view.Entry, more bool, err error) {
	for _, e := range s.entries {
		if e.DateAdded > q.After && len(list) < q.Limit {
			list = append(list, e)
		}
	}
	return list, false, nil
}

func (s *sending) Removals(string, int64, int) ([]view.Removal, bool, error) { return nil, false, nil }

func (s *sending) Changed(string) (last int64, err error) {
	for _, e := range s.entries {
		last = max(last, e.DateAdded)
	}
	return last, nil
}

func (s *sending) Memo(name string) ([]byte, error) {
	if name != "webhook/siem" {
		return nil, fmt.Errorf("it asks for %s", name)
	}
	return []byte(s.place), nil
}

func (s *sending) SetMemo(_ string, data []byte) error {
	if s.lost == nil {
		s.place = string(data)
	}
	return s.lost
}

func entriesFrom(first, n int) (list []*view.Entry) {
	for i := range n {
		list = append(list, &view.Entry{DateAdded: int64(first + i), Object: fmt.Appendf(nil, "%d", first+i)})
	}
	return list
}

// A receiver that is away is tried again after twice the time, up to ten minutes, and is sent the same until it takes
// it.
func TestAReceiverThatIsAwayIsTriedLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSending(t)
		s.place, s.entries = "0", entriesFrom(1, 1)
		const tries = 14
		s.answer = func(attempt int) (int, string, error) {
			if attempt < tries {
				return 503, "", nil
			}
			return 204, "", nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		var pauses []time.Duration
		for i := range len(s.attempts) - 1 {
			pauses = append(pauses, s.attempts[i+1]-s.attempts[i])
		}
		if len(s.attempts) != tries || s.place != "1" || s.Status().Problem != "" {
			t.Errorf("%d attempts, it is at %q", len(s.attempts), s.place)
		}
		for i, pause := range pauses {
			least, most := time.Second<<min(i, 20), time.Second<<min(i, 20)
			least, most = min(least, webhookLongest)/2, min(most, webhookLongest)*3/2
			if pause < least || pause > most {
				t.Errorf("the pause %d is %v, of %v", i+1, pause, pauses)
			}
		}
		if len(slices.Compact(s.sent)) != 1 {
			t.Errorf("sent are %q", s.sent)
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

// What the receiver asks for holds if it is longer, and a success ends it.
func TestTheReceiversPauseHoldsWhereItIsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSending(t)
		s.place, s.entries = "0", entriesFrom(1, 1)
		s.answer = func(attempt int) (int, string, error) {
			switch attempt {
			case 1:
				return 429, "120", nil
			case 3:
				return 500, "", nil
			}
			return 200, "", nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		time.Sleep(150 * time.Second)
		synctest.Wait()
		s.entries = entriesFrom(1, 2)
		s.shown.Notify()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(s.attempts) != 4 || s.attempts[1] < 120*time.Second || s.attempts[1] > 130*time.Second || s.attempts[3]-s.attempts[2] > 2*time.Second {
			t.Errorf("attempts at %v", s.attempts)
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

// The address of a receiver can be a secret, and so can what it answers.
func TestAReceiversAddressIsInNoLogAndNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, failure := range []error{errors.New("no route to host"), nil} {
			s := newSending(t)
			s.place, s.entries = "0", entriesFrom(1, 1)
			s.answer = func(int) (int, string, error) { return 400, "", failure }
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.run(ctx) }()
			synctest.Wait()
			text := s.said.String() + fmt.Sprint(s.Status())
			if s.Status().Problem != "receiver" || !strings.Contains(text, "siem") || strings.Contains(text, "hunter2") || strings.Contains(text, "siem.example") || strings.Contains(text, webhookSecret) {
				t.Errorf("it says %s", text)
			}
			if failure != nil && !strings.Contains(text, "no route to host") || failure == nil && !strings.Contains(text, "400") {
				t.Errorf("the reason is not said: %s", text)
			}
			cancel()
			nodetest.Must(t, <-ended)
		}
	})
	bad := newSending(t)
	bad.config.URL = "https://hunter2\x7f/"
	if err := bad.send(t.Context(), entriesFrom(1, 1)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an address that can't be used: %v", err)
	}
}

// A webhook whose place can't be kept ends with the node: it would send everything again and again.
func TestAPlaceThatCantBeKeptEndsTheNode(t *testing.T) {
	for name, change := range map[string]func(*sending){
		"it can't be written": func(s *sending) { s.lost = errors.New("the disk says no") },
		"it can't be read":    func(s *sending) { s.place = "nonsense" },
	} {
		s := newSending(t)
		s.place, s.entries = "0", entriesFrom(1, 1)
		s.answer = func(int) (int, string, error) { return 200, "", nil }
		change(s)
		if err := serving(s.Webhook).Run(t.Context()); err == nil {
			t.Errorf("%s, and it goes on", name)
		}
	}
}

// The place moves with each batch that was taken, so that an end in the middle costs one batch at most.
func TestBatchesComeInOrderAndEachIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSending(t)
		s.place, s.entries = "0", entriesFrom(1, 2*webhookBatch+1)
		ctx, cancel := context.WithCancel(t.Context())
		var places []string
		s.answer = func(int) (int, string, error) {
			places = append(places, s.place)
			return 200, "", nil
		}
		ended := make(chan error, 1)
		go func() { ended <- serving(s.Webhook).Run(ctx) }()
		synctest.Wait()
		if !slices.Equal(places, []string{"0", "100", "200"}) || s.place != "201" {
			t.Errorf("the places are %v, then %s", places, s.place)
		}
		var all strings.Builder
		for _, body := range s.sent {
			_, objects, _ := strings.Cut(body, `"objects":[`)
			all.WriteString(strings.TrimSuffix(objects, "]}}") + ",")
		}
		for i, n := range strings.Split(strings.TrimSuffix(all.String(), ","), ",") {
			if n != fmt.Sprint(i+1) {
				t.Fatalf("object %d is %s", i+1, n)
			}
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

func TestAWebhookWithoutAGoodSecretIsNotMade(t *testing.T) {
	for _, secret := range []string{"", "whsec_", "whsec_?", "whsec_" + base64.StdEncoding.EncodeToString([]byte("short"))} {
		if _, err := NewWebhook(config.Webhook{Name: "siem", URL: "https://siem.example", Secret: secret}, nil, nil, nil, nodetest.Discard); err == nil || secret != "" && strings.Contains(err.Error(), secret) && len(secret) > 7 {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

// watchedFive watches for what the object 5 is about.
type watchedFive struct{}

func (watchedFive) Concerns(object []byte) []taxii.Concern {
	if string(object) != "5" {
		return nil
	}
	return []taxii.Concern{{Asset: taxii.Asset{Kind: "ipv4", Value: "203.0.113.0/24"}, How: taxii.ConcernIn, Value: "203.0.113.7"}}
}

// A receiver that did not take it is told again what an object concerns, however often that takes.
func TestAReceiverIsToldWhatConcernsTheOrganisationUntilItHasTakenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSending(t)
		s.watch = watchedFive{}
		s.place, s.entries = "0", entriesFrom(1, 9)
		s.answer = func(attempt int) (int, string, error) {
			if attempt == 2 { // it died before it had kept that
				return 500, "", nil
			}
			return 204, "", nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(s.sent) != 4 || s.place != "9" || s.sent[0] != s.sent[2] || s.sent[1] != s.sent[3] {
			t.Fatalf("sent are %q, and it is at %q", s.sent, s.place)
		}
		if !strings.Contains(s.sent[3], `"type":"watch.matched"`) || strings.Count(s.sent[3], `"how":"in"`) != 1 || !strings.Contains(s.sent[3], "203.0.113.0/24") {
			t.Errorf("told is %s", s.sent[3])
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}
