package find

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"

	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view"
)

const uuid = "-17d4-4cbf-938f-98ee46b3cd3f"

// drawObject draws an object of an id.
func drawObject(t *rapid.T, id string) string {
	values := []string{"ipv4-addr:value = '203.0.113.7'", "ipv4-addr:value = '203.0.113.0/24'", "domain-name:value = 'www.evil.example'", "domain-name:value = 'evil.example'",
		"url:value = 'http://evil.example/" + strings.Repeat("a", 300) + "'", "file:name = 'x.exe'"}
	word := rapid.SampledFrom([]string{"LockBit", "Lock bit", "Emotet Loader", "x"})
	return fmt.Sprintf(`{"type":%q,"id":%q,"name":%q,"labels":[%q],"pattern_type":"stix","pattern":"[%s OR %s]","created_by_ref":"identity--00000001%s","object_refs":["malware--0000000%d%s"]}`,
		id[:strings.Index(id, "--")], id, word.Draw(t, "name"), word.Draw(t, "label"), rapid.SampledFrom(values).Draw(t, "one"), rapid.SampledFrom(values).Draw(t, "other"),
		uuid, rapid.IntRange(1, 2).Draw(t, "target"), uuid)
}

// drawBrought draws some objects that come together, at rounds that nothing was at.
func drawBrought(t *rapid.T, unused *[]uint64) (all []brought) {
	for range min(rapid.IntRange(1, 5).Draw(t, "at once"), len(*unused)) {
		at := rapid.IntRange(0, min(5, len(*unused)-1)).Draw(t, "round") // not in the order of the chain: leads change
		b := brought{round: (*unused)[at], member: rapid.SampledFrom([]string{"ALPHA", "BRAVO", "CHARLIE"}).Draw(t, "member")}
		*unused = slices.Delete(*unused, at, at+1)
		b.id = rapid.SampledFrom([]string{"indicator--00000001" + uuid, "indicator--00000002" + uuid, "malware--00000001" + uuid}).Draw(t, "id")
		b.collection = rapid.SampledFrom([]string{collectionA, collectionB}).Draw(t, "collection")
		b.day, b.object = rapid.IntRange(0, 2).Draw(t, "day"), drawObject(t, b.id)
		all = append(all, b)
	}
	return all
}

// someOf takes what a member published, the first or all of it.
func someOf(by map[uint64]string, member string, all bool) (rounds []uint64) {
	for _, round := range slices.Sorted(maps.Keys(by)) {
		if by[round] == member && (all || len(rounds) == 0) {
			rounds = append(rounds, round)
			delete(by, round)
		}
	}
	return rounds
}

// Whatever comes, goes, changes its lead or is folded anew, and wherever a build is interrupted: the indexes have what
// the entries say, and nothing else.
func TestTheIndexesHaveWhatTheEntriesSay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(rt, err)
		defer func() { must(t, memory.Close()) }()
		w := openWorld(t, memory)
		unused := []uint64{}
		for n := range uint64(200) {
			unused = append(unused, n+1)
		}
		by := map[uint64]string{} // who published what is there
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			if rapid.IntRange(0, 5).Draw(rt, "kill") == 0 {
				*w.commit = commits{left: rapid.IntRange(1, 4).Draw(rt, "at commit"), done: rapid.Bool().Draw(rt, "done")}
			}
			var err error
			switch step := rapid.IntRange(0, 9).Draw(rt, "step"); step {
			default:
				all := drawBrought(rt, &unused)
				for _, b := range all {
					by[b.round] = b.member
				}
				err = w.bring(all...)
			case 6, 7:
				if len(by) > 0 {
					member := by[rapid.SampledFrom(slices.Sorted(maps.Keys(by))).Draw(rt, "whose")]
					err = w.withdraw(member, someOf(by, member, step == 7)...)
				}
			case 8:
				if rapid.IntRange(0, 3).Draw(rt, "reset") == 0 {
					*w.commit = commits{}
					must(rt, w.view.Reset())
					clear(by)
				}
			case 9: // the indexes are of another format: they are made anew, while others write
				*w.commit = commits{}
				w = w.outdated(t, rt, memory)
			}
			if err == nil {
				err = w.view.Relead(t.Context())
			}
			if err != nil && !errors.Is(err, errKilled) {
				rt.Fatal(err)
			}
			if err != nil || rapid.Bool().Draw(rt, "restart") {
				w = openWorld(t, memory)
			}
		}
		*w.commit = commits{}
		must(rt, w.view.Relead(t.Context()))
		must(rt, w.index.Run(t.Context()))
		if p := w.index.Progress(); !p.Whole || p.Done != p.Of {
			rt.Fatalf("in the end %+v", p)
		}
		w.check(t, "in the end")
		w.checkAnswers(t)
	})
}

// outdated makes the indexes those of another format, and begins to make them anew.
func (w *world) outdated(t testing.TB, rt *rapid.T, memory *kv.Memory) *world {
	must(t, w.view.Maintain(func(txn *kv.Txn) error {
		for _, table := range []byte{store.TableValue, store.TableReference, store.TableWord} {
			var keys [][]byte
			must(t, store.Scan(txn, store.Key(table), nil, func(k []byte, _ *kv.Item) (bool, error) {
				keys = append(keys, slices.Clone(k))
				return true, nil
			}))
			for _, k := range keys {
				must(t, txn.Delete(k))
				other := slices.Clone(k)
				other[2] = byte(rapid.SampledFrom([]int{0, format + 1, 255}).Draw(rt, "format"))
				must(t, txn.Set(other, []byte("of another format")))
			}
		}
		return store.SetJSON(txn, metaKey(), state{Format: format + 1, Whole: true})
	}))
	w = openWorld(t, memory)
	w.index.step = rapid.IntRange(1, 3).Draw(rt, "at once")
	for range rapid.IntRange(0, 3).Draw(rt, "parts") {
		_, err := w.index.buildSome()
		must(t, err)
	}
	return w
}

// checkAnswers asks for everything, and wants what looking at every entry gives.
func (w *world) checkAnswers(t testing.TB) {
	t.Helper()
	all := w.entries(t)
	texts := []string{"203.0.113.7", "203.0.113.0/24", "203.0.0.0/16", "evil.example", "www.evil.example", "x.exe", "198.51.100.1"}
	must(t, w.index.Read(func(r *Reader) error {
		for _, v := range observable.Parse(strings.Join(texts, "\n")) {
			want := map[bool][]string{}
			for _, e := range all {
				found, _ := observable.FromObject(e.Object)
				for _, f := range found {
					if exact := f.Value == v; exact || v.Contains(f.Value) {
						want[exact] = append(want[exact], fmt.Sprintln(f.Value, f.Role, e.DateAdded))
					}
				}
			}
			got := map[bool][]string{}
			take := func(exact bool) func(Posting) (bool, error) {
				return func(p Posting) (bool, error) {
					got[exact] = append(got[exact], fmt.Sprintln(p.Value, p.Role, p.Date))
					return true, nil
				}
			}
			around := 0
			must(t, r.Around(v, func(p Posting) (bool, error) {
				if around++; !p.Value.Contains(v) || p.Value == v {
					t.Fatalf("%v is not around %v", p.Value, v)
				}
				return true, nil
			}))
			for _, e := range all {
				found, _ := observable.FromObject(e.Object)
				for _, f := range found {
					if f.Value != v && f.Value.Contains(v) {
						around--
					}
				}
			}
			if around != 0 {
				t.Fatalf("around %v are %+d too many", v, around)
			}
			must(t, r.Exact(v, 0, take(true)))
			must(t, r.Within(v, take(false)))
			for _, exact := range []bool{true, false} {
				slices.Sort(got[exact])
				slices.Sort(want[exact])
				if !slices.Equal(got[exact], want[exact]) {
					t.Fatalf("%v, exactly %v: %q, want %q", v, exact, got[exact], want[exact])
				}
			}
		}
		w.checkReferences(t, r, all)
		return nil
	}))
}

// checkReferences does so for references and words.
func (w *world) checkReferences(t testing.TB, r *Reader, all []*view.Entry) {
	t.Helper()
	for _, id := range []string{"malware--00000001" + uuid, "identity--00000001" + uuid} {
		got, want := 0, 0
		_, err := r.References(id, 1000, func(Pointer) (bool, error) { got++; return true, nil })
		must(t, err)
		for _, e := range all {
			want += strings.Count(string(e.Object), `_ref":"`+id) + strings.Count(string(e.Object), `_refs":["`+id)
		}
		if got != want {
			t.Fatalf("%d refer to %s, want %d", got, id, want)
		}
	}
	for _, word := range []string{"lockbit", "lock", "emotet", "none"} {
		var got []int64
		must(t, r.Word(word, 0, func(date int64) (bool, error) { got = append(got, date); return true, nil }))
		var want []int64
		for _, e := range all {
			if slices.Contains(extract(e.Object).words, word) {
				want = append(want, e.DateAdded)
			}
		}
		slices.SortFunc(want, func(a, b int64) int { return int(b - a) })
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", word, got, want)
		}
		for i, before := range want {
			var older []int64
			must(t, r.Word(word, before, func(date int64) (bool, error) { older = append(older, date); return true, nil }))
			if !slices.Equal(older, want[i+1:]) {
				t.Fatalf("%s before %d: %v, want %v", word, before, older, want[i+1:])
			}
		}
		for _, e := range all { // in no order
			if has, err := r.HasWord(word, e.DateAdded); err != nil || has != slices.Contains(want, e.DateAdded) {
				t.Fatalf("%d has %s: %v, %v", e.DateAdded, word, has, err)
			}
		}
	}
}

func TestOfManyReferencesSomeOfEachPropertyAreTold(t *testing.T) {
	w := newWorld(t)
	target := "malware--00000001" + uuid
	for n := range uint64(5) {
		id := fmt.Sprintf("report--0000000%d%s", n, uuid)
		w.add(t, n+1, "ALPHA", collectionA, id, 0, fmt.Sprintf(`{"type":"report","id":%q,"object_refs":[%q,%q],"created_by_ref":%q}`, id, target, target, target))
	}
	var got []string
	must(t, w.index.Read(func(r *Reader) error {
		more, err := r.References(target, 2, func(p Pointer) (bool, error) {
			got = append(got, p.Kind)
			return true, nil
		})
		if !slices.Equal(more, []string{"created_by_ref", "object_refs"}) {
			t.Errorf("there are more of %v", more)
		}
		return err
	}))
	if !slices.Equal(got, []string{"created_by_ref", "created_by_ref", "object_refs", "object_refs"}) {
		t.Errorf("told of %v", got)
	}
}

func TestAnObjectIsFoundUnderBoundedMuch(t *testing.T) {
	var refs, labels, values []string
	for n := range 2000 {
		refs = append(refs, fmt.Sprintf(`"malware--%08d%s"`, n, uuid))
		labels = append(labels, fmt.Sprintf(`"word%d %s"`, n, strings.Repeat("ä", 500)))
		values = append(values, fmt.Sprintf(`'http://evil.example/%d%s'`, n, strings.Repeat("a", 3100)))
	}
	object := fmt.Sprintf(`{"type":"indicator","pattern_type":"stix","pattern":"[url:value IN (%s)]","object_refs":[%s],"labels":[%s]}`,
		strings.Join(values[:300], ","), strings.Join(refs, ","), strings.Join(labels, ","))
	e := extract([]byte(object))
	if len(e.references) != maxReferences || len(e.words) != maxWords || len(e.values) != 300 {
		t.Errorf("%d references, %d words, %d values", len(e.references), len(e.words), len(e.values))
	}
	for _, word := range e.words {
		if len([]rune(word)) > longestWord {
			t.Errorf("a word has %d characters", len([]rune(word)))
		}
	}
	v, err := view.Open(t.TempDir(), make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	x, err := New(v)
	must(t, err)
	w := &world{view: v, index: x}
	w.add(t, 1, "ALPHA", collectionA, "indicator--00000001"+uuid, 0, object)
	evil, _ := observable.Normalise(observable.Atom{Kind: observable.Domain, Text: "evil.example"})
	must(t, x.Read(func(r *Reader) error {
		below := 0
		err := r.Within(evil, func(p Posting) (bool, error) {
			below++
			if p.Value.Kind != observable.URL || len(p.Value.Text) < 3100 {
				t.Errorf("below the domain is %.80q", p.Value)
			}
			return below < 3, nil
		})
		if below != 3 {
			t.Errorf("%d are below the domain", below)
		}
		return err
	}))
	w.check(t, "with a large object")
	must(t, w.withdraw("ALPHA", 1))
	if left := w.content(t); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
}

func TestWordsAreTakenApartAsTheyAreAskedFor(t *testing.T) {
	for text, want := range map[string]string{
		"LockBit 3.0": "lockbit", "APT-C-36 (Blind Eagle)": "apt 36 blind eagle", "ﬁshing": "fishing", "Ünïcode": "ünïcode", "a": "", "": "", "T1566.001": "t1566 001",
		"\xff\xfeok": "ok", "中文 名": "中文", strings.Repeat("x", 50): strings.Repeat("x", 40),
	} {
		if got := strings.Join(Words(text), " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// What follows from an object must not change without the format: what leaves the indexes would not be found in them.
func TestWhatFollowsFromAnObjectIsThatOfTheFormat(t *testing.T) {
	object := `{"type":"indicator","id":"indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f","name":"LockBit 3.0 C2","labels":["Ransom-Ware"],"indicator_types":["malicious-activity"],
		"pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.7' OR domain-name:value = 'Bücher.example' OR url:value = 'HTTP://evil.example:80/a b#c'] AND [file:hashes.MD5 = 'ABABABABABABABABABABABABABABABAB'] WITHIN 5 SECONDS",
		"created_by_ref":"identity--00000001-17d4-4cbf-938f-98ee46b3cd3f","object_marking_refs":["marking-definition--00000001-17d4-4cbf-938f-98ee46b3cd3f"],
		"external_references":[{"source_name":"cve","external_id":"CVE-2024-3094"},{"source_name":"mitre-attack","external_id":"T1566.001"}]}`
	sum := sha256.New()
	for _, p := range postings(&view.Entry{Object: []byte(object), Directory: cid(1)}) {
		fmt.Fprintf(sum, "%x=%x\n", p.prefix, []byte{p.tag})
	}
	if got, want := fmt.Sprintf("%d %.12x", format, sum.Sum(nil)), "3 02659cc467670b428df27250"; got != want {
		t.Errorf("the keys are %s, not %s: raise the format", got, want)
	}
}

func TestManyObjectsAboutManyValuesAreWithdrawnAtOnce(t *testing.T) {
	w := newWorld(t)
	var rounds []uint64
	for round := range uint64(40) {
		var values []string
		for n := range 100 {
			values = append(values, fmt.Sprintf("'http://evil%d.example/%d'", round, n))
		}
		id := fmt.Sprintf("indicator--%08d%s", round, uuid)
		w.add(t, round+1, "ALPHA", collectionA, id, 0, fmt.Sprintf(`{"type":"indicator","id":%q,"pattern_type":"stix","pattern":"[url:value IN (%s)]"}`, id, strings.Join(values, ",")))
		rounds = append(rounds, round+1)
	}
	must(t, w.withdraw("ALPHA", rounds...))
	if left := w.content(t); len(left) > 0 || w.view.CountObjects() > 0 {
		t.Errorf("%d keys and %d objects are left", len(left), w.view.CountObjects())
	}
}

func TestAReferenceIsWhatLooksLikeAnID(t *testing.T) {
	like := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,120}--[0-9A-Fa-f-]{36}$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[a-zG0-9-]{0,2}[a-z0-9-]{0,122}-{1,3}[0-9A-Fa-gä-]{35,36}`).Draw(t, "text")
		if isID(text) != like.MatchString(text) {
			t.Fatalf("%q: %v", text, isID(text))
		}
	})
}
