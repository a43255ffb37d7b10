package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// reforged is a draft whose metadata, or payload, is another, and which is consistent all the same.
func (w *world) reforged(by *account, d consortium.Draft, change func(*wire.Properties), payload []byte) consortium.Draft {
	w.t.Helper()
	d, err := d.By(by.address(w.t).String())
	must(w.t, err)
	m, err := wire.ParseMetadata(d.Metadata)
	must(w.t, err)
	if payload != nil {
		d.Payload = payload
	}
	if change != nil {
		change(&m.Properties)
	}
	d.Metadata, err = wire.NewMetadata(m.Properties, d.Payload).Encode()
	must(w.t, err)
	return d
}

func bare(p Publication) Publication {
	p.Metadata, p.Payload = "", ""
	return p
}

func otherNetwork(w *world) { w.network = types.Digest{8} }

// Each of these files is right in all but one thing, which one step finds, and says.
func TestOneThingThatIsWrongIsFoundByItsStep(t *testing.T) {
	subject := func(change func(w *world, p *Publication)) func(*world) File {
		return func(w *world) File {
			p := w.publish(w.member, w.object(true))
			change(w, &p)
			return w.file(p)
		}
	}
	disclosed := func(d func(w *world) consortium.Draft, change func(*Disclosed)) func(*world) File {
		return func(w *world) File {
			f := w.file(w.publish(w.member, d(w)))
			f.Disclosed = w.disclose(f.Subject)
			if change != nil {
				change(f.Disclosed)
			}
			return f
		}
	}
	for what, c := range map[string]struct {
		options      []func(*world)
		file         func(w *world) File
		step, detail string
	}{
		"the charter is of another network": {[]func(*world){otherNetwork}, subject(func(*world, *Publication) {}), "consortium", "its charter is for the network"},
		"the charter's files are not there": {nil, func(w *world) File {
			w.charter = bare(w.charter)
			return w.file(w.publish(w.member, w.object(true)))
		}, "consortium", "its charter is not in the file"},
		"the charter says nothing": {nil, func(w *world) File {
			charter, err := consortium.DraftCharter(wire.Charter{
				Name: "Others", GenesisID: "test-v1", GenesisHash: genesis[:], Network: wire.NetworkPrivate, Founder: w.member.address(t).String(), DefaultCollection: w.shared.ID,
			}, noon)
			must(t, err)
			p := w.publish(w.governor, w.reforged(w.governor, charter, nil, []byte(`{}`)))
			return File{Consortium: w.asset, Subject: p}
		}, "charter: record", ""},
		"the admission says nothing": {nil, func(w *world) File {
			w.admitted = w.publish(w.governor, w.reforged(w.governor, w.admission(w.member), nil, []byte(`{}`)))
			return w.file(w.publish(w.member, w.object(true)))
		}, "admission: record", ""},
		"it has the name of another transaction": {nil, subject(func(w *world, p *Publication) { p.TxID = w.charter.TxID }), "object: signature", "its content has the id "},
		"there is a block and a word":            {nil, subject(func(_ *world, p *Publication) { p.Word = &Word{} }), "transaction", "not both"},
		"there is neither":                       {nil, subject(func(_ *world, p *Publication) { p.Block = nil }), "transaction", "not both"},
		"the transaction is too large":           {nil, subject(func(_ *world, p *Publication) { p.Transaction = make([]byte, 64<<10+1) }), "transaction", "65537 bytes, at most 65536 are read"},
		"the transaction is none":                {nil, subject(func(_ *world, p *Publication) { p.Transaction = make([]byte, 64<<10) }), "transaction", "not the msgpack"},
		"the transaction that is on a word is none": {[]func(*world){withoutBlocks}, subject(func(_ *world, p *Publication) { p.Transaction = []byte{1} }), "transaction",
			"not the msgpack"},
		"the header is too large":              {nil, subject(func(_ *world, p *Publication) { p.Block.Header = make([]byte, 64<<10+1) }), "transaction", "a block header of 65537 bytes, at most 65536"},
		"the header is none":                   {nil, subject(func(_ *world, p *Publication) { p.Block.Header = make([]byte, 64<<10) }), "transaction", "the block header: not the msgpack"},
		"the header is written in another way": {nil, subject(func(_ *world, p *Publication) { p.Block.Header = []byte("\x81\xa3rnd\x00") }), "transaction", "the block header: the msgpack is not canonical"},
		"another block":                        {nil, subject(func(w *world, p *Publication) { p.Block.Header = w.charter.Block.Header }), "object: in its block", "does not commit to it"},
		"no path":                              {nil, subject(func(_ *world, p *Publication) { p.Block.Path = []byte{1} }), "object: in its block", ""},
		"another state proof":                  {[]func(*world){withStateProofs}, subject(func(w *world, p *Publication) { p.Block.StateProof.Message = w.charter.Block.StateProof.Message }), "object: block", "does not commit to it"},
		"a state proof without a path":         {[]func(*world){withStateProofs}, subject(func(_ *world, p *Publication) { p.Block.StateProof.Path = []byte{1} }), "object: block", ""},
		"a state proof of earlier rounds":      {[]func(*world){withStateProofs}, subject(func(w *world, p *Publication) { p.Block.StateProof.Message.LastAttestedRound = w.round - 1 }), "object: block", "is about rounds 300 to 302"},
		"a state proof of other rounds":        {[]func(*world){withStateProofs}, subject(func(_ *world, p *Publication) { p.Block.StateProof.Message.FirstAttestedRound-- }), "object: block", "is about rounds 299 to 303"},
		"a state proof of later rounds":        {[]func(*world){withStateProofs}, subject(func(w *world, p *Publication) { p.Block.StateProof.Message.FirstAttestedRound = w.round + 1 }), "object: block", "is about rounds 304"},
		"a state proof of no rounds":           {[]func(*world){withStateProofs}, subject(func(_ *world, p *Publication) { p.Block.StateProof.Message.FirstAttestedRound = math.MaxUint64 }), "object: block", "is about rounds"},
		"a withdrawal with metadata":           {nil, func(w *world) File { p := w.destroy(w.member, 7); p.Metadata = "{}"; return w.file(p) }, "withdrawal: files", "publishes none"},
		"a withdrawal with a payload":          {nil, func(w *world) File { p := w.destroy(w.member, 7); p.Payload = "{}"; return w.file(p) }, "withdrawal: files", "publishes none"},
		"a subject without files":              {nil, subject(func(_ *world, p *Publication) { *p = bare(*p) }), "object: metadata hash", ""},
		"a record that counts for nothing": {nil, func(w *world) File {
			w.admitted = w.publish(newAccount(), w.admission(w.member))
			return w.file(w.publish(w.member, w.object(true)))
		}, "admission: counts", ""},
		"a copy of another's directory": {nil, func(w *world) File {
			return w.file(w.publish(w.member, w.reforged(w.governor, w.object(true), nil, nil)))
		}, "object: metadata hash", "the transaction was signed by"},
		"who published was no member": {nil, func(w *world) File { return w.file(w.publish(newAccount(), w.object(true))) }, "object: counts", "the sender was never a member"},
		"the admission has no files": {nil, func(w *world) File {
			w.admitted = bare(w.admitted)
			return w.file(w.publish(w.member, w.object(true)))
		}, "publisher was a member in that round", "the record of its admission is not in the file"},
		"a record is disclosed": {nil, func(w *world) File {
			return File{Consortium: charterAsset, Records: []Publication{w.charter}, Subject: w.admitted, Disclosed: &Disclosed{FileKey: make([]byte, seal.FileKeySize), Object: poison}}
		}, "disclosed object", "a member record discloses none"},
		"what is disclosed is not sealed": {nil, func(w *world) File {
			f := w.file(w.publish(w.member, w.reforged(w.member, w.object(true), nil, []byte(`{}`))))
			f.Disclosed = &Disclosed{FileKey: make([]byte, seal.FileKeySize), Object: poison}
			return f
		}, "disclosed object", ""},
		"another key": {nil, disclosed(func(w *world) consortium.Draft { return w.object(true) }, func(d *Disclosed) { d.FileKey = make([]byte, seal.FileKeySize) }), "disclosed object", ""},
		"another object": {nil, disclosed(func(w *world) consortium.Draft { return w.object(true) }, func(d *Disclosed) { d.Object += " " }), "disclosed object",
			"the payload holds another object"},
		"no STIX object": {nil, disclosed(func(w *world) consortium.Draft {
			d, err := consortium.DraftObject(charterAsset, w.shared, poisonID, "2026-01-01T00:00:00Z", true, []byte(`{}`), noon)
			must(t, err)
			return d
		}, func(d *Disclosed) { d.Object = `{}` }), "disclosed object", "it is not a STIX object"},
		"metadata of another object": {nil, disclosed(func(w *world) consortium.Draft {
			return w.reforged(w.member, w.object(true), func(p *wire.Properties) { p.Identifier = strings.Replace(poisonID, "8e2e2d2b", "8e2e2d2c", 1) }, nil)
		}, nil), "disclosed object", "the metadata says"},
		"metadata of another version": {nil, disclosed(func(w *world) consortium.Draft {
			return w.reforged(w.member, w.object(true), func(p *wire.Properties) { p.Version = "2026-01-01T00:00:01Z" }, nil)
		}, nil), "disclosed object", "the metadata says"},
	} {
		w := newWorld(t, newAccount(), c.options...)
		report := check(c.file(w).mustEncode(t), Options{})
		if step := report.step(c.step); report.Passed || step.Outcome != Fail || !strings.Contains(step.Detail, c.detail) {
			t.Errorf("%s: the step %q is %+v\n%s", what, c.step, step, report)
		}
		if want := fmt.Sprintf("Nothing is proved: the step %q fails: ", c.step); !strings.HasPrefix(report.Conclusion, want) {
			t.Errorf("%s: it concludes %q", what, report.Conclusion)
		}
		if last := report.Steps[len(report.Steps)-1]; last.Outcome != Fail && c.step != "disclosed object" {
			t.Errorf("%s: it goes on after the step that failed, to %q", what, last.Name)
		}
	}
}

// A handle stands in the place of an identifier and its version, and of nothing else.
func TestAnObjectIsToldByItsIdentifierAndVersionOrByAHandle(t *testing.T) {
	w := newWorld(t, newAccount())
	subject := w.publish(w.member, w.object(true))
	e := consortium.Event{Note: wire.Note{Kind: wire.KindObject}}
	f := File{Subject: subject, Disclosed: w.disclose(subject)}
	const version, handle = "2026-01-01T00:00:00Z", seal.HandlePrefix + "x"
	for _, c := range []struct {
		identifier, version string
		handle, bad         bool
	}{
		{poisonID, version, false, false}, {handle, "", true, false}, {handle, version, false, true}, {poisonID, "", false, true}, {"x", "", false, true}, {"x", version, false, true},
	} {
		object, is, err := open(e, wire.Metadata{Properties: wire.Properties{Identifier: c.identifier, Version: c.version}}, f)
		if object == nil || is != c.handle || (err != nil) != c.bad {
			t.Errorf("%s, version %q: handle %v, %v", c.identifier, c.version, is, err)
		}
	}
}

func TestTheGovernorPublishesRecords(t *testing.T) {
	w := newWorld(t, newAccount())
	report := check(File{Consortium: charterAsset, Records: []Publication{w.charter}, Subject: w.admitted}.mustEncode(t), Options{})
	address := w.governor.address(t).String()
	if !report.Passed || report.step("publisher was a member in that round").Value != address+" is the governor" || report.step("governor was not replaced").Value != address+", rounds 301 to 302" {
		t.Errorf("%s", report)
	}
	if !strings.Contains(report.Conclusion, address+", as the governor of the consortium") {
		t.Error(report.Conclusion)
	}
}

func TestAMemberIsNamedUnderTheAccountThatItHad(t *testing.T) {
	w := newWorld(t, newAccount())
	subject := w.publish(w.member, w.object(true))
	rotation := w.publish(w.member, w.rotation(w.member, newAccount()))
	f := w.file(subject)
	f.Records = append(f.Records, rotation)
	report := check(f.mustEncode(t), Options{})
	if step := report.step("publisher was a member in that round"); !report.Passed || step.Value != fmt.Sprintf("acme (%s), since round 302", w.member.address(t)) || !strings.Contains(report.Conclusion, "as the member acme") {
		t.Errorf("%+v\n%s\n%s", step, report, report.Conclusion)
	}
}

// What the governor, or a member, wrote beside its note counts where it can be read.
func TestARecordThatIsVoidCountsByItsNote(t *testing.T) {
	w := newWorld(t, newAccount())
	subject := w.publish(w.member, w.object(true))
	f := w.file(subject)
	f.Records = append(f.Records, w.publish(w.member, w.reforged(w.member, w.rotation(w.member, newAccount()), nil, []byte(`{}`))))
	report := check(f.mustEncode(t), Options{})
	if step := report.step("rotation: record"); !report.Passed || step.Outcome != NotThere || step.Detail == "" || step.Value != f.Records[2].TxID {
		t.Errorf("%+v\n%s", step, report)
	}
	nobody := bare(w.publish(newAccount(), w.admission(newAccount())))
	f.Records = []Publication{w.charter, w.admitted, nobody}
	report = check(f.mustEncode(t), Options{})
	if step := report.step("admission: counts"); !report.Passed || step.Outcome != NotThere || !strings.HasPrefix(step.Detail, "it does not: ") {
		t.Errorf("%+v\n%s", step, report)
	}
	if step := check(w.file(subject).mustEncode(t), Options{}).step("admission: record"); step != (Step{}) {
		t.Errorf("a record that is right is %+v", step)
	}
}

func TestAReportSaysWhatItIsAbout(t *testing.T) {
	w := newWorld(t, newAccount())
	for want, f := range map[string]File{
		"signed the withdrawal of the NFT 7":                    w.file(w.destroy(w.member, 7)),
		"signed an object that stays sealed here, with sha256-": w.file(w.publish(w.member, w.object(true))),
		"signed a record of the kind member, with sha256-":      {Consortium: charterAsset, Records: []Publication{w.charter}, Subject: w.admitted},
	} {
		if report := check(f.mustEncode(t), Options{}); !report.Passed || !strings.Contains(report.Conclusion, want) {
			t.Errorf("%s is not in it: %s", want, report.Conclusion)
		}
	}
	withdrawal := check(w.file(w.destroy(w.member, 7)).mustEncode(t), Options{})
	if step := withdrawal.step("withdrawal: files"); step.Outcome != NotThere || step.Detail != "the transaction destroys asset 7" {
		t.Errorf("%+v", step)
	}
	for kind, want := range map[wire.Kind]string{"": "transaction", wire.KindMember: "admission", wire.KindDestroy: "withdrawal", wire.KindObject: "object", "a kind that is far too long": "a kind that is far t"} {
		if got := kindName(kind); got != want {
			t.Errorf("%q is called %q, want %q", kind, got, want)
		}
	}
	e := consortium.Event{Note: wire.Note{Kind: wire.KindObject}}
	if got := described(e, File{Subject: Publication{Metadata: "damaged"}}); got != "a object" {
		t.Errorf("what can't be read is %q", got)
	}
}

func TestAHashThatIsKnownPassesAndAnotherIsTrusted(t *testing.T) {
	w := newWorld(t, newAccount(), withStateProofs)
	f := w.file(w.publish(w.member, w.object(true)))
	report := check(f.mustEncode(t), Options{})
	proofs := 0
	for _, s := range report.Steps {
		if s.Name == "state proof" {
			proofs++
		}
	}
	if proofs != 3 {
		t.Errorf("%d state proofs for three blocks:\n%s", proofs, report)
	}
	hash := report.step("state proof").Value
	known := check(f.mustEncode(t), Options{Trust: []string{"x", hash}})
	if step := known.step("state proof"); step.Outcome != Pass || step.Detail != "as given" || known.step("network").Outcome != Trusted || known.step("consortium").Outcome != Trusted {
		t.Errorf("%s", known)
	}
	if step := check(f.mustEncode(t), Options{Consortium: charterAsset}).step("consortium"); step.Outcome != Pass || !strings.HasPrefix(step.Value, "The Testers (1001), governed by "+w.governor.address(t).String()) {
		t.Errorf("%+v", step)
	}
	// two blocks under one proof are one thing to be believed
	c := &checker{Report: NewReport("")}
	header := types.BlockHeader{Round: types.Round(w.round)}
	light := onchain.LightHeader(&header, [32]byte{})
	root, err := onchain.Root(crypto.HashLightBlockHeader(light), 0, nil)
	must(t, err)
	proof := &StateProof{Message: Message{BlockHeadersCommitment: root[:], FirstAttestedRound: w.round, LastAttestedRound: w.round}}
	for range 2 {
		if !c.attested("object: ", "x", proof, light) {
			t.Fatal(c.Report)
		}
	}
	if len(c.Steps) != 3 || c.Steps[1].Name != "state proof" || c.Steps[1].Outcome != Trusted {
		t.Errorf("%s", c.Report)
	}
}

func TestWhatIsToBeBelievedIsCounted(t *testing.T) {
	c := &checker{Report: NewReport("")}
	c.Note(Trusted, "a: block", "", "")
	c.Note(Trusted, "b: block", "", "")
	c.Note(Pass, "c: block", "", "")
	c.Note(Trusted, "a: confirmed", "", "")
	c.Note(Trusted, "other", "", "that it is so")
	c.Note(NotThere, "another", "", "that it is not")
	if got, want := c.assumptions(), "(1) that it is so; (2) that the hashes of 2 blocks above are the network's; (3) the indexer's word about the place and time of 1 transactions"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&checker{}).assumptions(); got != "" {
		t.Errorf("nothing is to be believed, and it says %q", got)
	}
}

// Each of the comparisons between a transaction and its files is made whatever the others say.
func TestFilesAreThoseOfTheirTransaction(t *testing.T) {
	w := newWorld(t, newAccount())
	p := w.publish(w.member, w.object(true))
	confirmed, _, err := read(p)
	must(t, err)
	e, err := confirmed.Event(genesis)
	must(t, err)
	broken := errors.New("the disk")
	for what, c := range map[string]struct {
		change       func(e *consortium.Event, metadata, payload *[]byte, d *Directory)
		step, detail string
	}{
		"all is right":          {func(*consortium.Event, *[]byte, *[]byte, *Directory) {}, "", ""},
		"another kind":          {func(e *consortium.Event, _, _ *[]byte, _ *Directory) { e.Note.Kind = wire.KindKeyring }, "x: metadata hash", `"object" of consortium 1001, the transaction's note says "keyring"`},
		"another consortium":    {func(e *consortium.Event, _, _ *[]byte, _ *Directory) { e.Consortium++ }, "x: metadata hash", `of consortium 1001, the transaction's note says "object" of 1002`},
		"another publisher":     {func(e *consortium.Event, _, _ *[]byte, _ *Directory) { e.Sender = newAccount().address(t).String() }, "x: metadata hash", "the transaction was signed by"},
		"another metadata hash": {func(e *consortium.Event, _, _ *[]byte, _ *Directory) { e.MetadataHash = make([]byte, 32) }, "x: metadata hash", "the NFT says 0000"},
		"no metadata": {func(e *consortium.Event, m, _ *[]byte, _ *Directory) {
			*m = []byte("{}")
			hash := wire.MetadataHash(*m)
			e.MetadataHash = hash[:]
		}, "x: metadata hash", ""},
		"another payload": {func(_ *consortium.Event, _, p *[]byte, _ *Directory) { *p = append(bytes.Clone(*p), ' ') }, "x: object hash", ""},
		"another folder":  {func(e *consortium.Event, _, _ *[]byte, _ *Directory) { e.Directory = "bafy" }, "x: CID", "the files have the CID "},
		"no CID": {func(_ *consortium.Event, _, _ *[]byte, d *Directory) {
			*d = func([]byte, string, []byte) (string, error) { return "", broken }
		}, "x: CID", "the disk"},
	} {
		e, metadata, payload, directory := e, []byte(p.Metadata), []byte(p.Payload), Directory(directoryCID)
		c.change(&e, &metadata, &payload, &directory)
		r := NewReport("")
		if _, ok := r.Contents("x: ", e, metadata, payload, directory); ok != (c.step == "") || r.Passed != ok {
			t.Errorf("%s: %v\n%s", what, ok, r)
		}
		last := r.Steps[len(r.Steps)-1]
		if c.step == "" && (last != Step{"x: CID", e.Directory, Pass, ""} || len(r.Steps) != 3) || c.step != "" && (last.Name != c.step || last.Outcome != Fail || !strings.Contains(last.Detail, c.detail)) {
			t.Errorf("%s: %s", what, r)
		}
	}
}

func TestAFileIsWrittenInOneWay(t *testing.T) {
	w := newWorld(t, newAccount())
	data := w.file(w.publish(w.member, w.object(true))).mustEncode(t)
	if _, err := parse(data); err != nil {
		t.Fatal(err)
	}
	replaced := func(from, to string) []byte { return bytes.Replace(data, []byte(from), []byte(to), 1) }
	for want, changed := range map[string][]byte{
		"not a file of the format": []byte("{"),
		"unknown":                  replaced(`{`, `{"more":1,`),
		`the format is "serviceledger evidence 3"`:    replaced("evidence 2", "evidence 3"),
		"it is written in another way than the":       replaced("\n ", "\n  "),
		"it was damaged: its checksum is another":     replaced(`"consortium": 1001`, `"consortium": 1002`),
		"134217729 bytes, at most 134217728 are read": make([]byte, 128<<20+1),
	} {
		if _, err := parse(changed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := parse(make([]byte, 128<<20)); err == nil || strings.Contains(err.Error(), "at most") {
		t.Errorf("a file of the greatest size: %v", err)
	}
	for n, want := range map[int]string{256: "", 257: "257 records, at most 256 are read"} {
		f := File{Records: make([]Publication, n)}
		if _, err := parse(f.mustEncode(t)); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d records: %v", n, err)
		}
	}
	// One that can't be read is not written, either.
	if _, err := (File{Subject: Publication{Payload: strings.Repeat("x", 128<<20)}}).Encode(); err == nil || !strings.Contains(err.Error(), "at most 134217728") {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestWhoMayPublishIsAMemberOrTheGovernor(t *testing.T) {
	w := newWorld(t, newAccount())
	c := &checker{Report: NewReport(""), options: Options{Directory: directoryCID}, bare: map[string]bool{}, blocks: map[uint64]bool{}, state: consortium.New(charterAsset, w.charter.TxID, nil)}
	if _, ok := c.fold(w.file(w.publish(w.member, w.object(true)))); !ok {
		t.Fatal(c.Report)
	}
	at := consortium.Position{Round: w.round}
	for account, may := range map[*account]bool{w.member: true, w.governor: true, newAccount(): false} {
		e := consortium.Event{Sender: account.address(t).String(), Position: at}
		if err := Membership(c.state, e); (err == nil) != may {
			t.Errorf("%v", err)
		}
		c.Report = NewReport("")
		if c.membership(e) != may || c.Passed != may || c.Steps[0].Name != "publisher was a member in that round" || (c.Steps[0].Outcome == Pass) != may {
			t.Errorf("want %v:\n%s", may, c.Report)
		}
	}
	if err := Membership(c.state, consortium.Event{Sender: w.member.address(t).String(), Position: consortium.Position{Round: 301}}); err == nil {
		t.Error("it may before its admission")
	}
}

func TestNumbersTellNothingOfAGovernorThatWasReplaced(t *testing.T) {
	w := newWorld(t, newAccount())
	next := newAccount()
	amendment := w.publish(w.governor, w.amendment(next))
	subject := w.publish(w.member, w.object(true))
	after := bare(w.publish(next, w.admission(newAccount())))
	report := check(File{Consortium: charterAsset, Records: []Publication{w.charter, w.admitted, amendment, after}, Subject: subject}.mustEncode(t), Options{})
	if step := report.step("membership was not ended"); !report.Passed || strings.Contains(step.Detail, "numbers") || strings.Contains(step.Detail, "transactions") {
		t.Errorf("%+v\n%s", step, report)
	}
}
