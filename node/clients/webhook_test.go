package clients

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var webhookSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of a secret key"))

// receiver takes what a webhook sends.
type receiver struct {
	*httptest.Server
	t     *testing.T
	tests atomic.Int64 // events that said that they are tests

	mu      sync.Mutex
	objects []string // of the batches that were taken
	batches []string // the ids of all that came
	answer  func(attempt int, w http.ResponseWriter) bool
	changed signal.Signal
}

func newReceiver(t *testing.T, answer func(attempt int, w http.ResponseWriter) bool) *receiver {
	t.Helper()
	r := &receiver{t: t, answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil || q.URL.Path != "/hook" {
		r.t.Errorf("%s, %v", q.URL, err)
	}
	id, timestamp := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, []byte("thirty-two bytes of a secret key"))
	mac.Write([]byte(id + "." + timestamp + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); q.Header.Get("webhook-signature") != want || id == "" || timestamp == "" {
		r.t.Errorf("the signature is %s, want %s", q.Header.Get("webhook-signature"), want)
	}
	var event struct {
		Type, Timestamp string
		Data            struct {
			Webhook, Collection string
			Objects             []json.RawMessage
			Removed             []taxii.Removal
		}
	}
	if json.Unmarshal(body, &event) == nil && event.Type == "test" && event.Data.Webhook == "siem" && event.Data.Objects == nil {
		r.tests.Add(1)
		return
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type != "objects.added" && event.Type != "objects.removed" || event.Data.Webhook != "siem" {
		r.t.Errorf("%v in %s", err, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, id)
	if !r.answer(len(r.batches), w) {
		return
	}
	for _, o := range event.Data.Objects {
		r.objects = append(r.objects, string(o))
	}
	for _, removed := range event.Data.Removed {
		r.objects = append(r.objects, fmt.Sprintf("removed %s %t %v", removed.ID, removed.Gone, removed.Values))
	}
	r.changed.Notify()
}

// wants waits until the receiver has taken just these objects, in this order.
func (r *receiver) wants(objects ...string) {
	r.t.Helper()
	deadline := time.After(waiting.Limit)
	for {
		changed := r.changed.Changed()
		r.mu.Lock()
		got := slices.Clone(r.objects)
		r.mu.Unlock()
		if slices.Equal(got, objects) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.t.Fatalf("the receiver has %d objects, want %d:\n%s", len(got), len(objects), strings.Join(got, "\n"))
		}
	}
}

// hooked is a world whose view tells a webhook of its changes.
type hooked struct {
	*worldtest.World
	shown signal.Signal
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	self := nodetest.NewOrg(t, "self")
	h := &hooked{World: worldtest.NewWorld(t, self)}
	events := h.Found(self)
	h.Open()
	h.R.View.OnChange(h.shown.Notify)
	nodetest.Must(t, h.Deliver(events...))
	h.Drain()
	return h
}

// publish brings indicators into the view.
func (h *hooked) publish(numbers ...int) {
	h.T.Helper()
	for _, n := range numbers {
		nodetest.Must(h.T, h.Deliver(h.Mint(h.Self, h.Object(n))))
	}
	h.Drain()
}

// run runs a webhook; the function that it returns ends it.
func (h *hooked) run(config config.Webhook, log *slog.Logger) (stop func()) {
	h.T.Helper()
	config.Name, config.Secret = "siem", webhookSecret
	hook, err := NewWebhook(config, h.R.View, h.R.Outbox, &h.shown, log)
	nodetest.Must(h.T, err)
	hook.retry = time.Millisecond
	if _, err := hook.place(); err != nil { // so that what comes next is new to it
		h.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.T.Context())
	ended := make(chan error, 1)
	go func() { ended <- hook.run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		nodetest.Must(h.T, <-ended)
	})
}

// noted waits until the webhook knows that all that is in the view was taken: ended before that, it would send the last
// batch again.
func (h *hooked) noted() {
	h.T.Helper()
	last, err := h.R.View.Changed(view.Everything)
	nodetest.Must(h.T, err)
	for deadline := waiting.End(); ; {
		place, err := h.R.Outbox.Memo("webhook/siem")
		nodetest.Must(h.T, err)
		if string(place) == fmt.Sprint(last) {
			return
		}
		if time.Now().After(deadline) {
			h.T.Fatalf("the webhook is at %s, the view at %d", place, last)
		}
		time.Sleep(time.Millisecond)
	}
}

func described(numbers ...int) (list []string) {
	for _, n := range numbers {
		list = append(list, nodetest.DescribedIndicator(n, ""))
	}
	return list
}

// An operator can try a webhook, let it send again what it has sent, and give it up, while the node runs.
func TestAWebhookIsTriedAndSendsAgainWhenItIsAskedTo(t *testing.T) {
	h := newHooked(t)
	r := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	hooks := NewWebhooks(func(c config.Webhook) (*Webhook, error) {
		return NewWebhook(c, h.R.View, h.R.Outbox, &h.shown, nodetest.Discard)
	})
	one := config.Webhook{Name: "siem", Secret: webhookSecret, URL: r.URL + "/hook?key=hunter2", AllowPrivate: true}
	nodetest.Must(t, hooks.Reload([]config.Webhook{one}))
	_, err := hooks.List()[0].place() // so that what comes next is new to it
	nodetest.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hooks.Run(ctx) }()
	began := time.Now()
	h.publish(1, 2)
	r.wants(described(1, 2)...)
	h.noted()
	if trial, err := hooks.Test(ctx, "siem"); err != nil || trial.Problem != "" || r.tests.Load() != 1 {
		t.Errorf("a test finds %+v, %v; the receiver saw %d", trial, err, r.tests.Load())
	}
	nodetest.Must(t, hooks.Replay(WebhookReplay{Name: "siem", Since: began}))
	r.wants(described(1, 2, 1, 2)...)
	h.noted()
	infos, err := hooks.Infos()
	if err != nil || len(infos) != 1 || infos[0].Name != "siem" || infos[0].Host != r.URL || infos[0].SentUpTo.Before(began.Add(-time.Second)) {
		t.Errorf("it is told as %+v, %v", infos, err)
	}
	if _, err := hooks.Test(ctx, "soar"); !errors.Is(err, problem.ErrMissing) {
		t.Errorf("one that is not there: %v", err)
	}

	before := hooks.List()[0]
	nodetest.Must(t, hooks.Reload([]config.Webhook{one}))
	if hooks.List()[0] != before {
		t.Error("a reload begins anew what did not change")
	}
	if err := hooks.Reload([]config.Webhook{{Name: "siem", Secret: "short"}}); err == nil || hooks.List()[0] != before {
		t.Errorf("a mistake: %v", err)
	}
	other := one
	other.Types = []string{"malware"}
	nodetest.Must(t, hooks.Reload([]config.Webhook{other}))
	h.publish(3)
	nodetest.Must(t, hooks.Reload([]config.Webhook{one})) // it goes on where it was
	h.publish(4)
	r.wants(described(1, 2, 1, 2, 3, 4)...)
	nodetest.Must(t, hooks.Reload(nil))
	if len(hooks.List()) != 0 {
		t.Error("what is taken out stays")
	}
	cancel()
	nodetest.Must(t, <-ended)
}

func TestAWebhookIsSentWhatComesAfterItInOrder(t *testing.T) {
	h := newHooked(t)
	h.publish(1)
	r := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	config := config.Webhook{URL: r.URL + "/hook", AllowPrivate: true}
	stop := h.run(config, nodetest.Discard)
	defer stop()
	h.publish(2, 3)
	r.wants(described(2, 3)...)
	h.noted()
	stop()
	h.publish(4)
	stop = h.run(config, nodetest.Discard) // as after a restart
	defer stop()
	r.wants(described(2, 3, 4)...)
	h.publish(5)
	r.wants(described(2, 3, 4, 5)...)
}

func TestAWebhookIsToldWhatLeaves(t *testing.T) {
	h := newHooked(t)
	r := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	stop := h.run(config.Webhook{URL: r.URL + "/hook", AllowPrivate: true}, nodetest.Discard)
	defer stop()
	h.publish(1, 2)
	r.wants(described(1, 2)...)
	entries, _, err := h.R.View.Page(view.Query{Collection: view.Everything, Versions: view.Versions{All: true}, Limit: 1})
	nodetest.Must(t, err)
	one := entries[0]
	_, _, err = h.R.View.Withdraw(view.Recall{Asset: one.Asset, Senders: []string{one.Publisher}, At: consortium.Position{Round: 1 << 40}})
	nodetest.Must(t, err)
	h.publish(3)
	want := append(described(1, 2), fmt.Sprintf("removed %s true [{md5 %032x}]", one.ID, 1))
	r.wants(append(want, described(3)...)...)
	h.noted()
}

func TestAWebhookWaitsAsLongAsItsReceiverAsksFor(t *testing.T) {
	h := newHooked(t)
	h.publish(1)
	entries, _, err := h.R.View.Page(view.Query{Collection: view.Everything, Versions: view.Versions{All: true}, Limit: 1, WithObjects: true})
	nodetest.Must(t, err)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "99999999": webhookAway, "soon": 0,
	} {
		r := newReceiver(t, func(_ int, w http.ResponseWriter) bool {
			w.Header().Set("Date", "Fri, 02 Jan 2026 03:04:05 GMT")
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		})
		hook, err := NewWebhook(config.Webhook{Name: "siem", Secret: webhookSecret, URL: r.URL + "/hook", AllowPrivate: true}, h.R.View, h.R.Outbox, &h.shown, nodetest.Discard)
		nodetest.Must(t, err)
		var refused *refusal
		if err := hook.send(t.Context(), entries); !errors.As(err, &refused) || refused.retryAfter != want {
			t.Errorf("%s: %v, %+v, want %v", value, err, refused, want)
		}
	}
}

func TestAWebhookTriesAgainUntilItIsTaken(t *testing.T) {
	h := newHooked(t)
	other := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	r := newReceiver(t, func(attempt int, w http.ResponseWriter) bool {
		switch attempt {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.Header().Set("Location", other.URL+"/hook")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case 3:
			w.Header().Set("Retry-After", "soon")
			w.WriteHeader(http.StatusTooManyRequests)
		case 4:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	})
	var log strings.Builder
	stop := h.run(config.Webhook{URL: r.URL + "/hook?key=hunter2", AllowPrivate: true}, slog.New(slog.NewTextHandler(&log, nil)))
	h.publish(1)
	r.wants(described(1)...)
	stop()
	if len(slices.Compact(r.batches)) != 1 {
		t.Errorf("the same batch has the ids %v", r.batches)
	}
	if len(other.batches) > 0 {
		t.Error("a redirect was followed")
	}
	if !strings.Contains(log.String(), "the webhook siem waits") || strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log is %s", log.String())
	}
}

// torn is a view that can't be read a few times.
type torn struct {
	pages
	failures int
}

func (v *torn) Page(q view.Query) ([]*view.Entry, bool, error) {
	if v.failures--; v.failures >= 0 {
		return nil, false, errors.New("the disk says no")
	}
	return v.pages.Page(q)
}

func TestAPageThatCantBeReadEndsNoWebhook(t *testing.T) {
	h := newHooked(t)
	h.publish(1)
	r := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	hook, err := NewWebhook(config.Webhook{Name: "siem", Secret: webhookSecret, URL: r.URL + "/hook", AllowPrivate: true}, h.R.View, h.R.Outbox, &h.shown, nodetest.Discard)
	nodetest.Must(t, err)
	nodetest.Must(t, hook.setPlace(0))
	hook.view, hook.retry = &torn{pages: hook.view, failures: 3}, time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hook.run(ctx) }()
	r.wants(described(1)...)
	h.noted()
	cancel()
	nodetest.Must(t, <-ended)
	if problem := hook.Status().Problem; problem != "" {
		t.Errorf("the problem is %s still", problem)
	}
}

func TestAWebhookIsSentTheTypesAndTheCollectionThatItIsFor(t *testing.T) {
	h := newHooked(t)
	r := newReceiver(t, func(int, http.ResponseWriter) bool { return true })
	none := newReceiver(t, func(int, http.ResponseWriter) bool { t.Error("a malware came"); return true })
	defer h.run(config.Webhook{URL: r.URL + "/hook", AllowPrivate: true, Types: []string{"indicator"}, Collection: h.Collection}, nodetest.Discard)()
	h.publish(1)
	r.wants(described(1)...)
	malware, err := NewWebhook(config.Webhook{Name: "malware", Secret: webhookSecret, URL: none.URL, Types: []string{"malware"}}, h.R.View, h.R.Outbox, &h.shown, nodetest.Discard)
	nodetest.Must(t, err)
	nodetest.Must(t, malware.setPlace(0))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	nodetest.Must(t, malware.run(ctx))
}

func TestABatchIsBounded(t *testing.T) {
	entries := func(sizes ...int) (list []*view.Entry) {
		for _, size := range sizes {
			list = append(list, &view.Entry{Object: make([]byte, size)})
		}
		return list
	}
	for want, list := range map[int][]*view.Entry{
		1: entries(webhookBytes+1, 1), 2: entries(webhookBytes-1, 1, 1), 3: entries(1, 1, 1),
	} {
		if got := batchSize(list); got != want {
			t.Errorf("%d of %d are taken, want %d", got, len(list), want)
		}
	}
}

func TestAWebhooksCollectionIsTheOneThatItsIdNames(t *testing.T) {
	own, id := repo.Consortium{ID: 7}, uuid.NewString()
	for written, want := range map[string]string{
		EverythingID(own): view.Everything, strings.ToUpper(EverythingID(own)): view.Everything, OthersID(own): view.Others, strings.ToUpper(id): id, id: id, "": "",
	} {
		if got := WebhookCollection(own, written); got != want {
			t.Errorf("%q is %q, want %q", written, got, want)
		}
	}
}
