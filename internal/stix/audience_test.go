package stix

import (
	"strings"
	"testing"
)

func TestPermits(t *testing.T) {
	var (
		growing   = Audience{Growing: true, Readers: 5}
		named     = Audience{Readers: 5}
		ownerOnly = Audience{}
		adHoc     = Audience{Readers: 2, AdHoc: true}
	)
	for _, c := range []struct {
		level                            Level
		growing, named, ownerOnly, adHoc bool
	}{
		{Clear, true, true, true, true},
		{Green, true, true, true, true},
		{Amber, false, true, true, true},
		{AmberStrict, false, false, true, false},
		{Red, false, false, false, true},
		{0, false, false, false, false},
		{Red + 1, false, false, false, false},
	} {
		for _, a := range []struct {
			name     string
			audience Audience
			want     bool
		}{
			{"growing", growing, c.growing}, {"named", named, c.named},
			{"owner only", ownerOnly, c.ownerOnly}, {"ad hoc", adHoc, c.adHoc},
		} {
			err := Permits(c.level, a.audience)
			if (err == nil) != a.want {
				t.Errorf("%s for %s: %v", c.level, a.name, err)
			}
			if err != nil && c.level <= Red && c.level > 0 && !strings.Contains(err.Error(), c.level.String()) {
				t.Errorf("%v does not name %s", err, c.level)
			}
		}
	}
	for _, a := range []Audience{{Growing: true, AdHoc: true}, {Growing: true}} {
		for _, level := range []Level{Amber, AmberStrict, Red} {
			if Permits(level, a) == nil {
				t.Errorf("%s may go to an audience that grows", level)
			}
		}
	}
}
