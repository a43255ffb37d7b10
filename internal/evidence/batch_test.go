package evidence

import (
	"fmt"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// batch publishes an object as the one at a place of a batch of so many.
func (w *world) batch(object consortium.Draft, size, index int) Publication {
	w.t.Helper()
	return w.batchSaying(object, size, index, func(*wire.Properties) {})
}

func (w *world) batchSaying(object consortium.Draft, size, index int, change func(*wire.Properties)) Publication {
	w.t.Helper()
	if object.Metadata == nil {
		var err error
		object, err = object.By(w.member.address(w.t).String())
		must(w.t, err)
	}
	roots := make([]cid.Cid, size)
	for i := range roots {
		root, err := wire.DirectoryCID.Sum(fmt.Append(nil, i))
		must(w.t, err)
		roots[i] = root
	}
	root, err := directoryCID(object.Metadata, object.PayloadName, object.Payload)
	must(w.t, err)
	roots[index-1] = cid.MustParse(root)
	d, err := consortium.DraftBatch(charterAsset, w.shared.ID, w.shared.Epoch, roots, noon)
	must(w.t, err)
	d = w.reforged(w.member, d, change, d.Payload)
	p := w.publish(w.member, d)
	p.Batch = &Batch{Metadata: p.Metadata, Record: p.Payload, Index: uint32(index)}
	p.Metadata, p.Payload = string(object.Metadata), string(object.Payload)
	return p
}

func TestOneObjectOfABatchIsProvedInLessThan100KB(t *testing.T) {
	w := newWorld(t, newMultisig(t), withStateProofs)
	for _, index := range []int{1, 17, wire.MaxBatch} {
		f := w.file(w.batch(w.object(true), wire.MaxBatch, index))
		f.Disclosed = w.disclose(f.Subject)
		data := f.mustEncode(t)
		report := check(data, Options{})
		if place := report.step(fmt.Sprintf("is listed at place %d of the batch", index)); !report.Passed || place.Outcome != Pass {
			t.Errorf("object %d:\n%s", index, report)
		}
		if !strings.Contains(report.Conclusion, poisonID) {
			t.Errorf("the conclusion about object %d is %q", index, report.Conclusion)
		}
		if len(data) > 100_000 {
			t.Errorf("the evidence for object %d has %d bytes", index, len(data))
		}
	}
}

func TestEvidenceForAnObjectThatItsBatchDoesNotHoldFails(t *testing.T) {
	w := newWorld(t, newMultisig(t))
	of := func(change func(*Publication)) File {
		p := w.batch(w.object(true), 3, 2)
		batch := *p.Batch
		p.Batch = &batch
		change(&p)
		return w.file(p)
	}
	single := w.publish(w.member, w.object(true))
	single.Batch = &Batch{Metadata: single.Metadata, Record: single.Payload, Index: 1}
	withBatch := w.file(w.batch(w.object(true), 3, 2))
	withBatch.Records = append([]Publication(nil), withBatch.Records...)
	withBatch.Records[1].Batch = withBatch.Subject.Batch
	for what, c := range map[string]struct {
		file File
		step string
	}{
		"another place":          {of(func(p *Publication) { p.Batch.Index = 1 }), "CID"},
		"no place":               {of(func(p *Publication) { p.Batch.Index = 0 }), "is listed at place 0 of the batch"},
		"a place behind the end": {of(func(p *Publication) { p.Batch.Index = 4 }), "is listed at place 4 of the batch"},
		"another object": {of(func(p *Publication) {
			other, err := w.object(false).By(w.member.address(t).String())
			must(t, err)
			p.Metadata, p.Payload = string(other.Metadata), string(other.Payload)
		}), "CID"},
		"another publisher":                      {w.file(w.batch(w.reforged(w.governor, w.object(true), nil, nil), 3, 2)), "metadata hash"},
		"another list":                           {of(func(p *Publication) { p.Batch.Record = w.batch(w.object(true), 3, 3).Batch.Record }), "batch: record hash"},
		"another count":                          {w.file(w.batchSaying(w.object(true), 3, 2, func(p *wire.Properties) { p.Objects = 4 })), "is listed at place 2 of the batch"},
		"another epoch":                          {w.file(w.batchSaying(w.object(true), 3, 2, func(p *wire.Properties) { p.Epoch++ })), "collection of the batch"},
		"a batch for an object with its own NFT": {w.file(single), "object: batch"},
		"a batch for a record":                   {withBatch, "admission: batch"},
	} {
		report := check(c.file.mustEncode(t), Options{})
		if report.Passed || report.step(c.step).Outcome != Fail {
			t.Errorf("%s:\n%s", what, report)
		}
	}
}

func TestEvidenceForABatchAndForAReleaseSaysSo(t *testing.T) {
	w := newWorld(t, newMultisig(t))
	p := w.batch(w.object(true), 3, 2)
	p.Metadata, p.Payload, p.Batch = p.Batch.Metadata, p.Batch.Record, nil
	released := w.confirm(w.member, wire.Note{Kind: wire.KindRelease}, types.AssetParams{}, 4711)
	for what, subject := range map[string]Publication{"a batch of 3 objects": p, "the release of the NFT 4711, which withdraws nothing": released} {
		if report := check(w.file(subject).mustEncode(t), Options{}); !report.Passed || !strings.Contains(report.Conclusion, what) {
			t.Errorf("%s:\n%s", what, report)
		}
	}
}
