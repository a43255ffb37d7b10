package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
)

// Sightings say what others are told of what this organisation's sensors have seen.
type Sightings struct {
	Share     string         `toml:"share"`       // one of the Share constants
	Every     Duration       `toml:"every"`       // between two versions of one sighting
	MaxPerDay int64          `toml:"max_per_day"` // sightings that a day (UTC) may bring
	MaxALGO   microalgo.Text `toml:"max_algo"`    // … and fees and deposits; 0: no limit
	Via       string         `toml:"via"`         // the member that alone is told, to tell the others
}

// Who is told of what was seen.
const (
	ShareNo         = "no"         // nobody
	ShareProducer   = "producer"   // who published the indicator
	ShareCollection = "collection" // who reads it
)

func (s Sightings) check() error {
	wrong := []error{
		at("sightings.share", oneOf(s.Share, ShareNo, ShareProducer, ShareCollection)),
		at("sightings.every", between(s.Every.Duration, 24*time.Hour, 366*24*time.Hour)),
		at("sightings.max_per_day", between(s.MaxPerDay, 1, 1000)),
	}
	if s.Via != "" {
		wrong = append(wrong, at("sightings.via", wire.CheckOrganisation(s.Via)))
		if s.Share == ShareNo {
			wrong = append(wrong, fmt.Errorf("sightings.via: sightings.share is %q, so that %s is told nothing; say %q", ShareNo, s.Via, ShareProducer))
		}
	}
	return errors.Join(wrong...)
}
