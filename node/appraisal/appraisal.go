// Package appraisal is what this organisation itself makes of indicators, whoever published them: how they age, and
// which of their values are on warning lists. It says what is left out of lists, and changes no object.
//
// appraisal.go is what lists are made by, lists.go the warning lists, benign.go those that members make.
package appraisal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/repo/config"
)

// Appraiser says what lists leave out.
type Appraiser struct {
	*Lists
	Judge   judge   // nil: nobody holds anything to be wrong
	Sighted sighted // nil: nobody has seen anything
	Raters  raters  // nil: nobody is rated
	memos   memos

	mu     sync.Mutex
	rules  quality.Rules
	policy policy
}

// judge says what this organisation holds to be wrong.
type judge interface {
	Configure(c config.Config)
	// Judged gives what lists leave out, and a text that is another one when that is.
	Judged() (digest string, left export.Left, err error)
}

// sighted tells when indicators were seen last.
type sighted interface {
	Sighted() (func(indicator string) time.Time, error)
	// SightedChanged tells when that became another one, in unix microseconds.
	SightedChanged() (int64, error)
}

// raters say how reliable members are held to be.
type raters interface {
	// Rated gives letters by the members' names, and a text that is another one when these are; "" if there are none.
	Rated() (letters map[string]quality.Reliability, digest string)
}

// memos keep small things durably.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
}

// policyMemo is the name under which the policy is kept.
const policyMemo = "lists/policy"

// policy is what lists were made by, and since when: another one makes other lists, also after a restart.
type policy struct {
	Digest string `json:"digest"`
	Since  int64  `json:"since"` // unix microseconds
}

// Open begins with a configuration, and the warning lists of a repository in a folder.
func Open(dir string, c config.Config, memos memos, log *slog.Logger) (*Appraiser, error) {
	a := &Appraiser{Lists: OpenLists(dir, c, log), memos: memos}
	data, err := memos.Memo(policyMemo)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &a.policy)
	}
	if err != nil {
		return nil, fmt.Errorf("reading by what lists are made: %w", err)
	}
	return a, a.Reload(c)
}

// Reload goes on with another configuration.
func (a *Appraiser) Reload(c config.Config) error {
	rules, err := config.DecayRules(c.Decay)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = rules
	a.configure(c)
	if a.Judge != nil {
		a.Judge.Configure(c)
	}
	return nil
}

// Changed tells when what lists are made by became another, in unix microseconds; of lists that age also when something
// was seen last.
func (a *Appraiser) Changed(aging bool) (int64, error) {
	since, err := a.changed()
	if err != nil || !aging || a.Sighted == nil {
		return since, err
	}
	seen, err := a.Sighted.SightedChanged()
	return max(since, seen), err
}

func (a *Appraiser) changed() (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	warnings, err := a.digest()
	if err != nil {
		return 0, err
	}
	judged := ""
	if a.Judge != nil {
		if judged, _, err = a.Judge.Judged(); err != nil {
			return 0, err
		}
	}
	if a.Raters != nil {
		_, rated := a.Raters.Rated()
		judged += rated
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %s%s", a.rules, warnings, judged))
	next := policy{Digest: hex.EncodeToString(sum[:8]), Since: a.now().UnixMicro()}
	if next.Digest == a.policy.Digest {
		return a.policy.Since, nil
	}
	data, err := json.Marshal(next)
	if err == nil {
		err = a.memos.SetMemo(policyMemo, data)
	}
	if err != nil {
		return 0, fmt.Errorf("keeping by what lists are made: %w", err)
	}
	a.policy = next
	return next.Since, nil
}

// Age says how scores fall, and whose less.
func (a *Appraiser) Age(o *export.Options) {
	if a.Raters != nil {
		o.Reliability, _ = a.Raters.Rated()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o.Decay = a.rules
}

// Fill says in a list's options what it leaves out: always what this organisation holds to be wrong and what is on a
// hard warning list and, if that is asked for, what many use.
func (a *Appraiser) Fill(o *export.Options, dropShared bool) error {
	all, hard, err := a.current()
	if err != nil {
		return err
	}
	if a.Judge != nil {
		if _, o.Left, err = a.Judge.Judged(); err != nil {
			return err
		}
	}
	if a.Sighted != nil && o.Score > 0 {
		if o.Sighted, err = a.Sighted.Sighted(); err != nil {
			return err
		}
	}
	if a.Raters != nil && o.Score > 0 {
		o.Reliability, _ = a.Raters.Rated()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o.Decay = a.rules
	lists, worst := hard, warnlist.Hard
	if dropShared {
		lists, worst = all, warnlist.Shared
	}
	judged := o.Left.Value
	o.Left.Value = func(v observable.Value) bool {
		hits := lists.Match(v)
		return len(hits) > 0 && hits[0].Class <= worst || judged != nil && judged(v)
	}
	return nil
}
