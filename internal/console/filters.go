package console

import (
	"slices"
	"strconv"
	"strings"

	"github.com/serviceledger/slnode/taxii"
)

// The states and the least confidences by which a list can be narrowed down.
var (
	states = []string{"in force", "not yet", "expired", "revoked"}
	leasts = []string{"50", "70", "90"}
)

// question reads what a list is asked for from an address.
func (v *visit) question(text string) (q Question, err error) {
	q = Question{Text: text, Type: v.query("type"), Member: v.query("member"), Level: v.query("marking"), Collection: v.query("collection"), Label: v.query("label"), State: v.query("state"),
		Before: v.query("before"), Limit: usualRows}
	if n, err := strconv.Atoi(v.query("rows")); err == nil && (n == 25 || n == 100) {
		q.Limit = n
	}
	if least := v.query("min"); least != "" {
		if q.Least, err = strconv.Atoi(least); err != nil || q.Least < 1 || q.Least > 100 {
			return q, &taxii.InvalidError{Reason: "A least confidence is 1 to 100."}
		}
	}
	if q.State != "" && !slices.Contains(states, q.State) {
		return q, &taxii.InvalidError{Reason: "A state is one of: " + strings.Join(states, ", ") + "."}
	}
	return q, nil
}

// link is the address of a list, with some parameters changed.
func (q Question) link(change ...string) string {
	fields := []string{"q", q.Text, "type", q.Type, "member", q.Member, "marking", q.Level, "collection", q.Collection, "label", q.Label, "state", q.State, "min", "", "before", q.Before, "rows", ""}
	if q.Least > 0 {
		fields[slices.Index(fields, "min")+1] = strconv.Itoa(q.Least)
	}
	if q.Limit != usualRows {
		fields[len(fields)-1] = strconv.Itoa(q.Limit)
	}
	for i := 0; i+1 < len(change); i += 2 {
		if at := slices.Index(fields, change[i]); at >= 0 && at%2 == 0 {
			fields[at+1] = change[i+1]
		} else {
			fields = append(fields, change[i], change[i+1])
		}
	}
	return link("search", fields...)
}

// someTypes are those that a list offers to be narrowed down by.
var someTypes = []string{"indicator", "malware", "threat-actor", "campaign", "report", "vulnerability", "attack-pattern", "infrastructure", "sighting"}

// facets are what a list can be narrowed down by, a link each.
func (q Question) facets() []facet {
	of := func(called, parameter, here string, values []string, word func(string) string) facet {
		f := facet{Name: called, Choices: []choice{{"all", q.link(parameter, "", "before", ""), here == ""}}}
		if here != "" && !slices.Contains(values, here) {
			values = append(slices.Clone(values), here)
		}
		for _, value := range values {
			f.Choices = append(f.Choices, choice{word(value), q.link(parameter, value, "before", ""), value == here})
		}
		return f
	}
	list := []facet{
		of("Type", "type", q.Type, someTypes, typeWord),
		of("Marking", "marking", q.Level, []string{"clear", "green", "amber", "amber+strict"}, strings.ToUpper),
	}
	least := ""
	if q.Least > 0 {
		least = strconv.Itoa(q.Least)
	}
	list = append(list, of("State", "state", q.State, states, name), of("Confidence", "min", least, leasts, func(n string) string { return n + " or more" }))
	if q.Member != "" {
		list = append(list, of("Shared by", "member", q.Member, nil, name))
	}
	if q.Label != "" {
		list = append(list, of("Label", "label", q.Label, nil, name))
	}
	return list
}
