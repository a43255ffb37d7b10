package config

import (
	"encoding"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
)

// Publish says how what is published goes onto the chain.
type Publish struct {
	Anchor       string   `toml:"anchor"`        // of what clients post: one of the words below
	BatchFrom    int64    `toml:"batch_from"`    // objects
	Feeds        string   `toml:"feeds"`         // … of what feeds bring
	ReleaseAfter Optional `toml:"release_after"` // 0: never
	// Reserve is what objects leave in the account: for other keys of collections, withdrawals, records of membership.
	Reserve microalgo.Text `toml:"reserve"`
}

// How objects go onto the chain.
const (
	AnchorSingle = "single" // with an NFT each
	AnchorBatch  = "batch"  // with one for many
	AnchorAuto   = "auto"   // batch, where they are many
)

// minRelease is the least time for which an NFT stays: its publication is seen by then, also by who was away for a
// while.
const minRelease = 24 * time.Hour

func checkRelease(after Optional) error {
	if after.Duration != 0 && after.Duration < minRelease {
		return fmt.Errorf("%s is less than %s; empty is for never", after.Duration, minRelease)
	}
	return nil
}

// Optional is a time.Duration that need not be there: it is written as "720h", or as nothing.
type Optional struct{ time.Duration }

var _ encoding.TextUnmarshaler = (*Optional)(nil)

// UnmarshalText reads what time.ParseDuration does, and nothing.
func (o *Optional) UnmarshalText(text []byte) (err error) {
	if o.Duration = 0; len(text) > 0 {
		o.Duration, err = time.ParseDuration(string(text))
	}
	return err
}

// MarshalText writes the same.
func (o Optional) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

func (o Optional) String() string {
	if o.Duration == 0 {
		return ""
	}
	return o.Duration.String()
}
