package desk

import (
	"context"
	"errors"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/taxii"
)

// access is who may use the node. What it changes stands in the audit log by the functions that do it.
type access struct{ *Desk }

// Accesses lists accounts, keys and logins.
func (a access) Accesses(ctx context.Context, by console.By) (all console.Accesses, err error) {
	admin := a.api.AccountAdmin()
	people, err := admin.ListAccounts()
	if err != nil {
		return all, err
	}
	keys, err := admin.ListKeys()
	if err != nil {
		return all, err
	}
	logins, err := admin.ListTokens()
	if err != nil {
		return all, err
	}
	if all.Collections, err = a.Collections(ctx, by); err != nil {
		return all, err
	}
	all.Collections = append(all.Collections,
		console.Collection{ID: clients.EverythingID(a.api.Consortium), Title: "everything that is shared with us"},
		console.Collection{ID: clients.OthersID(a.api.Consortium), Title: "further members' versions of the same objects"})
	titles := map[string]string{}
	for _, c := range all.Collections {
		titles[c.ID] = c.Title
	}
	named := func(ids []string) (list []string) {
		for _, id := range ids {
			if titles[id] != "" {
				id = titles[id]
			}
			list = append(list, id)
		}
		return list
	}
	for _, p := range people {
		all.Accounts = append(all.Accounts, console.Account{
			User: p.User, Role: p.Role, Created: p.Created, Limited: p.Read != nil || p.Write != nil, Read: named(p.Read), Write: named(p.Write),
			Certificates: p.Certificates, Self: p.User == by.User,
		})
	}
	now := time.Now()
	for _, k := range keys {
		all.Keys = append(all.Keys, console.APIKey{
			Name: k.Name, Role: k.Role, Created: k.Created, Expires: k.Expires, Expired: !k.Expires.IsZero() && now.After(k.Expires),
			Limited: k.Read != nil || k.Write != nil, Read: named(k.Read), Write: named(k.Write),
		})
	}
	for _, l := range logins {
		all.Logins = append(all.Logins, console.Login{ID: l.ID, User: l.User, Created: l.Created, Expires: l.Expires})
	}
	return all, nil
}

// limitsOf are limits as accounts have them.
func limitsOf(l *taxii.Limits) accounts.Limits {
	if l == nil {
		return accounts.Limits{}
	}
	return accounts.Limits{Read: l.Read, Write: l.Write}
}

// AddAccount makes one.
func (a access) AddAccount(ctx context.Context, by console.By, user, password, role string, limits *taxii.Limits) error {
	_, err := a.api.AccountAdmin().AddAccount(as(ctx, by), clients.AccountSpec{User: user, Password: password, Role: role, Limits: limitsOf(limits)})
	return told(err)
}

// ChangeAccount changes one. Nobody takes the last administrator away in the console, as somebody has to be let in.
func (a access) ChangeAccount(ctx context.Context, by console.By, user string, c console.AccountChange) error {
	change := clients.AccountChange{User: user, Password: c.Password, Role: c.Role, AddCertificate: c.AddCertificate, RemoveCertificate: c.RemoveCertificate}
	if c.Limits != nil {
		limits := limitsOf(c.Limits)
		change.Limits = &limits
	}
	_, err := a.api.AccountAdmin().ChangeAccount(as(ctx, by), change)
	return told(err)
}

// RemoveAccount ends one.
func (a access) RemoveAccount(ctx context.Context, by console.By, user string) error {
	return told(a.api.AccountAdmin().RemoveAccount(as(ctx, by), clients.AccountRemoval{User: user}))
}

// AddKey makes an API key.
func (a access) AddKey(ctx context.Context, by console.By, name, role string, days int, limits *taxii.Limits) (string, error) {
	spec := clients.KeySpec{Name: name, Role: role, Limits: limitsOf(limits)}
	if days > 0 {
		spec.Expires = time.Now().UTC().AddDate(0, 0, days).Truncate(time.Second)
	}
	key, err := a.api.AccountAdmin().AddKey(as(ctx, by), spec)
	return key.Secret, told(err)
}

// RemoveKey ends one.
func (a access) RemoveKey(ctx context.Context, by console.By, name string) error {
	return told(a.api.AccountAdmin().RemoveKey(as(ctx, by), name))
}

// EndLogin ends a login.
func (a access) EndLogin(ctx context.Context, by console.By, id string) error {
	if id == "" {
		return &taxii.InvalidError{Reason: "No login was named."}
	}
	_, err := a.api.AccountAdmin().Revoke(as(ctx, by), clients.TokenSelection{ID: id})
	if errors.Is(err, accounts.ErrUnknown) {
		return nil // it has ended already
	}
	return told(err)
}

// SetPassword gives somebody another password, who gave the old one just now.
func (a access) SetPassword(ctx context.Context, by console.By, password string) error {
	if password == "" {
		return &taxii.InvalidError{Reason: "The new password is empty."}
	}
	return a.ChangeAccount(ctx, by, by.User, console.AccountChange{Password: password})
}
