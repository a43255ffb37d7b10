package unixfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	chunker "github.com/ipfs/boxo/chunker"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
	boxo "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	unixfsio "github.com/ipfs/boxo/ipld/unixfs/io"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

func files(metadata, name, payload string) []File {
	return []File{{Name: MetadataName, Data: []byte(metadata)}, {Name: name, Data: []byte(payload)}}
}

func mustBuild(tb testing.TB, files ...File) Directory {
	tb.Helper()
	d, err := Build(files...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// memory is a source of the given blocks.
func memory(bs ...blocks.Block) Source {
	held := map[cid.Cid]blocks.Block{}
	for _, b := range bs {
		held[b.Cid()] = b
	}
	return func(_ context.Context, want ...cid.Cid) ([]blocks.Block, error) {
		var got []blocks.Block
		for _, c := range want {
			if held[c] == nil {
				return nil, fmt.Errorf("block %s: %w", c, ErrNotFound)
			}
			got = append(got, held[c])
		}
		return got, nil
	}
}

func TestADirectoryHasTheSameCIDForEver(t *testing.T) {
	d := mustBuild(t, files(`{"name":"x"}`, "object.json", `{"sealed":true}`)...)
	const want = "bafybeihzxe7i3cbxlwijy7me3g4dhm4tcaiul7hd5uzjovf5myjtgehwiy"
	if got := d.Root().String(); got != want {
		t.Fatalf("root %s, want %s: the wire format has changed", got, want)
	}
	if got := mustBuild(t, d.mustFiles(t)[1], d.mustFiles(t)[0]).Root(); got != d.Root() {
		t.Fatal("the order in which files are given changes the CID")
	}
}

func (d Directory) mustFiles(tb testing.TB) []File {
	tb.Helper()
	files, err := d.Files()
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// The reference is Kubo's own importer with the options that `ipfs add --cid-version=1 --raw-leaves
// --chunker=size-1048576` sets.
func TestADirectoryIsWhatIPFSAddMakes(t *testing.T) {
	for _, size := range []int{0, 1, 1500, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 5*ChunkSize + 17, MaxPayload} {
		for _, name := range []string{"object.json", "a.json", "Überwachung.json"} {
			fs := []File{{Name: MetadataName, Data: []byte("{}")}, {Name: name, Data: bytes.Repeat([]byte("0123456789abcdef."), size/17+1)[:size]}}
			if want, got := importedRoot(t, fs), mustBuild(t, fs...).Root(); got != want {
				t.Errorf("%s of %d bytes: root %s, ipfs add makes %s", name, size, got, want)
			}
		}
	}
}

func importedRoot(tb testing.TB, files []File) cid.Cid {
	tb.Helper()
	ctx := context.Background()
	dag := mdtest.Mock()
	dir, err := unixfsio.NewDirectory(dag, unixfsio.WithCidBuilder(nodePrefix))
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		params := helpers.DagBuilderParams{Dagserv: dag, RawLeaves: true, Maxlinks: helpers.DefaultLinksPerBlock, CidBuilder: nodePrefix}
		builder, err := params.New(chunker.NewSizeSplitter(bytes.NewReader(f.Data), ChunkSize))
		if err != nil {
			tb.Fatal(err)
		}
		node, err := balanced.Layout(builder)
		if err != nil {
			tb.Fatal(err)
		}
		if err := dir.AddChild(ctx, f.Name, node); err != nil {
			tb.Fatal(err)
		}
	}
	root, err := dir.GetNode()
	if err != nil {
		tb.Fatal(err)
	}
	return root.Cid()
}

func TestFilesThatMakeNoDirectoryAreRefused(t *testing.T) {
	meta := File{Name: MetadataName, Data: []byte("{}")}
	for name, fs := range map[string][]File{
		"none":                {},
		"one":                 {meta},
		"three":               {meta, {Name: "a"}, {Name: "b"}},
		"without metadata":    {{Name: "a"}, {Name: "b"}},
		"metadata twice":      {meta, meta},
		"an empty name":       {meta, {Name: ""}},
		"a path":              {meta, {Name: "a/b"}},
		"a Windows path":      {meta, {Name: `a\b`}},
		"a dot":               {meta, {Name: "."}},
		"two dots":            {meta, {Name: ".."}},
		"a control":           {meta, {Name: "a\nb"}},
		"no UTF-8":            {meta, {Name: "\xff"}},
		"a long name":         {meta, {Name: strings.Repeat("n", maxNameLength+1)}},
		"too much metadata":   {{Name: MetadataName, Data: make([]byte, MaxMetadata+1)}, {Name: "a"}},
		"too large a payload": {meta, {Name: "a", Data: make([]byte, MaxPayload+1)}},
	} {
		t.Run(name, func(t *testing.T) {
			if d, err := Build(fs...); err == nil {
				t.Fatalf("made %s", d.Root())
			}
		})
	}
}

func TestADirectoryComesBackAsItWasBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Sizes around the chunk limits, and content that repeats, so that chunks and files can be equal.
		fill := rapid.SliceOfN(rapid.Byte(), 1, 8)
		content := func(label string, limit int) []byte {
			size := rapid.OneOf(rapid.IntRange(0, 64), rapid.SampledFrom([]int{ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 3*ChunkSize + 5})).Draw(t, label+" size")
			size = min(size, limit)
			pattern := fill.Draw(t, label)
			return bytes.Repeat(pattern, size/len(pattern)+1)[:size]
		}
		want := []File{
			{Name: MetadataName, Data: content("metadata", MaxMetadata)},
			{Name: rapid.StringMatching(`[a-z][a-z0-9 äöü.]{0,20}`).Filter(func(s string) bool { return s != MetadataName }).Draw(t, "name"), Data: content("payload", 4*ChunkSize)},
		}
		d, err := Build(want...)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(context.Background(), d.Root(), memory(d.Blocks()...))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(again.blocks, d.blocks, func(a, b blocks.Block) bool { return a.Cid() == b.Cid() }) {
			t.Fatal("its blocks come in another order")
		}
		got, err := again.Files()
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(want, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
		for i := range want {
			if got[i].Name != want[i].Name || !bytes.Equal(got[i].Data, want[i].Data) {
				t.Fatalf("file %d differs", i)
			}
		}
	})
}

func TestWhatIsNotTheOneShapeIsNoDirectory(t *testing.T) {
	raw := func(s string) blocks.Block { b, _ := rawBlock([]byte(s)); return b }
	node := func(data []byte, links ...entry) blocks.Block {
		b, err := encodeNode(links, data)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	link := func(name string, b blocks.Block) entry {
		return entry{name: name, cid: b.Cid(), size: uint64(len(b.RawData()))}
	}
	dirData := boxo.FolderPBData()
	meta, payload := raw("{}"), raw("payload")
	chunk := func(b byte, n int) blocks.Block { return raw(strings.Repeat(string(b), n)) }
	full, full2, short := chunk('a', ChunkSize), chunk('b', ChunkSize), chunk('c', 10)
	file := func(size int, chunks ...blocks.Block) blocks.Block {
		var cids []cid.Cid
		for _, c := range chunks {
			cids = append(cids, c.Cid())
		}
		b, err := encodeFile(cids, size)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	large := func(f blocks.Block, size int) blocks.Block {
		return node(dirData, link(MetadataName, meta), entry{name: "o", cid: f.Cid(), size: uint64(size + len(f.RawData()))})
	}
	good := file(ChunkSize+10, full, short)
	inner := mustBuild(t, files("{}", "o", "x")...)
	v0 := func() entry {
		b := node(dirData)
		return entry{name: "o", cid: cid.NewCidV0(b.Cid().Hash()), size: 4}
	}()
	many := make([]blocks.Block, maxChunks+1)
	for i := range many {
		many[i] = chunk(byte(i), ChunkSize)
	}
	stated := func(e entry, size uint64) entry { e.size = size; return e }
	withMode := boxo.FolderPBDataWithStat(0o755, time.Unix(1e9, 0))

	// The encoder sorts, so an unsorted root is a sorted one with another name in it.
	unsorted, err := sumBlock(nodePrefix, bytes.Replace(
		node(dirData, link("a", payload), link(MetadataName, meta)).RawData(), []byte("\x12\x01a"), []byte("\x12\x01o"), 1))
	if err != nil {
		t.Fatal(err)
	}

	all := append([]blocks.Block{meta, payload, full, full2, short, good}, inner.Blocks()...)
	all = append(all, many...)
	for name, root := range map[string]blocks.Block{
		"a file":                        raw("file"),
		"an empty directory":            node(dirData),
		"one entry":                     node(dirData, link(MetadataName, meta)),
		"three entries":                 node(dirData, link(MetadataName, meta), link("o", payload), link("p", payload)),
		"no metadata":                   node(dirData, link("n", meta), link("o", payload)),
		"entries out of order":          unsorted,
		"the same name twice":           node(dirData, link(MetadataName, meta), link(MetadataName, meta)),
		"a name with a slash":           node(dirData, link(MetadataName, meta), link("o/o", payload)),
		"a name that is no UTF-8":       node(dirData, link(MetadataName, meta), link("o\xff", payload)),
		"a directory in it":             node(dirData, link(MetadataName, meta), link("o", inner.blocks[0])),
		"a CIDv0":                       node(dirData, link(MetadataName, meta), v0),
		"a wrong size":                  node(dirData, link(MetadataName, meta), stated(link("o", payload), 8)),
		"a mode":                        node(withMode, link(MetadataName, meta), link("o", payload)),
		"no UnixFS data":                node(nil, link(MetadataName, meta), link("o", payload)),
		"a HAMT shard":                  node([]byte{8, 5}, link(MetadataName, meta), link("o", payload)),
		"metadata in chunks":            node(dirData, stated(link(MetadataName, good), uint64(ChunkSize+10+len(good.RawData()))), link("o", payload)),
		"a node that is too large":      node(bytes.Repeat([]byte{1}, maxNode), link(MetadataName, meta), link("o", payload)),
		"a file of one chunk":           large(file(10, short), 10),
		"a short chunk in the middle":   large(file(2*ChunkSize+10, full, short, full2), 2*ChunkSize+10),
		"an empty chunk":                large(file(ChunkSize, full, raw("")), ChunkSize),
		"a file with too many chunks":   large(file(len(many)*ChunkSize, many...), len(many)*ChunkSize),
		"a file node that lies on size": large(file(ChunkSize+9, full, short), ChunkSize+10),
		"a raw block that is too large": node(dirData, link(MetadataName, meta), link("o", chunk('z', ChunkSize+1))),
	} {
		t.Run(name, func(t *testing.T) {
			held := append(slices.Clone(all), root, raw(""), chunk('z', ChunkSize+1),
				file(10, short), file(2*ChunkSize+10, full, short, full2), file(ChunkSize, full, raw("")), file(len(many)*ChunkSize, many...), file(ChunkSize+9, full, short))
			_, err := Load(context.Background(), root.Cid(), memory(held...))
			if !errors.Is(err, ErrNotDirectory) {
				t.Fatalf("error %v, want ErrNotDirectory", err)
			}
		})
	}
	t.Run("and the control is one", func(t *testing.T) {
		root := large(good, ChunkSize+10)
		if _, err := Load(context.Background(), root.Cid(), memory(append(all, root)...)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAMissingBlockIsNotFound(t *testing.T) {
	payload := make([]byte, 2*ChunkSize+1)
	payload[0] = 1 // no two chunks are equal
	d := mustBuild(t, File{Name: MetadataName, Data: []byte("{}")}, File{Name: "object.json", Data: payload})
	for i, b := range d.Blocks() {
		held := slices.DeleteFunc(slices.Clone(d.Blocks()), func(o blocks.Block) bool { return o.Cid() == b.Cid() })
		if _, err := Load(context.Background(), d.Root(), memory(held...)); !errors.Is(err, ErrNotFound) {
			t.Errorf("without block %d: error %v, want ErrNotFound", i, err)
		}
	}
}

// FuzzLoad feeds the shape checker with arbitrary nodes: as a root, and as the file node below a sound root.
// What it accepts must be exactly what Build makes of the same files.
func FuzzLoad(f *testing.F) {
	small := mustBuild(f, files("{}", "object.json", "payload")...)
	large := mustBuild(f, File{Name: MetadataName, Data: []byte("{}")}, File{Name: "object.json", Data: make([]byte, ChunkSize+10)})
	for _, d := range []Directory{small, large} {
		for _, b := range d.Blocks() {
			if IsNode(b.Cid()) {
				f.Add(b.RawData())
			}
		}
	}
	f.Add([]byte{})
	known := maps.Collect(func(yield func(cid.Cid, blocks.Block) bool) {
		for _, b := range append(small.Blocks(), large.Blocks()...) {
			if !yield(b.Cid(), b) {
				return
			}
		}
	})
	check := func(t *testing.T, root cid.Cid, extra ...blocks.Block) {
		held := append(slices.Collect(maps.Values(known)), extra...)
		d, err := Load(context.Background(), root, memory(held...))
		if err != nil {
			if !errors.Is(err, ErrNotDirectory) && !errors.Is(err, ErrNotFound) {
				t.Fatalf("an error without verdict: %v", err)
			}
			return
		}
		if again := mustBuild(t, d.mustFiles(t)...); again.Root() != root {
			t.Fatalf("accepted %s, but its files make %s", root, again.Root())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := sumBlock(nodePrefix, data)
		if err != nil {
			t.Fatal(err)
		}
		check(t, b.Cid(), b)
		root, err := encodeRoot([]entry{
			{name: MetadataName, cid: small.blocks[1].Cid(), size: uint64(len(small.blocks[1].RawData()))},
			{name: "object.json", cid: b.Cid(), size: uint64(ChunkSize + 10 + len(data))},
		})
		if err != nil {
			t.Fatal(err)
		}
		check(t, root.Cid(), root, b)
	})
}
