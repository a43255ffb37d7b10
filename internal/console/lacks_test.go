package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// broken is a node of which the parts of pages fail, and the pages do not.
type broken struct {
	library
	room
	err error
}

func (b broken) Around(context.Context, By, string, int) (Surroundings, error) {
	return Surroundings{}, b.err
}
func (b broken) Check(context.Context, By, string) (Proof, error) { return Proof{}, b.err }
func (b broken) Lookup(context.Context, By, []observable.Value) ([]Answer, error) {
	return nil, b.err
}
func (b broken) Newest(context.Context, By, int) ([]Row, error) { return nil, b.err }
func (b broken) Since(context.Context, By, time.Time, int) (Came, error) {
	return Came{}, b.err
}
func (b broken) Needs(context.Context) ([]Need, error)          { return nil, b.err }
func (b broken) Saw(context.Context, By, string) error          { return b.err }
func (b broken) Seen(context.Context, By, string) (Seen, error) { return Seen{}, b.err }
func (b broken) Spent(context.Context, int) ([]SpentDay, error) { return nil, b.err }

func (b broken) Latest(_ context.Context, _ time.Time, _, _ string, visit func(taxii.Event) bool) (bool, error) {
	visit(taxii.Event{Name: "read"})
	return false, b.err
}

func TestAFileThatIsNotWholeIsAborted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWorld(t, func(config *Config) {
		config.Rooms.Audit = broken{err: errors.New("the disk is gone")}
		config.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	defer func() {
		if thrown := recover(); thrown != http.ErrAbortHandler {
			t.Errorf("thrown is %v", thrown)
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "the disk is gone") {
			t.Errorf("the log has no reason: %s", &log)
		}
	}()
	answer := w.ask("admin", "audit?format=csv", nil)
	t.Errorf("it is answered with %d, %s", answer.Code, answer.Body)
}

func TestOnlyAdministratorsReadWhyAPartOfAPageFailed(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial tcp 10.9.8.7:443: no route")
	known := fmt.Errorf("checking it: %w", &taxii.InvalidError{Reason: "It is not on the chain yet."})
	object := "object?id=" + indicatorID + "&check=1"
	for _, c := range []struct {
		who, page string
		err       error
		shows     bool // the text of the error
		logged    int  // how many parts of the page failed
	}{
		{"reader", object, secret, false, 4},
		{"publisher", object, secret, false, 4},
		{"admin", object, secret, true, 4},
		{"reader", object, known, true, 0},
		{"reader", "", secret, false, 1},
		{"admin", "", secret, true, 2},
		{"admin", "money", secret, true, 1},
	} {
		t.Run(c.who+" "+c.page+" "+c.err.Error(), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			w := newWorld(t, func(config *Config) {
				b := broken{someLibrary, room{}, c.err}
				config.Rooms.Today, config.Rooms.News, config.Rooms.Node, config.Rooms.Finder = b, b, b, b
				config.Rooms.Library, config.Rooms.Sightings = b, b
				config.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			answer := w.ask(c.who, c.page, nil)
			if answer.Code != 200 {
				t.Fatalf("the page failed as a whole: %d", answer.Code)
			}
			body, words := answer.Body.String(), "no route"
			if c.logged == 0 {
				words = "It is not on the chain yet."
			}
			if got := strings.Contains(body, words); got != c.shows {
				t.Errorf("%q shows the text of the error: %t", c.who, got)
			}
			if got := strings.Count(log.String(), "no route"); got != c.logged {
				t.Errorf("the log has %d lines with the reason, not %d:\n%s", got, c.logged, &log)
			}
			_, id, told := strings.Cut(body, "log has the reason, under ")
			if told == c.shows {
				t.Fatalf("%q is told where the reason stands: %t", c.who, told)
			}
			if id, _, _ = strings.Cut(id, "."); told && !strings.Contains(log.String(), "request_id="+id+" ") {
				t.Errorf("the log has nothing under %q:\n%s", id, &log)
			}
		})
	}
}
