package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Webhook is where new objects are sent.
type Webhook struct {
	Name         string   `toml:"name"` // in logs, and of the place up to which it was served
	URL          string   `toml:"url"`
	Secret       string   `toml:"secret"`
	Collection   string   `toml:"collection"` // empty: everything
	Types        []string `toml:"types"`      // of STIX objects; empty: all
	AllowPrivate bool     `toml:"allow_private"`
}

var webhookName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// The length of a secret, in bytes, as Standard Webhooks has it.
const (
	minWebhookSecret = 24
	maxWebhookSecret = 64
)

// Key is the secret's bytes. It is written in base64, with or without whsec_ before it.
func (w *Webhook) Key() ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(w.Secret, "whsec_"))
	if err != nil || len(key) < minWebhookSecret || len(key) > maxWebhookSecret {
		return nil, fmt.Errorf("it is not %d to %d bytes in base64; make one with \"openssl rand -base64 32\"", minWebhookSecret, maxWebhookSecret)
	}
	return key, nil
}

func (w *Webhook) validate() error {
	if !webhookName.MatchString(w.Name) {
		return fmt.Errorf("webhook.name: %.40q is not 1 to 63 lower-case letters, digits and hyphens", w.Name)
	}
	if err := w.checkURL(); err != nil { // the URL may be a secret
		return fmt.Errorf("webhook.url of %s: %w", w.Name, err)
	}
	if _, err := w.Key(); err != nil {
		return fmt.Errorf("webhook.secret of %s: %w", w.Name, err)
	}
	if w.Collection != "" && uuid.Validate(w.Collection) != nil {
		return fmt.Errorf("webhook.collection of %s: %.40q is not the id of a collection", w.Name, w.Collection)
	}
	return nil
}

func (w *Webhook) checkURL() error {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("it is not an https URL")
	}
	if u.Scheme == "http" && !w.AllowPrivate {
		return errors.New("it is not an https URL; http is for webhooks with allow_private")
	}
	return nil
}

func validateWebhooks(list []Webhook) error {
	for i := range list {
		if err := list[i].validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(list[:i], func(w Webhook) bool { return w.Name == list[i].Name }) {
			return fmt.Errorf("webhook.name: there are two webhooks %s", list[i].Name)
		}
	}
	return nil
}
