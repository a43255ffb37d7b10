package members

import (
	"bytes"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

var proposalsOwn = repo.Consortium{ID: 1001, GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{7}, 32)}

// aProposal is a draft as two accounts would sign it for the note.
func aProposal(t *testing.T, draft consortium.Draft, note wire.Note, accounts ...string) wire.Proposal {
	t.Helper()
	account, err := wire.Quorum{Threshold: 2, Accounts: accounts}.Multisig()
	nodetest.Must(t, err)
	encoded, err := note.Encode(proposalsOwn.ID)
	nodetest.Must(t, err)
	directory, err := publish.DirectoryOf(draft)
	nodetest.Must(t, err)
	joint, err := ledger.NewJoint(ledger.Params{Round: 10, GenesisID: "test-v1", GenesisHash: [32]byte(proposalsOwn.GenesisHash), MinFee: 1000}, account,
		ledger.Mint{URL: wire.URL(directory.Root()), MetadataHash: wire.MetadataHash(draft.Metadata), Note: encoded}, 10_000)
	nodetest.Must(t, err)
	return wire.Proposal{Transaction: joint.Raw(), Metadata: draft.Metadata, Record: draft.Payload}
}

func TestAProposalSaysWhatItsTransactionDoes(t *testing.T) {
	a, b, c := crypto.GenerateAccount().Address.String(), crypto.GenerateAccount().Address.String(), crypto.GenerateAccount().Address.String()
	removal, err := consortium.DraftRemoval(proposalsOwn.ID, c, state.Now())
	nodetest.Must(t, err)
	amendment, err := consortium.DraftAmendment(proposalsOwn.ID, wire.Amendment{Name: "T", Governor: wire.Quorum{Threshold: 1, Accounts: []string{c}}}, state.Now())
	nodetest.Must(t, err)
	for _, one := range []struct {
		draft consortium.Draft
		does  string
	}{{removal, "ends the membership"}, {amendment, "makes 1 of 1 accounts the governor"}} {
		data, err := aProposal(t, one.draft, one.draft.Note, a, b).Encode()
		nodetest.Must(t, err)
		info, err := ReadProposal(proposalsOwn, config.Default(), data)
		if err != nil || info.Account != c || !strings.Contains(info.Does, one.does) || info.Complete || len(info.Signers) != 2 {
			t.Errorf("read %+v, %v", info, err)
		}
	}

	about := func(kind wire.Kind, account string) wire.Note { return wire.Note{Kind: kind, Account: account} }
	good := aProposal(t, removal, removal.Note, a, b)
	for what, p := range map[string]wire.Proposal{
		"another record":                             {Transaction: good.Transaction, Metadata: removal.Metadata, Record: bytes.Replace(removal.Payload, []byte(c), []byte(b), 1)},
		"another metadata":                           {Transaction: good.Transaction, Metadata: amendment.Metadata, Record: amendment.Payload},
		"a note about another account":               aProposal(t, removal, about(wire.KindRemoval, b), a, b),
		"a note of another kind":                     aProposal(t, removal, about(wire.KindAmendment, c), a, b),
		"a governor that the record does not name":   aProposal(t, amendment, about(wire.KindAmendment, a), a, b),
		"a kind that is no business of a governor's": aProposal(t, removal, wire.Note{Kind: wire.KindObject}, a, b),
	} {
		data, err := p.Encode()
		nodetest.Must(t, err)
		if info, err := ReadProposal(proposalsOwn, config.Default(), data); err == nil {
			t.Errorf("%s passes: it %s", what, info.Does)
		}
	}
	data, err := good.Encode()
	nodetest.Must(t, err)
	elsewhere, otherNetwork, stingy := proposalsOwn, proposalsOwn, config.Default()
	elsewhere.ID, otherNetwork.GenesisHash, stingy.Algorand.MaxFee = 5, bytes.Repeat([]byte{8}, 32), 999
	if _, err := ReadProposal(elsewhere, config.Default(), data); err == nil {
		t.Error("a proposal for another consortium passes")
	}
	if _, err := ReadProposal(otherNetwork, config.Default(), data); err == nil {
		t.Error("a proposal for another network passes")
	}
	if _, err := ReadProposal(proposalsOwn, stingy, data); err == nil {
		t.Error("a proposal that costs too much passes")
	}
}
