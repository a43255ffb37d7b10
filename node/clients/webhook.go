package clients

import (
	"bytes"
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
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/outbound"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	webhookBatch   = 100              // objects in one POST
	webhookBytes   = 1 << 20          // after which no further object is put in
	webhookTimeout = 30 * time.Second // for one POST
	webhookRetry   = time.Second      // the first pause after a failure; each one after it is twice as long
	webhookLongest = 10 * time.Minute // the longest
	webhookAway    = time.Hour        // the longest that a receiver can ask for
)

// Webhook sends what enters the view to one receiver, in order and at least once. Its place in the view is durable and
// moves on when the receiver has answered with a success; until then it tries again. What leaves the view before it
// was sent is not sent; what leaves it is told in an event of its own.
type Webhook struct {
	config    config.Webhook
	key       []byte
	view      pages
	memos     memos
	shown     *signal.Signal
	client    *http.Client
	condition *problem.Monitor
	feedback  feedback      // nil: nobody tells what is feedback
	watch     watcher       // nil: nothing is watched for
	retry     time.Duration // webhookRetry, but for tests
	one       chan struct{} // holds a token while it is served: one at a time, by name

	mu      sync.Mutex
	turned  *int64 // where it is to begin again
	rewound signal.Signal
}

// pages are the view's.
type pages interface {
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
	Removals(collection string, after int64, limit int) (list []view.Removal, more bool, err error)
	Changed(collection string) (at int64, err error)
}

// memos keep small things durably.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
}

// WebhookStatus is how a webhook is.
type WebhookStatus struct {
	Name string `json:"name"`
	problem.Condition
	Backlog int       `json:"backlog"`           // objects that are not sent yet; no more than 1,000 are counted
	Oldest  time.Time `json:"oldest,omitzero"`   // when the first of them came into the view
	Unknown string    `json:"unknown,omitempty"` // why that can't be told
}

// maxBacklog is how many objects are counted that a receiver has not taken.
const maxBacklog = 1000

// NewWebhook makes a webhook of the configuration, whose collection is as the view knows it.
func NewWebhook(config config.Webhook, served *view.View, memos memos, shown *signal.Signal, log *slog.Logger) (*Webhook, error) {
	key, err := config.Key()
	if err != nil {
		return nil, fmt.Errorf("the secret of webhook %s: %w", config.Name, err)
	}
	if config.Collection == "" {
		config.Collection = view.Everything
	}
	return &Webhook{
		config: config, key: key, view: served, memos: memos, shown: shown, client: outbound.NewClient(config.AllowPrivate, webhookTimeout),
		condition: problem.NewMonitor("the webhook "+config.Name, log), retry: webhookRetry, one: make(chan struct{}, 1),
	}, nil
}

// WebhookCollection is the collection of a webhook as the view knows it: however its id is written, and though it is
// that by which clients know the collection with everything, or that with other members' versions.
func WebhookCollection(own repo.Consortium, id string) string {
	parsed, err := uuid.Parse(id)
	switch {
	case err != nil: // there is none
		return ""
	case parsed.String() == EverythingID(own):
		return view.Everything
	case parsed.String() == OthersID(own):
		return view.Others
	}
	return parsed.String()
}

// Status tells how it is.
func (w *Webhook) Status() WebhookStatus {
	s := WebhookStatus{Name: w.config.Name, Condition: w.condition.Get()}
	waiting, err := w.waiting(maxBacklog)
	if err != nil {
		s.Unknown = err.Error()
	} else if s.Backlog = len(waiting); s.Backlog > 0 {
		s.Oldest = waiting[0].Added()
	}
	return s
}

// waiting are the first entries that were not sent.
func (w *Webhook) waiting(most int) ([]*view.Entry, error) {
	after, begun, err := w.kept()
	if err != nil || !begun { // it begins with what comes next
		return nil, err
	}
	entries, _, err := w.view.Page(w.query(after, most))
	return entries, err
}

func (w *Webhook) query(after int64, most int) view.Query {
	return view.Query{Collection: w.config.Collection, Types: w.config.Types, Versions: view.Versions{All: true}, After: after, Limit: most}
}

// runAlone is run, when no other of this name does any more.
func (w *Webhook) runAlone(ctx context.Context) error {
	select {
	case w.one <- struct{}{}:
		defer func() { <-w.one }()
		return w.run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// run sends until the context ends. An error is that its place can't be kept; what the receiver refuses, and a view
// that can't be read, is tried again.
func (w *Webhook) run(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	after, err := w.place()
	if err != nil {
		return err
	}
	for failures := 0; ctx.Err() == nil; {
		shown, rewound := w.shown.Changed(), w.rewound.Changed()
		after = w.turn(after)
		entries, left, passed, err := w.next(after)
		if err != nil { // of the view, which is derived: it is no reason to end the node
			w.condition.Set("view", err.Error())
			w.pause(ctx, failures, err)
			failures++
			continue
		}
		if len(entries) == 0 && len(left) == 0 {
			if passed > after { // of what it does not want
				after = passed
				continue
			}
			select {
			case <-ctx.Done():
			case <-shown:
			case <-rewound:
			}
			continue
		}
		last, err := w.sendNext(ctx, entries, left)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			w.condition.Set("receiver", err.Error())
			w.pause(ctx, failures, err)
			failures++
			continue
		}
		failures = 0
		w.condition.Clear()
		after = last
		if err := w.sent(after); err != nil {
			return err
		}
	}
	return nil
}

// rewind lets it send again what came after a date.
func (w *Webhook) rewind(after int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned = &after
	w.rewound.Notify()
	return w.setPlace(after)
}

// turn is where it goes on: after a date, or where it was told to begin again.
func (w *Webhook) turn(after int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turned != nil {
		after, w.turned = *w.turned, nil
	}
	return after
}

// sent keeps its place, unless it was told meanwhile to begin again at another.
func (w *Webhook) sent(after int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turned != nil {
		return nil
	}
	return w.setPlace(after)
}

func (w *Webhook) memo() string { return "webhook/" + w.config.Name }

// place is the date of the last entry that was sent. A new webhook begins with what comes next.
func (w *Webhook) place() (int64, error) {
	after, begun, err := w.kept()
	if err != nil || begun {
		return after, err
	}
	after, err = w.view.Changed(w.config.Collection)
	if err != nil {
		return 0, err
	}
	return after, w.setPlace(after)
}

// kept is the place that was kept, if it has begun.
func (w *Webhook) kept() (after int64, begun bool, err error) {
	data, err := w.memos.Memo(w.memo())
	if err != nil || data == nil {
		return 0, false, err
	}
	if after, err = strconv.ParseInt(string(data), 10, 64); err != nil {
		return 0, false, fmt.Errorf("the place of webhook %s: %w", w.config.Name, err)
	}
	return after, true, nil
}

func (w *Webhook) setPlace(after int64) error {
	return w.memos.SetMemo(w.memo(), strconv.AppendInt(nil, after, 10))
}

// batchSize is how many entries go in one POST: at least one.
func batchSize(entries []*view.Entry) int {
	size := 0
	for i, e := range entries {
		if size += len(e.Object); i > 0 && size > webhookBytes {
			return i
		}
	}
	return len(entries)
}

// refusal is an answer that is not a success.
type refusal struct {
	status     int
	retryAfter time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("it answered %d %s", r.status, http.StatusText(r.status))
}

// send posts entries, signed as Standard Webhooks has it (standardwebhooks.com, version 1). The same entries have the
// same id whenever they are sent.
func (w *Webhook) send(ctx context.Context, entries []*view.Entry) error {
	body, err := w.body(entries)
	if err != nil {
		return err
	}
	return w.post(ctx, messageID("%s %d %d %d", w.config.Name, entries[0].DateAdded, entries[len(entries)-1].DateAdded, len(entries)), body)
}

// messageID is the id of what is sent, of what makes it up.
func messageID(format string, args ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return fmt.Sprintf("msg_%x", sum[:16])
}

// try posts an event without objects, which says that it is a test.
func (w *Webhook) try(ctx context.Context) error {
	name, err := json.Marshal(w.config.Name)
	if err != nil {
		return fmt.Errorf("making the body of webhook %s: %w", w.config.Name, err)
	}
	body := fmt.Appendf(nil, `{"type":"test","timestamp":%q,"data":{"webhook":%s}}`, state.Now().UTC().Format(time.RFC3339Nano), name)
	return w.post(ctx, "msg_"+uuid.NewString(), body)
}

// post posts a body with its signature.
func (w *Webhook) post(ctx context.Context, id string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL can't be used") // and is not for the log
	}
	timestamp := strconv.FormatInt(state.Now().Unix(), 10)
	mac := hmac.New(sha256.New, w.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", version.UserAgent())
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", timestamp)
	request.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	response, err := w.client.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which may be a secret
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again; nothing of it matters
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return &refusal{response.StatusCode, min(taxii.RetryAfter(response.Header, time.Now()), webhookAway)}
	}
	return nil
}

// origin says of which webhook an event is, and of which collection if it is not of all.
type origin struct {
	Webhook    string `json:"webhook"`
	Collection string `json:"collection,omitempty"`
}

func (w *Webhook) origin() origin {
	if w.config.Collection == view.Everything {
		return origin{Webhook: w.config.Name}
	}
	return origin{w.config.Name, w.config.Collection}
}

// body is what is posted: an event in the form that Standard Webhooks recommends, with the objects byte for byte.
func (w *Webhook) body(entries []*view.Entry) ([]byte, error) {
	data, err := json.Marshal(w.origin())
	if err != nil {
		return nil, fmt.Errorf("making the body of webhook %s: %w", w.config.Name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"type":"objects.added","timestamp":%q,"data":%s,"objects":[`, entries[len(entries)-1].Added().Format(time.RFC3339Nano), bytes.TrimSuffix(data, []byte("}")))
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(e.Object)
	}
	b.WriteString("]}}")
	return b.Bytes(), nil
}

// pause waits before the next attempt: twice as long every time, or as the receiver asks for.
func (w *Webhook) pause(ctx context.Context, failures int, because error) {
	wait := retry.Backoff{First: w.retry, Most: webhookLongest}.After(failures)
	var refused *refusal
	if errors.As(because, &refused) {
		wait = max(wait, refused.retryAfter)
	}
	retry.Wait(ctx, wait)
}
