package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/serviceledger/slnode/testnet/cluster"
)

// demonstrateConsole fills the first three organisations with objects that have to do with each other, and tells where
// their consoles are. What it publishes is made up: see invention.
func (t *testnet) demonstrateConsole(ctx context.Context) error {
	if len(t.organisations) < 3 {
		return &cluster.Failure{What: "the scenario needs three organisations"}
	}
	parts := invent(time.Now())
	for n, objects := range parts {
		o := t.organisations[n]
		t.step("%s publishes %d objects: what is TLP:AMBER for the two others by name, the rest for every member", o.Org, len(objects))
		group, err := t.group(ctx, n)
		if err != nil {
			return err
		}
		wide, narrow := divide(objects)
		if err := errors.Join(t.post(ctx, n+1, o.Collection, t.organisations[0].Org, wide), t.post(ctx, n+1, group, o.Org, narrow)); err != nil {
			return err
		}
	}
	last := parts[0][len(parts[0])-1]["id"].(string)
	if err := t.awaitEverywhere(ctx, parts); err != nil {
		return err
	}
	t.step("%s withdraws one of its own", t.organisations[0].Org)
	if _, err := t.node(1).Succeed(ctx, "withdraw", last); err != nil {
		return err
	}
	if err := t.reportHits(ctx, parts); err != nil {
		return err
	}
	t.step("the consoles")
	for _, o := range t.organisations[:3] {
		t.say("    %-8s %s/-/   user %s, password %s", o.Org, o.URL, o.User, o.Password)
	}
	t.say("")
	t.say("    or, without a password: bin/slnode --repo %s console", t.path(t.organisations[0].Org))
	return nil
}

// reportHits has the sensors of the first organisation report hits of some indicators, on days of the last two months.
func (t *testnet) reportHits(ctx context.Context, parts [3][]invented) error {
	t.step("the sensors of %s report hits, which stay there", t.organisations[0].Org)
	var lines []byte
	for n, objects := range parts {
		for i, o := range objects {
			if o["type"] != "indicator" || i%5 != n {
				continue
			}
			for ago := 1 + i%7; ago < 60; ago += 9 + i%11 {
				line, err := json.Marshal(map[string]any{"indicator": o["id"], "time": time.Now().AddDate(0, 0, -ago).UTC().Format(time.RFC3339), "count": 1 + (i*ago)%17})
				if err != nil {
					return err
				}
				lines = append(append(lines, line...), '\n')
			}
		}
	}
	file, err := os.CreateTemp("", "hits")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err = file.Write(lines); err == nil {
		err = file.Close()
	}
	if err == nil {
		_, err = t.node(1).Succeed(ctx, "hits", "--key", "demo", file.Name())
	}
	return err
}

// group is the collection of an organisation that the two others read, by name: TLP:AMBER can't go where readers come
// by themselves. It is made once.
func (t *testnet) group(ctx context.Context, n int) (string, error) {
	title := "Working group of " + t.organisations[n].Org
	node := t.node(n + 1)
	var list []struct{ ID, Title string }
	if err := node.Read(ctx, &list, "collection", "list"); err != nil {
		return "", err
	}
	for _, one := range list {
		if one.Title == title {
			return one.ID, nil
		}
	}
	var created struct{ ID string }
	err := node.Read(ctx, &created, "collection", "create", title, "--readers", t.organisations[(n+1)%3].Org+","+t.organisations[(n+2)%3].Org, "--default-level", "amber")
	return created.ID, err
}

// divide parts what is TLP:AMBER from the rest.
func divide(objects []invented) (wide, narrow []invented) {
	for _, o := range objects {
		if marks, _ := o["object_marking_refs"].([]string); len(marks) > 0 && marks[0] == tlp["amber"] {
			narrow = append(narrow, o)
		} else {
			wide = append(wide, o)
		}
	}
	return wide, narrow
}

// post adds objects to a collection that is under an organisation's API root.
func (t *testnet) post(ctx context.Context, n int, collection, root string, objects []invented) error {
	o := t.organisations[n-1]
	envelope, err := json.Marshal(map[string]any{"objects": objects})
	if err != nil {
		return err
	}
	answer, err := t.ask(ctx, n, http.MethodPost, "/"+root+"/collections/"+collection+"/objects/", envelope)
	if err != nil {
		return err
	}
	var status struct {
		Failures []struct{ ID, Message string } `json:"failures"`
	}
	if err := json.Unmarshal(answer, &status); err != nil {
		return err
	}
	for _, f := range status.Failures {
		return &cluster.Failure{What: "the node refused " + f.ID + ": " + f.Message, Log: t.log(o.Org)}
	}
	return nil
}

// awaitEverywhere waits until each organisation has the last object of each other one.
func (t *testnet) awaitEverywhere(ctx context.Context, parts [3][]invented) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n := range parts {
		node := t.node(n + 1)
		for _, objects := range parts {
			id := objects[len(objects)-1]["id"].(string)
			err := cluster.Until(limited, func(ctx context.Context) (bool, error) {
				said, err := node.Run(ctx, "show", id)
				return said.Code == 0, err
			})
			if err != nil {
				return &cluster.Failure{What: node.Name + " has not got " + id, Log: node.Log, Err: err}
			}
		}
	}
	return nil
}
