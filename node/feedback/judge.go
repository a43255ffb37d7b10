package feedback

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/observable"
)

// judged is what lists leave out, and what that was made of.
type judged struct {
	digest string
	left   export.Left

	settings      settings
	changed, turn int
	at            time.Time // of what others say
}

// disputesFor is how long it counts which members there are.
const disputesFor = time.Minute

// Judged says what lists leave out: values that this organisation holds to be harmless, whoever publishes them,
// indicators that it holds to be wrong, in the version that it looked at, and those that so many members dispute, if
// the operator wants that. The digest is another one when that is.
func (r *Room) Judged() (digest string, left export.Left, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settings.disputedBy > 0 {
		if err := r.follow(); err != nil {
			return "", left, err
		}
	}
	now := &r.left
	fresh := r.settings.disputedBy == 0 || now.turn == r.voices.turn && time.Since(now.at) < disputesFor
	if now.digest != "" && now.settings == r.settings && now.changed == r.changed && fresh {
		return now.digest, now.left, nil
	}
	values, versions := map[observable.Value]bool{}, map[string]time.Time{}
	for _, d := range r.decisions {
		if !d.counts(r.settings) {
			continue
		}
		for _, v := range d.Values {
			values[v] = true
		}
		if d.Instant.After(versions[d.Object]) {
			versions[d.Object] = d.Instant
		}
	}
	disputed := map[string]bool{}
	if by := r.settings.disputedBy; by > 0 {
		for _, object := range r.disputed(by) {
			disputed[object] = true
		}
	}
	*now = judged{digest: digestOf(values, versions, disputed), settings: r.settings, changed: r.changed, turn: r.voices.turn, at: time.Now()}
	if len(values) > 0 {
		now.left.Value = func(v observable.Value) bool { return values[v] }
	}
	if len(versions)+len(disputed) > 0 {
		now.left.Indicator = func(id string, modified time.Time) bool {
			judged, is := versions[id]
			return disputed[id] || is && !modified.After(judged)
		}
	}
	return now.digest, now.left, nil
}

func digestOf(values map[observable.Value]bool, versions map[string]time.Time, disputed map[string]bool) string {
	sum := sha256.New()
	for _, v := range slices.SortedFunc(maps.Keys(values), func(a, b observable.Value) int { return slices.Compare(a.Key(), b.Key()) }) {
		fmt.Fprintf(sum, "%q\n", v.Key())
	}
	for _, id := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(sum, "%q %d\n", id, versions[id].UnixNano())
	}
	for _, id := range slices.Sorted(maps.Keys(disputed)) {
		fmt.Fprintf(sum, "%q\n", id)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
