package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/view"
)

// Evidence makes a file that proves the publication of an object, given by its STIX id (its latest version) or by its
// transaction, to somebody without a node. Where it is told to disclose, the file holds the object in clear and the key
// that opens this one alone. What it returns has passed [evidence.Check].
func (n *Notary) Evidence(ctx context.Context, what string, disclose bool) ([]byte, error) {
	of, err := n.publicationOf(what)
	if err != nil {
		return nil, err
	}
	subject, err := n.published(of)
	if err != nil {
		return nil, err
	}
	if subject.State == view.Ended {
		return nil, problem.Input(errors.New("it was withdrawn, and this node has deleted its files"))
	}
	f := evidence.File{Consortium: n.Consortium.ID}
	records, err := n.grounds(subject.Event)
	if err != nil {
		return nil, err
	}
	numbered, err := n.numbered(subject.Event)
	if err != nil {
		return nil, err
	}
	for _, record := range withNumbered(records, numbered) {
		p, err := n.proven(ctx, record)
		if err == nil && slices.ContainsFunc(records, func(e consortium.Event) bool { return e.TxID == record.TxID }) {
			err = n.addFiles(ctx, record, &p)
		}
		if err != nil {
			return nil, err
		}
		f.Records = append(f.Records, p)
	}
	if f.Subject, err = n.proven(ctx, subject.Event); err == nil {
		err = n.addFiles(ctx, subject.Event, &f.Subject)
	}
	if err == nil && of.Index != 0 {
		err = n.addBatch(ctx, of, &f.Subject)
	}
	if err != nil {
		return nil, err
	}
	if disclose {
		if f.Disclosed, err = n.disclose(subject.Event, f.Subject); err != nil {
			return nil, err
		}
	}
	data, err := f.Encode()
	if err != nil {
		return nil, err
	}
	for _, step := range evidence.Check(data, evidence.Options{Directory: directoryCID}).Steps {
		if step.Outcome == evidence.Fail {
			return nil, fmt.Errorf("the evidence would not stand: %s: %s (%s)", step.Name, step.Detail, step.Value)
		}
	}
	return data, nil
}

// logged finds a transaction in the event log.
func (n *Notary) logged(txid string) (view.Event, error) {
	return n.published(wire.Publication{TxID: txid})
}

// published finds what the event log has under a name.
func (n *Notary) published(of wire.Publication) (view.Event, error) {
	e, found, err := n.View.Published(of)
	if err == nil && !found {
		err = problem.Missing(fmt.Errorf("this node knows no transaction %.60s that counts", of))
	}
	return e, err
}

// addBatch adds the batch that an object is in.
func (n *Notary) addBatch(ctx context.Context, of wire.Publication, p *evidence.Publication) error {
	batch, err := n.logged(of.TxID)
	if err != nil {
		return err
	}
	metadata, record, err := n.files(ctx, batch.Directory)
	if err != nil {
		return fmt.Errorf("the files of transaction %s: %w", of.TxID, err)
	}
	p.Batch = &evidence.Batch{Metadata: string(metadata), Record: string(record), Index: of.Index}
	return nil
}

// grounds are the records that give an event its right, in the order of the chain: the charter with its amendments, the
// admission of the sender with its changes of keys, those of who is removed or given other keys and, for a keyring or
// the next record of a collection, the record that made the collection.
func (n *Notary) grounds(of consortium.Event) ([]consortium.Event, error) {
	charter, err := n.logged(n.Consortium.Charter)
	if err != nil {
		return nil, err
	}
	records := []consortium.Event{charter.Event}
	admission := func(account string, at consortium.Position) {
		n.State.Read(func(s *consortium.State) { records = append(records, s.GroundsAt(account, at)...) })
	}
	admission(of.Sender, of.Position)
	switch of.Note.Kind {
	case wire.KindRemoval:
		admission(of.Note.Account, of.Position)
	case wire.KindRotation:
		admission(of.Note.Former, of.Position)
	}
	if of.Note.Collection != "" {
		all, err := n.View.Records()
		if err != nil {
			return nil, err
		}
		first := slices.IndexFunc(all, func(e view.Event) bool {
			return e.Note.Kind == wire.KindCollection && e.Note.Collection == of.Note.Collection
		})
		if first >= 0 {
			records = append(records, all[first].Event)
			admission(all[first].Sender, all[first].Position)
		}
	}
	records = slices.DeleteFunc(records, func(e consortium.Event) bool { return !e.Before(of.Position) })
	slices.SortFunc(records, func(a, b consortium.Event) int { return a.Compare(b.Position) })
	return slices.CompactFunc(records, func(a, b consortium.Event) bool { return a.TxID == b.TxID }), nil
}

// maxNumbered bounds how many of the governor's transactions are put into a file for their numbers alone.
const maxNumbered = 64

// numbered gives the governor's records from the admission of a publisher to the first one after its publication, if
// their numbers show that there are no others: then the file shows that nothing of the governor's is left out. Where
// the governor has published other things meanwhile, or nothing since, there are none.
func (n *Notary) numbered(of consortium.Event) (numbered []consortium.Event, err error) {
	var admission consortium.Event
	found := false
	n.State.Read(func(s *consortium.State) {
		if admission, found = s.AdmissionAt(of.Sender, of.Position); found {
			found = s.GovernorAt(of.Position) == admission.Sender
		}
	})
	if !found {
		return nil, nil
	}
	all, err := n.View.Records()
	if err != nil {
		return nil, err
	}
	numbers := map[uint64]bool{}
	for _, e := range all {
		if e.Sender != admission.Sender || !admission.Before(e.Position) || len(numbered) == maxNumbered {
			continue
		}
		numbered, numbers[e.Note.Sequence] = append(numbered, e.Event), true
		if !of.Before(e.Position) {
			continue
		}
		for number := admission.Note.Sequence + 1; number < e.Note.Sequence; number++ {
			if !numbers[number] {
				return nil, nil
			}
		}
		return numbered, nil
	}
	return nil, nil
}

// withNumbered puts the records of a file in the order of the chain.
func withNumbered(records, numbered []consortium.Event) []consortium.Event {
	all := slices.Concat(records, numbered)
	slices.SortFunc(all, func(a, b consortium.Event) int { return a.Compare(b.Position) })
	return slices.CompactFunc(all, func(a, b consortium.Event) bool { return a.TxID == b.TxID })
}

// proven gathers a transaction and the proofs that algod has for it.
func (n *Notary) proven(ctx context.Context, e consortium.Event) (evidence.Publication, error) {
	block, err := n.Ledger.Block(ctx, e.Round)
	if err == nil && string(block.GenesisHash[:]) != string(n.Consortium.GenesisHash) {
		err = fmt.Errorf("algod's block %d is of another network, %s", e.Round, block.GenesisID)
	}
	switch {
	case errors.Is(err, ledger.ErrNoBlock):
		return n.onItsWord(ctx, e)
	case err != nil:
		return evidence.Publication{}, err
	}
	return n.inBlock(ctx, e, &block)
}

// addFiles adds a publication's files, if it has any.
func (n *Notary) addFiles(ctx context.Context, e consortium.Event, p *evidence.Publication) error {
	if e.Directory == "" {
		return nil
	}
	metadata, payload, err := n.files(ctx, e.Directory)
	if err != nil {
		return fmt.Errorf("the files of transaction %s: %w", e.TxID, err)
	}
	p.Metadata, p.Payload = string(metadata), string(payload)
	return nil
}

// onItsWord asks the indexer, where algod doesn't have the block: it keeps only the last thousand, unless it is an
// archival node.
func (n *Notary) onItsWord(ctx context.Context, e consortium.Event) (evidence.Publication, error) {
	found, err := n.Watcher.Find(ctx, e.TxID)
	if err == nil && !found.Found {
		err = fmt.Errorf("neither algod nor the indexer has transaction %s", e.TxID)
	}
	if err != nil {
		return evidence.Publication{}, err
	}
	e = found.Event
	word := evidence.Word{Round: e.Round, Offset: e.Intra, Time: e.Time.Unix()}
	if e.Directory != "" { // else it destroys one
		word.Asset = e.Asset
	}
	return evidence.OnItsWord(word, found.Signed, e.TxID), nil
}

// inBlock takes a transaction from its block, with the proofs.
func (n *Notary) inBlock(ctx context.Context, e consortium.Event, block *types.Block) (p evidence.Publication, err error) {
	i := slices.IndexFunc(block.Payset, func(t types.SignedTxnInBlock) bool {
		return onchain.Restore(&block.BlockHeader, t, 0).TxID == e.TxID
	})
	if i < 0 {
		return p, fmt.Errorf("algod's block %d does not hold transaction %s", e.Round, e.TxID)
	}
	header, err := n.Ledger.CheckedHeader(ctx, block)
	if err != nil {
		return p, err
	}
	inclusion, err := n.Ledger.InclusionProof(ctx, e.Round, e.TxID)
	if err != nil {
		return p, err
	}
	proven := evidence.Block{Header: header, Index: inclusion.Idx, Path: inclusion.Proof}
	state, found, err := n.Ledger.StateProof(ctx, e.Round)
	if err != nil {
		return p, err
	}
	if found {
		m := state.Message
		proven.StateProof = &evidence.StateProof{Index: state.Header.Index, Path: state.Header.Proof, Message: evidence.Message{
			BlockHeadersCommitment: m.Blockheaderscommitment, VotersCommitment: m.Voterscommitment, LnProvenWeight: m.Lnprovenweight,
			FirstAttestedRound: m.Firstattestedround, LastAttestedRound: m.Lastattestedround,
		}}
	}
	return evidence.InBlock(proven, block.Payset[i], e.TxID), nil
}

// disclose opens an object that this organisation can read, and gives its key.
func (n *Notary) disclose(e consortium.Event, p evidence.Publication) (*evidence.Disclosed, error) {
	if e.Note.Kind != wire.KindObject {
		return nil, problem.Input(fmt.Errorf("a %s record has nothing to disclose", e.Note.Kind))
	}
	metadata, err := wire.ParseMetadata([]byte(p.Metadata))
	if err != nil {
		return nil, err
	}
	sealed, err := wire.ParseSealedObject([]byte(p.Payload))
	if err != nil {
		return nil, err
	}
	ruling := n.rule(e, metadata)
	if ruling.Outcome != consortium.Readable {
		return nil, problem.Input(errors.New("this organisation can't disclose it: " + ruling.Reason))
	}
	fileKey, err := ruling.Key.FileKey(sealed)
	if err != nil {
		return nil, err
	}
	object, err := ruling.Key.Open(sealed)
	if err != nil {
		return nil, err
	}
	return &evidence.Disclosed{FileKey: fileKey, Object: string(object)}, nil
}

// CheckEvidence checks a file of evidence. It needs no node. Consortium is the one that is meant, 0 if that isn't
// known; trust are hashes that the caller has from elsewhere.
func CheckEvidence(data []byte, consortium uint64, trust []string) evidence.Report {
	return evidence.Check(data, evidence.Options{Consortium: consortium, Trust: trust, Directory: directoryCID})
}
