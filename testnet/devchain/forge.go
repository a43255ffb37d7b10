package devchain

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// forge lies in JSON answers about the transactions that it is told to.
func forge(lies func() []Forgery, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := lies()
		if len(told) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		plain := r.Clone(r.Context())
		plain.Header.Del("Accept-Encoding")
		honest := &keptAnswer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(honest, plain)
		w.Header().Del("Content-Length")
		w.WriteHeader(honest.status)
		_, _ = w.Write(forgeBody(honest.body.Bytes(), told)) // the reader went away: nobody is left to tell
	})
}

// keptAnswer holds an answer back.
type keptAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (k *keptAnswer) WriteHeader(status int)      { k.status = status }
func (k *keptAnswer) Write(b []byte) (int, error) { return k.body.Write(b) }

// forgeBody alters JSON; what is no JSON stays as it is.
func forgeBody(body []byte, lies []Forgery) []byte {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // as a float a large number would change
	var v any
	if dec.Decode(&v) != nil {
		return body
	}
	forgeValue(v, lies)
	forged, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return forged
}

func forgeValue(v any, lies []Forgery) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			forgeValue(element, lies)
		}
	case map[string]any:
		for _, element := range v {
			forgeValue(element, lies)
		}
		id := v["id"] // before any of the lies replaces it
		for _, lie := range lies {
			if id == lie.TxID {
				setPath(v, strings.Split(lie.Field, "."), lie.Value)
			}
		}
	}
}

func setPath(object map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := object[path[0]].(map[string]any)
		if !ok {
			return
		}
		object = inner
	}
	if value == nil {
		delete(object, path[0])
		return
	}
	object[path[0]] = value
}
