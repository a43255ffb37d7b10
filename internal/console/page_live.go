package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// News tells what came in, and when something does.
type News interface {
	// Since counts the objects that came in after a moment, of what somebody may read: up to most of them.
	Since(ctx context.Context, by By, after time.Time, most int) (Came, error)
	// Changed is closed at the next change of what there is to be read.
	Changed() <-chan struct{}
}

// Came is how much came in.
type Came struct {
	Objects        int
	Types, Members map[string]int
	More           bool // there are more than were counted
}

const (
	liveMost    = 200              // objects that are counted for open pages
	liveStreams = 20               // streams that are open at a time
	livePause   = time.Second      // between events at least
	liveBeat    = 25 * time.Second // after which a stream says that it is there
	liveWrite   = 10 * time.Second // for an event to be sent
)

var errManyStreams = &refusal{status: http.StatusServiceUnavailable, title: "Busy", text: "Too many pages are open that wait for news."}

// getLive tells a page that is open how much came in after it was made: as events where the browser takes them, else
// once. Every visitor is told of what it may read, and no more once its login has ended.
func (c *Console) getLive(v *visit) error {
	micro, err := strconv.ParseInt(v.query("after"), 10, 64)
	if err != nil || micro < 0 {
		return &taxii.InvalidError{Reason: "It is not said after which moment."}
	}
	after := time.UnixMicro(micro)
	if !strings.Contains(v.r.Header.Get("Accept"), "text/event-stream") || v.r.Method == http.MethodHead {
		data, err := c.news(v, after)
		if err != nil {
			return err
		}
		v.w.Header().Set("Content-Type", "application/json")
		v.send(data, nil)
		return nil
	}
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		return errManyStreams
	}
	return c.follow(v, after)
}

// news is what an open page is told.
func (c *Console) news(v *visit, after time.Time) ([]byte, error) {
	came, err := c.Rooms.News.Since(v.r.Context(), v.by(), after, liveMost)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		New  int  `json:"new"`
		More bool `json:"more"`
	}{came.Objects, came.More})
}

// follow sends an event whenever there is more, until the browser leaves, the login ends or the server does.
func (c *Console) follow(v *visit, after time.Time) error {
	control := http.NewResponseController(v.w)
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) { // else it would end the request
		return err
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	v.w.WriteHeader(http.StatusOK)
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	told := ""
	for {
		changed := c.Rooms.News.Changed()
		data, err := c.news(v, after)
		if err != nil {
			return err
		}
		text := ": still here\n\n"
		if told != string(data) {
			told = string(data)
			text = "data: " + told + "\n\n"
		}
		if err := control.SetWriteDeadline(time.Now().Add(liveWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := fmt.Fprint(v.w, text); err != nil || control.Flush() != nil {
			return nil // the browser has gone
		}
		if !c.await(v, changed, beat.C) {
			return nil
		}
	}
}

// await waits for the next thing to be told, and not less than a moment. It is false if nothing is to be told any more.
func (c *Console) await(v *visit, changed <-chan struct{}, beat <-chan time.Time) bool {
	pause := time.NewTimer(livePause)
	defer pause.Stop()
	if !c.until(v, nil, pause.C) || !c.until(v, changed, beat) {
		return false
	}
	known, err := c.logins.who(v, c.Clients)
	return err == nil && known && v.route.lets(v.who)
}

// until waits for one of two things. It is false if the visit is over before.
func (c *Console) until(v *visit, changed <-chan struct{}, at <-chan time.Time) bool {
	select {
	case <-v.r.Context().Done():
		return false
	case <-c.ended:
		return false
	case <-changed:
	case <-at:
	}
	return true
}
