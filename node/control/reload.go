package control

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/serviceledger/slnode/repo/config"
)

// Part is a part of the configuration that can change while the node runs.
type Part struct {
	Name  string // for the log
	Apply func(next config.Config) error
	Take  func(now *config.Config, next config.Config) // notes that it counts
}

// Reloader reads the configuration of a node that runs again.
type Reloader struct {
	Dir         string
	Counts      config.Config        // what of the configuration counts
	Feeds       func() []config.Feed // which come and go by commands, too
	Parts       []Part
	Certificate func() // reads the files of the certificate again
	Log         *slog.Logger

	mu sync.Mutex // one at a time
}

// ReloadPart reads the configuration again, and takes over one part of it.
func (r *Reloader) ReloadPart(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := config.Read(r.Dir)
	for _, part := range r.Parts {
		if err != nil || part.Name != name {
			continue
		}
		if err = part.Apply(next); err == nil {
			part.Take(&r.Counts, next)
		}
	}
	if err != nil {
		return fmt.Errorf("the configuration is changed and can't be used: %w", err)
	}
	return nil
}

// Reload reads the configuration again, and the files of the certificate for TAXII clients. It takes over the parts
// that can change and the log's level, which it returns, and says what else is another than at the start, and counts
// from the next one only. A configuration that can't be used changes nothing, and a part that can't be used stays.
func (r *Reloader) Reload() (level string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := config.Read(r.Dir)
	if err != nil {
		r.Log.Error("the configuration can't be read again; everything stays as it is", "error", err)
		return ""
	}
	r.Counts.Feeds = r.Feeds()
	var taken []string
	for _, part := range r.Parts {
		before := r.Counts
		if err := part.Apply(next); err != nil {
			r.Log.Error("a part of the configuration can't be used; it stays as it is", "part", part.Name, "error", err)
			continue
		}
		if part.Take(&r.Counts, next); len(before.Differences(r.Counts)) > 0 {
			taken = append(taken, part.Name)
		}
	}
	r.Counts.Log.Level = next.Log.Level
	r.Certificate()
	attrs := []any{slog.String("log_level", next.Log.Level)}
	if len(taken) > 0 {
		attrs = append(attrs, slog.String("changed", strings.Join(taken, ", ")))
	}
	if waiting := r.Counts.Differences(next); len(waiting) > 0 {
		r.Log.Warn("the configuration was read again; some of it counts from the next start only", append(attrs, slog.Any("keys", waiting))...)
	} else {
		r.Log.Info("the configuration was read again", attrs...)
	}
	return next.Log.Level
}
