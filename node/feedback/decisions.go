package feedback

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/taxii"
)

// decision is what this organisation holds of an object, by an account of its node. It counts here at once, whatever
// becomes of the opinion that tells others.
type decision struct {
	Object    string             `json:"object"`
	Member    string             `json:"member"` // who published it, by its first account
	Version   string             `json:"version"`
	Instant   time.Time          `json:"instant"` // of that version
	Opinion   string             `json:"opinion"`
	Reason    string             `json:"reason,omitempty"`
	Text      string             `json:"text,omitempty"`
	Values    []observable.Value `json:"values,omitempty"` // that are not malicious, whoever says so
	To        string             `json:"to"`
	User      string             `json:"user"`
	ByReader  bool               `json:"by_reader,omitempty"` // counts only if readers' word does
	At        time.Time          `json:"at"`
	OpinionID string             `json:"opinion_id,omitempty"`
	Created   time.Time          `json:"created,omitzero"`
	Modified  time.Time          `json:"modified,omitzero"`
	In        string             `json:"in,omitempty"` // id of the collection
	Level     uint8              `json:"level,omitempty"`
	Status    string             `json:"status,omitempty"`
	Undone    bool               `json:"undone,omitempty"`
	Waits     *waiting           `json:"waits,omitempty"` // others are still to be told

	pending bool // the opinion is on its way to the chain
}

// decisionPrefix begins the names under which decisions are kept.
const decisionPrefix = "feedback/given/"

// maxDecisions bounds them: people make them, and all are held in memory.
const maxDecisions = 100_000

func (d *decision) name() string { return d.Object + "/" + d.Member }

// counts reports whether lists leave something out because of the decision.
func (d *decision) counts(s settings) bool {
	return !d.Undone && disagrees(d.Opinion) && (!d.ByReader || s.readers)
}

// says reports whether a later decision says nothing else, and others were told where they were to be.
func (d *decision) says(next decision) bool {
	told := d.Status != "" && (next.To == "" || next.To == d.To) || d.To == taxii.ToNobody && next.To == taxii.ToNobody
	return !d.Undone && told && d.Version == next.Version && d.Opinion == next.Opinion && d.Reason == next.Reason && d.Text == next.Text && d.ByReader == next.ByReader
}

func (r *Room) loadDecisions() error {
	all := map[string]decision{}
	err := state.EachMemo(r.Outbox, decisionPrefix, maxDecisions, func(_ string, d decision) { all[d.name()] = d })
	if err != nil {
		return fmt.Errorf("reading what is held to be a mistake: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order(all)
	r.changed++
	return nil
}

// decide keeps a decision.
func (r *Room) decide(d decision) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	r.mu.Lock()
	_, known := r.decisions[d.name()]
	full := !known && len(r.decisions) >= maxDecisions
	r.mu.Unlock()
	if full {
		return &taxii.InvalidError{Reason: fmt.Sprintf("something was said of %d objects already, which is the most that is kept; take some of it back", maxDecisions)}
	}
	if err := r.Outbox.SetMemo(decisionPrefix+d.name(), data); err != nil {
		return fmt.Errorf("keeping what is said of %s: %w", d.Object, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold(d)
	r.changed++
	return nil
}

// decided gives what is held of an object of a member.
func (r *Room) decided(object, member string) (decision, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, found := r.decisions[object+"/"+member]
	return d, found
}

// told is a decision for clients.
func (r *Room) told(d decision, pending bool) taxii.Judged {
	j := taxii.Judged{
		Object: d.Object, Version: d.Version, Member: r.State.Name(d.Member), Opinion: d.Opinion, Reason: d.Reason, Text: d.Text, To: d.To, User: d.User, At: d.At,
		OpinionID: d.OpinionID, Collection: d.In, Status: d.Status, Pending: pending,
	}
	if d.Waits != nil {
		j.Untold, j.Again = d.Waits.Why, d.Waits.Next
	}
	for _, v := range d.Values {
		j.Values = append(j.Values, v.Text)
	}
	return j
}
