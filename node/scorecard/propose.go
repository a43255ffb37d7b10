package scorecard

import (
	"fmt"
	"math"

	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/taxii"
)

// What a proposal takes.
const (
	leastChecked  = 10 // objects that others confirmed or disputed: of fewer nothing can be judged
	manyConfirmed = 50 // … for the letter A, that were confirmed
)

// steps are the letters, and the share of what was checked that may have been wrong.
var steps = []struct {
	letter quality.Reliability
	wrong  float64
}{{"A", 0.02}, {"B", 0.05}, {"C", 0.15}, {"D", 0.4}, {"E", 1}}

// propose proposes a letter, by what others have checked of a member's objects: confirmed by publishing the same later,
// or disputed. What nobody has checked counts neither way, so that no flood of it changes a letter.
func propose(c *taxii.MemberCard) {
	confirmed := c.Corroborated
	if c.LookedAt > 0 { // these stand for all
		confirmed = int(math.Round(float64(c.Corroborated) * float64(c.Indicators) / float64(c.LookedAt)))
	}
	checked := confirmed + c.Disputed
	if checked < leastChecked {
		c.Proposal = "F"
		c.Reason = fmt.Sprintf("others confirmed or disputed %d of its objects in the period; a letter takes %d", checked, leastChecked)
		return
	}
	wrong := float64(c.Disputed) / float64(checked)
	for _, step := range steps {
		if wrong <= step.wrong && (step.letter != "A" || confirmed >= manyConfirmed) {
			c.Proposal = string(step.letter)
			break
		}
	}
	c.Reason = fmt.Sprintf("independent members published %d of its indicators later, and %d of its objects are called wrong: %.1f %% of what was checked", confirmed, c.Disputed, 100*wrong)
}
