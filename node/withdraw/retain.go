package withdraw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// Retainer takes back by itself what has expired some time ago. What it takes is counted by days, before it is taken,
// so that whoever is killed in between takes rather less than a day allows. It is off unless it is configured.
type Retainer struct {
	Withdrawer *Withdrawer
	Purse      purse
	Clock      interface{ Get() problem.Condition } // what is wrong with this machine's clock
	Trail      interface{ Record(taxii.Event) }
	Condition  *problem.Monitor // what keeps it from working

	changed signal.Signal
	mu      sync.Mutex
	set     config.Retention
	looked  time.Time // when it last looked through everything, or as far as a day allows
	rests   bool      // there is more, for another day
}

// purse tells what can be spent.
type purse interface {
	// Spendable is what objects can spend, in microalgo: what is free, without the reserve.
	Spendable(ctx context.Context) (microalgo.Amount, error)
}

// Retention is how the taking back of what has expired goes.
type Retention struct {
	After       string   `json:"expired_for"`           // "30d", or "36h0m0s"
	Collections []string `json:"collections,omitempty"` // as they are configured; none: all
	Records     bool     `json:"records"`               // what takes a record goes as well
	Today       int      `json:"objects_today"`         // that it has taken
	Most        int      `json:"objects_a_day"`
	// Looked is when it last looked through what this organisation published; zero if it didn't since the start.
	Looked time.Time `json:"looked,omitzero"`
	// Rests means that it found more than a day allows.
	Rests bool `json:"rests,omitempty"`
	problem.Condition
}

const (
	// retainEvery is how often everything is looked through, beside when a day begins that the last one left something to.
	retainEvery = 6 * time.Hour
	// retainAgain is when it is tried again where something was wrong.
	retainAgain = 10 * time.Minute
	// retainers is who causes it, in the day-book and the audit log. No account's name has a colon.
	retainers = "retention:"
)

var errPoor = errors.New("only the reserve is left")

// NewRetainer makes one that spends of a purse, and says in the log what keeps it from working.
func NewRetainer(w *Withdrawer, c config.Config, p purse, clock *problem.Monitor, trail *auditlog.Trail) *Retainer {
	r := &Retainer{Withdrawer: w, Purse: p, Clock: clock, Trail: trail, Condition: problem.NewMonitor("taking back what has expired", w.Log)}
	r.Set(c)
	return r
}

// Set takes over another configuration.
func (r *Retainer) Set(c config.Config) {
	r.mu.Lock()
	r.set = c.Retention
	r.mu.Unlock()
	r.changed.Notify()
}

func (r *Retainer) settings() config.Retention {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set
}

// Status tells how it goes; nil where it is off.
func (r *Retainer) Status() (*Retention, error) {
	r.mu.Lock()
	set, looked, rests := r.set, r.looked, r.rests
	r.mu.Unlock()
	if set.ExpiredFor.Duration == 0 {
		return nil, nil
	}
	today, err := r.today()
	return &Retention{
		After: days(set.ExpiredFor.Duration), Collections: set.Collections, Records: set.Records, Today: today.Objects, Most: int(set.Objects), Looked: looked, Rests: rests,
		Condition: r.Condition.Get(),
	}, err
}

// days writes a time as whole days, if it is that.
func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

// Run takes back what has expired until the context ends.
func (r *Retainer) Run(ctx context.Context) error {
	for {
		changed := r.changed.Changed()
		pause, err := r.look(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// look takes back what it may of what has expired, and tells when to look again.
func (r *Retainer) look(ctx context.Context) (pause time.Duration, err error) {
	set := r.settings()
	if set.ExpiredFor.Duration == 0 {
		r.Condition.Clear()
		return retainEvery, nil
	}
	now := time.Now()
	err = r.takeAll(ctx, set, now)
	full := errors.Is(err, errEnough)
	switch {
	case ctx.Err() != nil:
		return 0, nil
	case err != nil && !full: // it is no reason to end the node
		r.Condition.Set(word(err), err.Error())
		return retainAgain, nil
	}
	r.Condition.Clear()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looked, r.rests = now.UTC(), full; full {
		return untilTomorrow(time.Now()), nil
	}
	return retainEvery, nil
}

func untilTomorrow(now time.Time) time.Duration {
	return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

// word is what scripts know a reason by.
func word(err error) string {
	if errors.Is(err, errPoor) {
		return "funds"
	}
	return "retention"
}

// takeAll takes back what had expired so long before a time, as far as the day allows.
func (r *Retainer) takeAll(ctx context.Context, set config.Retention, now time.Time) error {
	if wrong := r.Clock.Get(); wrong.Problem != "" {
		return fmt.Errorf("what has expired is not known: %s", wrong.Detail)
	}
	if err := state.AwaitTip(ctx, r.Withdrawer.Watcher); err != nil {
		return err
	}
	if !r.Withdrawer.State.Active() {
		return nil // which the status says
	}
	choice := Choice{Expired: now.Add(-set.ExpiredFor.Duration), NoRecords: !set.Records}
	var collections []string
	for _, name := range set.Collections {
		c, err := r.Withdrawer.State.Called(name)
		if err != nil {
			return fmt.Errorf("retention.collections: %w", err)
		}
		collections = append(collections, c.ID)
	}
	if len(collections) == 0 {
		collections = []string{""} // all
	}
	for _, choice.Collection = range collections {
		m := &many{Withdrawer: r.Withdrawer, choice: choice, by: &ration{Retainer: r, set: set}, say: func(Progress) error { return nil }}
		if err := m.run(auditlog.AsUser(ctx, retainers)); err != nil {
			return err
		}
	}
	return nil
}

// ration is what a day still allows.
type ration struct {
	*Retainer
	set config.Retention
}

// room is what the day allows.
func (r *ration) room() (int, error) {
	today, err := r.today()
	return int(r.set.Objects) - today.Objects, err
}

// before counts what is about to be taken, if the money is there.
func (r *ration) before(ctx context.Context, all []chosen) error {
	var p Progress
	for _, one := range all {
		p.count(one)
	}
	used, err := r.today()
	if err != nil {
		return err
	}
	spendable, err := r.Purse.Spendable(ctx)
	if err != nil {
		return fmt.Errorf("what can be spent is not known: %w", err)
	}
	if needs := p.Fees.Plus(p.Locked); spendable < needs {
		return fmt.Errorf("%w: taking back what has expired needs %s ALGO of what objects can spend, which is %s; send ALGO, or lower publish.reserve", errPoor, needs, spendable)
	}
	used.Objects += p.Objects
	return r.remember(used)
}

// after notes it in the audit log.
func (r *ration) after(all []chosen) {
	byCollection, order := map[string]*taxii.Event{}, []string{}
	ids := map[string][]string{}
	for _, one := range all {
		if byCollection[one.Collection] == nil {
			order = append(order, one.Collection)
			byCollection[one.Collection] = &taxii.Event{
				Time: state.Now(), Name: taxii.EventWithdraw, User: retainers, Credential: "the configuration", Collection: one.Collection,
				Detail: "expired for " + days(r.set.ExpiredFor.Duration),
			}
		}
		byCollection[one.Collection].Count += max(1, one.Objects)
		ids[one.Collection] = append(ids[one.Collection], one.ID)
	}
	for _, collection := range order {
		event := byCollection[collection]
		event.NameObjects(ids[collection])
		r.Trail.Record(*event)
	}
	r.Withdrawer.Log.Info("what has expired is withdrawn", "transactions", len(all), "expired_for", days(r.set.ExpiredFor.Duration))
}

// used is how much of a day's ration is.
type used struct {
	Day     string `json:"day"` // "2026-11-30"
	Objects int    `json:"objects"`
}

const rationMemo = "retention"

func (r *Retainer) today() (u used, err error) {
	day := time.Now().UTC().Format(time.DateOnly)
	data, err := r.Withdrawer.Outbox.Memo(rationMemo)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil {
		return u, fmt.Errorf("reading how much has expired today: %w", err)
	}
	if u.Day < day { // a clock that was set back gives no second ration
		u = used{Day: day}
	}
	return u, nil
}

func (r *Retainer) remember(u used) error {
	data, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("noting how much has expired today: %w", err)
	}
	return r.Withdrawer.Outbox.SetMemo(rationMemo, data)
}
