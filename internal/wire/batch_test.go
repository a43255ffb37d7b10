package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// directories are so many different ones.
func directories(t testing.TB, n int) (list []cid.Cid) {
	t.Helper()
	for i := range n {
		directory, err := DirectoryCID.Sum(fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, directory)
	}
	return list
}

func aBatch(t testing.TB, n int) Batch { return NewBatch(directories(t, n)) }

func TestABatchListsUpTo1000DirectoriesEachOnce(t *testing.T) {
	batch := aBatch(t, 3)
	other := cid.NewCidV1(cid.DagProtobuf, directories(t, 4)[3].Hash()) // its hash is any other's
	refuse(t, must(t)(batch.Encode()), Batch.Encode, ParseBatch, map[string]func(*Batch){
		"nothing":          func(b *Batch) { b.Objects = nil },
		"one twice":        func(b *Batch) { b.Objects = append(b.Objects, b.Objects[0]) },
		"no CID":           func(b *Batch) { b.Objects[1] = strings.Repeat("b", len(b.Objects[1])) },
		"an empty one":     func(b *Batch) { b.Objects[1] = "" },
		"upper case":       func(b *Batch) { b.Objects[1] = strings.ToUpper(b.Objects[1]) },
		"a padded one":     func(b *Batch) { b.Objects[1] += " " },
		"a CIDv0":          func(b *Batch) { b.Objects[1] = cid.NewCidV0(other.Hash()).String() },
		"raw bytes":        func(b *Batch) { b.Objects[1] = cid.NewCidV1(cid.Raw, other.Hash()).String() },
		"1,001 of them":    func(b *Batch) { *b = aBatch(t, MaxBatch+1) },
		"a URL":            func(b *Batch) { b.Objects[1] = URL(other) },
		"a very long text": func(b *Batch) { b.Objects[1] = "z" + strings.Repeat("2", 1<<14) },
	})
	largest := must(t)(aBatch(t, MaxBatch).Encode())
	if read, err := ParseBatch(largest); err != nil || len(read.Objects) != MaxBatch {
		t.Errorf("a batch of %d objects is read with %d, %v", MaxBatch, len(read.Objects), err)
	}
	if len(largest) > 63_000 {
		t.Errorf("it has %d bytes, want 62 for each object and not much more", len(largest))
	}
}

func TestABatchListsAsManyAsItsMetadataSays(t *testing.T) {
	for says, fits := range map[uint32]bool{0: false, 1: false, 2: true, 3: false, 1 << 31: false} {
		if err := aBatch(t, 2).CheckMetadata(Metadata{Properties: Properties{Objects: says}}); (err == nil) != fits {
			t.Errorf("a batch of 2 with a metadata of %d: %v", says, err)
		}
	}
}

func TestAPublicationHasOneName(t *testing.T) {
	txid := "YZA7KAU5HKXKUWJBMYYVWLEF4HGEIYXJWZIZGBSA53HN2LMLG67A"
	for name, want := range map[string]Publication{txid: {TxID: txid}, txid + "/1": {txid, 1}, txid + "/17": {txid, 17}, txid + "/1000": {txid, 1000}} {
		if p, err := ParsePublication(name); err != nil || p != want || p.String() != name {
			t.Errorf("%s is read as %+v, %v", name, p, err)
		}
	}
	for _, name := range []string{
		"", "/", "/1", txid + "/", txid + "/0", txid + "/01", txid + "/+1", txid + "/-1", txid + "/1001", txid + "/1/1", txid + "/1 ", txid + "/x",
		txid + "/4294967297", txid + "/18446744073709551617", txid[1:], txid + "A", strings.ToLower(txid), txid[:51] + "B", txid[:51] + "=", " " + txid,
		strings.Repeat("A", 1<<16), txid[:50] + "\r\n",
	} {
		if p, err := ParsePublication(name); err == nil || p != (Publication{}) || len(err.Error()) > 200 {
			t.Errorf("%.60q is read as %+v, %v", name, p, err)
		}
	}
}

func FuzzParsePublication(f *testing.F) {
	f.Add("YZA7KAU5HKXKUWJBMYYVWLEF4HGEIYXJWZIZGBSA53HN2LMLG67A/17")
	f.Add("YZA7KAU5HKXKUWJBMYYVWLEF4HGEIYXJWZIZGBSA53HN2LMLG67A")
	f.Fuzz(func(t *testing.T, name string) {
		if p, err := ParsePublication(name); err == nil && (p.String() != name || p.Index > MaxBatch || len(p.TxID) != 52) {
			t.Errorf("%q is read as %+v", name, p)
		}
	})
}
