package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestWebhooksAreReadAsTheyWereWritten(t *testing.T) {
	config := Default()
	config.Organisation.Name = "acme"
	config.Webhooks = []Webhook{
		{Name: "siem", URL: "https://siem.example/x?\"y", Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)), Types: []string{"indicator", "malware"}},
		{Name: "chat", URL: "http://127.0.0.1:8080/", Secret: base64.StdEncoding.EncodeToString(make([]byte, 24)), Types: []string{},
			Collection: "3f1c2c1e-0b1f-4d0a-9c57-2a51ae2d7a10", AllowPrivate: true},
	}
	text, err := config.encode()
	must(t, err)
	path := filepath.Join(t.TempDir(), "config.toml")
	must(t, os.WriteFile(path, text, 0o600))
	read, err := Load(path, nil)
	must(t, err)
	if !reflect.DeepEqual(read.Webhooks, config.Webhooks) {
		t.Errorf("read %+v", read.Webhooks)
	}
}

func TestMistakesInWebhooksAreNamed(t *testing.T) {
	good := Webhook{Name: "siem", URL: "https://siem.example/hunter2", Secret: base64.StdEncoding.EncodeToString(make([]byte, 32))}
	must(t, validateWebhooks([]Webhook{good}))
	for want, change := range map[string]func(*Webhook){
		"webhook.name":                func(w *Webhook) { w.Name = "my SIEM" },
		"webhook.url of siem":         func(w *Webhook) { w.URL = "siem.example/hunter2" },
		"http is for":                 func(w *Webhook) { w.URL = "http://siem.example/hunter2" },
		"webhook.secret of siem":      func(w *Webhook) { w.Secret = "hunter2" },
		"24 to 64 bytes":              func(w *Webhook) { w.Secret = base64.StdEncoding.EncodeToString(make([]byte, 23)) },
		"webhook.collection of siem":  func(w *Webhook) { w.Collection = "default" },
		"there are two webhooks siem": nil,
	} {
		bad := good
		list := []Webhook{good, good}
		if change != nil {
			change(&bad)
			list = []Webhook{bad}
		}
		if err := validateWebhooks(list); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}
