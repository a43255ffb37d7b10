package config

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Feed is a source to pull objects from, as a [[feed]] of config.toml has it.
type Feed struct {
	Name       string   `toml:"name" json:"name"`
	Kind       string   `toml:"kind" json:"kind"`
	URL        string   `toml:"url" json:"url"`
	Collection string   `toml:"collection,omitempty" json:"collection,omitempty"`
	Into       string   `toml:"into,omitempty" json:"into,omitempty"`
	Interval   Duration `toml:"interval" json:"interval"`
	Paused     bool     `toml:"paused,omitzero" json:"paused,omitempty"` // it runs when it is asked to, and not by itself

	User         string `toml:"user,omitempty" json:"user,omitempty"`
	Password     string `toml:"password,omitempty" json:"password,omitempty"`
	Token        string `toml:"token,omitempty" json:"token,omitempty"`
	APIKey       string `toml:"api_key,omitempty" json:"api_key,omitempty"`
	APIKeyHeader string `toml:"api_key_header,omitempty" json:"api_key_header,omitempty"`
	ClientCert   string `toml:"client_cert,omitempty" json:"client_cert,omitempty"`
	ClientKey    string `toml:"client_key,omitempty" json:"client_key,omitempty"`
	CA           string `toml:"ca,omitempty" json:"ca,omitempty"`

	Types         []string `toml:"types,omitempty" json:"types,omitempty"`
	Markings      []string `toml:"markings,omitempty" json:"markings,omitempty"`
	MinConfidence int      `toml:"min_confidence,omitzero" json:"min_confidence,omitempty"`
	Labels        []string `toml:"labels,omitempty" json:"labels,omitempty"`
	Authors       []string `toml:"authors,omitempty" json:"authors,omitempty"`
	Since         string   `toml:"since,omitempty" json:"since,omitempty"`
	Unmarked      string   `toml:"unmarked" json:"unmarked"`

	MaxObjects int     `toml:"max_objects" json:"max_objects"`
	MaxALGO    float64 `toml:"max_algo,omitzero" json:"max_algo,omitempty"`
	PageSize   int     `toml:"page_size,omitzero" json:"page_size,omitempty"`
}

func (f *Feed) setDefaults() {
	if f.Kind == "" {
		f.Kind = "taxii"
	}
	if f.Interval.Duration == 0 {
		f.Interval.Duration = time.Hour
	}
	if f.Unmarked == "" {
		f.Unmarked = "collection"
	}
	if f.MaxObjects == 0 {
		f.MaxObjects = 100
	}
	for _, list := range []*[]string{&f.Types, &f.Markings, &f.Labels, &f.Authors} {
		if len(*list) == 0 {
			*list = nil
		}
	}
}

// WithDefaults fills in what is left out.
func (f Feed) WithDefaults() Feed {
	f.setDefaults()
	return f
}

// SinceTime reads Since, a date or an RFC 3339 timestamp; the zero time if there is none.
func (f *Feed) SinceTime() (time.Time, error) {
	if f.Since == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, f.Since); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a date like 2026-01-31 nor a timestamp like 2026-01-31T08:00:00Z", f.Since)
}

// checkFeeds checks what the node needs to know of feeds before it looks at what they pull.
func checkFeeds(feeds []Feed) error {
	names := map[string]bool{}
	for _, f := range feeds {
		_, since := f.SinceTime()
		for _, check := range []struct {
			key string
			err error
		}{
			{"interval", between(f.Interval.Duration, 10*time.Second, 31*24*time.Hour)},
			{"since", since},
			{"max_algo", between(int64(f.MaxALGO), 0, 10_000_000_000)},
		} {
			if check.err != nil {
				return fmt.Errorf("feed %q: %s: %w", f.Name, check.key, check.err)
			}
		}
		if names[f.Name] {
			return fmt.Errorf("there are two feeds %q", f.Name)
		}
		names[f.Name] = true
	}
	return nil
}

// CheckFeed reports what is wrong with a feed by itself, as the config file would.
func CheckFeed(f Feed) error { return checkFeeds([]Feed{f}) }

// encodeFeeds writes feeds as the config file has them.
func encodeFeeds(feeds []Feed) ([]byte, error) {
	var out bytes.Buffer
	for _, f := range feeds {
		encoder := toml.NewEncoder(&out)
		encoder.Indent = ""
		out.WriteString("\n")
		if err := encoder.Encode(map[string][]Feed{"feed": {f}}); err != nil {
			return nil, fmt.Errorf("writing the feed %q: %w", f.Name, err)
		}
	}
	return out.Bytes(), nil
}

// ErrNoFeed means that there is no feed of that name.
var ErrNoFeed = errors.New("there is no such feed")

// AddFeed writes a feed into the config file of a repository, with its defaults, and returns what the file says then.
func AddFeed(dir string, f Feed) (Config, error) {
	f.setDefaults()
	block, err := encodeFeeds([]Feed{f})
	if err != nil {
		return Config{}, err
	}
	return edit(dir, func(text []byte, c *Config) ([]byte, error) {
		c.Feeds = append(c.Feeds, f)
		return append(bytes.TrimRight(text, "\n"), append([]byte("\n"), block...)...), nil
	})
}

// RemoveFeed takes a feed out of the config file, and returns what the file says then. [ErrNoFeed] if it isn't there.
func RemoveFeed(dir, name string) (Config, error) {
	return edit(dir, func(text []byte, c *Config) ([]byte, error) {
		for i, f := range c.Feeds {
			if f.Name == name {
				c.Feeds = slices.Delete(c.Feeds, i, i+1)
				return cutFeed(text, i), nil
			}
		}
		return nil, fmt.Errorf("%w: %q", ErrNoFeed, name)
	})
}

// PauseFeed writes into the config file that a feed is paused, or isn't, and returns what the file says then.
// [ErrNoFeed] if it isn't there.
func PauseFeed(dir, name string, paused bool) (Config, error) {
	return edit(dir, func(text []byte, c *Config) ([]byte, error) {
		for i, f := range c.Feeds {
			if f.Name == name {
				c.Feeds[i].Paused = paused
				return pauseFeed(text, i, paused), nil
			}
		}
		return nil, fmt.Errorf("%w: %q", ErrNoFeed, name)
	})
}

// pauseFeed changes the line "paused" in the block number n of a config file.
func pauseFeed(text []byte, n int, paused bool) []byte {
	var changed []byte
	for line, block := range feedLines(text) {
		key, _, _ := strings.Cut(string(line), "=")
		if block == n && strings.TrimSpace(key) == "paused" {
			continue
		}
		changed = append(changed, line...)
		if block == n && paused && feedHeader.Match(bytes.TrimSpace(line)) {
			changed = append(changed, "paused = true\n"...)
		}
	}
	return changed
}

// feedHeader is the line that begins a feed's block.
var feedHeader = regexp.MustCompile(`^\[\[\s*feed\s*\]\]`)

// feedLines gives the lines of a config file, each with the number of the feed's block that it is in; -1 in none.
func feedLines(text []byte) iter.Seq2[[]byte, int] {
	return func(yield func([]byte, int) bool) {
		feeds, block := 0, -1
		for line := range bytes.Lines(text) {
			switch head := bytes.TrimSpace(line); {
			case feedHeader.Match(head):
				block, feeds = feeds, feeds+1
			case bytes.HasPrefix(head, []byte("[")) && !bytes.HasPrefix(head, []byte(`["`)):
				block = -1
			}
			if !yield(line, block) {
				return
			}
		}
	}
}

// cutFeed takes the block number n out of a config file: from its [[feed]] to the next table.
func cutFeed(text []byte, n int) []byte {
	var kept []byte
	for line, block := range feedLines(text) {
		if block != n {
			kept = append(kept, line...)
		}
	}
	return kept
}
