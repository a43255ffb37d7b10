package evidence

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/splice"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestEvidenceStandsAndSaysWhatIsTrusted(t *testing.T) {
	w := newWorld(t, newAccount())
	subject := w.publish(w.member, w.object(true))
	data := w.file(subject).mustEncode(t)
	report := check(data, Options{})
	if !report.Passed || report.TxID != subject.TxID {
		t.Fatal(report)
	}
	for name, want := range map[string]Outcome{
		"file": Pass, "charter: signature": Pass, "charter: in its block": Pass, "charter: block": Trusted, "charter: CID": Pass,
		"admission: signature": Pass, "admission: record hash": Pass, "object: signature": Pass, "object: in its block": Pass, "object: block": Trusted,
		"object: metadata hash": Pass, "object: object hash": Pass, "object: CID": Pass, "consortium": Trusted, "network": Trusted,
		"publisher was a member in that round": Pass, "membership was not ended": Trusted, "collection": Trusted,
		"governor was not replaced": Trusted, "account was not replaced": Trusted,
		"disclosed object": NotThere,
	} {
		if got := report.step(name); got.Outcome != want {
			t.Errorf("%s is %q, want %q: %s", name, got.Outcome, want, got.Detail)
		}
	}
	if member := report.step("publisher was a member in that round").Value; !strings.HasPrefix(member, "acme (") {
		t.Errorf("the publisher is %s", member)
	}
	if strings.Contains(report.String(), poisonID) || bytes.Contains(data, []byte("Poison")) {
		t.Error("what was not disclosed is in it")
	}
	known := check(data, Options{Consortium: charterAsset, Trust: report.trusted()})
	if !known.Passed || len(known.trusted()) > 0 {
		t.Errorf("what the caller knows is still to be trusted:\n%s", known)
	}
	if other := check(data, Options{Consortium: charterAsset + 1}); other.Passed {
		t.Error("it passes for another consortium")
	}
}

func TestAStateProofStandsForItsBlocks(t *testing.T) {
	w := newWorld(t, newAccount(), withStateProofs)
	report := check(w.file(w.publish(w.member, w.object(true))).mustEncode(t), Options{})
	if !report.Passed || report.step("object: block").Outcome != Pass || report.step("state proof").Outcome != Trusted {
		t.Fatal(report)
	}
}

func TestWithoutABlockTheIndexersWordIsNamed(t *testing.T) {
	w := newWorld(t, newAccount(), withoutBlocks)
	report := check(w.file(w.publish(w.member, w.object(true))).mustEncode(t), Options{})
	if !report.Passed || report.step("object: confirmed").Outcome != Trusted || report.step("object: signature").Outcome != Pass {
		t.Fatal(report)
	}
}

func TestADisclosedObjectIsThatOfThePayload(t *testing.T) {
	w := newWorld(t, newAccount())
	for _, revealing := range []bool{true, false} {
		f := w.file(w.publish(w.member, w.object(revealing)))
		f.Disclosed = w.disclose(f.Subject)
		report := check(f.mustEncode(t), Options{})
		step := report.step("disclosed object")
		if !report.Passed || !strings.HasPrefix(step.Value, poisonID) || strings.Contains(step.Detail, "handle") == revealing {
			t.Fatal(report)
		}
		f.Disclosed.Object = strings.Replace(poison, "Poison", "Potion", 1)
		if report := check(f.mustEncode(t), Options{}); report.Passed {
			t.Error("another object passes for the payload's")
		}
		f.Disclosed = w.disclose(w.publish(w.member, w.object(revealing)))
		if report := check(f.mustEncode(t), Options{}); report.Passed {
			t.Error("another payload's key opens it")
		}
	}
}

func TestAGovernorMayBeAMultisigAccount(t *testing.T) {
	w := newWorld(t, newMultisig(t))
	report := check(w.file(w.publish(w.member, w.object(true))).mustEncode(t), Options{})
	if step := report.step("admission: signature"); !report.Passed || !strings.HasSuffix(step.Value, "(2 of 3 keys)") {
		t.Fatal(report)
	}
	w.governor.with = 1
	w.admitted = w.publish(w.governor, w.admission(w.member))
	if report := check(w.file(w.publish(w.member, w.object(true))).mustEncode(t), Options{}); report.Passed {
		t.Error("one of two keys that are needed admits")
	}
}

func TestEvidenceForARecordNeedsNoMore(t *testing.T) {
	w := newWorld(t, newAccount())
	charter := File{Consortium: charterAsset, Subject: w.charter}
	if report := check(charter.mustEncode(t), Options{}); !report.Passed {
		t.Error(report)
	}
	admission := File{Consortium: charterAsset, Records: []Publication{w.charter}, Subject: w.admitted}
	if report := check(admission.mustEncode(t), Options{}); !report.Passed {
		t.Error(report)
	}
	object := w.publish(w.member, w.object(true))
	withdrawal := w.destroy(w.member, w.asset)
	if report := check(w.file(withdrawal).mustEncode(t), Options{}); !report.Passed || report.step("withdrawal: files").Outcome != NotThere {
		t.Error(report)
	}
	_ = object
}

func TestEvidenceWithoutRightFails(t *testing.T) {
	w := newWorld(t, newAccount())
	object := w.publish(w.member, w.object(true))
	stranger := newAccount()
	for name, f := range map[string]File{
		"nobody admitted the publisher":       {Consortium: charterAsset, Records: []Publication{w.charter}, Subject: object},
		"there is no charter":                 {Consortium: charterAsset, Records: []Publication{w.admitted}, Subject: object},
		"the publisher is another":            w.file(w.publish(stranger, w.object(true))),
		"a stranger admitted the publisher":   {Consortium: charterAsset, Records: []Publication{w.charter, w.publish(stranger, w.admission(w.member))}, Subject: w.publish(w.member, w.object(true))},
		"the records are in another order":    {Consortium: charterAsset, Records: []Publication{w.admitted, w.charter}, Subject: object},
		"the admission is later":              {Consortium: charterAsset, Records: []Publication{w.charter, w.publish(w.governor, w.admission(w.member))}, Subject: object},
		"it is said to be of another":         {Consortium: charterAsset + 1, Records: []Publication{w.charter, w.admitted}, Subject: object},
		"a record is there twice":             {Consortium: charterAsset, Records: []Publication{w.charter, w.admitted, w.admitted}, Subject: object},
		"something else is disclosed":         {Consortium: charterAsset, Records: []Publication{w.charter}, Subject: w.admitted, Disclosed: &Disclosed{FileKey: make([]byte, seal.FileKeySize), Object: poison}},
		"the membership was ended before":     {Consortium: charterAsset, Records: []Publication{w.charter, w.admitted, w.destroy(w.governor, charterAsset+1)}, Subject: w.publish(w.member, w.object(true))},
		"the subject has a block and a word":  w.file(Publication{TxID: object.TxID, Transaction: object.Transaction, Block: object.Block, Word: &Word{}, Metadata: object.Metadata, Payload: object.Payload}),
		"the subject has neither":             w.file(Publication{TxID: object.TxID, Transaction: object.Transaction, Metadata: object.Metadata, Payload: object.Payload}),
		"the files are another publication's": w.file(Publication{TxID: object.TxID, Transaction: object.Transaction, Block: object.Block, Metadata: w.admitted.Metadata, Payload: w.admitted.Payload}),
	} {
		if report := check(f.mustEncode(t), Options{}); report.Passed {
			t.Errorf("%s, and it passes:\n%s", name, report)
		}
	}
}

func TestEvidenceOfAnotherNetworkFails(t *testing.T) {
	w := newWorld(t, newAccount())
	before := genesis
	genesis = types.Digest{8}
	defer func() { genesis = before }()
	if report := check(w.file(w.publish(w.member, w.object(true))).mustEncode(t), Options{}); report.Passed {
		t.Error(report)
	}
}

// files are one of each shape.
func files(t testing.TB) map[string]File {
	t.Helper()
	all := map[string]File{}
	for name, options := range map[string][]func(*world){"blocks": nil, "state proofs": {withStateProofs}, "words": {withoutBlocks}} {
		w := newWorld(t, newMultisig(t), options...)
		f := w.file(w.publish(w.member, w.object(true)))
		f.Disclosed = w.disclose(f.Subject)
		all[name] = f
	}
	w := newWorld(t, newMultisig(t))
	f := w.file(w.batch(w.object(true), 3, 2))
	f.Disclosed = w.disclose(f.Subject)
	all["one of a batch"] = f
	return all
}

// sample says which bytes are changed: every nth, beginning with another one each time.
func sample(n int) (start, step int) { return rand.IntN(n), n }

func TestAChangedByteAnywhereFails(t *testing.T) {
	for name, f := range files(t) {
		data := f.mustEncode(t)
		if report := check(data, Options{}); !report.Passed {
			t.Fatalf("%s:\n%s", name, report)
		}
		start, step := 0, 1
		if testing.Short() {
			start, step = sample(37)
		}
		for i := start; i < len(data); i += step {
			changed := bytes.Clone(data)
			changed[i] ^= 1 << rand.IntN(8)
			if check(changed, Options{}).Passed {
				t.Errorf("%s: byte %d can be %q instead of %q", name, i, changed[i], data[i])
			}
		}
		for _, changed := range [][]byte{data[:len(data)-1], append(bytes.Clone(data), '\n'), append([]byte(" "), data...), nil, []byte("{}\n")} {
			if check(changed, Options{}).Passed {
				t.Errorf("%s: %d bytes instead of %d pass", name, len(changed), len(data))
			}
		}
	}
}

// Who changes something on purpose computes the checksum again. Then the signatures and hashes must show it, to
// somebody who knows the hashes that come from outside.
func TestAChangedValueFailsWithAMatchingChecksum(t *testing.T) {
	for name, f := range files(t) {
		first := check(f.mustEncode(t), Options{Consortium: charterAsset})
		options := Options{Consortium: charterAsset, Trust: first.trusted()}
		expected := len(check(f.mustEncode(t), options).trusted())
		changes := 0
		change(reflect.ValueOf(&f).Elem(), "", func(path string) {
			if strings.HasPrefix(path, ".Format") || strings.HasPrefix(path, ".Checksum") || strings.Contains(path, ".Word.") {
				return // written anew, or named as trusted
			}
			changes++
			data, err := f.Encode()
			if err != nil {
				return
			}
			if report := check(data, options); report.Passed && len(report.trusted()) <= expected {
				t.Errorf("%s: another %s passes:\n%s", name, path, report)
			}
		})
		if changes < 300 {
			t.Errorf("%s: only %d changes were tried", name, changes)
		}
	}
}

// change changes one byte or number of a value after the other, calls visit, and changes it back.
func change(v reflect.Value, path string, visit func(path string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			change(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			change(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Uint64:
		before := v.Uint()
		for _, bit := range []int{0, 1, 2, 7, 33} {
			v.SetUint(before ^ 1<<bit)
			visit(path)
		}
		v.SetUint(before)
	case reflect.Uint32:
		before := v.Uint()
		for _, other := range []uint64{0, before - 1, before + 1, 1 << 31} {
			v.SetUint(other)
			visit(path)
		}
		v.SetUint(before)
	case reflect.Int64:
		before := v.Int()
		v.SetInt(before + 1)
		visit(path)
		v.SetInt(before)
	case reflect.String:
		before := v.String()
		start, step := sample(41) // hashed as a whole
		for i := start; i < len(before); i += step {
			changed := []byte(before)
			changed[i] ^= 1 << rand.IntN(5)
			v.SetString(string(changed))
			visit(fmt.Sprintf("%s[%d]", path, i))
		}
		for _, other := range []string{before + " ", before[:len(before)-min(1, len(before))]} {
			if other != before {
				v.SetString(other)
				visit(path + " of another length")
			}
		}
		v.SetString(before)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				change(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
			}
			return
		}
		before := bytes.Clone(v.Bytes())
		start, step := sample(9)
		for i := start; i < len(before); i += step {
			changed := bytes.Clone(before)
			changed[i] ^= 1 << rand.IntN(8)
			v.SetBytes(changed)
			visit(fmt.Sprintf("%s[%d]", path, i))
		}
		for _, other := range [][]byte{append(bytes.Clone(before), 0), before[:len(before)-1]} {
			v.SetBytes(other)
			visit(path + " of another length")
		}
		v.SetBytes(before)
	default:
		panic("a kind of value that is not changed: " + v.Kind().String())
	}
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	if report := check(make([]byte, MaxSize+1), Options{}); report.Passed || !strings.Contains(report.String(), "at most") {
		t.Error(report)
	}
}

func FuzzCheck(f *testing.F) {
	valid := files(f)["blocks"].mustEncode(f)
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(100), uint16(1), []byte("x"))
	f.Add(uint16(0), uint16(len(valid)), []byte(`{"format":"serviceledger evidence 2"}`))
	f.Fuzz(func(t *testing.T, at, cut uint16, with []byte) {
		if report := check(splice.Splice(valid, at, cut, with), Options{Consortium: charterAsset + 1}); report.Passed {
			t.Error(report) // nobody ever founded this consortium
		}
	})
}

// A fuzzer hardly ever finds the checksum: this one changes one of the parts.
func FuzzPublication(f *testing.F) {
	s := files(f)["blocks"].Subject
	for part := range uint8(5) {
		f.Add(part, uint16(10), uint16(1), []byte("x"))
	}
	w := newWorld(f, newAccount())
	f.Fuzz(func(t *testing.T, part uint8, at, cut uint16, with []byte) {
		parts := [][]byte{s.Transaction, s.Block.Header, s.Block.Path, []byte(s.Metadata), []byte(s.Payload)}
		parts[int(part)%len(parts)] = splice.Splice(parts[int(part)%len(parts)], at, cut, with)
		transaction := parts[0]
		file := w.file(Publication{TxID: "x", Transaction: transaction, Block: &Block{Header: parts[1], Index: 1, Path: parts[2]}, Metadata: string(parts[3]), Payload: string(parts[4])})
		data, err := file.Encode()
		if err != nil {
			return
		}
		if report := check(data, Options{}); report.Passed {
			t.Error(report)
		}
		_, _, _ = wire.ParseNote(transaction)
	})
}
