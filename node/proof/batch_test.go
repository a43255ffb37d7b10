package proof

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// batch is so many objects of mallory's, in one transaction, that were taken. It gives their directories.
func (p *proven) batch(size int) (consortium.Event, []cid.Cid) {
	p.T.Helper()
	directories, roots := make([]unixfs.Directory, size), make([]cid.Cid, size)
	for i := range size {
		d := nodetest.By(p.T, p.Mallory.Address(), p.Object(i+1))
		directory, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: d.Metadata}, unixfs.File{Name: d.PayloadName, Data: d.Payload})
		nodetest.Must(p.T, err)
		directories[i], roots[i] = directory, directory.Root()
	}
	nodetest.Must(p.T, p.Blocks.Put(p.T.Context(), directories))
	d, err := consortium.DraftBatch(p.ID, p.Collection, 1, roots, time.Now())
	nodetest.Must(p.T, err)
	e := p.Mint(p.Mallory, d)
	p.Takes(e)
	p.Drain()
	return e, roots
}

// Of an object of a batch both are looked at: what was minted, and what that lists.
func TestAnObjectOfABatchIsVerifiedFromTheChainToItsContent(t *testing.T) {
	p := newProven(t)
	e, _ := p.batch(3)
	for _, what := range []string{indicatorID(2), e.TxID + "/2"} {
		v, err := p.notary().Verify(t.Context(), what)
		nodetest.Must(t, err)
		got := outcomes(v.Report)
		for _, name := range []string{
			"transaction signature", "round and time", "creator was a member in that round", "batch: blocks are here", "batch: metadata hash", "batch: CID",
			"blocks are here", "object hash", "CID", "decryption",
		} {
			if got[name] != evidence.Pass {
				t.Errorf("%s: %s is %q", what, name, got[name])
			}
		}
		if !v.Passed {
			t.Errorf("%s: it does not pass: %+v", what, v.Steps)
		}
		for _, s := range v.Steps {
			if s.Name == "decryption" && !strings.HasPrefix(s.Value, indicatorID(2)) {
				t.Errorf("%s: it decrypts to %q", what, s.Value)
			}
		}
	}
	for _, index := range []int{4, 1000} {
		v, err := p.notary().Verify(t.Context(), fmt.Sprintf("%s/%d", e.TxID, index))
		nodetest.Must(t, err)
		if v.Passed || len(failing(v.Report)) != 1 {
			t.Errorf("object %d of three passes: %t, failing are %q", index, v.Passed, failing(v.Report))
		}
	}
}

// Where the object's blocks, or the batch's, can't be had, no more is said than can be.
func TestOfABatchWhoseBlocksCantBeHadNothingElseIsSaid(t *testing.T) {
	p := newProven(t)
	e, roots := p.batch(3)
	for _, c := range []struct{ gone, fails string }{{roots[1].String(), "blocks are here"}, {e.Directory, "batch: blocks are here"}} {
		delete(p.Blocks.Dirs, cid.MustParse(c.gone))
		v, err := p.notary().Verify(t.Context(), e.TxID+"/2")
		nodetest.Must(t, err)
		if got := failing(v.Report); v.Passed || !slices.Equal(got, []string{c.fails}) {
			t.Errorf("without %s, failing are %q", c.fails, got)
		}
		if _, said := outcomes(v.Report)["decryption"]; said {
			t.Errorf("without %s, it decrypts", c.fails)
		}
	}
}

func TestEvidenceOfAnObjectOfABatchStands(t *testing.T) {
	p := newProven(t)
	e, _ := p.batch(3)
	for _, disclose := range []bool{true, false} {
		p.stands(e.TxID+"/3", disclose)
	}
	if _, err := p.notary().Evidence(t.Context(), e.TxID+"/4", false); err == nil {
		t.Error("there is evidence of what the batch does not list")
	}
}
