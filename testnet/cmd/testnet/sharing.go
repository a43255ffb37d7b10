package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/testnet/cluster"
)

// demonstrateSharing is the scenario "sharing": who sees what, while a collection is made, granted late, revoked and an
// object withdrawn.
func (t *testnet) demonstrateSharing(ctx context.Context) error {
	if len(t.organisations) < 3 {
		return &cluster.Failure{What: "the scenario needs three organisations"}
	}
	a, b, c := t.organisations[0].Org, t.organisations[1].Org, t.organisations[2].Org
	s := &scenario{testnet: t, owner: t.node(1)}
	s.owner.Record = t.log("scenario")

	t.step(`%s makes a collection that %s may read, and publishes "early"`, a, b)
	s.create(ctx, b)
	first := s.announce(ctx, "early")
	s.everybody(ctx, "early", "early", "")
	t.step("%s lets %s read it, too, with everything that was published before: no object is sealed or minted again", a, c)
	s.show(ctx, "collection", "grant", s.group, c, "--from", "all")
	s.everybody(ctx, "early", "early", "early")
	t.step(`%s takes %s out and publishes "late": the collection has a new key, which %s is not given`, a, b, b)
	s.show(ctx, "collection", "revoke", s.group, b)
	s.announce(ctx, "late")
	s.everybody(ctx, "early, late", "early", "early, late")
	t.step(`%s withdraws "early": its NFT is destroyed, its 0.1 ALGO is free again`, a)
	s.show(ctx, "withdraw", first)
	s.everybody(ctx, "late", "", "late")
	t.step("who has acknowledged that")
	s.acknowledged(ctx, first)
	return s.err
}

// scenario is a row of steps. After one that failed the others do nothing.
type scenario struct {
	*testnet
	owner *cluster.Node
	group string // the collection
	err   error
}

// command is a command of the owner, and returns what it prints.
func (s *scenario) command(ctx context.Context, args ...string) string {
	if s.err != nil {
		return ""
	}
	out, err := s.owner.Succeed(ctx, args...)
	if err != nil {
		s.note(s.owner.Record, cause(err))
		s.err = &cluster.Failure{What: "slnode " + strings.Join(args, " ") + " failed", Log: s.owner.Record, Err: err}
	}
	return out
}

// show is a command of the owner whose output is shown.
func (s *scenario) show(ctx context.Context, args ...string) {
	fmt.Fprint(s.out, indent(s.command(ctx, args...), "    "))
}

func (s *scenario) create(ctx context.Context, reader string) {
	out := s.command(ctx, "collection", "create", "Ransomware working group", "--readers", reader, "--default-level", "amber", "--json")
	var created struct{ ID string }
	if s.err == nil {
		s.err = json.Unmarshal([]byte(out), &created)
	}
	s.group = created.ID
}

// announce publishes an indicator in the collection, and returns its id.
func (s *scenario) announce(ctx context.Context, name string) string {
	id := "indicator--" + uuid.NewString()
	object := fmt.Sprintf(`{"type": "indicator", "spec_version": "2.1", "id": "%[1]s", "created": "2026-03-01T09:00:00.000Z", "modified": "2026-03-01T09:00:00.000Z",
 "name": "%[2]s", "pattern": "[domain-name:value = '%[2]s.example']", "pattern_type": "stix", "valid_from": "2026-03-01T09:00:00Z"}
`, id, name)
	if s.err == nil {
		s.err = os.WriteFile(s.path("object.json"), []byte(object), 0o600)
	}
	s.command(ctx, "publish", s.path("object.json"), "--collection", s.group)
	return id
}

// everybody waits until each organisation sees what it should, and shows it.
func (s *scenario) everybody(ctx context.Context, want ...string) {
	for i, w := range want {
		if s.err != nil {
			return
		}
		node, seen := s.node(i+1), ""
		limited, cancel := context.WithTimeout(ctx, patience)
		err := cluster.Until(limited, func(ctx context.Context) (bool, error) {
			now, err := s.seen(ctx, node)
			if err == nil {
				seen = now
			}
			return seen == w, err
		})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			err = &cluster.Failure{What: fmt.Sprintf("%s sees %q, not %q", node.Name, seen, w), Log: node.Log}
		}
		if s.err = err; err != nil {
			return
		}
		if seen == "" {
			seen = "nothing"
		}
		s.say("    %-8s sees  %s", node.Name, seen)
	}
}

// seen is the names of the objects that an organisation can read in the collection. To who can't read it, the
// collection does not exist.
func (s *scenario) seen(ctx context.Context, node *cluster.Node) (string, error) {
	said, err := node.Run(ctx, "list", "--root", s.owner.Name, "--collection", s.group, "--json")
	if err != nil || said.Code != 0 {
		return "", err
	}
	var objects []struct{ Name string }
	if err := json.Unmarshal([]byte(said.Stdout), &objects); err != nil {
		return "", err
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", "), nil
}

// acknowledged shows who has acknowledged that an object was withdrawn, and waits a while for everybody.
func (s *scenario) acknowledged(ctx context.Context, id string) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var shown string
	_ = cluster.Until(limited, func(context.Context) (bool, error) { // who has not by then is shown as one who has not
		shown = s.command(ctx, "show", id)
		return !strings.Contains(shown, "has not"), s.err
	})
	fmt.Fprint(s.out, indent(shown, "    "))
}
