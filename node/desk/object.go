package desk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// shelf answers the page of an object.
type shelf struct {
	*Desk
	find finder
}

var _ console.Library = shelf{}

// missed is an error as a browser is told it; what is not there is not found. An account with limits is not told why
// something can't be shown that it may not read: that would tell that it is there.
func missed(by console.By, err error) error {
	var input *problem.InputError
	if errors.Is(err, problem.ErrMissing) || by.Limits.Read != nil && errors.As(err, &input) {
		return taxii.ErrNotFound
	}
	return told(err)
}

// Object gives what is known of an object.
func (s shelf) Object(ctx context.Context, by console.By, id string) (console.Object, error) {
	published, err := s.api.Withdrawer.Publications(id) // a page waits for no other member
	if err != nil {
		return console.Object{}, missed(by, err)
	}
	if len(published) == 0 {
		return console.Object{}, taxii.ErrNotFound // it is unknown, or was withdrawn
	}
	entry, err := s.served(ctx, by, published[0].ID)
	if err != nil {
		return console.Object{}, err
	}
	object := console.Object{ID: entry.ID, JSON: entry.Object}
	for _, p := range published {
		if by.Limits.MayRead(p.Collection) || p.TxID == entry.TxID && p.Index == entry.Position.Index {
			object.Versions = append(object.Versions, version(p))
		}
	}
	slices.SortStableFunc(object.Versions, func(a, b console.Version) int {
		first := func(v console.Version) int {
			switch {
			case v.TxID == entry.TxID && v.Version == entry.Version:
				return 0
			case v.Apart:
				return 2
			}
			return 1
		}
		return cmp.Or(cmp.Compare(first(a), first(b)), b.Added.Compare(a.Added))
	})
	object.Creator = s.nameOf(ctx, by, textOf(entry.Object, "created_by_ref"))
	return object, nil
}

func version(p withdraw.Publication) console.Version {
	return console.Version{
		Version: p.Version, Level: p.Level, Collection: p.Title, CollectionID: p.Collection, Publisher: p.Publisher, TxID: p.TxID, CID: p.CID, Name: p.Name(),
		Asset: p.Asset, Round: p.Round, Stored: p.StoredAt, Added: p.Added, Readers: p.Readers.Now, Stated: p.Stated, Apart: p.Apart,
		Withdrawn: p.Withdrawn != nil, Note: p.Note,
	}
}

// served finds the version of an object that somebody is shown: the latest in the line that leads, or in one that
// it may read.
func (s shelf) served(ctx context.Context, by console.By, id string) (*view.Entry, error) {
	if by.Limits.Read == nil {
		entry, err := s.api.Repo.View.Latest(view.Everything, id)
		if err == nil && entry == nil {
			err = taxii.ErrNotFound
		}
		return entry, err
	}
	list, err := s.find.Describe(ctx, by.Principal, []string{id})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, taxii.ErrNotFound
	}
	event, found, err := s.api.Repo.View.Published(wire.Publication{TxID: list[0].TxID, Index: list[0].Index})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, taxii.ErrNotFound
	}
	entry, err := s.api.Repo.View.Entry(event)
	if err == nil && entry == nil {
		err = taxii.ErrNotFound
	}
	return entry, err
}

// maxVersions is among how many versions of one object a version is looked for.
const maxVersions = 1000

// nameOf is what people call an object; "" where it is not here.
func (s shelf) nameOf(ctx context.Context, by console.By, id string) string {
	if id == "" {
		return ""
	}
	entry, err := s.served(ctx, by, id)
	if err != nil {
		return ""
	}
	return called(entry.Object)
}

// called is what an object calls itself.
func called(object []byte) string {
	said, _ := observable.ReadProperties(object)
	for _, key := range []string{"name", "value", "abstract", "opinion", "relationship_type", "key", "subject"} {
		if text := said.Text(key); text != "" {
			return text
		}
	}
	return ""
}

func textOf(object []byte, key string) string {
	said, _ := observable.ReadProperties(object)
	return said.Text(key)
}

// Raw gives a version as it was published.
func (s shelf) Raw(ctx context.Context, by console.By, id, version string) ([]byte, error) {
	if version == "" {
		entry, err := s.served(ctx, by, id)
		if err != nil {
			return nil, err
		}
		return entry.Object, nil
	}
	entries, _, err := s.api.Repo.View.Page(view.Query{Collection: view.Everything, IDs: []string{id}, AnyLine: true, Versions: view.Versions{All: true}, Limit: maxVersions, WithObjects: true})
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Version == version && by.Limits.MayRead(entry.Collection) {
			return entry.Object, nil
		}
	}
	return nil, taxii.ErrNotFound
}

// appraiser tells how much indicators are worth, by the rules of lists.
type appraiser interface {
	Worth(object []byte, member string, seen time.Time) (export.Worth, bool)
}

var _ appraiser = (*clients.Catalogue)(nil) // which a node's exporter is

// Worth tells how much is left of an indicator's score.
func (s shelf) Worth(object []byte, member string, seen time.Time) (console.Worth, bool) {
	appraiser, is := s.press.clients.Exporter.(appraiser)
	if !is || !strings.HasPrefix(textOf(object, "id"), "indicator--") {
		return console.Worth{}, false
	}
	w, is := appraiser.Worth(object, member, seen)
	return console.Worth{Score: w.Score, Base: w.Base, Falls: w.Falls, Least: w.Least, Until: w.Until}, is
}

// Check holds the publication of an object against the chain.
func (s shelf) Check(ctx context.Context, by console.By, id string) (console.Proof, error) {
	name, err := s.publication(ctx, by, id)
	if err != nil {
		return console.Proof{}, err
	}
	found, err := s.api.Notary.Verify(ctx, name)
	if err != nil {
		return console.Proof{}, missed(by, err)
	}
	proof := console.Proof{Explorer: found.Explorer}
	for _, step := range found.Steps {
		proof.Steps = append(proof.Steps, console.ProofStep{What: step.Name, State: string(step.Outcome), Value: step.Value, Why: step.Detail})
	}
	return proof, nil
}

// Evidence makes a file that proves the publication.
func (s shelf) Evidence(ctx context.Context, by console.By, id string) ([]byte, error) {
	name, err := s.publication(ctx, by, id)
	if err != nil {
		return nil, err
	}
	data, err := s.api.Notary.Evidence(ctx, name, false)
	return data, missed(by, err)
}

// publication names what published the version that somebody is shown.
func (s shelf) publication(ctx context.Context, by console.By, id string) (string, error) {
	entry, err := s.served(ctx, by, id)
	if err != nil {
		return "", err
	}
	return entry.Place().Name().String(), nil
}
