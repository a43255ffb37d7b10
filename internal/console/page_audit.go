package console

import (
	"context"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Audit is the log of who did what.
type Audit interface {
	// Events lists what lines can be called by.
	Events() []string
	// Latest visits the lines before a time (zero: now) that have the event and user, where they are not empty, the last
	// first, until visit returns false. more says that there may be more.
	Latest(ctx context.Context, before time.Time, event, user string, visit func(taxii.Event) bool) (more bool, err error)
}

const (
	auditPage = 100    // lines
	auditFile = 20_000 // … of a CSV file
)

type auditModel struct {
	Lines       []auditLine
	Events      []string
	Event, User string
	Newer       bool   // this is not the first page
	Older       string // the next page, if there is any
	CSV         string // the file
}

// auditLine is a line of the log, for people.
type auditLine struct {
	At                            time.Time
	Event, User, Role, Credential string
	Where, What                   string
	Objects                       []string
	More                          int // objects that are not named
}

func (c *Console) getAudit(v *visit) error {
	event, user := v.query("event"), v.query("user")
	before, err := time.Parse(time.RFC3339Nano, v.query("before"))
	if v.query("before") != "" && err != nil {
		return &taxii.InvalidError{Reason: "before is not a time such as 2026-01-31T08:00:00Z."}
	}
	c.Clients.Note(v.r, v.who, taxii.Event{Name: taxii.EventReadAudit})
	if v.query("format") == "csv" {
		return c.auditCSV(v, before, event, user)
	}
	model := auditModel{Events: c.Rooms.Audit.Events(), Event: event, User: user, Newer: !before.IsZero(), CSV: link("audit", "event", event, "format", "csv", "user", user)}
	more, err := c.Rooms.Audit.Latest(v.r.Context(), before, event, user, func(e taxii.Event) bool {
		model.Lines = append(model.Lines, lineOf(e))
		return len(model.Lines) < auditPage
	})
	if err != nil {
		return err
	}
	if n := len(model.Lines); more && n > 0 {
		model.Older = link("audit", "before", model.Lines[n-1].At.UTC().Format(time.RFC3339Nano), "event", event, "user", user)
	}
	return v.render("audit", model)
}

func lineOf(e taxii.Event) auditLine {
	line := auditLine{At: e.Time, Event: e.Name, User: e.User, Role: e.Role, Credential: e.Credential, Where: e.Remote, Objects: e.Objects}
	if e.UnixUser != "" {
		line.Where = "this machine, " + e.UnixUser
	}
	var what []string
	add := func(parts ...string) {
		if parts[len(parts)-1] != "" {
			what = append(what, strings.Join(parts, " "))
		}
	}
	add(e.Subject)
	add(e.Detail)
	if e.Count > 0 {
		add(strconv.Itoa(e.Count), "objects")
	}
	if e.Failures > 0 {
		add(strconv.Itoa(e.Failures), "refused")
	}
	if e.Kind != "objects" { // which the count says
		add(e.Kind)
	}
	add("in", e.Collection)
	line.What = strings.Join(what, " · ")
	if e.Count > len(e.Objects) && len(e.Objects) > 0 {
		line.More = e.Count - len(e.Objects)
	}
	return line
}

// auditCSV answers with a file for a table: formulas in it are none (csvCell).
func (c *Console) auditCSV(v *visit, before time.Time, event, user string) error {
	header := v.w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="audit.csv"`)
	file, n := csv.NewWriter(v.w), 0
	_ = file.Write([]string{"time", "event", "user", "role", "credential", "from", "what", "objects"}) // the browser has gone
	_, err := c.Rooms.Audit.Latest(v.r.Context(), before, event, user, func(e taxii.Event) bool {
		line := lineOf(e)
		row := []string{line.At.UTC().Format(time.RFC3339), line.Event, line.User, line.Role, line.Credential, line.Where, line.What, strings.Join(line.Objects, " ")}
		for i := range row {
			row[i] = csvCell(row[i])
		}
		n++
		return file.Write(row) == nil && n < auditFile
	})
	file.Flush()
	return err
}
