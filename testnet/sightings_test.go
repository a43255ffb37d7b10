package testnet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

// seenObject is what "slnode sightings" tells.
type seenObject struct {
	Seen search.Seen       `json:"seen"`
	Here *taxii.HitCounter `json:"here"`
}

// sightings are those in a collection, at a node.
func (o *organisation) sightings(collection string) []string {
	list, err := o.tryObjects(collection)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(object string) bool { return !strings.Contains(object, `"type":"sighting"`) })
}

// Hits at bravo become one sighting, which the others read, though bravo's node is killed again and again meanwhile;
// what charlie's sensors see it tells the producer alone, and what alpha's see stays there.
func TestHitsBecomeOneSightingAtTheOthersThroughSIGKILL(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	for o, share := range map[*organisation]string{bravo: "collection", charlie: "producer"} {
		o.stop()
		o.edit(`share = "no"`, fmt.Sprintf("share = %q", share))
		o.start()
	}
	alpha.post(n.collection, addressIndicator(7), addressIndicator(8))
	for _, o := range n.members {
		o.shows(n.collection, addressIndicator(7), addressIndicator(8))
	}
	yesterday := time.Now().UTC().Add(-24 * time.Hour)
	hits := func(address string, count int) string {
		return fmt.Sprintf(`{"value":%q,"time":%q,"count":%d}`, address, yesterday.Format(time.RFC3339), count)
	}
	alpha.withInput(hits("198.51.100.7", 3), "hits", "-")
	bravo.withInput(hits("198.51.100[.]7", 1234)+"\n198.51.100.7\n", "hits", "-") // the latter today, which is not over
	for range 3 {
		bravo.kill()
		bravo.start()
	}
	var seen seenObject
	for _, o := range []*organisation{alpha, bravo, charlie} {
		eventually(t, func() (bool, string) {
			seen = cliJSON[seenObject](o, "sightings", indicatorOf(7))
			return len(seen.Seen.By) == 1, fmt.Sprintf("%s: %+v; bravo is %+v", o.Name, seen, bravo.status().Sightings)
		})
		if by := seen.Seen.By[0]; by.Member != "bravo" || by.Count != 1000 || by.Reports != 1 || seen.Seen.Count != 1000 || !seen.Seen.Last.Equal(yesterday.Truncate(24*time.Hour)) {
			t.Errorf("at %s it was seen %+v", o.Name, seen.Seen)
		}
	}
	if here := cliJSON[seenObject](bravo, "sightings", indicatorOf(7)).Here; here == nil || here.Count != 1235 || here.Told != 1000 || here.Pending {
		t.Errorf("at bravo itself it was seen %+v", here)
	}

	charlie.withInput(hits("198.51.100.8", 2), "hits", "-")
	eventually(t, func() (bool, string) {
		seen = cliJSON[seenObject](alpha, "sightings", indicatorOf(8))
		return seen.Seen.Count == 2 && seen.Seen.By[0].Member == "charlie", fmt.Sprintf("alpha: %+v; charlie is %+v", seen, charlie.status().Sightings)
	})
	// Everything that was published by now has come to bravo: what it does not see is not for it.
	alpha.post(n.collection, addressIndicator(9))
	bravo.shows(n.collection, addressIndicator(9))
	if seen := cliJSON[seenObject](bravo, "sightings", indicatorOf(8)); seen.Seen.Count != 0 {
		t.Errorf("bravo is told what charlie told alpha: %+v", seen)
	}
	if list := alpha.sightings(n.collection); len(list) != 1 {
		t.Errorf("in the collection are %v", list)
	}
	// bravo has made an NFT for its identity and one for the sighting, and no more.
	bravo.mintedOnce(2, 0)
	if line := bravo.status().Sightings; line == nil || line.Today != 1 || line.Problem != "" {
		t.Errorf("bravo says %+v", line)
	}
}
