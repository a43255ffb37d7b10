package control

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// accountsOf makes a repository without a consortium, and connects to its accounts as the command line does.
func accountsOf(t *testing.T) (*Client, string) {
	t.Helper()
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	if _, err := repo.Init(dir, config, ""); err != nil {
		t.Fatal(err)
	}
	client, err := ConnectAccounts(t.Context(), dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client, dir
}

func TestTheCommandLinesMistakesAreTold(t *testing.T) {
	c, _ := accountsOf(t)
	ctx := t.Context()
	if _, err := c.AddAccount(ctx, clients.AccountSpec{User: "alice", Password: "correct horse", Role: "admin"}); err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("ab", 32)
	for what, do := range map[string]func() error{
		"a role that is none": func() error {
			_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", Role: "king"})
			return err
		},
		"a short password": func() error {
			_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", Password: "short"})
			return err
		},
		"a colon in a name": func() error {
			_, err := c.AddAccount(ctx, clients.AccountSpec{User: "a:b", Password: "correct horse", Role: "reader"})
			return err
		},
		"a key with a line break in its name": func() error { _, err := c.AddKey(ctx, clients.KeySpec{Name: "a\nb", Role: "reader"}); return err },
		"a key that has expired": func() error {
			_, err := c.AddKey(ctx, clients.KeySpec{Name: "late", Role: "reader", Expires: time.Now().Add(-time.Hour)})
			return err
		},
		"a fingerprint that is too short": func() error {
			_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", AddCertificate: hex[2:]})
			return err
		},
		"a certificate that was never given": func() error {
			_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", RemoveCertificate: hex})
			return err
		},
		"nobody's account":   func() error { return c.RemoveAccount(ctx, clients.AccountRemoval{User: "nobody", Last: true}) },
		"no key":             func() error { return c.RemoveKey(ctx, "nothing") },
		"no token":           func() error { _, err := c.RevokeTokens(ctx, clients.TokenSelection{}); return err },
		"a token and a user": func() error { _, err := c.RevokeTokens(ctx, clients.TokenSelection{ID: "x", User: "y"}); return err },
		"a collection's alias without a node": func() error {
			_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", Limits: &accounts.Limits{Read: []string{"default"}}})
			return err
		},
	} {
		var input *problem.InputError
		if err := do(); !errors.As(err, &input) {
			t.Errorf("%s: %v", what, err)
		}
	}
	list, err := c.Accounts(ctx)
	if err != nil || len(list) != 1 || list[0].Role != "admin" || list[0].Read != nil || len(list[0].Certificates) != 0 {
		t.Errorf("after all that: %+v, %v", list, err)
	}
}

// "None" and "no restriction" must not be mistaken for one another on the way through JSON.
func TestRestrictionsArriveAsTheyWereMeant(t *testing.T) {
	c, _ := accountsOf(t)
	const id = "6f1c1e1a-98a3-4a52-9d0f-0c5f3c2b1a00"
	if _, err := c.AddAccount(t.Context(), clients.AccountSpec{User: "alice", Password: "correct horse", Role: "admin"}); err != nil {
		t.Fatal(err)
	}
	for _, limits := range []accounts.Limits{{}, {Read: []string{}}, {Write: []string{}}, {Read: []string{id}, Write: []string{}}, {Write: []string{id}}, {}} {
		info, err := c.ChangeAccount(t.Context(), clients.AccountChange{User: "alice", Limits: &limits})
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []accounts.Limits{info.Limits, list[0].Limits} {
			for _, pair := range [][2][]string{{got.Read, limits.Read}, {got.Write, limits.Write}} {
				if (pair[0] == nil) != (pair[1] == nil) || !slices.Equal(pair[0], pair[1]) {
					t.Errorf("%+v arrives as %+v", limits, got)
				}
			}
		}
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	if _, err := repo.Init(dir, config, ""); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := clients.NewAccounts(r, auditlog.New(r))
	var forgotten []string
	a.Changed = func(user string) { forgotten = append(forgotten, user) }
	for user, role := range map[string]taxii.Role{"ann": taxii.RoleAdmin, "ben": taxii.RoleAdmin, "rita": taxii.RoleReader} {
		if _, err := a.Add(user, "correct horse", role, accounts.Limits{}, false); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(user string) error { return a.RemoveUser(context.Background(), taxii.Principal{}, user) }
	if err := remove("ben"); err != nil {
		t.Error(err)
	}
	if err := remove("ann"); !errors.Is(err, taxii.ErrConflict) {
		t.Errorf("the last administrator: %v", err)
	}
	if err := remove("rita"); err != nil {
		t.Error(err)
	}
	if err := remove("rita"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
	if !slices.Equal(forgotten, []string{"ben", "rita"}) {
		t.Errorf("forgotten are %v", forgotten)
	}
}
