package devchain

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/splice"
)

// recordedBodies are the POST bodies of the recordings.
func recordedBodies(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob("testdata/devmode/*.json")
	if err != nil {
		f.Fatal(err)
	}
	var bodies [][]byte
	for _, file := range files {
		var r recording
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			f.Fatal(err)
		}
		if r.Request != nil {
			bodies = append(bodies, r.Request)
		}
	}
	return bodies
}

// FuzzSubmit posts arbitrary bytes. Whatever they are, the chain answers, keeps its books in order, and takes only
// transactions that encode canonically.
func FuzzSubmit(f *testing.F) {
	valid := recordedBodies(f)
	for i := range valid {
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
	}
	f.Add(uint8(0), uint16(0), uint16(len(valid[0])), []byte("\xdd\xff\xff\xff\xff"))
	f.Add(uint8(0), uint16(0), uint16(len(valid[0])), []byte("\x81\xa3txn\xdf\xff\xff\xff\xff"))
	l, _ := newTestLedger(f, true)
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, with []byte) {
		g, err := decodeGroup(bytes.NewReader(splice.Splice(valid[int(which)%len(valid)], at, cut, with)), 16)
		if err != nil {
			return
		}
		for _, s := range g {
			var again types.SignedTxn
			if err := msgpack.Decode(msgpack.Encode(s.SignedTxn), &again); err != nil {
				t.Fatalf("what was decoded can't be decoded again: %v", err)
			}
			if newSignedTxn(again).id != s.id {
				t.Fatal("a transaction's id depends on how it was encoded")
			}
		}
		if l.try(g) == nil {
			t.Fatal("nobody signed this for this network")
		}
	})
}

func FuzzReadRecord(f *testing.F) {
	var log bytes.Buffer
	for _, raw := range [][]byte{[]byte("a block"), {}} {
		record, _ := frame(raw)
		log.Write(record)
	}
	f.Add(log.Bytes())
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		for read := 0; ; {
			raw, err := readRecord(in)
			if errors.Is(err, io.EOF) && read != len(b) {
				t.Fatalf("the end was found after %d of %d bytes", read, len(b))
			}
			if err != nil {
				return
			}
			record, _ := frame(raw)
			if !bytes.Equal(record, b[read:read+len(record)]) {
				t.Fatal("a record is written differently than it was read")
			}
			read += len(record)
		}
	})
}

// FuzzToJSON takes whatever msgpack there may be in an answer.
func FuzzToJSON(f *testing.F) {
	valid := recordedBodies(f)
	for i := range valid {
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
	}
	f.Add(uint8(0), uint16(0), uint16(len(valid[0])), []byte("\x81\x00\x81\xa1n\xcd\x0a\x00"))
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, with []byte) {
		encoded := splice.Splice(valid[int(which)%len(valid)], at, cut, with)
		readable, err := toJSON(encoded)
		if err == nil && !json.Valid(readable) {
			t.Fatalf("%x became %q", encoded, readable)
		}
	})
}

func FuzzForgeBody(f *testing.F) {
	lie := Forgery{TxID: "A", Field: "params.url", Value: "lie"}
	f.Add([]byte(`{"transactions":[{"id":"A","n":18446744073709551615,"params":{"url":"truth"}}]}`))
	f.Add([]byte(`[[[]]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		forged := forgeBody(body, []Forgery{lie})
		if json.Valid(body) && !json.Valid(forged) {
			t.Fatalf("%q became %q", body, forged)
		}
	})
}

func TestForgingKeepsLargeNumbers(t *testing.T) {
	body := []byte(`{"id":"A","n":18446744073709551615,"params":{"url":"truth"}}`)
	got := forgeBody(body, []Forgery{{TxID: "A", Field: "params.url", Value: "lie"}})
	if want := `{"id":"A","n":18446744073709551615,"params":{"url":"lie"}}`; string(got) != want {
		t.Errorf("got %s", got)
	}
}
