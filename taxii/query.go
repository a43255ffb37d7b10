package taxii

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filters names the match fields that an endpoint defines.
type filters struct{ id, kind, specVersion, version bool }

// listing is a parsed query string: the query and the cursor to go on from.
type listing struct {
	Query
	next string // empty: from the start
}

// parseListing reads the query string of an endpoint that lists records (section 3.4). Its errors are for the client to
// read: a parameter that the standard defines and that is malformed or repeated is one; one that it does not define is
// ignored. page holds the limits on a page's length.
func parseListing(raw string, match filters, page PageLimits) (listing, error) {
	params, err := url.ParseQuery(raw)
	if err != nil {
		return listing{}, fmt.Errorf("the query string is malformed: %w", err)
	}
	for name, values := range params {
		if len(values) > 1 && (strings.HasPrefix(name, "match[") || name == "added_after" || name == "limit" || name == "next") {
			return listing{}, fmt.Errorf("%.40q is given more than once", name)
		}
	}

	l := listing{next: params.Get("next")}
	if l.Limit, err = parseLimit(params, page); err != nil {
		return listing{}, err
	}
	if params.Has("added_after") {
		t, err := parseAddedAfter(params.Get("added_after"))
		if err != nil {
			return listing{}, fmt.Errorf("added_after: %w", err)
		}
		// Cut down to the microsecond, as every date_added is, the comparison
		// comes out the same as with full precision. Nothing predates 1970.
		l.After = max(0, t.UnixMicro())
	}

	for _, list := range []struct {
		field string
		on    bool
		into  *[]string
	}{
		{"id", match.id, &l.IDs},
		{"type", match.kind, &l.Types},
		{"spec_version", match.specVersion, &l.SpecVersions},
	} {
		if list.on {
			if *list.into, err = parseMatch(params, list.field); err != nil {
				return listing{}, err
			}
		}
	}
	l.Version = VersionMatch{All: true}
	if match.version {
		if l.Version, err = parseVersionMatch(params); err != nil {
			return listing{}, err
		}
	}
	return l, nil
}

// parseLimit reads limit: a positive integer of any size, of which no more than page.Max is granted.
func parseLimit(params url.Values, page PageLimits) (int, error) {
	if !params.Has("limit") {
		return page.Default, nil
	}
	s := params.Get("limit")
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	if s == "" || strings.ContainsFunc(s, notDigit) || strings.Trim(s, "0") == "" {
		return 0, fmt.Errorf("limit: %.40q is not a whole number above 0", s)
	}
	n, err := strconv.Atoi(s)
	if err != nil { // only too large is left
		return page.Max, nil
	}
	return min(n, page.Max), nil
}

// parseMatch reads the values of match[field], or nil if it is not given.
func parseMatch(params url.Values, field string) ([]string, error) {
	name := "match[" + field + "]"
	if !params.Has(name) {
		return nil, nil
	}
	values := strings.Split(params.Get(name), ",")
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if len(values) == 0 {
		return nil, fmt.Errorf("%s names no value", name)
	}
	return values, nil
}

// parseVersionMatch reads match[version] (section 3.4.1).
func parseVersionMatch(params url.Values) (VersionMatch, error) {
	values, err := parseMatch(params, "version")
	if err != nil {
		return VersionMatch{}, err
	}
	if values == nil {
		return VersionMatch{Last: true}, nil
	}
	var m VersionMatch
	once := func(keyword *bool) bool {
		first := !*keyword
		*keyword = true
		return first
	}
	seen := make(map[time.Time]bool)
	for _, v := range values {
		ok := true
		switch v {
		case "all":
			ok = once(&m.All)
		case "first":
			ok = once(&m.First)
		case "last":
			ok = once(&m.Last)
		default:
			t, err := parseInstant(v)
			if err != nil {
				return VersionMatch{}, fmt.Errorf("match[version]: %.40q is not first, last, all or a timestamp", v)
			}
			t = t.UTC() // one spelling of each instant
			ok = !seen[t]
			seen[t] = true
			m.At = append(m.At, t)
		}
		if !ok {
			return VersionMatch{}, fmt.Errorf("match[version]: %.40q is given more than once", v)
		}
	}
	if m.All && len(values) > 1 {
		return VersionMatch{}, errors.New("match[version]: all stands alone")
	}
	return m, nil
}
