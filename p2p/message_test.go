package p2p

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/splice"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// announcementOf announces with any blocks, forged ones too.
func announcementOf(tb testing.TB, roots []cid.Cid, with []blocks.Block) []byte {
	tb.Helper()
	return append([]byte{kindAnnouncement, 7}, carOf(tb, roots, nil, with...)...)
}

func announcement(tb testing.TB, roots []cid.Cid, dirs ...unixfs.Directory) []byte {
	tb.Helper()
	var all []blocks.Block
	for _, d := range dirs {
		all = append(all, d.Blocks()...)
	}
	return announcementOf(tb, roots, all)
}

func TestAnnouncementsComeAcrossInAsFewMessagesAsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var dirs []unixfs.Directory
		for i := range rapid.IntRange(1, 400).Draw(t, "number") {
			size := rapid.OneOf(rapid.Just(1500), rapid.IntRange(0, 4000), rapid.IntRange(0, maxMessage+1000)).Draw(t, "size")
			payload := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2+1)
			d, err := unixfs.Build(unixfs.File{Name: unixfs.MetadataName, Data: payload[:2]}, unixfs.File{Name: "o", Data: payload[:size]})
			if err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, d)
		}
		round := rapid.Uint64Range(0, 1<<63-1).Draw(t, "round")
		messages, err := encodeAnnouncements(context.Background(), round, dirs)
		if err != nil {
			t.Fatal(err)
		}
		var announced []cid.Cid
		var inline []unixfs.Directory
		for i, m := range messages {
			if len(m) > maxMessage {
				t.Fatalf("message %d has %d bytes", i, len(m))
			}
			said, err := decodeMessage(context.Background(), m)
			if err != nil {
				t.Fatal(err)
			}
			if said.round != round {
				t.Fatalf("message %d is about round %d, want %d", i, said.round, round)
			}
			announced = append(announced, said.roots...)
			inline = append(inline, said.dirs...)
		}
		if !slices.Equal(announced, roots(dirs)) {
			t.Fatal("other directories are announced, or in another order")
		}
		fit := slices.DeleteFunc(slices.Clone(dirs), func(d unixfs.Directory) bool { return inlineSize(d) == 0 })
		if !sameDirectories(inline, fit) {
			t.Fatalf("%d directories inline, %d would fit", len(inline), len(fit))
		}
		for i := 1; i < len(messages); i++ {
			if len(messages[i-1])+len(messages[i]) < maxMessage/2 && len(dirs) < maxAnnounced {
				t.Fatal("two messages where one would do")
			}
		}
	})
}

func TestADirectoryOfEverydaySizeComesInline(t *testing.T) {
	dirs := append(directories(t, 3), directoryOf(t, maxMessage, "large"))
	messages, err := encodeAnnouncements(context.Background(), 7, dirs)
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, error %v", len(messages), err)
	}
	said, err := decodeMessage(context.Background(), messages[0])
	if err != nil || !sameDirectories(said.dirs, dirs[:3]) {
		t.Fatalf("%d directories inline, error %v", len(said.dirs), err)
	}
}

func TestHintsComeAcross(t *testing.T) {
	for _, round := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
		said, err := decodeMessage(context.Background(), encodeHint(round))
		if round == 1<<64-1 { // nine bytes are the limit of a multiformats varint
			if err == nil {
				t.Error("a round that needs ten bytes")
			}
			continue
		}
		if err != nil || said.round != round || said.roots != nil {
			t.Errorf("round %d: %+v, error %v", round, said, err)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	a, b := directory(t, "a"), directory(t, "b")
	forged := slices.Clone(a.Blocks())
	forged[2] = b.Blocks()[2]
	for name, m := range map[string][]byte{
		"nothing":                     {},
		"an announcement of nothing":  {kindAnnouncement},
		"one without directories":     {kindAnnouncement, 7},
		"one without a round":         append([]byte{kindAnnouncement}, announcement(t, []cid.Cid{a.Root()}, a)[2:]...),
		"one in an endless round":     append([]byte{kindAnnouncement}, bytes.Repeat([]byte{0x80}, 20)...),
		"a round in a longer form":    append([]byte{kindAnnouncement, 0x87, 0}, announcement(t, []cid.Cid{a.Root()}, a)[2:]...),
		"no roots":                    announcement(t, nil),
		"blocks without roots":        announcement(t, nil, a),
		"a root twice":                announcement(t, []cid.Cid{a.Root(), a.Root()}),
		"a root that is a file":       announcement(t, []cid.Cid{a.Blocks()[1].Cid()}),
		"too many roots":              announcement(t, roots(directories(t, maxAnnounced+1))),
		"blocks of another directory": announcement(t, []cid.Cid{a.Root()}, b),
		"blocks in another order":     announcement(t, []cid.Cid{a.Root(), b.Root()}, b, a),
		"a directory twice":           announcement(t, []cid.Cid{a.Root(), b.Root()}, a, a),
		"a forged block":              announcementOf(t, []cid.Cid{a.Root()}, forged),
		"half a directory":            announcementOf(t, []cid.Cid{a.Root()}, a.Blocks()[:2]),
		"something after it":          append(announcement(t, []cid.Cid{a.Root()}, a), 1),
		"too long":                    append([]byte{kindAnnouncement, 7}, make([]byte, maxMessage)...),
		"a hint without a round":      {kindHint},
		"a hint with more":            append(encodeHint(7), 0),
		"an endless round":            append([]byte{kindHint}, bytes.Repeat([]byte{0x80}, 20)...),
	} {
		if said, err := decodeMessage(context.Background(), m); err == nil || errors.Is(err, errUnknownKind) {
			t.Errorf("%s: %+v, error %v", name, said, err)
		}
	}
	if _, err := decodeMessage(context.Background(), []byte{3, 1, 2}); !errors.Is(err, errUnknownKind) {
		t.Errorf("a later kind: error %v", err)
	}
}

// FuzzDecodeMessage checks that of arbitrary bytes only whole announced directories are taken.
func FuzzDecodeMessage(f *testing.F) {
	dirs := directories(f, 2)
	valid := [][]byte{announcement(f, roots(dirs), dirs...), announcement(f, roots(dirs), dirs[1]), announcement(f, roots(dirs)), encodeHint(1 << 30)}
	for i := range valid {
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
		f.Add(uint8(i), uint16(3), uint16(1), []byte{9})
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, with []byte) {
		said, err := decodeMessage(context.Background(), splice.Splice(valid[int(which)%len(valid)], at, cut, with))
		if err != nil {
			return
		}
		if len(said.roots) > maxAnnounced || len(said.dirs) > len(said.roots) {
			t.Fatalf("%d roots, %d directories", len(said.roots), len(said.dirs))
		}
		for _, d := range said.dirs {
			if !slices.Contains(said.roots, d.Root()) {
				t.Fatal("a directory that is not announced")
			}
			if mustBuild(t, mustFiles(t, d)...).Root() != d.Root() {
				t.Fatal("a directory that is not its root's")
			}
		}
	})
}
