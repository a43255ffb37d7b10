package evidence

import (
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// Report is what a walk along the evidence for one transaction has shown.
type Report struct {
	TxID   string `json:"txid"`
	Passed bool   `json:"passed"` // no step failed
	Steps  []Step `json:"steps"`
	// Conclusion is what all of it shows, in one sentence: what, by whom, when, on which assumptions.
	Conclusion string `json:"conclusion,omitempty"`
}

// Step is one piece of the evidence.
type Step struct {
	Name    string  `json:"name"`
	Value   string  `json:"value"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
}

// Outcome is what came of a step.
type Outcome string

// The outcomes. Only a failure makes a report fail.
const (
	Pass       Outcome = "pass"
	Fail       Outcome = "fail"
	Trusted    Outcome = "trusted"     // nothing here proves it: it is believed, or compared elsewhere
	NotThere   Outcome = "not there"   // the evidence doesn't have this piece
	NotChecked Outcome = "not checked" // this node can't tell
)

// NewReport begins a report.
func NewReport(txid string) Report { return Report{TxID: txid, Passed: true, Steps: []Step{}} }

// Add adds a step that passes if there is no error, and tells whether it does.
func (r *Report) Add(name, value string, err error) bool {
	if err != nil {
		r.Passed = false
		r.Note(Fail, name, value, err.Error())
		return false
	}
	r.Note(Pass, name, value, "")
	return true
}

// Note adds a step with an outcome of its own.
func (r *Report) Note(outcome Outcome, name, value, detail string) {
	r.Steps = append(r.Steps, Step{Name: name, Value: value, Outcome: outcome, Detail: detail})
}

// Directory computes the CID of the directory of metadata.json and a payload.
type Directory func(metadata []byte, payloadName string, payload []byte) (cid string, err error)

// Contents adds the steps from a transaction to the files that it published, each step's name after a prefix: the CID,
// the metadata's hash, the payload's. It tells whether all pass.
func (r *Report) Contents(prefix string, e consortium.Event, metadata, payload []byte, directory Directory) (m wire.Metadata, ok bool) {
	m, err := wire.ParseMetadata(metadata)
	if err == nil {
		err = m.CheckTransaction(e.Note.Kind, e.Consortium, e.Sender)
	}
	hash := wire.MetadataHash(metadata)
	if e.Index == 0 && string(hash[:]) != string(e.MetadataHash) { // of a batch's object the CID alone is known
		err = fmt.Errorf("the NFT says %x", e.MetadataHash)
	}
	if !r.Add(prefix+"metadata hash", fmt.Sprintf("%x", hash), err) {
		return m, false
	}
	payloadHash := "record hash"
	if e.Note.Kind == wire.KindObject {
		payloadHash = "object hash"
	}
	if !r.Add(prefix+payloadHash, m.Properties.Integrity, m.CheckPayload(payload)) {
		return m, false
	}
	cid, err := directory(metadata, m.Properties.Path, payload)
	if err == nil && cid != e.Directory {
		err = errors.New("the files have the CID " + cid)
	}
	return m, r.Add(prefix+"CID", e.Directory, err)
}

// Listed adds the steps to the files of an object that a batch lists, whose own metadata says something, see
// [Report.Place].
func (r *Report) Listed(e consortium.Event, says wire.Metadata, metadata, payload []byte, directory Directory) (m wire.Metadata, ok bool) {
	if m, ok = r.Contents("", e, metadata, payload, directory); !ok {
		return m, false
	}
	p, of := m.Properties, says.Properties
	value, err := fmt.Sprintf("%s, epoch %d", p.Collection, p.Epoch), error(nil)
	if p.Collection != of.Collection || p.Epoch != of.Epoch {
		err = fmt.Errorf("the batch is of %s, epoch %d", of.Collection, of.Epoch)
	}
	return m, r.Add("collection of the batch", value, err)
}

// Place adds the step that a batch, whose files passed, lists an object at a place. It gives the object as if its
// transaction had published that alone.
func (r *Report) Place(batch consortium.Event, says wire.Metadata, record []byte, index uint32) (e consortium.Event, ok bool) {
	list, err := wire.ParseBatch(record)
	if err == nil {
		err = list.CheckMetadata(says)
	}
	if err == nil && (index < 1 || int(index) > len(list.Objects)) {
		err = fmt.Errorf("it lists %d objects", len(list.Objects))
	}
	if e = batch; err == nil {
		e = batch.Listed(index, list.Objects[index-1])
	}
	return e, r.Add(fmt.Sprintf("is listed at place %d of the batch", index), e.Directory, err)
}

// Membership tells why an account could not publish at a position of the chain that was folded: neither as a member nor
// as the governor.
func Membership(s *consortium.State, e consortium.Event) error {
	if s.GovernorAt(e.Position) != e.Sender && !s.MemberAt(e.Sender, e.Position) {
		return errors.New("the account was not a member then")
	}
	return nil
}
