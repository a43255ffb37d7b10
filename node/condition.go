package node

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

// monitor is a Condition that changes. Changes are logged, repetitions are not.
type monitor struct {
	what string
	log  *slog.Logger

	mu     sync.Mutex
	now    Condition
	pinned bool
}

func newMonitor(what string, log *slog.Logger) *monitor { return &monitor{what: what, log: log} }

// set records a problem.
func (c *monitor) set(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinned {
		c.record(problem, detail)
	}
}

// pin records a problem that only [monitor.release] ends, whatever else is recorded meanwhile.
func (c *monitor) pin(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinned = true
	c.record(problem, detail)
}

func (c *monitor) record(problem, detail string) {
	if c.now.Problem != problem {
		c.log.Warn(c.what+" waits", "problem", problem, "detail", detail)
		c.now = Condition{Problem: problem, Since: time.Now().UTC()}
	}
	c.now.Detail = detail
}

// clear records that it works.
func (c *monitor) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinned {
		c.end()
	}
}

// release ends a problem that was pinned.
func (c *monitor) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned {
		c.pinned = false
		c.end()
	}
}

func (c *monitor) end() {
	if c.now.Problem != "" {
		c.log.Info(c.what+" goes on", "problem", c.now.Problem, "waited", time.Since(c.now.Since).Round(time.Millisecond))
		c.now = Condition{}
	}
}

// isPinned reports whether there is a problem that was pinned.
func (c *monitor) isPinned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinned
}

func (c *monitor) get() Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
