package members

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

// ProposalInfo is what a proposal does, read from its transaction and from files whose hashes are in it: nothing of it
// is taken on trust from who wrote the proposal.
type ProposalInfo struct {
	Does         string    `json:"does"` // one sentence
	Kind         wire.Kind `json:"kind"`
	Account      string    `json:"account"`                // whom it is about
	Member       string    `json:"member,omitempty"`       // … by its name, as far as this node knows it
	Organisation string    `json:"organisation,omitempty"` // whose admission it is
	Details      []Detail  `json:"details"`
	Consortium   uint64    `json:"consortium"`
	Governor     string    `json:"governor"` // the account that it is for
	Threshold    int       `json:"threshold"`
	Signers      []Signer  `json:"signers"`
	Complete     bool      `json:"complete"` // it has enough signatures to be submitted
	Fee          uint64    `json:"fee"`      // microalgo
	FirstValid   uint64    `json:"first_valid"`
	LastValid    uint64    `json:"last_valid"`
	TxID         string    `json:"txid"`
	File         []byte    `json:"file,omitempty"` // the proposal itself, where it was changed
}

// Signer is an account that can sign, and the member that has it, as far as this node knows.
type Signer struct {
	ledger.Signer
	Member string `json:"member,omitempty"`
}

// Detail is one thing that a proposal says.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// proposal is one that was checked.
type proposal struct {
	consortium uint64
	names      map[string]string // of members, by their accounts
	joint      *ledger.Joint
	note       wire.Note
	directory  unixfs.Directory
	files      consortium.Draft
	member     *wire.Member    // what is admitted
	rotation   *wire.Member    // … or gets other keys
	amendment  *wire.Amendment // what is amended
}

// readProposal reads a proposal for a consortium and checks everything that can be checked without the chain. It
// refuses what costs more than maxFee, in microalgo.
func readProposal(data []byte, own repo.Consortium, maxFee uint64) (*proposal, error) {
	file, err := wire.ParseProposal(data)
	if err != nil {
		return nil, err
	}
	p := &proposal{consortium: own.ID, names: own.Members}
	if p.joint, err = ledger.ParseJoint(file.Transaction); err != nil {
		return nil, fmt.Errorf("the transaction of the proposal: %w", err)
	}
	mint := p.joint.Mint()
	var id uint64
	if id, p.note, err = wire.ParseNote(mint.Note); err != nil {
		return nil, fmt.Errorf("the transaction of the proposal: %w", err)
	}
	genesis := p.joint.GenesisHash()
	switch {
	case id != own.ID:
		return nil, fmt.Errorf("the proposal is for the consortium %d, this repository belongs to %d", id, own.ID)
	case string(genesis[:]) != string(own.GenesisHash):
		return nil, fmt.Errorf("the proposal is for another Algorand network than %s", own.GenesisID)
	case p.joint.Fee() > maxFee:
		return nil, fmt.Errorf("the transaction costs %d microalgo, the configuration allows %d", p.joint.Fee(), maxFee)
	}
	if err := p.readFiles(file, mint, own.ID); err != nil {
		return nil, fmt.Errorf("the files of the proposal: %w", err)
	}
	return p, nil
}

// readFiles checks that the files are those that the transaction names, and reads them.
func (p *proposal) readFiles(file wire.Proposal, mint ledger.Mint, id uint64) (err error) {
	p.files = consortium.Draft{Note: p.note, Metadata: file.Metadata, Payload: file.Record, PayloadName: wire.RecordName}
	if p.directory, err = publish.DirectoryOf(p.files); err != nil {
		return err
	}
	if wire.MetadataHash(file.Metadata) != mint.MetadataHash || wire.URL(p.directory.Root()) != mint.URL {
		return errors.New("they are not those that the transaction names")
	}
	metadata, err := wire.ParseMetadata(file.Metadata)
	if err != nil {
		return err
	}
	if p.files, err = consortium.Redraft(p.note, file.Metadata, file.Record); err != nil {
		return err
	}
	if err := metadata.CheckTransaction(p.note.Kind, id, p.joint.Sender()); err != nil {
		return err
	}
	if err := metadata.CheckPayload(file.Record); err != nil {
		return err
	}
	return p.readRecord(file.Record)
}

// readRecord reads the record, which has to be about the account that the transaction is about.
func (p *proposal) readRecord(record []byte) error {
	account := ""
	switch p.note.Kind {
	case wire.KindMember:
		m, err := wire.ParseMember(record)
		if err != nil {
			return err
		}
		p.member, account = &m, m.Account
	case wire.KindRotation:
		r, err := wire.ParseRotation(record)
		if err != nil {
			return err
		}
		if wire.PeerDigest(r.Member.Peer) != p.note.PeerDigest {
			return errors.New("the record names another peer id than the transaction")
		}
		p.rotation, account = &r.Member, r.Member.Account
	case wire.KindRemoval:
		if p.note.Asset != 0 {
			return errors.New("a governor withdraws no objects")
		}
		r, err := wire.ParseRemoval(record)
		if err != nil {
			return err
		}
		account = r.Account
	case wire.KindAmendment:
		a, err := wire.ParseAmendment(record)
		if err != nil {
			return err
		}
		p.amendment = &a
		if account, err = a.Governor.Address(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a governor mints no %.40q", p.note.Kind)
	}
	if account != p.note.Account {
		return fmt.Errorf("the record is about the account %s, the transaction about %s", account, p.note.Account)
	}
	return nil
}

// describe says what the proposal does.
func (p *proposal) describe() ProposalInfo {
	info := ProposalInfo{
		Kind: p.note.Kind, Account: p.note.Account, Member: p.names[p.note.Account], Consortium: p.consortium, Governor: p.joint.Sender(),
		Threshold: p.joint.Threshold(), Complete: p.joint.Complete(), Fee: p.joint.Fee(), TxID: p.joint.TxID(),
	}
	for _, s := range p.joint.Signers() {
		info.Signers = append(info.Signers, Signer{Signer: s, Member: p.names[s.Account]})
	}
	info.FirstValid, info.LastValid = p.joint.Window()
	add := func(name, value string) { info.Details = append(info.Details, Detail{name, value}) }
	switch {
	case p.rotation != nil:
		info.Organisation = p.rotation.Organisation
		info.Does = fmt.Sprintf("gives the organisation %s other keys", p.rotation.Organisation)
		add("title", p.rotation.Title)
		add("account before", p.note.Former)
		add("account", p.rotation.Account)
		add("peer", p.rotation.Peer)
	case p.member != nil:
		info.Organisation = p.member.Organisation
		info.Does = fmt.Sprintf("admits the organisation %s", p.member.Organisation)
		add("title", p.member.Title)
		add("account", p.member.Account)
		add("peer", p.member.Peer)
	case p.amendment != nil:
		quorum := p.amendment.Governor
		var governors []string
		for _, account := range quorum.Accounts {
			governors = append(governors, cmp.Or(p.names[account], account))
			add("governor", p.named(account))
		}
		info.Does = fmt.Sprintf("makes %d of %d the governor: %s", quorum.Threshold, len(quorum.Accounts), strings.Join(governors, ", "))
		add("its account", p.note.Account)
		add("name of the consortium", p.amendment.Name)
		add("history for newcomers", fmt.Sprint(p.amendment.History))
	default:
		info.Does = "ends the membership of " + cmp.Or(p.names[p.note.Account], "the account "+p.note.Account)
		add("member", p.named(p.note.Account))
	}
	return info
}

// named writes an account with the name of the member that has it.
func (p *proposal) named(account string) string {
	name := p.names[account]
	if name == "" {
		return account + " (of no member that this node knows)"
	}
	return name + ", account " + account
}

// withFile describes the proposal and writes it with the signatures that it has now.
func (p *proposal) withFile() (info ProposalInfo, err error) {
	info = p.describe()
	info.File, err = wire.Proposal{Transaction: p.joint.Raw(), Metadata: p.files.Metadata, Record: p.files.Payload}.Encode()
	return info, err
}

// sign adds the signature of an organisation's account. It reports whether the account is one of the governor's.
func (p *proposal) sign(keys keys.Keys) bool {
	signed := p.joint.Sign(keys.Account)
	for _, former := range keys.Former { // the governor may be made up of it still
		signed = p.joint.Sign(former) || signed
	}
	return signed
}

// merge reads copies of one proposal and gives it with the signatures of all.
func merge(files [][]byte, own repo.Consortium, maxFee uint64) (*proposal, error) {
	if len(files) == 0 {
		return nil, errors.New("there is no proposal")
	}
	merged, err := readProposal(files[0], own, maxFee)
	if err != nil {
		return nil, err
	}
	for _, file := range files[1:] {
		other, err := readProposal(file, own, maxFee)
		if err != nil {
			return nil, err
		}
		if err := merged.joint.Merge(other.joint); err != nil {
			return nil, fmt.Errorf("putting proposals together: %w", err)
		}
	}
	return merged, nil
}

// ReadProposal says what a proposal, or several copies of it, does. It needs no network and no running node.
func ReadProposal(own repo.Consortium, config config.Config, files ...[]byte) (ProposalInfo, error) {
	p, err := merge(files, own, config.Algorand.MaxFee)
	if err != nil {
		return ProposalInfo{}, problem.Input(err)
	}
	return p.describe(), nil
}

// SignProposal adds the signature of this repository's account. It needs no network and no running node.
func SignProposal(own repo.Consortium, config config.Config, keys keys.Keys, files ...[]byte) (ProposalInfo, error) {
	p, err := merge(files, own, config.Algorand.MaxFee)
	if err != nil {
		return ProposalInfo{}, problem.Input(err)
	}
	if !p.sign(keys) {
		return ProposalInfo{}, problem.Input(fmt.Errorf("the account %s of this repository is none of the governor's", keys.Address()))
	}
	return p.withFile()
}
