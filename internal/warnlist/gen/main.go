// Gen makes the lists that come with the program of a checkout of MISP/misp-warninglists and of our own, and the notice
// that names them:
//
//	go run ./internal/warnlist/gen DIR COMMIT DATE
package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/serviceledger/slnode/internal/warnlist"
)

//go:embed chosen.json
var chosenJSON []byte

//go:embed own.json
var ownJSON []byte

//go:embed notice.md
var noticeText string

// choice says which of MISP's lists are taken, and as what, and why others are not.
type choice struct {
	Hard, Shared, Context []string
	Without               []string          // entries that are not taken from any: what documentation uses
	LeftOut               map[string]string // why
}

// ownList is a list of our own.
type ownList struct {
	ID, Name, Class, Type, Date string
	Values                      []string
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gen DIR COMMIT DATE")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(dir, commit, date string) error {
	var chosen choice
	if err := json.Unmarshal(chosenJSON, &chosen); err != nil {
		return err
	}
	var taken []warnlist.Source
	for class, ids := range map[warnlist.Class][]string{warnlist.Hard: chosen.Hard, warnlist.Shared: chosen.Shared, warnlist.Context: chosen.Context} {
		for _, id := range ids {
			data, err := os.ReadFile(filepath.Join(dir, "lists", id, "list.json"))
			if err != nil {
				return err
			}
			s, err := warnlist.Parse(id, data)
			if err != nil {
				return err
			}
			s.Class, s.Date = class, cmp.Or(s.Date, date)
			s.Values = slices.DeleteFunc(s.Values, func(v string) bool { return slices.Contains(chosen.Without, v) || strings.TrimSpace(v) == "" })
			slices.Sort(s.Values)
			s.Values = slices.Compact(s.Values)
			s.Entries = len(s.Values)
			taken = append(taken, s)
		}
	}
	byID := func(a, b warnlist.Source) int { return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(taken, byID)
	own, err := ownLists()
	if err != nil {
		return err
	}
	packed, err := warnlist.Pack(slices.Concat(taken, own))
	if err != nil {
		return err
	}
	var notice strings.Builder
	parsed, err := template.New("notice").Parse(noticeText)
	if err != nil {
		return err
	}
	if err := parsed.Execute(&notice, map[string]any{"Commit": commit, "Date": date, "Taken": taken, "Own": own, "LeftOut": chosen.LeftOut}); err != nil {
		return err
	}
	if err := os.WriteFile("internal/warnlist/lists.bin.gz", packed, 0o644); err != nil {
		return err
	}
	return os.WriteFile("internal/warnlist/NOTICE.md", []byte(notice.String()), 0o644)
}

func ownLists() (own []warnlist.Source, err error) {
	var lists []ownList
	if err := json.Unmarshal(ownJSON, &lists); err != nil {
		return nil, err
	}
	for _, l := range lists {
		s := warnlist.Source{List: warnlist.List{ID: l.ID, Name: l.Name, Type: l.Type, Date: l.Date, Entries: len(l.Values)}, Values: l.Values}
		if s.Class, err = warnlist.ParseClass(l.Class); err != nil {
			return nil, err
		}
		own = append(own, s)
	}
	return own, nil
}
