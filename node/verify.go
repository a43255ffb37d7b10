package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// Verification is the evidence for one publication, step by step.
type Verification struct {
	TxID     string `json:"txid"`
	Passed   bool   `json:"passed"` // no step failed
	Steps    []Step `json:"steps"`
	Explorer string `json:"explorer,omitempty"` // where people can look it up; on public networks
}

// Step is one piece of the evidence.
type Step struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Outcome string `json:"outcome"` // "pass", "fail" or "not checked"
	Detail  string `json:"detail,omitempty"`
}

// verification is a Verification in the making.
type verification struct {
	Verification
	*Node
	event    consortium.Event
	files    []p2p.File
	metadata wire.Metadata
	payload  []byte
}

func (v *verification) add(name, value string, err error) bool {
	step := Step{Name: name, Value: value, Outcome: "pass"}
	if err != nil {
		step.Outcome, step.Detail, v.Passed = "fail", err.Error(), false
	}
	v.Steps = append(v.Steps, step)
	return err == nil
}

func (v *verification) skip(name, value, why string) {
	v.Steps = append(v.Steps, Step{Name: name, Value: value, Outcome: "not checked", Detail: why})
}

// Verify walks the evidence for an object, given by its STIX id (its latest version) or by its transaction: from the
// chain, which is asked anew, over IPFS to the object.
func (n *Node) Verify(ctx context.Context, what string) (Verification, error) {
	txid, err := n.transactionOf(what)
	if err != nil {
		return Verification{}, err
	}
	v := &verification{Node: n, Verification: Verification{TxID: txid, Passed: true}}
	found, err := n.watcher.Find(ctx, txid)
	if err == nil && !found.Found {
		return Verification{}, &InputError{fmt.Errorf("the indexer does not have transaction %.60s", txid)}
	}
	if !v.add("transaction signature", txid, err) {
		return v.Verification, nil
	}
	v.event = found.Event
	v.Explorer = n.explorer(txid)
	v.round(ctx)
	v.membership()
	if v.directory(ctx) {
		v.content()
	}
	return v.Verification, nil
}

// transactionOf finds the transaction that published something.
func (n *Node) transactionOf(what string) (string, error) {
	if !strings.Contains(what, "--") {
		return what, nil
	}
	entry, err := n.repo.View.Latest(repo.Everything, what)
	if err != nil {
		return "", err
	}
	if entry == nil {
		return "", &InputError{fmt.Errorf("no object %.80s is in the view of this node", what)}
	}
	return entry.TxID, nil
}

// round asks algod, which is another source than the indexer, whether the transaction is in that block.
func (v *verification) round(ctx context.Context) {
	value := fmt.Sprintf("round %d, %s", v.event.Round, v.event.Time.Format(time.RFC3339))
	at, err := v.ledger.Included(ctx, v.event.Round, v.TxID)
	switch {
	case errors.Is(err, ledger.ErrNoBlock):
		v.skip("round and time", value, "algod no longer has the block; the indexer's word")
	case err != nil:
		v.add("round and time", value, err)
	case !at.Equal(v.event.Time):
		v.add("round and time", value, fmt.Errorf("algod says %s", at.Format(time.RFC3339)))
	default:
		v.add("round and time", value, nil)
	}
}

func (v *verification) membership() {
	name := v.event.Sender
	if m, found := v.fold.member(v.event.Sender); found && m.Name != "" {
		name = fmt.Sprintf("%s (%s)", m.Name, v.event.Sender)
	}
	var err error
	v.fold.read(func(s *consortium.State) {
		if !s.MemberAt(v.event.Sender, v.event.Position) && s.GovernorAt(v.event.Position) != v.event.Sender {
			err = errors.New("the account was not a member then")
		}
	})
	v.add("creator was a member in that round", name, err)
}

// directory checks the files behind the CID, from this node's store or from other members'.
func (v *verification) directory(ctx context.Context) bool {
	if v.event.Directory == "" {
		v.skip("CID", "none", "the transaction destroys asset "+fmt.Sprint(v.event.Asset))
		return false
	}
	root, err := cid.Decode(v.event.Directory)
	if err == nil {
		_, err = v.host.Fetch(ctx, []cid.Cid{root})
	}
	if err == nil {
		v.files, err = v.host.Read(ctx, root)
	}
	if !v.add("blocks are here", v.event.Directory, err) {
		return false
	}
	rebuilt, err := p2p.BuildDirectory(v.files...)
	if err == nil && rebuilt.Root() != root {
		err = fmt.Errorf("the files have the CID %s", rebuilt.Root())
	}
	return v.add("CID", wire.URL(root), err)
}

func (v *verification) content() {
	for _, f := range v.files {
		if f.Name != wire.MetadataName {
			continue
		}
		hash := wire.MetadataHash(f.Data)
		var err error
		if string(hash[:]) != string(v.event.MetadataHash) {
			err = fmt.Errorf("the NFT says %x", v.event.MetadataHash)
		}
		if !v.add("metadata hash", fmt.Sprintf("%x", hash), err) {
			return
		}
	}
	var err error
	v.metadata, v.payload, err = verifiedFiles(v.event, v.files)
	if !v.add("object hash", v.metadata.Properties.Integrity, err) || v.event.Note.Kind != wire.KindObject {
		return
	}
	var ruling consortium.Ruling
	v.fold.read(func(s *consortium.State) { ruling = s.Rule(v.event, v.metadata) })
	switch ruling.Outcome {
	case consortium.Readable:
		entry, err := openObject(v.event, v.metadata, v.payload, ruling)
		value := ""
		if err == nil {
			value = fmt.Sprintf("%s, version %s, in %q", entry.ID, entry.Version, ruling.Properties.Title)
		}
		v.add("decryption", value, err)
	case consortium.Refused:
		v.add("decryption", v.metadata.Properties.Identifier, errors.New(ruling.Reason))
	default:
		v.skip("decryption", v.metadata.Properties.Identifier, ruling.Reason)
	}
}

// explorer is where people can look a transaction up: on networks that explorers know.
func (n *Node) explorer(txid string) string {
	network, _, _ := strings.Cut(n.consortium.GenesisID, "-")
	if network != "mainnet" && network != "testnet" {
		return ""
	}
	return strings.NewReplacer("{network}", network, "{txid}", txid).Replace(n.repo.Config.Algorand.Explorer)
}
