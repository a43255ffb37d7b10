package auditlog

import (
	"sync"
	"time"

	"github.com/serviceledger/slnode/node/problem"
)

// What keeps the audit log from being what it is for.
const (
	notWritten   = "writing"    // records are lost
	notForwarded = "forwarding" // they are here, and not yet at the receiver
)

// troubles is what does, and since when.
type troubles struct {
	mu sync.Mutex
	is map[string]problem.Condition
}

func (t *troubles) set(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.is, what)
		return
	}
	now, there := t.is[what]
	if !there {
		now = problem.Condition{Problem: what, Since: time.Now().UTC()}
	}
	if t.is == nil {
		t.is = map[string]problem.Condition{}
	}
	now.Detail = err.Error()
	t.is[what] = now
}

// Troubles says what is wrong with the audit log: records are lost, or not forwarded.
func (a *Trail) Troubles() (list []problem.Condition) {
	a.wrong.mu.Lock()
	defer a.wrong.mu.Unlock()
	for _, what := range []string{notWritten, notForwarded} {
		if now, there := a.wrong.is[what]; there {
			list = append(list, now)
		}
	}
	return list
}

// Watch has what goes wrong with writing known, and tells somebody each time.
func (a *Trail) Watch(tell func(error)) {
	a.log.OnFailure(func(err error) {
		a.wrong.set(notWritten, err)
		tell(err)
	})
	a.log.OnWritten(func() {
		a.wrong.set(notWritten, nil)
		a.written.Notify()
	})
}
