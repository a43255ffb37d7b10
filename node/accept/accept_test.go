package accept

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// post gives objects to the publisher and returns the failures by object, and how many items there are afterwards.
func post(w *worldtest.World, objects ...string) map[string]string {
	w.T.Helper()
	failures := map[string]string{}
	for _, f := range add(w, false, objects...).Failures {
		failures[f.ID] = f.Message
	}
	return failures
}

// publisherIn is one that waits for nothing.
func publisherIn(w *worldtest.World) *Publisher {
	return &Publisher{Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Delay: noDelay()}
}

// add gives objects to the publisher and returns their status.
func add(w *worldtest.World, replace bool, objects ...string) taxii.Status {
	w.T.Helper()
	p := publisherIn(w)
	listed := make(taxii.Listed, len(objects))
	addition := taxii.Addition{Objects: listed, Replace: replace}
	for i, o := range objects {
		listed[i].Raw = []byte(o)
	}
	collection := taxii.Collection{ID: w.Collection}
	into, err := p.target(collection)
	nodetest.Must(w.T, err)
	id, err := p.Accept(taxii.Principal{User: "u", Role: taxii.RolePublisher}, collection, into, addition)
	nodetest.Must(w.T, err)
	status, err := p.status(id)
	nodetest.Must(w.T, err)
	return status.Status
}

func noDelay() Delay {
	return Delay{problem.NewMonitor("", nodetest.Discard), problem.NewMonitor("", nodetest.Discard)}
}

// OpenCTI posts one object at a time: first a marking, then what carries it.
func TestAMarkingThatIsOnItsWayIsKnownToTheNextRequest(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	if failures := post(w, worldtest.MarkedIndicator(1)); len(failures) != 1 {
		t.Fatalf("with an unknown marking: %v, want a failure", failures)
	}
	if failures := post(w, worldtest.Definition("statement", "(c) ACME")); len(failures) > 0 {
		t.Fatal(failures)
	}
	for _, when := range []string{"accepted", "stored"} {
		if failures := post(w, worldtest.MarkedIndicator(len(when))); len(failures) > 0 {
			t.Errorf("with a marking that is %s: %v", when, failures)
		}
		w.Seal()
	}
}

func TestADefinitionInTheRequestDoesNotWeakenAnEarlierOne(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	if failures := post(w, worldtest.Definition("tlp", "red")); len(failures) > 0 {
		t.Fatal(failures)
	}
	w.Seal()
	failures := post(w, worldtest.Definition("statement", "(c) ACME"), worldtest.MarkedIndicator(1))
	if len(failures) != 2 {
		t.Errorf("failures %v, want two: the altered definition, and the red object", failures)
	}
	failures = post(w, worldtest.Definition("statement", "harmless"), worldtest.Definition("tlp", "red"), worldtest.MarkedIndicator(2), worldtest.Definition("statement", "(c)"))
	if _, refused := failures["indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f"]; !refused {
		t.Errorf("failures %v, want one of the red object", failures)
	}
}

// What a marking means is for the publisher of the object to say: in the request, in what is on its way, in what it
// published. Each of the three is tried against each thing that another member can say.
func TestWhatAMarkingMeansIsTheWordOfWhoPublishesTheObject(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	n := 0
	for own, others := range map[string]map[string]bool{ // … and whether the object may go to everybody then
		"":          {"": false, "statement": false, "tlp green": false, "tlp clear": false, "tlp red": false},
		"statement": {"": true, "statement": true, "tlp green": true, "tlp amber": true, "tlp red": true},
		"tlp green": {"": true, "statement": true, "tlp clear": true, "tlp amber": false, "tlp red": false},
		"tlp red":   {"": false, "statement": false, "tlp clear": false, "tlp red": false},
	} {
		for other, want := range others {
			for from, say := range map[string]func(object, definition string) []string{
				"in the request":        func(o, d string) []string { return []string{d, o} },
				"in what is on its way": func(o, d string) []string { post(w, d); return []string{o} },
				"in what it published":  func(o, d string) []string { w.EnterBy(w.Self.Address(), d); return []string{o} },
				"behind the object":     func(o, d string) []string { return []string{o, d} },
			} {
				n++
				its := func(text string) string { return strings.Replace(text, "0000aaaa", fmt.Sprintf("%08x", n), 1) }
				objects := []string{its(worldtest.MarkedIndicator(n))}
				if own != "" {
					objects = say(objects[0], its(worldtest.DefinitionOf(own)))
				}
				if other != "" {
					w.EnterBy("MALLORY", strings.Replace(its(worldtest.DefinitionOf(other)), "2026-01-02", "2026-02-02", 1))
				}
				_, refused := post(w, objects...)[fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n)]
				if refused == want {
					t.Errorf("the publisher says %q %s, another member %q: published %v, want %v", own, from, other, !refused, want)
				}
			}
		}
	}
}

// Another member's definitions are read in a bounded number, and none of them in the place of our own.
func TestAFloodOfDefinitionsNeitherStopsPublishingNorWeakensAMarking(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	for i := range 1100 {
		w.EnterBy("MALLORY", strings.Replace(worldtest.Definition("tlp", []string{"clear", "red"}[i%2]), "2026-01-02T03:04:05", time.Unix(int64(i), 0).UTC().Format("2006-01-02T15:04:05"), 1))
	}
	if failures := post(w, worldtest.MarkedIndicator(1)); len(failures) != 1 {
		t.Errorf("an unknown marking becomes harmless: %v", failures)
	}
	failures := post(w, worldtest.Definition("statement", "(c)"), worldtest.MarkedIndicator(2))
	if _, refused := failures["indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f"]; refused {
		t.Errorf("publishing is stopped: %v", failures)
	}
}

// The same instant, written in two ways.
func TestAVersionInTwoSpellingsIsPublishedOnce(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	for _, spelling := range []string{"05.678Z", "05.678000Z"} {
		post(w, strings.Replace(nodetest.IndicatorJSON(1), `"modified":"2026-01-02T03:04:05.678Z"`, `"modified":"2026-01-02T03:04:`+spelling+`"`, 1))
	}
	if n := w.R.Outbox.Count()[outbox.Accepted]; n != 1 {
		t.Errorf("%d items are to be published, want 1", n)
	}
}

// A client is told at once, and why, when it would wait without success; and as soon as it can be, when not.
func TestAClientDoesNotWaitForWhatDoesNotCome(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := &Publisher{Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Wait: time.Hour, Delay: noDelay()}
	p.Delay.Publishing.Set("funds", "account ABC has nothing left")
	status, err := p.Publish(t.Context(), taxii.Principal{User: "u", Role: taxii.RolePublisher}, taxii.Collection{ID: w.Collection},
		taxii.Addition{Objects: taxii.Listed{{Raw: []byte(nodetest.IndicatorJSON(1))}}})
	nodetest.Must(t, err)
	if len(status.Pendings) != 1 {
		t.Fatalf("status is %+v, not one that is pending", status)
	}
	if got := status.Pendings[0].Message; !strings.Contains(got, "can't pay") || strings.Contains(got, "ABC") {
		t.Errorf("a client is told %q", got)
	}
	p.Delay.Publishing.Clear()
	if status, err := p.status(status.ID); err != nil || status.Pendings[0].Message != "" {
		t.Errorf("nothing is wrong any more, and the client is told %q, %v", status.Pendings[0].Message, err)
	}
}
