package clients

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/config"
)

// Webhooks are all webhooks of a node. They come and go with its configuration.
type Webhooks struct {
	Feedback feedback // nil: nobody tells what is feedback
	Watch    watcher  // nil: nothing is watched for

	make    func(config.Webhook) (*Webhook, error)
	changed signal.Signal

	mu      sync.Mutex
	configs []config.Webhook
	list    []*Webhook
}

// NewWebhooks has no webhooks yet; make makes each.
func NewWebhooks(make func(config.Webhook) (*Webhook, error)) *Webhooks { return &Webhooks{make: make} }

// Reload makes the webhooks those of another configuration. One that is as it was goes on as if nothing had happened,
// and one that can't be made changes nothing at all.
func (w *Webhooks) Reload(configs []config.Webhook) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*Webhook
	for _, c := range configs {
		i := slices.IndexFunc(w.configs, func(other config.Webhook) bool { return other.Name == c.Name })
		if i >= 0 && reflect.DeepEqual(w.configs[i], c) {
			list = append(list, w.list[i])
			continue
		}
		hook, err := w.make(c)
		if err != nil {
			return err
		}
		hook.feedback, hook.watch = w.Feedback, w.Watch
		if i >= 0 { // never two that send for one name
			hook.one = w.list[i].one
		}
		list = append(list, hook)
	}
	w.configs, w.list = slices.Clone(configs), list
	w.changed.Notify()
	return nil
}

// List gives the webhooks that there are.
func (w *Webhooks) List() []*Webhook {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// Run serves the webhooks until the context ends. Everything that it started has ended when it returns. An error is
// that a place can't be kept.
func (w *Webhooks) Run(ctx context.Context) error {
	return signal.Keep(ctx, &w.changed, w.List, func(ctx context.Context, hook *Webhook) error { return hook.runAlone(ctx) })
}

// WebhookInfo is how a webhook is. Its URL may be a secret, so that only its host is told.
type WebhookInfo struct {
	Name       string    `json:"name"`
	Host       string    `json:"host"`
	Collection string    `json:"collection,omitempty"` // empty: everything
	Types      []string  `json:"types,omitempty"`
	SentUpTo   time.Time `json:"sent_up_to,omitzero"` // when the last object that was sent came into the view
	problem.Condition
}

// Infos tells how all webhooks are.
func (w *Webhooks) Infos() ([]WebhookInfo, error) {
	infos := []WebhookInfo{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, hook := range w.list {
		c := w.configs[i]
		info := WebhookInfo{Name: c.Name, Collection: c.Collection, Types: c.Types, Condition: hook.condition.Get()}
		if u, err := url.Parse(c.URL); err == nil {
			info.Host = u.Scheme + "://" + u.Host
		}
		after, begun, err := hook.kept()
		if err != nil {
			return nil, err
		}
		if begun && after > 0 {
			info.SentUpTo = time.UnixMicro(after).UTC()
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (w *Webhooks) find(name string) (*Webhook, error) {
	for _, hook := range w.List() {
		if hook.config.Name == name {
			return hook, nil
		}
	}
	return nil, problem.Missing(fmt.Errorf("there is no webhook %.60q in the configuration", name))
}

// WebhookTrial is what became of a test of a webhook. It is good if there is no problem.
type WebhookTrial struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Problem string  `json:"problem,omitempty"`
}

// Test sends a signed event without objects to a webhook's receiver, once. It changes nothing.
func (w *Webhooks) Test(ctx context.Context, name string) (WebhookTrial, error) {
	hook, err := w.find(name)
	if err != nil {
		return WebhookTrial{}, err
	}
	began := time.Now()
	trial := WebhookTrial{Name: name}
	if err := hook.try(ctx); err != nil {
		if ctx.Err() != nil {
			return trial, ctx.Err()
		}
		trial.Problem = err.Error()
	}
	trial.Seconds = time.Since(began).Seconds()
	return trial, nil
}

// WebhookReplay is from when on a webhook is to send again.
type WebhookReplay struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

// Replay lets a webhook send again what came into the view since a time.
func (w *Webhooks) Replay(r WebhookReplay) error {
	hook, err := w.find(r.Name)
	if err != nil {
		return err
	}
	return hook.rewind(max(0, r.Since.UnixMicro()-1))
}
