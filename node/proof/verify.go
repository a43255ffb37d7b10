package proof

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// Verification is the evidence for one publication, step by step.
type Verification struct {
	evidence.Report
	Explorer string `json:"explorer,omitempty"` // where people can look it up; on public networks
}

// verification is a Verification in the making.
type verification struct {
	Verification
	*Notary
	event consortium.Event
	alone bool // algod has shown it alone: the indexer is not as far yet
}

// Verify walks the evidence for an object, given by its STIX id (its latest version) or by its transaction: from the
// chain, which is asked again, over IPFS to the object.
func (n *Notary) Verify(ctx context.Context, what string) (Verification, error) {
	of, err := n.publicationOf(what)
	if err != nil {
		return Verification{}, err
	}
	txid := of.TxID
	v := &verification{Notary: n, Verification: Verification{Report: evidence.NewReport(txid)}}
	found, alone, err := n.find(ctx, txid)
	var invalid *chainwatch.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		if _, refused := algorand.BadRequest(err); refused {
			err = problem.Input(err)
		}
		return Verification{}, err
	}
	if err == nil && !found.Found {
		if algod := n.Watcher.State().Algod; found.Round < algod {
			return Verification{}, fmt.Errorf("the indexer does not have transaction %.60s; it is at round %d, algod at round %d", txid, found.Round, algod)
		}
		return Verification{}, problem.Missing(fmt.Errorf("the indexer does not have transaction %.60s", txid))
	}
	if !v.Add("transaction signature", txid, err) {
		return v.Verification, nil
	}
	v.event, v.alone = found.Event, alone
	v.Explorer = n.explorer(txid)
	v.round(ctx)
	v.membership()
	if metadata, payload, ok := v.contents(ctx, of.Index); ok {
		v.opening(metadata, payload)
	}
	return v.Verification, nil
}

// indexerLag is how long an indexer may be behind the blocks that this node follows, and indexerPause how long it is
// let be in between.
const (
	indexerLag   = time.Minute
	indexerPause = 500 * time.Millisecond
)

// find asks the indexer for a transaction. What this node has followed already, by algod's blocks, is taken from its
// block as long as the indexer is behind; where algod doesn't give that, the indexer is waited for.
func (n *Notary) find(ctx context.Context, txid string) (found chainwatch.Finding, alone bool, err error) {
	event, followed, err := n.View.Event(txid)
	if err != nil {
		return found, false, err
	}
	for until := time.Now().Add(indexerLag); ; {
		found, err = n.Watcher.Find(ctx, txid)
		if err != nil || found.Found || !followed || found.Round >= event.Round {
			return found, false, err
		}
		if e, here, err := n.fromBlock(ctx, event.Event); here || err != nil {
			return chainwatch.Finding{Event: e, Found: here, Round: found.Round}, true, err
		}
		if time.Now().After(until) {
			return found, false, nil
		}
		select {
		case <-ctx.Done():
			return found, false, ctx.Err()
		case <-time.After(indexerPause):
		}
	}
}

// fromBlock gives a transaction as algod's block has it, if that is to be had.
func (n *Notary) fromBlock(ctx context.Context, of consortium.Event) (e consortium.Event, here bool, err error) {
	block, here, err := n.Ledger.Read(ctx, of.Round)
	if err != nil || !here || block.Fit != onchain.Fits {
		return e, false, nil // the indexer will have it
	}
	c, here := inReading(block, of.TxID)
	if !here {
		return e, false, nil
	}
	if e, err = c.Event([32]byte(n.Consortium.GenesisHash)); err != nil {
		return e, false, &chainwatch.InvalidError{Err: err}
	}
	return e, true, nil
}

// publicationOf finds what published something: it is given by its name, or by the id of an object.
func (n *Notary) publicationOf(what string) (wire.Publication, error) {
	if !strings.Contains(what, "--") {
		of, err := wire.ParsePublication(what)
		if err != nil {
			return of, problem.Input(fmt.Errorf("%.80q is neither the id of a STIX object nor of a transaction, nor TXID/INDEX for one object of a batch", what))
		}
		return of, nil
	}
	entry, err := n.View.Latest(view.Everything, what)
	if err != nil {
		return wire.Publication{}, err
	}
	if entry == nil {
		return wire.Publication{}, problem.Missing(fmt.Errorf("no object %.80s is in the view of this node", what))
	}
	return entry.Place().Name(), nil
}

// round asks algod, which is another source than the indexer, whether the transaction is in that block.
func (v *verification) round(ctx context.Context) {
	value := fmt.Sprintf("round %d, %s", v.event.Round, v.event.Time.Format(time.RFC3339))
	if v.alone {
		value += "; by algod's block alone: the indexer is not as far yet"
	}
	at, err := v.Ledger.Included(ctx, v.event.Round, v.TxID, v.Consortium.GenesisHash)
	switch {
	case errors.Is(err, ledger.ErrNoBlock):
		v.Note(evidence.NotChecked, "round and time", value, "algod no longer has the block; the indexer's word")
	case errors.Is(err, ledger.ErrNotIncluded):
		v.Add("round and time", value, err)
	case err != nil:
		v.Note(evidence.NotChecked, "round and time", value, err.Error())
	case !at.Equal(v.event.Time):
		v.Add("round and time", value, fmt.Errorf("algod says %s", at.Format(time.RFC3339)))
	default:
		v.Add("round and time", value, nil)
	}
}

func (v *verification) membership() {
	name := v.event.Sender
	if m, found := v.State.Member(v.event.Sender); found && m.Name != "" {
		name = fmt.Sprintf("%s (%s)", m.Name, v.event.Sender)
	}
	var err error
	v.State.Read(func(s *consortium.State) { err = evidence.Membership(s, v.event) })
	v.Add("creator was a member in that round", name, err)
}

// contents checks the files behind the CID, from this node's store or from other members', and those of one object
// where that is a batch.
func (v *verification) contents(ctx context.Context, index uint32) (m wire.Metadata, payload []byte, ok bool) {
	if v.event.Directory == "" {
		v.Note(evidence.NotChecked, "CID", "none", "the transaction destroys asset "+fmt.Sprint(v.event.Asset))
		return m, nil, false
	}
	if index == 0 {
		metadata, payload, ok := v.blocks(ctx, "", v.event.Directory)
		if ok {
			m, ok = v.Contents("", v.event, metadata, payload, directoryCID)
		}
		return m, payload, ok
	}
	metadata, record, ok := v.blocks(ctx, "batch: ", v.event.Directory)
	if ok {
		m, ok = v.Contents("batch: ", v.event, metadata, record, directoryCID)
	}
	if !ok {
		return m, nil, false
	}
	if v.event, ok = v.Place(v.event, m, record, index); !ok {
		return m, nil, false
	}
	if metadata, payload, ok = v.blocks(ctx, "", v.event.Directory); ok {
		m, ok = v.Listed(v.event, m, metadata, payload, directoryCID)
	}
	return m, payload, ok
}

// blocks gives the two files of a directory.
func (v *verification) blocks(ctx context.Context, prefix, directory string) (metadata, payload []byte, ok bool) {
	metadata, payload, err := v.files(ctx, directory)
	return metadata, payload, v.Add(prefix+"blocks are here", directory, err)
}

// files gives the two files of a directory, from this node's store or from other members'.
func (n *Notary) files(ctx context.Context, directory string) (metadata, payload []byte, err error) {
	root, err := cid.Decode(directory)
	if err != nil {
		return nil, nil, err
	}
	if _, err := n.Blocks.Fetch(ctx, []cid.Cid{root}); err != nil {
		return nil, nil, err
	}
	files, err := n.Blocks.Read(ctx, root)
	metadata, payload = unixfs.Pick(files, wire.MetadataName)
	return metadata, payload, err
}

// directoryCID computes the CID of a directory of metadata.json and a payload.
func directoryCID(metadata []byte, payloadName string, payload []byte) (string, error) {
	directory, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: metadata}, unixfs.File{Name: payloadName, Data: payload})
	if err != nil {
		return "", err
	}
	return directory.Root().String(), nil
}

// opening decrypts an object, if this organisation can.
func (v *verification) opening(metadata wire.Metadata, payload []byte) {
	if v.event.Note.Kind != wire.KindObject {
		return
	}
	identifier := metadata.Properties.Identifier
	ruling := v.rule(v.event, metadata)
	switch ruling.Outcome {
	case consortium.Readable:
		entry, err := replicate.OpenObject(metadata, payload, ruling.Key)
		value := ""
		if err == nil {
			in, _ := v.State.Collection(entry.Collection)
			value = fmt.Sprintf("%s, version %s, in %q", entry.ID, entry.Version, in.Properties.Title)
		}
		v.Add("decryption", value, err)
	case consortium.Refused:
		v.Add("decryption", identifier, errors.New(ruling.Reason))
	default:
		v.Note(evidence.NotChecked, "decryption", identifier, ruling.Reason)
	}
}

// rule decides about an object as the state stands.
func (n *Notary) rule(e consortium.Event, m wire.Metadata) (ruling consortium.Ruling) {
	n.State.Read(func(s *consortium.State) { ruling = s.Rule(e, m) })
	return ruling
}

// explorer is where people can look a transaction up: on networks that explorers know.
func (n *Notary) explorer(txid string) string {
	network, _, _ := strings.Cut(n.Consortium.GenesisID, "-")
	if network != "mainnet" && network != "testnet" {
		return ""
	}
	return strings.NewReplacer("{network}", network, "{txid}", txid).Replace(n.ExplorerURL)
}
