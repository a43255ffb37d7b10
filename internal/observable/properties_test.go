package observable

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
)

// What takes an object apart gives what package json does.
func FuzzProperties(f *testing.F) {
	for _, seed := range []string{`{"type":"indicator","labels":["a",1,"b\u00e4",["c"]],"n":{"x":[]}}`, `{"a":"x","a":"y\n"} `, "null", `{"a":1}x`, "{\"a\":\"\xff\",\"b\":[\"\xff\\\"\"]}", `[1]`, `{`, `{"a":"x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		got, err := ReadProperties(object)
		var want Properties
		if wrong := json.Unmarshal(object, &want, lenient); (err == nil) != (wrong == nil) {
			t.Fatalf("%v, want %v", err, wrong)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
		for name, v := range want {
			var text string
			if v.Kind() == '"' {
				_ = json.Unmarshal(v, &text, lenient)
			}
			if !bytes.Equal(got[name], v) || got.Text(name) != text {
				t.Fatalf("%q is %q, %q; want %q, %q", name, got[name], got.Text(name), v, text)
			}
			var list []any
			if v.Kind() == '[' && json.Unmarshal(v, &list, lenient) == nil {
				texts := slices.DeleteFunc(list, func(one any) bool { text, is := one.(string); return !is || text == "" })
				if has := got.Texts(name); fmt.Sprint(has) != fmt.Sprint(texts) {
					t.Fatalf("%q has %q, want %q", name, has, texts)
				}
			}
		}
	})
}
