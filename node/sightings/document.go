package sightings

import (
	"encoding/json"
	"time"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo/hits"
)

// document is a STIX sighting (STIX 2.1, section 5.2). It has no where_sighted_refs: the signature on the chain says
// who, and more is nobody's business; and all its times are the beginnings of days.
type document struct {
	Type        string   `json:"type"`
	SpecVersion string   `json:"spec_version"`
	ID          string   `json:"id"`
	CreatedBy   string   `json:"created_by_ref"`
	Created     string   `json:"created"`
	Modified    string   `json:"modified"`
	First       string   `json:"first_seen"`
	Last        string   `json:"last_seen"`
	Count       uint64   `json:"count"`
	Of          string   `json:"sighting_of_ref"`
	Summary     bool     `json:"summary"`
	Markings    []string `json:"object_marking_refs"`
}

// write writes what others are told of an indicator.
func write(author, indicator string, t hits.Told, first hits.Day, level stix.Level) ([]byte, error) {
	return json.Marshal(document{
		Type: "sighting", SpecVersion: stix.SpecVersion, ID: t.ID, CreatedBy: author, Created: stix.FormatTimestamp(cut(t.Created)), Modified: stix.FormatTimestamp(cut(t.Modified)),
		First: stix.FormatTimestamp(first.Begin()), Last: stix.FormatTimestamp(t.Through.Begin()), Count: t.Count, Of: indicator, Summary: true,
		Markings: []string{level.Marking()},
	})
}

// cut cuts a time to the day.
func cut(at time.Time) time.Time { return hits.DayOf(at).Begin() }

// rounded rounds a count down to 1, 2, 5, 10, 20, 50 and so on, up to what a sighting may say.
func rounded(n uint64) uint64 {
	const most = 500_000_000
	if n >= most {
		return most
	}
	step := uint64(1)
	for step*10 <= n {
		step *= 10
	}
	switch {
	case n >= 5*step:
		return 5 * step
	case n >= 2*step:
		return 2 * step
	}
	return step
}
