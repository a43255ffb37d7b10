package main

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/spelling"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/problem"
)

// unknownType says that there is no such type, and which one may be meant.
func unknownType(name string) error {
	if meant := nearest(name, stix.Types()); meant != "" {
		return problem.Missing(fmt.Errorf("STIX has no type %q, and no object here has it; is %s meant?", name, meant))
	}
	return problem.Missing(fmt.Errorf("STIX has no type %q, and no object here has it", name))
}

// checkTypes refuses types that are probably mistyped. Others that are none of the standard are custom ones.
func checkTypes(names []string) error {
	for _, name := range names {
		if meant := nearest(name, stix.Types()); meant != "" && !slices.Contains(stix.Types(), name) {
			return problem.Missing(fmt.Errorf("STIX has no type %q; is %s meant?", name, meant))
		}
	}
	return nil
}

// nearest gives the one of some words that is least other than another, if it is at most two letters.
func nearest(word string, words []string) (found string) {
	const most = 2
	for least, i := most+1, 0; i < len(words); i++ {
		if d := spelling.Distance(word, words[i]); d < least && d < len(words[i])/2 {
			least, found = d, words[i]
		}
	}
	return found
}
