package auditlog

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/scratch"
)

// written makes a log of some records in several files, and gives its folder and its files, the oldest first.
func written(t testing.TB, dir string, records, keep int) (folder string, names []string) {
	t.Helper()
	a, err := Open(Path(dir), 1500, keep, steps())
	must(t, err)
	a.OnFailure(func(err error) { t.Error(err) })
	for i := range records {
		a.Append(auditLine{N: i, Time: monday, Note: strings.Repeat("n", i%40)})
	}
	must(t, a.Close())
	names, err = files(Path(dir))
	must(t, err)
	return Path(dir), names
}

// verified verifies a log, and gives what was found in words.
func verified(t testing.TB, dir string) (Verification, string) {
	t.Helper()
	v, err := Verify(t.Context(), dir)
	must(t, err)
	if v.Passed != (len(v.Findings) == 0) {
		t.Errorf("it passes with %v", v.Findings)
	}
	var words []string
	for _, f := range v.Findings {
		words = append(words, fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.What))
	}
	return v, strings.Join(words, "\n")
}

func TestAChainThatNobodyTouchedIsWhole(t *testing.T) {
	for _, keep := range []int{100, 2} {
		dir := t.TempDir()
		written(t, dir, 60, keep)
		must(t, Append(dir, auditLine{N: 60})) // another process, and the next one
		written(t, dir, 5, keep)
		v, found := verified(t, dir)
		if found != "" || v.Last != 66 || v.Records != v.Last-v.First+1 || len(v.Head) != 64 || (keep == 100) != (v.First == 1) {
			t.Errorf("keeping %d: %+v", keep, v)
		}
	}
	if v, found := verified(t, t.TempDir()); found != "" || v.Records != 0 {
		t.Errorf("of no log it says %+v", v)
	}
}

// lines are the lines of a file, without the last one's end.
func lines(t testing.TB, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

func putLines(t testing.TB, path string, list [][]byte) {
	t.Helper()
	must(t, os.WriteFile(path, append(bytes.Join(list, []byte("\n")), '\n'), 0o600))
}

// tampering is something that is done to a log of four files or more, and what is said of it.
type tampering struct {
	do   func(t *testing.T, folder string, names []string)
	want string
}

// withLines are changes of lines.
var withLines = map[string]tampering{
	"a byte was edited": {func(t *testing.T, folder string, names []string) {
		path := filepath.Join(folder, names[1])
		list := lines(t, path)
		list[1] = bytes.Replace(list[1], []byte(`"n":`), []byte(`"n":9`), 1)
		putLines(t, path, list)
	}, "is not what it was when the next one was written"},
	"a byte of the last line was edited": {func(t *testing.T, folder string, _ []string) {
		path := filepath.Join(folder, currentFile)
		list := lines(t, path)
		list[len(list)-1] = bytes.Replace(list[len(list)-1], []byte(`"n":`), []byte(`"n":9`), 1)
		putLines(t, path, list)
	}, "the last, is not what it was"},
	"a line was spoilt": {func(t *testing.T, folder string, names []string) {
		path := filepath.Join(folder, names[1])
		list := lines(t, path)
		list[1] = []byte("nothing")
		putLines(t, path, list)
	}, "are missing; 1 lines before it are no records"},
	"a line was removed": {func(t *testing.T, folder string, names []string) {
		path := filepath.Join(folder, names[1])
		list := lines(t, path)
		putLines(t, path, append(list[:1:1], list[2:]...))
	}, "are missing"},
	"a line was put in": {func(t *testing.T, folder string, names []string) {
		path := filepath.Join(folder, names[1])
		list := lines(t, path)
		putLines(t, path, append(append(list[:2:2], list[0]), list[2:]...))
	}, "it was put in, or its number was changed"},
	"a line that is no record was put in": {func(t *testing.T, folder string, names []string) {
		path := filepath.Join(folder, names[1])
		list := lines(t, path)
		putLines(t, path, append(append(list[:2:2], []byte("cut")), list[2:]...))
	}, "does not say that a crash had cut them off"},
}

// withFiles are changes of the end, and of whole files.
var withFiles = map[string]tampering{
	"the end was cut off": {func(t *testing.T, folder string, _ []string) {
		path := filepath.Join(folder, currentFile)
		list := lines(t, path)
		putLines(t, path, list[:len(list)-1])
	}, "are missing at the end"},
	"the end was cut off, and the log went on": {func(t *testing.T, folder string, _ []string) {
		path := filepath.Join(folder, currentFile)
		list := lines(t, path)
		putLines(t, path, list[:len(list)-1])
		must(t, Append(filepath.Dir(folder), auditLine{N: 1}))
	}, "are missing"},
	"the oldest file was removed": {func(t *testing.T, folder string, names []string) {
		must(t, os.Remove(filepath.Join(folder, names[0])))
	}, "missing at the beginning: a file was removed"},
	"a file between was removed": {func(t *testing.T, folder string, names []string) {
		must(t, os.Remove(filepath.Join(folder, names[1])))
	}, "are missing between"},
	"the newest file was removed": {func(t *testing.T, folder string, _ []string) {
		must(t, os.Remove(filepath.Join(folder, currentFile)))
	}, "are missing at the end"},
	"all files were removed": {func(t *testing.T, folder string, names []string) {
		for _, name := range names {
			must(t, os.Remove(filepath.Join(folder, name)))
		}
	}, "records 1 to 60 are missing at the end"},
	"the head was removed": {func(t *testing.T, folder string, _ []string) {
		must(t, os.Remove(filepath.Join(folder, headFile)))
	}, "head.json is missing"},
	"the head was spoilt": {func(t *testing.T, folder string, _ []string) {
		must(t, os.WriteFile(filepath.Join(folder, headFile), []byte("{"), 0o600))
	}, "head.json can't be read"},
}

func TestWhatWasDoneToALogIsFoundAndSaid(t *testing.T) {
	all := maps.Clone(withLines)
	maps.Copy(all, withFiles)
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder, names := written(t, dir, 60, 100)
			if len(names) < 4 {
				t.Fatalf("there are %v", names)
			}
			test.do(t, folder, names)
			if _, found := verified(t, dir); !strings.Contains(found, test.want) {
				t.Errorf("it is said: %q", found)
			}
		})
	}
}

func TestWhatACrashCutOffIsNoTampering(t *testing.T) {
	dir := t.TempDir()
	folder, _ := written(t, dir, 60, 100)
	current := filepath.Join(folder, currentFile)
	for n, cut := range []string{`{"n":60,"no`, `{"n":60,"x":{}`, "\x00\x00\x00\x00"} {
		data, err := os.ReadFile(current)
		must(t, err)
		must(t, os.WriteFile(current, append(data, cut...), 0o600))
		if v, found := verified(t, dir); found != "" || v.Cut != n+1 {
			t.Errorf("just after the crash: %+v", v)
		}
		must(t, Append(dir, auditLine{N: 60}))
		if v, found := verified(t, dir); found != "" || v.Cut != n+1 || v.Last != uint64(61+n) {
			t.Errorf("when the log went on: %+v", v)
		}
	}
	list := lines(t, current)
	for i := range list {
		if bytes.HasSuffix(list[i], []byte(`"no`)) {
			list[i] = append(list[i], '!')
		}
	}
	putLines(t, current, list)
	if _, found := verified(t, dir); !strings.Contains(found, "what a crash had cut off before record 61 is not what it was") {
		t.Errorf("it was changed afterwards, and %q is said", found)
	}
}

// A process that dies between two of its steps leaves no more than what wasn't written yet.
func TestALogWhoseHeadIsOlderIsWhole(t *testing.T) {
	dir := t.TempDir()
	folder, _ := written(t, dir, 20, 100)
	old, err := os.ReadFile(filepath.Join(folder, headFile))
	must(t, err)
	written(t, dir, 20, 100)
	must(t, os.WriteFile(filepath.Join(folder, headFile), old, 0o600))
	if v, found := verified(t, dir); found != "" || v.Last != 40 {
		t.Errorf("%+v", v)
	}
}

func TestWhateverIsChangedInALogIsFound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := scratch.Dir(t)
		defer os.RemoveAll(dir)
		folder, names := written(t, dir, rapid.IntRange(1, 40).Draw(r, "records"), rapid.IntRange(1, 20).Draw(r, "keep"))
		if v, found := verified(t, dir); found != "" {
			r.Fatalf("untouched: %+v", v)
		}
		path := filepath.Join(folder, rapid.SampledFrom(names).Draw(r, "file"))
		before, err := os.ReadFile(path)
		must(t, err)
		if len(before) == 0 {
			return
		}
		data, at := bytes.Clone(before), rapid.IntRange(0, len(before)-1).Draw(r, "at")
		switch rapid.IntRange(0, 3).Draw(r, "edit") {
		case 0:
			data[at] ^= byte(rapid.IntRange(1, 255).Draw(r, "bits"))
		case 1:
			data = append(data[:at:at], data[at+rapid.IntRange(1, len(data)-at).Draw(r, "length"):]...)
		case 2:
			more := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(r, "more")
			data = append(data[:at:at], append(more, data[at:]...)...)
		case 3: // whole lines change places
			list := bytes.SplitAfter(data, []byte("\n"))
			list = list[:len(list)-1]
			a, b := rapid.IntRange(0, len(list)-1).Draw(r, "line"), rapid.IntRange(0, len(list)-1).Draw(r, "other")
			list[a], list[b] = list[b], list[a]
			data = bytes.Join(list, nil)
		}
		if bytes.Equal(data, before) || bytes.Equal(data, bytes.TrimSuffix(before, []byte("\n"))) {
			return // the end of the last line is nobody's
		}
		must(t, os.WriteFile(path, data, 0o600))
		if v, found := verified(t, dir); found == "" && v.Cut == 0 { // what comes after the last record is said, and no tampering
			r.Fatalf("%+v passes", v)
		}
	})
}
