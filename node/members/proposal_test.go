package members

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

var proposalsOwn = repo.Consortium{ID: 1001, GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{7}, 32)}

// aProposal is a draft as two accounts would sign it for the note. It is theirs, unless it was drafted by somebody
// else.
func aProposal(t *testing.T, draft consortium.Draft, note wire.Note, accounts ...string) wire.Proposal {
	t.Helper()
	account, err := wire.Quorum{Threshold: 2, Accounts: accounts}.Multisig()
	nodetest.Must(t, err)
	encoded, err := note.Encode(proposalsOwn.ID)
	nodetest.Must(t, err)
	if draft.Metadata == nil {
		by, err := account.Address()
		nodetest.Must(t, err)
		draft, err = draft.By(by.String())
		nodetest.Must(t, err)
	}
	directory, err := publish.DirectoryOf(draft)
	nodetest.Must(t, err)
	joint, err := ledger.NewJoint(ledger.Params{Round: 10, GenesisID: "test-v1", GenesisHash: [32]byte(proposalsOwn.GenesisHash), MinFee: 1000}, account,
		ledger.Mint{URL: wire.URL(directory.Root()), MetadataHash: wire.MetadataHash(draft.Metadata), Note: encoded}, 10_000)
	nodetest.Must(t, err)
	return wire.Proposal{Transaction: joint.Raw(), Metadata: draft.Metadata, Record: draft.Payload}
}

// jointly signs a transaction of two accounts with the first one's key, whatever it does: a hostile one would.
func jointly(t *testing.T, first, second crypto.Account, change func(*types.SignedTxn), p wire.Proposal) []byte {
	t.Helper()
	var signed types.SignedTxn
	nodetest.Must(t, msgpack.Decode(p.Transaction, &signed))
	change(&signed)
	account, err := crypto.MultisigAccountWithParams(1, 2, []types.Address{first.Address, second.Address})
	nodetest.Must(t, err)
	_, raw, err := crypto.SignMultisigTransaction(first.PrivateKey, account, signed.Txn)
	nodetest.Must(t, err)
	p.Transaction = raw
	data, err := p.Encode()
	nodetest.Must(t, err)
	return data
}

// Whoever makes a proposal can sign anything with its own key. Nobody else's is added to what does more than it says:
// each thing that an Algorand transaction could do beside, or in the place of, minting an NFT of the protocol's form.
func TestAProposalThatDoesAnythingElseIsSignedByNobody(t *testing.T) {
	hostile, careful := crypto.GenerateAccount(), crypto.GenerateAccount()
	mallory := crypto.GenerateAccount().Address
	draft, err := consortium.DraftRemoval(proposalsOwn.ID, mallory.String(), state.Now())
	nodetest.Must(t, err)
	good := aProposal(t, draft, draft.Note, hostile.Address.String(), careful.Address.String())
	sign := func(file []byte) (ProposalInfo, error) {
		return SignProposal(proposalsOwn, config.Default(), keys.Keys{Account: careful}, file)
	}
	if info, err := sign(jointly(t, hostile, careful, func(*types.SignedTxn) {}, good)); err != nil || !info.Complete || len(info.File) == 0 {
		t.Fatalf("what does nothing else is not signed: %+v, %v", info, err)
	}
	for what, change := range map[string]func(*types.Transaction){
		"gives the account away":       func(t *types.Transaction) { t.RekeyTo = mallory },
		"can take the NFT back":        func(t *types.Transaction) { t.AssetParams.Clawback = mallory },
		"can freeze the NFT":           func(t *types.Transaction) { t.AssetParams.Freeze = mallory },
		"has another manager":          func(t *types.Transaction) { t.AssetParams.Manager = mallory },
		"has a reserve":                func(t *types.Transaction) { t.AssetParams.Reserve = mallory },
		"mints two":                    func(t *types.Transaction) { t.AssetParams.Total = 2 },
		"mints parts":                  func(t *types.Transaction) { t.AssetParams.Decimals = 1 },
		"mints what is frozen":         func(t *types.Transaction) { t.AssetParams.DefaultFrozen = true },
		"has another name":             func(t *types.Transaction) { t.AssetParams.AssetName = "other" },
		"has another unit":             func(t *types.Transaction) { t.AssetParams.UnitName = "other" },
		"leads elsewhere":              func(t *types.Transaction) { t.AssetParams.URL = "https://example.com" },
		"has other metadata":           func(t *types.Transaction) { t.AssetParams.MetadataHash[0]++ },
		"changes an NFT that there is": func(t *types.Transaction) { t.ConfigAsset = 7 },
		"destroys an NFT":              func(t *types.Transaction) { t.ConfigAsset, t.AssetParams = 7, types.AssetParams{} },
		"pays": func(t *types.Transaction) {
			t.Type, t.Receiver, t.Amount, t.AssetParams = types.PaymentTx, mallory, 1, types.AssetParams{}
		},
		"pays everything":                   func(t *types.Transaction) { t.CloseRemainderTo = mallory },
		"takes part in another transaction": func(t *types.Transaction) { t.Group[0] = 1 },
		"registers keys":                    func(t *types.Transaction) { t.Type = types.KeyRegistrationTx },
		"sends an asset":                    func(t *types.Transaction) { t.XferAsset, t.AssetReceiver = 7, mallory },
		"is valid for longer":               func(t *types.Transaction) { t.LastValid++ },
		"is for another network":            func(t *types.Transaction) { t.GenesisHash[0]++ },
		"costs too much":                    func(t *types.Transaction) { t.Fee = 10_001 },
	} {
		file := jointly(t, hostile, careful, func(s *types.SignedTxn) { change(&s.Txn) }, good)
		if info, err := sign(file); err == nil || info.File != nil {
			t.Errorf("a proposal that %s is signed: it %s", what, info.Does)
		}
		if info, err := ReadProposal(proposalsOwn, config.Default(), file); err == nil {
			t.Errorf("a proposal that %s passes: it %s", what, info.Does)
		}
	}
}

// Copies are put together when they are of the same transaction, with good signatures only.
func TestSignaturesOfAnotherTransactionAreNotPutTogether(t *testing.T) {
	first, second := crypto.GenerateAccount(), crypto.GenerateAccount()
	about := crypto.GenerateAccount().Address.String()
	draft, err := consortium.DraftRemoval(proposalsOwn.ID, about, state.Now())
	nodetest.Must(t, err)
	good := aProposal(t, draft, draft.Note, first.Address.String(), second.Address.String())
	one := jointly(t, first, second, func(*types.SignedTxn) {}, good)
	unsigned, err := good.Encode()
	nodetest.Must(t, err)
	two, err := SignProposal(proposalsOwn, config.Default(), keys.Keys{Account: second}, unsigned)
	nodetest.Must(t, err)
	if info, err := ReadProposal(proposalsOwn, config.Default(), one, two.File); err != nil || !info.Complete || !info.Signers[0].Signed || !info.Signers[1].Signed {
		t.Errorf("together: %+v, %v", info, err)
	}
	later := jointly(t, first, second, func(s *types.SignedTxn) { s.Txn.FirstValid++; s.Txn.LastValid++ }, good)
	_, err = ReadProposal(proposalsOwn, config.Default(), later, two.File)
	wantRefusal(t, "of another transaction", err, "putting proposals together: they are different transactions")
	_, err = ReadProposal(proposalsOwn, config.Default())
	wantRefusal(t, "of none", err, "there is no proposal")
	_, err = ReadProposal(proposalsOwn, config.Default(), one, []byte("x"))
	wantRefusal(t, "with something else", err, "a proposal")

	parsed, err := wire.ParseProposal(one)
	nodetest.Must(t, err)
	var forged types.SignedTxn
	nodetest.Must(t, msgpack.Decode(parsed.Transaction, &forged))
	forged.Msig.Subsigs[1].Sig = forged.Msig.Subsigs[0].Sig
	parsed.Transaction = msgpack.Encode(forged)
	data, err := parsed.Encode()
	nodetest.Must(t, err)
	_, err = ReadProposal(proposalsOwn, config.Default(), data)
	wantRefusal(t, "with a signature that does not fit", err, "the signature of account "+second.Address.String()+" does not fit")
}

func TestWhoIsNoneOfTheGovernorSignsNothing(t *testing.T) {
	first, second, stranger := crypto.GenerateAccount(), crypto.GenerateAccount(), crypto.GenerateAccount()
	draft, err := consortium.DraftRemoval(proposalsOwn.ID, stranger.Address.String(), state.Now())
	nodetest.Must(t, err)
	data, err := aProposal(t, draft, draft.Note, first.Address.String(), second.Address.String()).Encode()
	nodetest.Must(t, err)
	info, err := SignProposal(proposalsOwn, config.Default(), keys.Keys{Account: stranger}, data)
	wantRefusal(t, "a stranger", err, "the account "+stranger.Address.String()+" of this repository is none of the governor's")
	if info.File != nil {
		t.Error("a file is written")
	}
	// An account that it had before may be one of them still.
	info, err = SignProposal(proposalsOwn, config.Default(), keys.Keys{Account: stranger, Former: []crypto.Account{second}}, data)
	if err != nil || info.Signers[0].Signed || !info.Signers[1].Signed {
		t.Errorf("with a former account: %+v, %v", info.Signers, err)
	}
	if _, err := SignProposal(proposalsOwn, config.Default(), keys.Keys{Account: first}, []byte("x")); err == nil {
		t.Error("something else is signed")
	}
}

// Whoever signs is shown what the record says, of each kind, with the names that this node knows members by, and
// nothing that the record does not say.
func TestEveryKindOfProposalIsShownWithItsRecord(t *testing.T) {
	a, b := nodetest.NewOrg(t, "a"), nodetest.NewOrg(t, "b")
	borealis, former := nodetest.NewOrg(t, "borealis"), crypto.GenerateAccount().Address.String()
	admission, err := consortium.DraftMember(proposalsOwn.ID, borealis.Document, state.Now())
	nodetest.Must(t, err)
	rotation, err := consortium.DraftRotation(proposalsOwn.ID, former, borealis.Document, nil, state.Now())
	nodetest.Must(t, err)
	quorum := wire.Quorum{Threshold: 1, Accounts: []string{a.Address(), b.Address()}}
	amendment, err := consortium.DraftAmendment(proposalsOwn.ID, wire.Amendment{Name: "Energy", History: true, Governor: quorum}, state.Now())
	nodetest.Must(t, err)
	removal, err := consortium.DraftRemoval(proposalsOwn.ID, borealis.Address(), state.Now())
	nodetest.Must(t, err)
	together, err := quorum.Address()
	nodetest.Must(t, err)
	own := proposalsOwn
	own.Members = map[string]string{a.Address(): "alpha", borealis.Address(): "borealis"}
	for _, one := range []struct {
		draft              consortium.Draft
		does, organisation string
		account            string
		details            []Detail
	}{
		{admission, "admits the organisation borealis", "borealis", borealis.Address(), []Detail{{"title", "BOREALIS"}, {"account", borealis.Address()}, {"peer", borealis.Document.Peer}}},
		{rotation, "gives the organisation borealis other keys", "borealis", borealis.Address(), []Detail{{"title", "BOREALIS"}, {"account before", former}, {"account", borealis.Address()}, {"peer", borealis.Document.Peer}}},
		{amendment, "makes 1 of 2 the governor: alpha, " + b.Address(), "", together, []Detail{{"governor", "alpha, account " + a.Address()}, {"governor", b.Address() + " (of no member that this node knows)"}, {"its account", together}, {"name of the consortium", "Energy"}, {"history for newcomers", "true"}}},
		{removal, "ends the membership of borealis", "", borealis.Address(), []Detail{{"member", "borealis, account " + borealis.Address()}}},
	} {
		p := aProposal(t, one.draft, one.draft.Note, a.Address(), b.Address())
		data, err := p.Encode()
		nodetest.Must(t, err)
		info, err := ReadProposal(own, config.Default(), data)
		if err != nil || info.Does != one.does || info.Organisation != one.organisation || info.Account != one.account || !slices.Equal(info.Details, one.details) ||
			info.Kind != one.draft.Note.Kind || info.Consortium != proposalsOwn.ID || info.Threshold != 2 || info.Fee != 1000 || info.FirstValid != 10 || info.LastValid != 1010 {
			t.Errorf("shown %+v, %v", info, err)
		}
		if info.Signers[0].Member != "alpha" || info.Signers[1].Member != "" {
			t.Errorf("who signs is called %+v", info.Signers)
		}
		account, err := wire.Quorum{Threshold: 2, Accounts: []string{a.Address(), b.Address()}}.Address()
		if nodetest.Must(t, err); info.Governor != account {
			t.Errorf("it is for %s, want %s", info.Governor, account)
		}
	}
	// A record that is another than its note says.
	wrongPeer, withdrawal := rotation, removal
	wrongPeer.Note.PeerDigest = wire.PeerDigest("another")
	withdrawal.Note.Asset, withdrawal.Note.Account = 7, ""
	for what, draft := range map[string]consortium.Draft{"another peer id than the transaction": wrongPeer, "a governor withdraws no objects": withdrawal} {
		data, err := aProposal(t, draft, draft.Note, a.Address(), b.Address()).Encode()
		nodetest.Must(t, err)
		_, err = ReadProposal(proposalsOwn, config.Default(), data)
		wantRefusal(t, "a record that is another", err, what)
	}
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
	}{{removal, "ends the membership of the account " + c}, {amendment, "makes 1 of 1 the governor: " + c}} {
		data, err := aProposal(t, one.draft, one.draft.Note, a, b).Encode()
		nodetest.Must(t, err)
		info, err := ReadProposal(proposalsOwn, config.Default(), data)
		if err != nil || info.Account != c || !strings.Contains(info.Does, one.does) || info.Complete || len(info.Signers) != 2 {
			t.Errorf("read %+v, %v", info, err)
		}
	}

	about := func(kind wire.Kind, account string) wire.Note { return wire.Note{Kind: kind, Account: account} }
	good := aProposal(t, removal, removal.Note, a, b)
	amendments, ofOne := aProposal(t, amendment, amendment.Note, a, b), nodetest.By(t, a, removal)
	for what, p := range map[string]wire.Proposal{
		"another record":                             {Transaction: good.Transaction, Metadata: good.Metadata, Record: bytes.Replace(removal.Payload, []byte(c), []byte(b), 1)},
		"another metadata":                           {Transaction: good.Transaction, Metadata: amendments.Metadata, Record: amendment.Payload},
		"a note about another account":               aProposal(t, removal, about(wire.KindRemoval, b), a, b),
		"a note of another kind":                     aProposal(t, removal, about(wire.KindAmendment, c), a, b),
		"a governor that the record does not name":   aProposal(t, amendment, about(wire.KindAmendment, a), a, b),
		"a directory of only one of them":            aProposal(t, ofOne, removal.Note, a, b),
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
	ofAnother, err := consortium.DraftRemoval(5, c, state.Now())
	nodetest.Must(t, err)
	files, err := aProposal(t, ofAnother, ofAnother.Note, a, b).Encode()
	nodetest.Must(t, err)
	for _, one := range []struct {
		words  string
		own    repo.Consortium
		config config.Config
		file   []byte
	}{
		{"the proposal is for the consortium 1001, this repository belongs to 5", elsewhere, config.Default(), data},
		{"the proposal is for another Algorand network than test-v1", otherNetwork, config.Default(), data},
		{"the transaction costs 1000 microalgo, the configuration allows 999", proposalsOwn, stingy, data},
		{`the metadata is that of a "removal" of consortium 5`, proposalsOwn, config.Default(), files},
	} {
		_, err := ReadProposal(one.own, one.config, one.file)
		wantRefusal(t, "a proposal", err, one.words)
	}
}
