package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// feedSink publishes what a feed pulls, for one run.
type feedSink struct {
	*feeds
	config repo.Feed
	status string // of the last request that it made
}

var _ feed.Sink = (*feedSink)(nil)

// into finds the collection that the feed publishes in.
func (s *feedSink) into() (found consortium.Collection, err error) {
	fold := s.feeds.fold
	if s.config.Into != "" {
		found, err = fold.called(s.config.Into)
	} else {
		list := fold.collections()
		i := slices.IndexFunc(list, func(c consortium.Collection) bool { return c.Default })
		if i < 0 {
			return found, errors.New("into: the consortium's collection is not known yet")
		}
		found = list[i]
	}
	switch {
	case err != nil:
		return found, fmt.Errorf("into: %w", err)
	case !found.MayPublish(fold.self) || !fold.active():
		return found, fmt.Errorf("into: this organisation may not publish in %q", found.Properties.Title)
	}
	return found, nil
}

// feedPatience is how long a run waits for the blocks of what the chain tells of. Without them it can't see what an
// object is, so that it might publish it again; the view would show it once all the same.
const feedPatience = 20 * time.Second

// caughtUp waits until the view is what the chain says: a source may be another member's node, which shows what we
// are about to see. Nothing is published by guess.
func (s *feedSink) caughtUp(ctx context.Context) error {
	if err := s.problem(); err != nil {
		return fmt.Errorf("publishing waits, and nothing is taken until it goes on: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	if err := awaitTip(limited, s.watcher); err != nil {
		return err
	}
	awaitFetched(limited, s.publisher.view)
	return ctx.Err()
}

// Check tells which objects are new to the readers of the collection and may be published in it.
func (s *feedSink) Check(ctx context.Context, objects []*stix.Object) ([]feed.Verdict, error) {
	if err := s.caughtUp(ctx); err != nil {
		return nil, err
	}
	into, err := s.into()
	if err != nil {
		return nil, err
	}
	b, err := s.publisher.batch(into, incoming(objects))
	if err != nil {
		return nil, err
	}
	unmarked, err := unmarkedPolicy(s.config.Unmarked)
	if err != nil {
		return nil, err
	}
	covering := s.covering(into)
	cost := ledger.Cost(1, minFee(ctx, s.ledger))
	verdicts := make([]feed.Verdict, len(objects))
	for i, object := range objects {
		v, line := &verdicts[i], b.lines[i]
		if v.Known = line.Before != nil; !v.Known {
			if *v, err = s.known(into, covering, object); err != nil {
				return nil, err
			}
		}
		if v.Known || v.Refused != "" {
			continue
		}
		v.Cost, v.Refused, v.Note = cost, line.Failure, line.Note
		if v.Refused == "" {
			v.Refused = unmarked.refuses(object, s.fold.audience(into), b.markings.levels())
		}
	}
	return verdicts, b.markings.err
}

func incoming(objects []*stix.Object) taxii.Addition {
	a := taxii.Addition{Objects: make([]taxii.Incoming, len(objects))}
	for i, object := range objects {
		a.Objects[i].Raw = object.Raw
	}
	return a
}

// covering are the collections that everybody reads who reads the given one, that one among them.
func (s *feedSink) covering(into consortium.Collection) map[string]consortium.Collection {
	list := map[string]consortium.Collection{into.ID: into}
	for _, c := range s.fold.collections() {
		covers := c.Properties.Readers.Members || !into.Properties.Readers.Members
		for _, m := range s.fold.members() {
			covers = covers && (m.Removed != nil || !into.MayRead(m.Account) || c.MayRead(m.Account))
		}
		if covers {
			list[c.ID] = c
		}
	}
	return list
}

// maxVersions bounds how many publications of one object are looked at.
const maxVersions = 256

// backReason is why a feed does not publish an object.
const backReason = "this organisation took it back, and a feed does not publish it again: somebody has to, by hand"

// known finds out whether the readers have an object: the same version of it, with this content, is in the view or on its
// way, in a collection that they read. So is a version in which nothing but its dates is another: MISP makes one of an
// organisation with every export. What this organisation took back is refused.
func (s *feedSink) known(into consortium.Collection, covering map[string]consortium.Collection, object *stix.Object) (v feed.Verdict, err error) {
	hash, err := object.ContentHash()
	if err != nil {
		return v, nil // which is then refused
	}
	for id, c := range covering {
		if !c.MayPublish(s.fold.self) {
			continue // then it isn't on its way there
		}
		item, found, err := s.publisher.outbox.Find(objectKey(entryOf(id, object, hash, time.Time{})))
		switch {
		case err != nil:
			return v, err
		case !found || !bytes.Equal(item.Hash, hash[:]) && item.State != repo.Withdrawn:
		case item.State != repo.Withdrawn:
			v.Known = true
		case id == into.ID:
			v.Refused = backReason
		}
	}
	if v.Known {
		return feed.Verdict{Known: true}, nil
	}
	query := repo.Query{Collection: repo.Everything, IDs: []string{object.ID}, Versions: repo.Versions{All: true}, Limit: maxVersions}
	if object.Version() != "" {
		query.Versions = repo.Versions{At: []time.Time{object.VersionTime()}}
	}
	entries, _, err := s.publisher.view.Page(query)
	if err != nil {
		return v, err
	}
	for _, e := range entries {
		if _, covers := covering[e.Collection]; covers && bytes.Equal(e.Hash, hash[:]) {
			return feed.Verdict{Known: true}, nil
		}
	}
	if v.Refused != "" {
		return v, nil
	}
	latest, err := s.publisher.view.Latest(into.ID, object.ID)
	if err != nil {
		return v, err
	}
	if latest != nil && object.Version() != "" && sameButDates(latest.Object, object.Raw) {
		return feed.Verdict{Known: true}, nil
	}
	back, err := s.tookBack(into, object.ID)
	if err == nil && back {
		v.Refused = backReason
	}
	return v, err
}

// tookBack reports whether this organisation took a version of an object back, and has none in force.
func (s *feedSink) tookBack(into consortium.Collection, id string) (bool, error) {
	back, err := takenBack(s.publisher.outbox, into.ID, id)
	if err != nil || !back {
		return false, err
	}
	own, err := (&batch{publisher: s.publisher, into: into}).latestOwn(id)
	return err == nil && own == nil, err
}

// sameButDates compares two versions of an object without their created and modified.
func sameButDates(a, b []byte) bool {
	first, err := undated(a)
	if err != nil {
		return false
	}
	second, err := undated(b)
	return err == nil && bytes.Equal(first, second)
}

func undated(raw []byte) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	delete(members, "created")
	delete(members, "modified")
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(text)
	err = value.Canonicalize()
	return value, err
}

// Publish takes objects into the outbox.
func (s *feedSink) Publish(_ context.Context, objects []*stix.Object) ([]feed.Verdict, error) {
	into, err := s.into()
	if err != nil {
		return nil, err
	}
	own := s.repo.Config.Organisation.Name
	who := taxii.Principal{User: "feed " + s.config.Name, Org: own, Role: taxii.RolePublisher}
	id, err := s.publisher.accept(who, taxii.Collection{Root: own, ID: into.ID}, into, incoming(objects))
	if err != nil {
		return nil, err
	}
	s.status = id
	s.publisher.wake()
	status, _, found, err := s.publisher.outbox.Status(id)
	if err == nil && !found {
		err = errors.New("the status of what was published is gone")
	}
	if err != nil {
		return nil, err
	}
	cost := ledger.Cost(1, usualFee)
	verdicts := make([]feed.Verdict, len(objects))
	failures := 0
	for i, line := range status.Lines {
		verdicts[i] = feed.Verdict{Known: line.Before != nil, Refused: line.Failure, Note: line.Note, Cost: cost}
		if line.Failure != "" {
			failures++
		}
	}
	s.trail.Record(taxii.Event{
		Time: now(), Name: taxii.EventPublish, User: who.User, Role: who.Role.String(), Credential: "the configuration",
		Root: own, Collection: into.ID, Count: len(objects), Failures: failures, Status: id,
	})
	return verdicts, nil
}

// confirmed waits a moment for the confirmation of what was published last.
func (s *feedSink) confirmed(ctx context.Context) error {
	if s.status == "" {
		return nil
	}
	_, err := s.publisher.Await(ctx, s.status)
	return err
}

// Marking finds a definition that was published.
func (s *feedSink) Marking(id string) (*stix.Object, error) {
	m := s.fold.markings(s.publisher.outbox, s.publisher.view, s.fold.self)
	definition := m.resolve(id)
	return definition, m.err
}

// free is what the account can spend, as far as that can be found out.
func (s *feedSink) free(ctx context.Context) uint64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	funds, err := s.ledger.Funds(ctx)
	if err != nil {
		return 0
	}
	return funds.Free() - min(funds.Free(), uint64(s.fold.toRekey())*ledger.Cost(1, usualFee))
}

// The words for what becomes of objects without a marking; a TLP level is another.
const (
	unmarkedCollection = "collection"
	unmarkedRefuse     = "refuse"
)

// unmarked is what becomes of objects without a TLP marking.
type unmarked struct {
	refused bool
	level   stix.Level // that they must be allowed at; 0 for the collection's own
}

func unmarkedPolicy(text string) (unmarked, error) {
	switch text {
	case unmarkedCollection:
		return unmarked{}, nil
	case unmarkedRefuse:
		return unmarked{refused: true}, nil
	}
	level, err := stix.ParseLevel(text)
	if err != nil {
		return unmarked{}, fmt.Errorf("%.40q is neither %s nor %s nor a TLP level", text, unmarkedCollection, unmarkedRefuse)
	}
	return unmarked{level: level}, nil
}

// refuses says why an object is refused; "" if it isn't. Definitions of markings are no intelligence: they may be
// unmarked.
func (u unmarked) refuses(object *stix.Object, into stix.Audience, levels stix.Levels) string {
	if _, marked, _ := levels.Of(object); marked || object.Type == "marking-definition" {
		return ""
	}
	if u.refused {
		return "it has no TLP marking, and this feed refuses such objects"
	}
	if u.level == 0 {
		return ""
	}
	if err := stix.Permits(u.level, into); err != nil {
		return fmt.Sprintf("it has no TLP marking, and this feed takes such objects for %s: %v", u.level, err)
	}
	return ""
}

// wallet is this organisation's account.
type wallet interface {
	feeSource
	Funds(ctx context.Context) (ledger.Funds, error)
}
