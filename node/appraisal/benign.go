package appraisal

import (
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/warnlist"
)

// consortium tells what members call benign.
type consortium interface {
	// Benign gives the values that members call benign, by member.
	Benign(members []string) (map[string][]observable.Value, error)
	// BenignChanged is another number whenever that may have become another.
	BenignChanged() (int64, error)
}

const (
	askMembers      = time.Minute // how often it is read at most what members call benign
	askMembersAgain = time.Hour   // … and at least, as what they say may end
)

// said is what the members of quality.benign_from call benign, as lists.
type said struct {
	from    []string // names of members
	sources []warnlist.Source
	changed int64
	read    time.Time
}

// listen reads what members call benign, if that may have changed, and reports whether it has. The caller holds the
// mutex.
func (l *Lists) listen() (is bool, err error) {
	s, now := &l.said, l.now()
	if l.Consortium == nil || len(s.from) == 0 {
		is = len(s.sources) > 0
		s.sources, s.read = nil, time.Time{}
		return is, nil
	}
	if !s.read.IsZero() && now.Sub(s.read) < askMembers && !now.Before(s.read) {
		return false, nil
	}
	changed, err := l.Consortium.BenignChanged()
	if err != nil || changed == s.changed && now.Sub(s.read) < askMembersAgain && !s.read.IsZero() {
		return false, err
	}
	all, err := l.Consortium.Benign(s.from)
	if err != nil {
		return false, err
	}
	var sources []warnlist.Source
	for _, member := range s.from {
		var values []string
		for _, v := range all[member] {
			values = append(values, v.Text)
		}
		if slices.Sort(values); len(values) > 0 {
			sources = append(sources, warnlist.Source{
				List: warnlist.List{
					ID: "benign-" + member, Name: fmt.Sprintf("What %s calls benign (quality.benign_from)", member), Class: warnlist.Shared, Type: warnlist.String, Date: "as published",
				},
				Values: slices.Compact(values),
			})
		}
	}
	same := slices.EqualFunc(sources, s.sources, func(a, b warnlist.Source) bool { return a.ID == b.ID && slices.Equal(a.Values, b.Values) })
	s.sources, s.changed, s.read = sources, changed, now
	return !same, nil
}

// digest names what members call benign; "" if they call nothing so, as without them.
func (s *said) digest() string {
	if len(s.sources) == 0 {
		return ""
	}
	return fmt.Sprintf(" %+v", s.sources)
}
