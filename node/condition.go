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

// condition is a Condition that changes. Changes are logged, repetitions are not.
type condition struct {
	what string
	log  *slog.Logger

	mu  sync.Mutex
	now Condition
}

// set records a problem.
func (c *condition) set(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Problem != problem {
		c.log.Warn(c.what+" waits", "problem", problem, "detail", detail)
		c.now = Condition{Problem: problem, Since: time.Now().UTC()}
	}
	c.now.Detail = detail
}

// clear records that it works.
func (c *condition) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Problem != "" {
		c.log.Info(c.what+" goes on", "problem", c.now.Problem, "waited", time.Since(c.now.Since).Round(time.Millisecond))
		c.now = Condition{}
	}
}

func (c *condition) get() Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
