package wire

import "errors"

// KindProposal marks a proposal; it is a file between the governor's accounts and never a record.
const KindProposal Kind = "proposal"

// Proposal is what several accounts who are the governor together pass around until enough of them have signed: a
// transaction, and the two files of the directory that its NFT leads to, so that whoever signs sees what they say.
type Proposal struct {
	Format      string `json:"format"`
	Kind        Kind   `json:"kind"`
	Transaction []byte `json:"transaction"` // msgpack of a signed transaction, with the signatures that it has so far
	Metadata    []byte `json:"metadata"`    // metadata.json
	Record      []byte `json:"record"`      // record.json
}

// maxProposal bounds a proposal, in bytes.
const maxProposal = 256 << 10

// Encode writes the proposal.
func (p Proposal) Encode() ([]byte, error) {
	p.Format, p.Kind = Format, KindProposal
	return encode("a proposal", maxProposal, p, p.check)
}

// ParseProposal reads a proposal. It says nothing of what is in it.
func ParseProposal(data []byte) (Proposal, error) {
	return decode("a proposal", data, maxProposal, (*Proposal).check)
}

func (p *Proposal) check() error {
	if p.Format != Format || p.Kind != KindProposal {
		return errors.New("not a proposal of " + Format)
	}
	if len(p.Transaction) == 0 || len(p.Metadata) == 0 || len(p.Record) == 0 {
		return errors.New("the transaction or one of its files is missing")
	}
	return nil
}
