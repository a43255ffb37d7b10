package search

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// Texts looks values up as clients write them.
type Texts struct{ *Finder }

var _ taxii.Searcher = Texts{}

// Lookup says what is known of the values in texts. A text may have several, which are answered one after the other.
func (t Texts) Lookup(ctx context.Context, who taxii.Principal, texts []string) (found taxii.LookupResource, err error) {
	var values []observable.Value
	for n, text := range texts {
		some := observable.Parse(text)
		if len(some) == 0 { // not quoted: errors may come into logs
			return found, &taxii.InvalidError{Reason: fmt.Sprintf("value %d is no address, network, domain, URL, e-mail address, hash, CVE, technique or other value that is known here; "+
				"of what can't be told by its looks the kind is written before it, as in mutex:NAME", n+1)}
		}
		values = append(values, some...)
	}
	answers, err := t.Finder.Lookup(ctx, who, values)
	if err != nil {
		return found, err
	}
	progress := t.Progress()
	found.Whole, found.Answers = progress.Whole, []any{}
	if !progress.Whole {
		found.Indexed, found.Of = progress.Done, progress.Of
	}
	for _, a := range answers {
		found.Answers = append(found.Answers, a)
	}
	return found, nil
}
