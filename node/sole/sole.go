// Package sole watches that no other node has this organisation's keys, and has a node wait for what one that had them
// has signed.
package sole

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Sole watches that no other node has this organisation's identity: a copied machine, a restored backup whose original
// still runs, or a thief. Two nodes give the same sequence numbers, begin the same key epochs with different keys, and
// take each other's connections; half of what each publishes reaches nobody. Each sees on the chain what it never
// signed: from then on nothing is signed here, until an operator says that the other one is gone. Only other keys can
// still be taken, which is what helps against a thief.
type Sole struct {
	Outbox    *outbox.Outbox
	Self      string
	Condition *problem.Monitor // of publishing
	Changed   signal.Signal    // something was found, or settled
	Log       *slog.Logger

	mu sync.Mutex
}

// Load says what was found before the node was started.
func (s *Sole) Load() error {
	known, err := s.Outbox.Sole()
	if err == nil && known.Account == s.Self && known.Foreign.Count > 0 {
		s.say(known.Foreign)
	}
	return err
}

func (s *Sole) say(f outbox.Foreign) {
	s.Condition.Pin("duplicate", fmt.Sprintf("the chain has %d transactions of this organisation's account that this node never signed, the last is %s in "+
		"round %d: another node has the same keys. Stop that one, then say \"slnode keys sole\" here; if it is not yours, \"slnode member rotate\" at once",
		f.Count, f.TxID, f.Round))
}

// Disputed reports whether another node has this one's identity.
func (s *Sole) Disputed() bool { return s.Condition.IsPinned() }

// Saw compares what the chain shows of this organisation's account with what was signed here.
func (s *Sole) Saw(events []consortium.Event) error {
	own := map[string]consortium.Event{}
	var txids []string
	for _, e := range events {
		if e.Sender == s.Self && e.Note.Kind != wire.KindCharter { // which is signed before there is an outbox
			own[e.TxID] = e
			txids = append(txids, e.TxID)
		}
	}
	if len(txids) == 0 {
		return nil
	}
	unsigned, err := s.Outbox.Unsigned(txids)
	if err != nil || len(unsigned) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.Outbox.Sole()
	if err != nil {
		return err
	}
	recovery, err := s.Outbox.Recovery()
	if err != nil {
		return err
	}
	if known.Account != s.Self || recovery != nil && recovery.Until == 0 {
		return nil // it is not known yet what may be that of a lost node
	}
	before := known.Foreign.Count
	for _, txid := range unsigned {
		if e := own[txid]; e.Round > known.From && e.Round >= known.Foreign.Round && e.TxID != known.Foreign.TxID { // the log can be told again
			known.Foreign = outbox.Foreign{Count: known.Foreign.Count + 1, TxID: e.TxID, Sequence: e.Note.Sequence, Round: e.Round}
		}
	}
	if known.Foreign.Count == before {
		return nil
	}
	if err := s.Outbox.SetSole(known); err != nil {
		return err
	}
	if before == 0 {
		s.Log.Error("another node publishes with this organisation's account: nothing more is signed here", "txid", known.Foreign.TxID,
			"round", known.Foreign.Round, "sequence", known.Foreign.Sequence)
	}
	s.say(known.Foreign)
	s.Changed.Notify()
	return nil
}

// Begin makes sure that it is known from when on all of the account's transactions are this node's. An outbox that was
// made with the account knows it; one that took the place of a lost one can be sure a window after its first start.
func (s *Sole) Begin(round uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.Outbox.Sole()
	if err != nil || known.Account == s.Self {
		return err
	}
	return s.Outbox.SetSole(outbox.Sole{Account: s.Self, From: round + ledger.Window})
}

// Known reports whether that is known.
func (s *Sole) Known() (bool, error) {
	known, err := s.Outbox.Sole()
	return known.Account == s.Self, err
}

// Rotated records that the account is one that this node has made.
func (s *Sole) Rotated() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.Outbox.Sole()
	if err != nil || known.Account == s.Self {
		return err
	}
	return s.Outbox.SetSole(outbox.Sole{Account: s.Self})
}

// Recovers records that until a round what others have signed may be confirmed, and is no sign of another node.
func (s *Sole) Recovers(until uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Outbox.SetSole(outbox.Sole{Account: s.Self, From: until})
}

// Settle is an operator's word that no other node has this organisation's keys any more. What the other one has signed
// may still be confirmed: as after a restore, nothing is signed here until the chain has shown it.
func (s *Sole) Settle() error {
	if !s.Disputed() {
		return problem.Input(errors.New("nothing shows that another node has this organisation's keys"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.Outbox.Sole()
	if err != nil {
		return err
	}
	if err := s.Outbox.SetRecovery(&outbox.Recovery{Disputed: true}); err != nil {
		return err
	}
	known.Foreign = outbox.Foreign{}
	if err := s.Outbox.SetSole(known); err != nil {
		return err
	}
	s.Condition.Release()
	s.Changed.Notify()
	return nil
}
