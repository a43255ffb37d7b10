package accept

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/taxii"
)

// warner knows warning lists.
type warner interface {
	// Warnings tells which values of an object are on lists, the gravest first, and whether the object is mistaken.
	Warnings(object []byte) (list []warnlist.Warning, mistaken bool, err error)
}

const anywayRemedy = ": to call it malicious is a mistake. What is right all the same is published with slnode publish --publish-anyway, " +
	"or x_slnode_publish_anyway in the envelope"

// warn looks up what a new object calls malicious. It gives a remark about it, or refuses it.
func (b *Batch) warn(at int, object []byte) (note string, err error) {
	if b.Warner == nil {
		return "", nil
	}
	warnings, mistaken, err := b.Warner.Warnings(object)
	if err != nil || len(warnings) == 0 {
		return "", err
	}
	if b.warnings != nil {
		b.warnings[at] = warnings
	}
	gravest := warnings[0].Hits
	if !warnlist.Gravest(gravest).IsAgainst() {
		return "", nil
	}
	note = fmt.Sprintf("a value of it is on the warning list %s", gravest[0]) // which one is told by a dry run
	if mistaken && !b.anyway {
		b.Lines[at].Failure, note = note+anywayRemedy, ""
	}
	return note, nil
}

// IsWarned reports whether a value of an object is on a list that speaks against it.
func (b *Batch) IsWarned(at int) bool {
	warnings := b.warnings[at]
	return len(warnings) > 0 && warnlist.Gravest(warnings[0].Hits).IsAgainst()
}

func forClients(warnings []warnlist.Warning) []taxii.Warning {
	list := make([]taxii.Warning, len(warnings))
	for i, w := range warnings {
		list[i] = taxii.Warning{Kind: w.Kind.String(), Value: w.Text}
		for _, hit := range w.Hits {
			list[i].Lists = append(list[i].Lists, taxii.WarningList{Name: hit.List, Class: hit.Class.String(), Date: hit.Date})
		}
	}
	return list
}
