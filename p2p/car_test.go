package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/splice"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// carOf writes a CAR with the directories and then, raw, more blocks.
func carOf(tb testing.TB, header []cid.Cid, dirs []unixfs.Directory, more ...blocks.Block) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := newCARWriter(&buf, header)
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range dirs {
		if err := w.write(context.Background(), d.Blocks()...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.write(context.Background(), more...); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// takeAll reads an answer to the end or to its first error.
func takeAll(car []byte, asked []cid.Cid) ([]unixfs.Directory, error) {
	var got []unixfs.Directory
	err := readAnswer(context.Background(), bytes.NewReader(car), semaphore.NewWeighted(largeChunks), asked, func(d unixfs.Directory) error {
		got = append(got, d)
		return nil
	})
	return got, err
}

func sameDirectories(a, b []unixfs.Directory) bool {
	return slices.EqualFunc(a, b, func(a, b unixfs.Directory) bool {
		return a.Root() == b.Root() && slices.EqualFunc(a.Blocks(), b.Blocks(), func(a, b blocks.Block) bool {
			return a.Cid() == b.Cid() && bytes.Equal(a.RawData(), b.RawData())
		})
	})
}

func TestDirectoriesComeOutOfACARAsTheyWentIn(t *testing.T) {
	// The second and third share a payload, the fourth has chunks.
	dirs := []unixfs.Directory{
		directory(t, "a"),
		mustBuild(t, files(`{"n":1}`, "o", "shared")...),
		mustBuild(t, files(`{"n":2}`, "o", "shared")...),
		directoryOf(t, 3*unixfs.ChunkSize+5, "large"),
		mustBuild(t, files("same", "o", "same")...),
	}
	got, err := takeAll(carOf(t, nil, dirs), roots(dirs))
	if err != nil {
		t.Fatal(err)
	}
	if !sameDirectories(got, dirs) {
		t.Fatal("something else came out")
	}
}

func TestACARThatBreaksOffGivesOnlyWholeDirectories(t *testing.T) {
	dirs := directories(t, 3)
	whole := carOf(t, nil, dirs)
	ends := []int{len(carOf(t, nil, nil)), len(carOf(t, nil, dirs[:1])), len(carOf(t, nil, dirs[:2]))}
	for n := range whole {
		got, err := takeAll(whole[:n], roots(dirs))
		if err == nil && !slices.Contains(ends, n) {
			t.Fatalf("%d of %d bytes: no error", n, len(whole))
		}
		if !sameDirectories(got, dirs[:len(got)]) {
			t.Fatalf("%d of %d bytes: a directory that was not sent", n, len(whole))
		}
	}
}

func TestACARWithAnythingElseInItIsRefused(t *testing.T) {
	d, other := directory(t, "asked"), directory(t, "other")
	asked := []cid.Cid{d.Root()}
	forge := func(i int) []blocks.Block {
		bs := slices.Clone(d.Blocks())
		data := slices.Clone(bs[i].RawData())
		data[len(data)/2] ^= 1
		forged, err := blocks.NewBlockWithCid(data, bs[i].Cid())
		if err != nil {
			t.Fatal(err)
		}
		bs[i] = forged
		return bs
	}
	kinds := func(codec, hash uint64) blocks.Block {
		c, err := cid.Prefix{Version: 1, Codec: codec, MhType: hash, MhLength: -1}.Sum([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := blocks.NewBlockWithCid([]byte("x"), c)
		return b
	}
	section := func(b blocks.Block) []byte { // by hand: the library leaves such blocks out
		body := slices.Concat(b.Cid().Bytes(), b.RawData())
		return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
	}
	oversize, err := blockOf(cid.Raw, make([]byte, unixfs.ChunkSize+64))
	if err != nil {
		t.Fatal(err)
	}
	swapped := []blocks.Block{d.Blocks()[0], d.Blocks()[2], d.Blocks()[1]}
	v2 := slices.Concat([]byte{0x0a, 0xa1, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 0x02}, make([]byte, 40))
	for name, car := range map[string][]byte{
		"a forged root":             carOf(t, nil, nil, forge(0)...),
		"a forged file":             carOf(t, nil, nil, forge(1)...),
		"a forged payload":          carOf(t, nil, nil, forge(2)...),
		"a directory not asked for": carOf(t, nil, []unixfs.Directory{other}),
		"one asked for, then more":  carOf(t, nil, []unixfs.Directory{d, other}),
		"a directory twice":         carOf(t, nil, []unixfs.Directory{d, d}),
		"files in another order":    carOf(t, nil, nil, swapped...),
		"a block too many":          carOf(t, nil, []unixfs.Directory{d}, d.Blocks()[1]),
		"a stray block first":       carOf(t, nil, nil, d.Blocks()[1]),
		"a block with another hash": carOf(t, nil, nil, kinds(cid.Raw, multihash.SHA2_512)),
		"a block of another codec":  carOf(t, nil, nil, kinds(cid.DagCBOR, multihash.SHA2_256)),
		"a block that is its CID":   slices.Concat(carOf(t, nil, nil), section(kinds(cid.Raw, multihash.IDENTITY))),
		"an oversize block":         carOf(t, nil, nil, oversize),
		"a CARv2":                   v2,
		"noise":                     []byte("GET / HTTP/1.1\r\n\r\n"),
		"a huge length":             binary.AppendUvarint(nil, 1<<62),
		"an oversize header":        carOf(t, slices.Repeat(asked, 400), nil),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := takeAll(car, asked)
			if err == nil {
				t.Fatal("no error")
			}
			if !sameDirectories(got, []unixfs.Directory{d}[:len(got)]) {
				t.Fatal("a directory that was not asked for")
			}
		})
	}
}

func TestARequestComesAcrossAndAnythingElseIsRefused(t *testing.T) {
	for _, n := range []int{1, 2, maxRequest} {
		want := roots(directories(t, n))
		got, err := decodeRequest(bytes.NewReader(encodeRequest(want)))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d roots: got %d, error %v", n, len(got), err)
		}
	}
	d := directory(t)
	valid := encodeRequest([]cid.Cid{d.Root()})
	for name, b := range map[string][]byte{
		"nothing":         {},
		"no directories":  {0},
		"too many":        encodeRequest(slices.Repeat([]cid.Cid{d.Root()}, maxRequest+1)),
		"a huge number":   binary.AppendUvarint(nil, 1<<63),
		"a short list":    valid[:len(valid)-1],
		"a file's CID":    encodeRequest([]cid.Cid{d.Blocks()[1].Cid()}),
		"a CIDv0":         slices.Concat([]byte{1}, cid.NewCidV0(d.Root().Hash()).Bytes(), []byte{0, 0}),
		"bytes of no CID": slices.Concat([]byte{1}, make([]byte, cidLength)),
		"a padded number": slices.Concat([]byte{0x81, 0x00}, d.Root().Bytes()),
	} {
		if got, err := decodeRequest(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: accepted as %v", name, got)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(encodeRequest(roots(directories(f, 2))))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		if again := encodeRequest(got); !bytes.HasPrefix(b, again) {
			t.Fatal("accepted what nobody encodes")
		}
	})
}

// FuzzReadAnswer checks that of arbitrary bytes nothing but whole directories that were asked for is taken.
func FuzzReadAnswer(f *testing.F) {
	dirs := directories(f, 2)
	asked := roots(dirs)
	valid := [][]byte{carOf(f, asked, dirs), carOf(f, nil, dirs[:1]), carOf(f, nil, nil)}
	for i := range valid {
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
		f.Add(uint8(i), uint16(50), uint16(2), []byte{1, 2})
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, with []byte) {
		got, _ := takeAll(splice.Splice(valid[int(which)%len(valid)], at, cut, with), asked)
		for _, d := range got {
			if !slices.Contains(asked, d.Root()) {
				t.Fatalf("took %s", d.Root())
			}
			if again := mustBuild(t, mustFiles(t, d)...); again.Root() != d.Root() {
				t.Fatalf("took a directory that is not %s", d.Root())
			}
		}
	})
}

func TestAReaderThatFailsIsNoEndOfAnAnswer(t *testing.T) {
	d := directory(t)
	car := carOf(t, nil, []unixfs.Directory{d})
	broken := errors.New("connection lost")
	err := readAnswer(context.Background(), io.MultiReader(bytes.NewReader(car), errReader{broken}), semaphore.NewWeighted(largeChunks), []cid.Cid{d.Root()}, func(unixfs.Directory) error { return nil })
	if !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
