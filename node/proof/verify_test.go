package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

func isInput(err error) bool {
	var input *problem.InputError
	return errors.As(err, &input)
}

func TestAnObjectIsVerifiedFromTheChainToItsContent(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	for _, what := range []string{indicatorID(1), e.TxID} {
		v, err := p.notary().Verify(t.Context(), what)
		nodetest.Must(t, err)
		want := map[string]evidence.Outcome{}
		for _, name := range []string{"transaction signature", "round and time", "creator was a member in that round", "blocks are here", "metadata hash", "object hash", "CID", "decryption"} {
			want[name] = evidence.Pass
		}
		if got := outcomes(v.Report); !v.Passed || v.TxID != e.TxID || !maps.Equal(got, want) {
			t.Errorf("%s: passed %t, %v", what, v.Passed, v.Steps)
		}
		values := map[string]string{}
		for _, s := range v.Steps {
			values[s.Name] = s.Value
		}
		if got := values["creator was a member in that round"]; got != "mallory ("+e.Sender+")" {
			t.Errorf("the creator is %q", got)
		}
		if got := values["decryption"]; got != indicatorID(1)+`, version 2026-01-02T03:04:05.678Z, in "Default"` {
			t.Errorf("it decrypts to %q", got)
		}
		if got := values["round and time"]; got != fmt.Sprintf("round %d, %s", e.Round, e.Time.Format(time.RFC3339)) {
			t.Errorf("the round is %q", got)
		}
	}
}

func TestTheLatestVersionOfAnObjectIsVerified(t *testing.T) {
	p := newProven(t)
	p.published(1)
	raw := strings.Replace(nodetest.DescribedIndicator(1, "later"), `"modified":"2026-01-02T03:04:05.678Z"`, `"modified":"2026-02-02T03:04:05.678Z"`, 1)
	draft, err := consortium.DraftObject(p.ID, p.shared(), indicatorID(1), "2026-02-02T03:04:05.678Z", true, []byte(raw), time.Now())
	nodetest.Must(t, err)
	later := p.Mint(p.Mallory, draft)
	p.Takes(later)
	v, err := p.notary().Verify(t.Context(), indicatorID(1))
	if err != nil || v.TxID != later.TxID || !v.Passed {
		t.Errorf("%v, %+v", err, v)
	}
}

func (p *proven) shared() consortium.Collection {
	return consortium.Collection{ID: p.Collection, Epoch: 1, Key: p.Key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
}

// Each lie is told alone and with every other: whatever fails, the others are looked at and named too.
func TestNoFailureHidesAnother(t *testing.T) {
	p := newProven(t)
	stranger := nodetest.NewOrg(t, "stranger")
	lies := []string{"blocks are here", "creator was a member in that round", "round and time"}
	for set := range 1 << len(lies) {
		var want []string
		for i, name := range lies {
			if set&(1<<i) != 0 {
				want = append(want, name)
			}
		}
		sender := p.Mallory
		if slices.Contains(want, "creator was a member in that round") {
			sender = stranger
		}
		e := p.Mint(sender, p.Object(set))
		if slices.Contains(want, "round and time") {
			p.chain.includes = func(string) (time.Time, error) { return e.Time.Add(time.Second), nil }
		} else {
			p.chain.includes = nil
		}
		if slices.Contains(want, "blocks are here") {
			nodetest.Must(t, p.Blocks.Forget(t.Context(), []cid.Cid{cid.MustParse(e.Directory)}))
		}
		if sender == stranger && !slices.Contains(want, "blocks are here") {
			want = slices.Insert(want, 1, "decryption") // nor has who is no member a right to publish there
		}
		v, err := p.notary().Verify(t.Context(), e.TxID)
		nodetest.Must(t, err)
		if got := failing(v.Report); !slices.Equal(got, want) || v.Passed != (len(want) == 0) {
			t.Errorf("false are %q, the report names %q (passed: %t)", want, got, v.Passed)
		}
	}
}

func TestATransactionThatNobodySignedFailsAndNothingElseIsSaidOfIt(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.chain.find = func(string) (chainwatch.Finding, error) {
		return chainwatch.Finding{}, &chainwatch.InvalidError{Err: errors.New("nobody signed it")}
	}
	v, err := p.notary().Verify(t.Context(), e.TxID)
	if err != nil || v.Passed || !slices.Equal(failing(v.Report), []string{"transaction signature"}) || len(v.Steps) != 1 {
		t.Errorf("%v, %+v", err, v)
	}
}

// What can't be asked is neither proved nor disproved.
func TestAnOutageOfAlgodIsNotAFailure(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	for answer, want := range map[error]evidence.Outcome{
		fmt.Errorf("reading: %w", ledger.ErrNoBlock):     evidence.NotChecked,
		errors.New("algod is away"):                      evidence.NotChecked,
		fmt.Errorf("reading: %w", ledger.ErrNotIncluded): evidence.Fail,
	} {
		p.chain.includes = func(string) (time.Time, error) { return time.Time{}, answer }
		v, err := p.notary().Verify(t.Context(), e.TxID)
		nodetest.Must(t, err)
		if got := outcomes(v.Report)["round and time"]; got != want || v.Passed != (want != evidence.Fail) {
			t.Errorf("%v: %q, passed %t, want %q", answer, got, v.Passed, want)
		}
	}
}

func TestAnOutageOfTheIndexerIsAnErrorAndNoVerdict(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.chain.find = func(string) (chainwatch.Finding, error) {
		return chainwatch.Finding{}, errors.New("the indexer is away")
	}
	if v, err := p.notary().Verify(t.Context(), e.TxID); err == nil || isInput(err) || len(v.Steps) != 0 {
		t.Errorf("it says %+v, %v", v, err)
	}
	// What it refuses to look for is no outage.
	p.chain.find = func(string) (chainwatch.Finding, error) {
		return chainwatch.Finding{}, fmt.Errorf("asking: %w", common.BadRequest{HTTPError: common.HTTPError{Message: "why"}})
	}
	if _, err := p.notary().Verify(t.Context(), e.TxID); !isInput(err) {
		t.Errorf("what the indexer refuses: %v", err)
	}
	// It doesn't know the transaction yet that algod may have.
	p.chain.find = func(string) (chainwatch.Finding, error) { return chainwatch.Finding{Round: 7}, nil }
	p.chain.algod = 8
	if _, err := p.notary().Verify(t.Context(), e.TxID); err == nil || isInput(err) || !strings.Contains(err.Error(), "at round 7, algod at round 8") {
		t.Errorf("an indexer that is behind: %v", err)
	}
	p.chain.algod = 7
	if _, err := p.notary().Verify(t.Context(), e.TxID); !isInput(err) {
		t.Errorf("what neither has: %v", err)
	}
}

func TestWhatIsNeitherAnObjectNorATransactionIsTheCallersMistake(t *testing.T) {
	p := newProven(t)
	p.chain.find = func(txid string) (chainwatch.Finding, error) {
		t.Errorf("the indexer is asked for %q", txid)
		return chainwatch.Finding{}, nil
	}
	good := strings.Repeat("A", 52)
	for _, what := range []string{"", "x", good[1:], good + "A", "1" + good[1:], "a" + good[1:], "../" + good[3:], indicatorID(99), "--"} {
		if _, err := p.notary().Verify(t.Context(), what); !isInput(err) {
			t.Errorf("verify %q: %v", what, err)
		}
		if _, err := p.notary().Evidence(t.Context(), what, false); !isInput(err) {
			t.Errorf("evidence for %q: %v", what, err)
		}
	}
}

func TestTheFilesMustBeThoseOfTheNFT(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	root := cid.MustParse(e.Directory)
	files, err := p.Blocks.Read(t.Context(), root)
	nodetest.Must(t, err)
	for want, change := range map[string]func(metadata, payload []byte) (m, p []byte){
		"metadata hash": func(m, p []byte) ([]byte, []byte) {
			return []byte(strings.Replace(string(m), indicatorID(1), indicatorID(2), 1)), p
		},
		"object hash": func(m, p []byte) ([]byte, []byte) { p[len(p)-1]++; return m, p },
	} {
		var list []unixfs.File
		m, payload := change(slices.Clone(files[0].Data), slices.Clone(files[1].Data))
		list = append(list, unixfs.File{Name: files[0].Name, Data: m}, unixfs.File{Name: files[1].Name, Data: payload})
		n := p.notary()
		n.Blocks = otherFiles{n.Blocks, list}
		v, err := n.Verify(t.Context(), e.TxID)
		nodetest.Must(t, err)
		if got := failing(v.Report); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: failing are %q", want, got)
		}
		if _, err := n.Evidence(t.Context(), e.TxID, false); err == nil || !strings.Contains(err.Error(), "would not stand") {
			t.Errorf("%s: evidence is made all the same: %v", want, err)
		}
	}
}

// otherFiles reads the same files of every directory.
type otherFiles struct {
	fileSource
	files []unixfs.File
}

func (o otherFiles) Read(context.Context, cid.Cid) ([]unixfs.File, error) { return o.files, nil }

func TestWhatBlocksCantBeHadIsSaidWithItsReason(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Blocks.Silent = true
	v, err := p.notary().Verify(ctx, e.TxID)
	if err != nil || !slices.Equal(failing(v.Report), []string{"blocks are here"}) || outcomes(v.Report)["decryption"] != "" {
		t.Errorf("%v, %+v", err, v)
	}
}

func TestDecryptionIsCheckedAsFarAsThisOrganisationMayRead(t *testing.T) {
	p := newProven(t)
	secret, err := consortium.DraftObject(p.ID, p.shared(), indicatorID(9), "2026-01-02T03:04:05.678Z", true, []byte(nodetest.IndicatorJSON(8)), time.Now())
	nodetest.Must(t, err)
	foreign := "00000000-1111-4222-8333-444444444444"
	p.Takes(p.CollectionOf(p.Mallory, foreign, 1, p.Named("Theirs", "theirs")))
	theirs := p.shared()
	theirs.ID, theirs.Key = foreign, p.Keys[foreign+"/1"]
	hidden, err := consortium.DraftObject(p.ID, theirs, indicatorID(7), "2026-01-02T03:04:05.678Z", true, []byte(nodetest.IndicatorJSON(7)), time.Now())
	nodetest.Must(t, err)
	ours := p.shared()
	ours.ID, ours.Key = p.Own, p.Keys[p.Own+"/1"]
	intruding, err := consortium.DraftObject(p.ID, ours, indicatorID(6), "2026-01-02T03:04:05.678Z", true, []byte(nodetest.IndicatorJSON(6)), time.Now())
	nodetest.Must(t, err)
	for name, test := range map[string]struct {
		draft consortium.Draft
		want  evidence.Outcome
	}{
		"another object than its metadata says":   {secret, evidence.Fail},
		"sealed to others":                        {hidden, evidence.NotChecked},
		"in a collection that its sender may not": {intruding, evidence.Fail},
		"good": {p.Object(1), evidence.Pass},
	} {
		e := p.Mint(p.Mallory, test.draft)
		p.Takes(e)
		v, err := p.notary().Verify(t.Context(), e.TxID)
		nodetest.Must(t, err)
		if got := outcomes(v.Report)["decryption"]; got != test.want || v.Passed != (test.want != evidence.Fail) {
			t.Errorf("%s: %q (passed %t), want %q: %+v", name, got, v.Passed, test.want, v.Steps)
		}
	}
}

func TestAWithdrawalHasNoFilesAndARecordIsNotDecrypted(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	end := p.Destroy(p.Mallory, e.Asset)
	p.Takes(end)
	v, err := p.notary().Verify(t.Context(), end.TxID)
	if got := outcomes(v.Report); err != nil || !v.Passed || got["CID"] != evidence.NotChecked || got["metadata hash"] != "" || got["decryption"] != "" {
		t.Errorf("a withdrawal: %v, %+v", err, v)
	}
	charter := p.chain.charter()
	v, err = p.notary().Verify(t.Context(), charter)
	if got := outcomes(v.Report); err != nil || !v.Passed || got["record hash"] != evidence.Pass || got["decryption"] != "" {
		t.Errorf("the charter: %v, %+v", err, v)
	}
}

func TestOnlyPublicNetworksHaveAnExplorer(t *testing.T) {
	for network, want := range map[string]string{
		"mainnet-v1.0": "https://explorer.example/mainnet/T", "testnet-v1.0": "https://explorer.example/testnet/T", "betanet-v1.0": "", "private-v1": "", "": "",
	} {
		n := &Notary{ExplorerURL: "https://explorer.example/{network}/{txid}"}
		n.Consortium.GenesisID = network
		if got := n.explorer("T"); got != want {
			t.Errorf("%s: %q", network, got)
		}
	}
}

// A node follows algod's blocks, which are there before the indexer has them: what is published can be verified at
// once, and the report says on whose word. Where the block isn't to be had, or doesn't fit, the indexer is waited for.
func TestWhatTheIndexerHasNotYetIsVerifiedFromAlgodsBlock(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *proven, round uint64)
		asked  int
		alone  bool
	}{
		"algod has the block":                {func(*proven, uint64) {}, 1, true},
		"algod doesn't have it":              {func(p *proven, _ uint64) { p.chain.block = func(uint64) error { return ledger.ErrNoBlock } }, 2, false},
		"it isn't what its header says":      {func(p *proven, _ uint64) { p.chain.fit = onchain.Differs }, 2, false},
		"the transaction isn't in the block": {func(p *proven, round uint64) { delete(p.chain.blocks, round) }, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProven(t)
			e := p.published(1)
			c.change(p, e.Round)
			asked := 0
			p.chain.find = func(txid string) (chainwatch.Finding, error) {
				if asked++; asked == 1 {
					return chainwatch.Finding{Round: e.Round - 1}, nil
				}
				return p.chain.findings[txid], nil
			}
			v, err := p.notary().Verify(t.Context(), e.TxID)
			said := strings.Contains(fmt.Sprint(v.Steps), "the indexer is not as far yet")
			if err != nil || len(v.Steps) < 5 || asked != c.asked || said != c.alone || c.alone && !v.Passed {
				t.Errorf("the indexer is asked %d times: %+v, %v", asked, v.Steps, err)
			}
		})
	}
}

// … and nothing is verified that its sender didn't sign, or that an indexer of that round doesn't have.
func TestWhatOneSourceAloneHasIsHeldAgainstItsSignature(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.chain.find = func(string) (chainwatch.Finding, error) { return chainwatch.Finding{Round: e.Round}, nil }
	if _, err := p.notary().Verify(t.Context(), e.TxID); err == nil {
		t.Error("a transaction that the indexer leaves out is verified")
	}
	p.chain.find = func(string) (chainwatch.Finding, error) { return chainwatch.Finding{Round: e.Round - 1}, nil }
	p.chain.blocks[e.Round].Payset[1].Sig[0] ^= 1
	v, err := p.notary().Verify(t.Context(), e.TxID)
	if err != nil || v.Passed || len(v.Steps) != 1 {
		t.Errorf("what nobody signed is %+v, %v", v.Steps, err)
	}
}
