package p2p

import (
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

func TestStagingStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 40_000).Draw(t, "total")
		perAuthor := rapid.Int64Range(1, 40_000).Draw(t, "per author")
		s := newStaging(total, perAuthor)
		authors := map[cid.Cid]peer.ID{}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(0, 30).Draw(t, "directory")
			d, err := unixfs.Build(unixfs.File{Name: unixfs.MetadataName, Data: fmt.Append(nil, n)}, unixfs.File{Name: "o", Data: make([]byte, 100*n)})
			if err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				s.drop([]cid.Cid{d.Root()})
				if _, ok := s.get(d.Root()); ok {
					t.Fatal("dropped and still there")
				}
				continue
			}
			author := peer.ID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "author"))
			_, before := s.get(d.Root())
			s.add(author, d)
			if !before {
				authors[d.Root()] = author
			}
			size := int64(d.Size()) + stagedOverhead
			if _, ok := s.get(d.Root()); ok != (before || size <= min(total, perAuthor)) {
				t.Fatalf("step %d: staged %v", i, ok)
			}

			// What is counted is what is there.
			sums := map[peer.ID]int64{}
			var all int64
			for root, e := range s.byRoot {
				staged := e.Value.(*stagedDirectory)
				if staged.author != authors[root] {
					t.Fatal("a directory changed its author")
				}
				sums[staged.author] += staged.size
				all += staged.size
			}
			if all != s.size() || all > total || len(sums) != len(s.authors) {
				t.Fatalf("%d bytes counted, %d there, limit %d", s.size(), all, total)
			}
			for id, sum := range sums {
				if sum != s.authors[id].bytes || sum > perAuthor {
					t.Fatalf("%s has %d bytes, counted %d, limit %d", id, sum, s.authors[id].bytes, perAuthor)
				}
			}
		}
	})
}

func TestASpammerDrivesOutOnlyItself(t *testing.T) {
	honest := directory(t, "honest")
	size := int64(honest.Size()) + stagedOverhead
	s := newStaging(10*size+1000, 5*size+500)
	s.add("honest", honest)
	for _, d := range directories(t, 100, "spam") {
		s.add("spammer", d)
	}
	if _, ok := s.get(honest.Root()); !ok {
		t.Fatal("the honest author's directory is gone")
	}
	last := directories(t, 100, "spam")[99]
	if _, ok := s.get(last.Root()); !ok {
		t.Fatal("the spammer's newest is not there: the oldest must go first")
	}
}

// Several members say a lot. What one says that says little is kept.
func TestManySpammersDriveOutOnlyThemselves(t *testing.T) {
	honest := directories(t, 1, "honest")
	size := int64(honest[0].Size()) + stagedOverhead
	s := newStaging(10*size+1000, 5*size+500)
	for _, d := range honest {
		s.add("honest", d)
	}
	for n := range 5 {
		for _, d := range directories(t, 30, "spam", n) {
			s.add(peer.ID(fmt.Sprint("spammer ", n)), d)
		}
	}
	for _, d := range honest {
		if _, ok := s.get(d.Root()); !ok {
			t.Fatal("an honest author's directory is gone")
		}
	}
}
