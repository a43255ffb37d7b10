package evidence

import (
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// pinned checks a file with everything that can be compared elsewhere compared, and says what is left to be believed.
func (w *world) pinned(f File) (report Report, left map[string]Step) {
	w.t.Helper()
	data := f.mustEncode(w.t)
	report = check(data, Options{Consortium: charterAsset, Trust: check(data, Options{}).trusted()})
	left = map[string]Step{}
	for _, s := range report.Steps {
		if s.Outcome == Trusted {
			left[s.Name] = s
		}
	}
	return report, left
}

func (w *world) rotation(former, next *account) consortium.Draft {
	w.t.Helper()
	member, err := wire.ParseMember(w.admission(next).Payload)
	must(w.t, err)
	draft, err := consortium.DraftRotation(charterAsset, former.address(w.t).String(), member, next.keys[0].PrivateKey, noon)
	must(w.t, err)
	return draft
}

func (w *world) amendment(governor *account) consortium.Draft {
	w.t.Helper()
	draft, err := consortium.DraftAmendment(charterAsset, wire.Amendment{
		Name: "The Testers", Governor: wire.Quorum{Threshold: 1, Accounts: []string{governor.address(w.t).String()}},
	}, noon)
	must(w.t, err)
	return draft
}

// What a file leaves out can take the right away from what is in it. Nothing in the file shows it, so that what is
// assumed not to be on the chain is named, whatever is pinned.
func TestWhatAFileMayHaveLeftOutIsNamedAndNeverPasses(t *testing.T) {
	for what, c := range map[string]struct {
		step string
		left func(w *world) (subject Publication, leftOut Publication, records []Publication)
	}{
		"a change of the publisher's account": {"account was not replaced", func(w *world) (Publication, Publication, []Publication) {
			rotation := w.publish(w.member, w.rotation(w.member, newAccount()))
			return w.publish(w.member, w.object(true)), rotation, []Publication{w.charter, w.admitted}
		}},
		"the governor's change of the publisher's account": {"account was not replaced", func(w *world) (Publication, Publication, []Publication) {
			rotation := w.publish(w.governor, w.rotation(w.member, newAccount()))
			return w.publish(w.member, w.object(true)), rotation, []Publication{w.charter, w.admitted}
		}},
		"an amendment before the admission": {"governor was not replaced", func(w *world) (Publication, Publication, []Publication) {
			amendment := w.publish(w.governor, w.amendment(newAccount()))
			late := newAccount()
			admission := w.publish(w.governor, w.admission(late))
			return w.publish(late, w.object(true)), amendment, []Publication{w.charter, admission}
		}},
		"the end of the membership": {"membership was not ended", func(w *world) (Publication, Publication, []Publication) {
			end := w.destroy(w.governor, w.asset)
			return w.publish(w.member, w.object(true)), end, []Publication{w.charter, w.admitted}
		}},
	} {
		w := newWorld(t, newAccount())
		subject, leftOut, records := c.left(w)
		f := File{Consortium: charterAsset, Records: records, Subject: subject}
		report, left := w.pinned(f)
		if _, named := left[c.step]; !named || !report.Passed {
			t.Errorf("%s is left out, and the step %q is not there:\n%s", what, c.step, report)
		}
		for _, s := range report.Steps {
			if s.Outcome == Pass && (s.Name == c.step || strings.HasPrefix(s.Name, "publisher") && s.Detail == "") {
				t.Errorf("%s is left out, and the step %q passes without a word", what, s.Name)
			}
		}
		if !strings.Contains(report.Conclusion, left[c.step].Detail) {
			t.Errorf("the conclusion does not name what it rests on: %s", report.Conclusion)
		}
		// With it the same file fails.
		all := append([]Publication{}, records...)
		at := len(all)
		for i, r := range all {
			if place(leftOut).Before(place(r)) {
				at = i
				break
			}
		}
		f.Records = append(all[:at:at], append([]Publication{leftOut}, all[at:]...)...)
		if report := check(f.mustEncode(t), Options{}); report.Passed || !strings.HasPrefix(report.Conclusion, "Nothing is proved") {
			t.Errorf("%s is there, and the evidence stands:\n%s\n%s", what, report, report.Conclusion)
		}
	}
}

func TestTheConclusionSaysWhatByWhomAndWhen(t *testing.T) {
	w := newWorld(t, newAccount())
	f := w.file(w.publish(w.member, w.object(true)))
	f.Disclosed = w.disclose(f.Subject)
	report, _ := w.pinned(f)
	for _, want := range []string{
		poisonID, w.member.address(t).String(), "as the member acme", `"The Testers" (1001)`, "round 303", "2026-11-22T12:00:00Z", `"test-v1"`,
		"(1) that", "readers of the collection",
	} {
		if !strings.Contains(report.Conclusion, want) {
			t.Errorf("%q is not in it: %s", want, report.Conclusion)
		}
	}
	if strings.Contains(report.Conclusion, "the hashes of") {
		t.Errorf("what was compared is still an assumption: %s", report.Conclusion)
	}
	if unpinned := check(f.mustEncode(t), Options{}); !strings.Contains(unpinned.Conclusion, "the hashes of 3 blocks") {
		t.Errorf("what was not compared is no assumption: %s", unpinned.Conclusion)
	}
	other := f.Subject
	other.Payload += " "
	if report := check(w.file(other).mustEncode(t), Options{}); !strings.HasPrefix(report.Conclusion, `Nothing is proved: the step "object: object hash"`) {
		t.Errorf("of what fails it says: %s", report.Conclusion)
	}
}

// An object whose header no key opens was readable for nobody.
func TestWhatIsSealedToNobodyIsNotDisclosed(t *testing.T) {
	w := newWorld(t, newAccount())
	hybrid, err := seal.NewIdentity()
	must(t, err)
	passphrase, err := age.NewScryptRecipient("x")
	must(t, err)
	passphrase.SetWorkFactor(2)
	post, err := age.ParseHybridRecipient(hybrid.Recipient())
	must(t, err)
	for what, recipient := range map[string]age.Recipient{
		"a person's passphrase": passphrase, "an organisation's key": post,
		"a share":                  stanza{"X25519", []string{"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, make([]byte, 32)},
		"a salt that is too short": stanza{"scrypt", []string{"AAAA", "1"}, make([]byte, 32)},
		"a salt that is none":      stanza{"scrypt", []string{"AAAAAAAAAAAAAAAAAAAAA!", "1"}, make([]byte, 32)},
		"no work factor":           stanza{"scrypt", []string{"AAAAAAAAAAAAAAAAAAAAAA"}, make([]byte, 32)},
		"a body that holds no key": stanza{"scrypt", []string{"AAAAAAAAAAAAAAAAAAAAAA", "1"}, make([]byte, 16)},
		"another kind of key":      stanza{"scrypt2", []string{"AAAAAAAAAAAAAAAAAAAAAA", "1"}, make([]byte, 32)},
	} {
		kept := &keeping{Recipient: recipient}
		var sealed strings.Builder
		out, err := age.Encrypt(&sealed, kept)
		must(t, err)
		_, err = out.Write([]byte(poison))
		must(t, err)
		must(t, out.Close())
		payload, err := wire.EncodeSealedObject([]byte(sealed.String()))
		must(t, err)
		honest, err := w.object(true).By(w.member.address(t).String())
		must(t, err)
		m, err := wire.ParseMetadata(honest.Metadata)
		must(t, err)
		metadata, err := wire.NewMetadata(m.Properties, payload).Encode()
		must(t, err)
		honest.Metadata, honest.Payload = metadata, payload
		f := w.file(w.publish(w.member, honest))
		f.Disclosed = &Disclosed{FileKey: kept.fileKey, Object: poison}
		if report := check(f.mustEncode(t), Options{}); report.Passed || report.step("disclosed object").Outcome != Fail {
			t.Errorf("sealed to %s, it passes for disclosed:\n%s", what, report)
		}
	}
}

// keeping is a recipient that keeps the file key.
type keeping struct {
	age.Recipient
	fileKey []byte
}

func (k *keeping) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	k.fileKey = append([]byte{}, fileKey...)
	return k.Recipient.Wrap(fileKey)
}

// stanza is a recipient that writes what it is told.
type stanza struct {
	kind string
	args []string
	body []byte
}

func (s stanza) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: s.kind, Args: s.args, Body: s.body}}, nil
}

// The governor's numbers have no holes: a file that has all of them up to one after the publication leaves out nothing
// of the governor's, if that gave no number twice.
func TestTheGovernorsNumbersShowWhatIsLeftOut(t *testing.T) {
	w := newWorld(t, newAccount())
	bare := func(p Publication) Publication {
		p.Metadata, p.Payload = "", ""
		return p
	}
	before := bare(w.publish(w.governor, w.admission(newAccount())))
	ended := w.destroy(w.governor, w.asset)
	subject := w.publish(w.member, w.object(true))
	after := bare(w.publish(w.governor, w.admission(newAccount())))
	for what, c := range map[string]struct {
		records []Publication
		want    string
	}{
		"all":            {[]Publication{w.charter, w.admitted, before, ended, after}, "all of the governor's transactions with the numbers 1 to 4"},
		"not the second": {[]Publication{w.charter, w.admitted, ended, after}, "does not have number 2"},
		"none after it":  {[]Publication{w.charter, w.admitted, before, ended}, "none of the governor's transactions after"},
		"what is needed": {[]Publication{w.charter, w.admitted}, "none of the governor's transactions after"},
	} {
		report, left := w.pinned(File{Consortium: charterAsset, Records: c.records, Subject: subject})
		if !report.Passed || !strings.Contains(left["membership was not ended"].Detail, c.want) {
			t.Errorf("with %s it says %q:\n%s", what, left["membership was not ended"].Detail, report)
		}
	}
	// A record's note counts without its files, that of the publisher's end too.
	removal := w.destroy(w.governor, charterAsset+1)
	f := File{Consortium: charterAsset, Records: []Publication{w.charter, w.admitted, before, ended, after, removal}, Subject: w.publish(w.member, w.object(true))}
	if report := check(f.mustEncode(t), Options{}); report.Passed {
		t.Errorf("the member was removed before, and it passes:\n%s", report)
	}
	f = File{Consortium: charterAsset, Records: []Publication{w.charter, bare(w.admitted)}, Subject: subject}
	if report := check(f.mustEncode(t), Options{}); report.Passed {
		t.Errorf("nothing tells who was admitted, and it passes:\n%s", report)
	}
	f = File{Consortium: charterAsset, Records: []Publication{w.charter, w.admitted}, Subject: bare(subject)}
	if report := check(f.mustEncode(t), Options{}); report.Passed {
		t.Errorf("the object's own files are not there, and it passes:\n%s", report)
	}
}

// Where in its round a transaction is a block tells in another way than an indexer. Two of one round are both proven,
// or neither is: else a file could put the end of a membership behind what it forbade.
func TestTheOrderWithinARoundIsTakenFromOneSource(t *testing.T) {
	for together, passes := range map[bool]bool{true: false, false: true} {
		w := newWorld(t, newAccount())
		subject := w.publish(w.member, w.object(true))
		if w.word = true; together {
			w.round--
		}
		later := bare(w.publish(w.governor, w.admission(newAccount())))
		later.Word.Offset = 5
		report := check(File{Consortium: charterAsset, Records: []Publication{w.charter, w.admitted, later}, Subject: subject}.mustEncode(t), Options{})
		if report.Passed != passes || !passes && !strings.Contains(report.Conclusion, "their order can't be told") {
			t.Errorf("in one round (%t) it passes (%t):\n%s", together, report.Passed, report)
		}
	}
}
