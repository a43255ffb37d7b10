// Package problem says what is wrong: a mistake in what the caller gave, or what a part of the node waits for, and why.
package problem

import (
	"log/slog"
	"sync"
	"time"
)

// Condition says what keeps a part of the node from working, and since when. The zero value says that nothing does.
type Condition struct {
	Problem string    `json:"problem,omitempty"` // a word for scripts: "funds", "algod", "congestion", …
	Detail  string    `json:"detail,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Monitor is a Condition that changes. Changes are logged, repetitions are not.
type Monitor struct {
	what string
	log  *slog.Logger

	mu     sync.Mutex
	now    Condition
	pinned bool
}

// NewMonitor keeps the condition of a part, which the log calls what.
func NewMonitor(what string, log *slog.Logger) *Monitor { return &Monitor{what: what, log: log} }

// Set records a problem.
func (c *Monitor) Set(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinned {
		c.record(problem, detail)
	}
}

// Pin records a problem that only [Monitor.Release] ends, whatever else is recorded meanwhile.
func (c *Monitor) Pin(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinned = true
	c.record(problem, detail)
}

func (c *Monitor) record(problem, detail string) {
	if c.now.Problem != problem {
		c.log.Warn(c.what+" waits", "problem", problem, "detail", detail)
		c.now = Condition{Problem: problem, Since: time.Now().UTC()}
	}
	c.now.Detail = detail
}

// Clear records that it works.
func (c *Monitor) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinned {
		c.end()
	}
}

// Release ends a problem that was pinned.
func (c *Monitor) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned {
		c.pinned = false
		c.end()
	}
}

func (c *Monitor) end() {
	if c.now.Problem != "" {
		c.log.Info(c.what+" goes on", "problem", c.now.Problem, "waited", time.Since(c.now.Since).Round(time.Millisecond))
		c.now = Condition{}
	}
}

// IsPinned reports whether there is a problem that was pinned.
func (c *Monitor) IsPinned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinned
}

// Get gives the condition as it is now.
func (c *Monitor) Get() Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
