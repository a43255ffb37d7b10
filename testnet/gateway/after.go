package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// strictly reads JSON, and nothing after it.
func strictly(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after it")
	}
	return nil
}

type tipKey struct{ *rule }

// withTip notes up to which round the answer to a request may go.
func withTip(ctx context.Context, one *rule, tip uint64) context.Context {
	return context.WithValue(ctx, tipKey{one}, tip)
}

// after does what a rule says to the server's answer.
func (g *Gateway) after(one *rule, response *http.Response, body []byte) []byte {
	if one.Replay {
		return one.replay(response.Request, body)
	}
	answer := object(body)
	if answer == nil {
		return one.hide(response, body)
	}
	changed := false
	if tip, found := response.Request.Context().Value(tipKey{one}).(uint64); found {
		changed = one.upTo(tip, answer, response) || changed
	}
	if one.Round != 0 || one.At > 0 {
		changed = one.shift(answer) || changed
	}
	if one.PerByte > 0 && answer["min-fee"] != nil {
		answer["fee"], changed = one.PerByte, true
	}
	if len(one.Hide) > 0 {
		changed = without(answer, func(t map[string]any) bool { return slices.Contains(one.Hide, text(t["id"])) }) || changed
	}
	if len(one.Forge) > 0 {
		forge(answer, one.Forge)
		changed = true
	}
	if one.Endless {
		changed = one.again(answer) || changed
	}
	if !changed {
		return body
	}
	return encode(answer)
}

// replay gives the first answer to a request again.
func (one *rule) replay(r *http.Request, body []byte) []byte {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.replayed == nil {
		one.replayed = map[string][]byte{}
	}
	what := r.URL.RequestURI()
	if first, found := one.replayed[what]; found {
		return first
	}
	one.replayed[what] = body
	return body
}

// rounds are the names under which answers tell the last round.
var rounds = []string{"current-round", "last-round", "round"}

// shift changes the last round that an answer tells.
func (one *rule) shift(answer map[string]any) (changed bool) {
	for _, name := range rounds {
		was, found := answer[name].(json.Number)
		if !found {
			continue
		}
		round := int64(number(was)) + one.Round
		if one.At > 0 {
			round = int64(one.At)
		}
		answer[name], changed = max(round, 0), true
	}
	return changed
}

// upTo takes out what is beyond a round.
func (one *rule) upTo(tip uint64, answer map[string]any, response *http.Response) bool {
	for _, name := range rounds {
		if number(answer[name]) > tip {
			answer[name] = tip
		}
	}
	if answer["message"] != nil && answer["db-available"] != nil {
		answer["message"] = strconv.FormatUint(tip, 10)
	}
	without(answer, func(t map[string]any) bool { return number(t["confirmed-round"]) > tip })
	if asset, found := answer["asset"].(map[string]any); found && number(asset["created-at-round"]) > tip {
		response.StatusCode = http.StatusNotFound
		clear(answer)
		answer["message"] = "no assets found for asset-id: " + text(asset["index"])
	}
	return true
}

// without deletes transactions from a page. A page of which nothing is left has no next one, as a server's.
func without(answer map[string]any, drop func(map[string]any) bool) bool {
	list, found := answer["transactions"].([]any)
	if !found {
		return false
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		t, _ := v.(map[string]any)
		return drop(t)
	})
	answer["transactions"] = rest
	return len(rest) < len(list)
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// forge lies about transactions, wherever they are described.
func forge(v any, lies []Forgery) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			forge(element, lies)
		}
	case map[string]any:
		for element := range maps.Values(v) {
			forge(element, lies)
		}
		id := text(v["id"]) // before any of the lies replaces it
		for _, lie := range lies {
			if id == lie.TxID {
				put(v, strings.Split(lie.Field, "."), lie.Value)
			}
		}
	}
}

func put(object map[string]any, path []string, value any) {
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

// again names a next page after each, the last one too.
func (one *rule) again(answer map[string]any) bool {
	if _, found := answer["transactions"].([]any); !found {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.pages++
	answer["next-token"] = endless + strconv.Itoa(one.pages)
	return true
}
