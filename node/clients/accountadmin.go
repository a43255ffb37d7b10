package clients

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/taxii"
)

// The command line's side of accounts, API keys and tokens: what it can ask for under /admin/, and the answers.

// AccountSpec is what an account is made of.
type AccountSpec struct {
	User     string `json:"user"`
	Password string `json:"password"`
	Role     string `json:"role"`
	accounts.Limits
}

// AccountInfo is an account as it is listed.
type AccountInfo struct {
	User    string    `json:"user"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	accounts.Limits
	Certificates []string `json:"certificates,omitempty"` // SHA-256 in hex
}

// AccountChange changes what is set.
type AccountChange struct {
	User              string           `json:"user"`
	Password          string           `json:"password,omitempty"`
	Role              string           `json:"role,omitempty"`
	Limits            *accounts.Limits `json:"limits,omitempty"`
	AddCertificate    string           `json:"add_certificate,omitempty"` // SHA-256 in hex
	RemoveCertificate string           `json:"remove_certificate,omitempty"`
	Last              bool             `json:"last,omitempty"` // also if a new role leaves no administrator
}

// KeySpec is what an API key is made of.
type KeySpec struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires,omitzero"` // never if it is zero
	accounts.Limits
}

// KeyInfo is an API key as it is listed.
type KeyInfo struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	accounts.Limits
}

// NewKey is an API key with its secret, which is shown this once.
type NewKey struct {
	KeyInfo
	Secret string `json:"secret"`
}

// TokenSelection names tokens: one by its id, or all those of a user.
type TokenSelection struct {
	ID   string `json:"id,omitempty"`
	User string `json:"user,omitempty"`
}

// Ended says how many tokens were ended.
type Ended struct {
	Tokens int `json:"ended"`
}

// AccountAdmin answers the command line. Collections finds the ids of collections that are given by id or alias.
type AccountAdmin struct {
	*Accounts
	Collections func(names []string) (ids []string, err error)
}

func describeAccount(account accounts.Account) AccountInfo {
	return AccountInfo{User: account.User, Role: account.Role, Created: account.Created, Limits: account.Limits, Certificates: account.Certificates}
}

func describeKey(k accounts.APIKey) KeyInfo {
	return KeyInfo{Name: k.Name, Role: k.Role, Created: k.Created, Expires: k.Expires, Limits: k.Limits}
}

// ListAccounts lists the accounts.
func (a AccountAdmin) ListAccounts() ([]AccountInfo, error) {
	list, err := a.repo.List()
	infos := make([]AccountInfo, len(list))
	for i, account := range list {
		infos[i] = describeAccount(account)
	}
	return infos, err
}

// AddAccount makes an account.
func (a AccountAdmin) AddAccount(ctx context.Context, s AccountSpec) (AccountInfo, error) {
	role, limits, err := a.rights(s.Role, s.Limits)
	if err != nil {
		return AccountInfo{}, err
	}
	account, err := a.Add(s.User, s.Password, role, limits, false)
	if err != nil {
		return AccountInfo{}, mistaken(err)
	}
	a.audit.Operator(ctx, taxii.Event{Name: taxii.EventSignUp, Subject: s.User, Detail: rightsText(s.Role, limits)})
	return describeAccount(account), nil
}

// rights checks a role and finds the collections of limits.
func (a AccountAdmin) rights(name string, limits accounts.Limits) (taxii.Role, accounts.Limits, error) {
	role, err := taxii.ParseRole(name)
	if err != nil {
		return role, limits, problem.Input(err)
	}
	limits, err = a.found(limits)
	return role, limits, err
}

func (a AccountAdmin) found(limits accounts.Limits) (found accounts.Limits, err error) {
	for _, list := range []struct{ from, to *[]string }{{&limits.Read, &found.Read}, {&limits.Write, &found.Write}} {
		if *list.from == nil {
			continue
		}
		ids, err := a.Collections(*list.from)
		if err != nil {
			return accounts.Limits{}, problem.Input(err)
		}
		*list.to = append([]string{}, ids...) // never nil: that would lift the limit
	}
	return found, nil
}

// mistaken makes an error about what is there, or isn't, the caller's.
func mistaken(err error) error {
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return problem.Missing(err)
	case errors.Is(err, accounts.ErrOnly):
		return problem.Input(fmt.Errorf("it is the only administrator: make another one first (%w)", err))
	case errors.Is(err, accounts.ErrTaken):
		return problem.Input(err)
	}
	return err
}

// rightsText tells the audit log what somebody may do.
func rightsText(role string, limits accounts.Limits) string {
	text := role
	for _, list := range []struct {
		what string
		ids  []string
	}{{"read", limits.Read}, {"write", limits.Write}} {
		if list.ids != nil {
			text += ", " + list.what + " only [" + strings.Join(list.ids, " ") + "]"
		}
	}
	return text
}

// ChangeAccount makes one change after the other. A server that runs asks again about the user's credentials.
func (a AccountAdmin) ChangeAccount(ctx context.Context, c AccountChange) (AccountInfo, error) {
	account, err := a.repo.Account(c.User)
	step := func(event, detail string, change func() (accounts.Account, error)) {
		if err != nil {
			return
		}
		if account, err = change(); err == nil {
			a.audit.Operator(ctx, taxii.Event{Name: event, Subject: c.User, Detail: detail})
		}
	}
	if c.Password != "" {
		step("set-password", "", func() (accounts.Account, error) {
			if err := checkPassword(c.Password); err != nil {
				return account, problem.Input(err)
			}
			return a.repo.SetPassword(c.User, c.Password)
		})
	}
	if c.Role != "" {
		step("set-role", c.Role, func() (accounts.Account, error) {
			role, err := taxii.ParseRole(c.Role)
			if err != nil {
				return account, problem.Input(err)
			}
			return a.repo.SetRole(c.User, role.String(), mustStay(c.Last))
		})
	}
	if c.Limits != nil && err == nil {
		var limits accounts.Limits
		if limits, err = a.found(*c.Limits); err == nil {
			step("restrict", rightsText(account.Role, limits), func() (accounts.Account, error) { return a.repo.SetLimits(c.User, limits) })
		}
	}
	if c.AddCertificate != "" {
		step("add-certificate", c.AddCertificate, func() (accounts.Account, error) {
			if sum, err := hex.DecodeString(c.AddCertificate); err != nil || len(sum) != 32 {
				return account, problem.Input(errors.New("a certificate is named by its SHA-256, 64 hex digits"))
			}
			return a.repo.AddCertificate(c.User, strings.ToLower(c.AddCertificate))
		})
	}
	if c.RemoveCertificate != "" {
		step("remove-certificate", c.RemoveCertificate, func() (accounts.Account, error) {
			return a.repo.RemoveCertificate(c.User, strings.ToLower(c.RemoveCertificate))
		})
	}
	a.Changed(c.User)
	return describeAccount(account), mistaken(err)
}

// AccountRemoval is which account is to be removed.
type AccountRemoval struct {
	User string `json:"user"`
	Last bool   `json:"last,omitempty"` // also if that leaves no administrator
}

// mustStay is the role that must not be left without an account, unless the operator said so.
func mustStay(last bool) string {
	if last {
		return ""
	}
	return taxii.RoleAdmin.String()
}

// RemoveAccount removes an account, its tokens and its certificates.
func (a AccountAdmin) RemoveAccount(ctx context.Context, r AccountRemoval) error {
	if err := a.repo.Remove(r.User, mustStay(r.Last)); err != nil {
		return mistaken(err)
	}
	a.Changed(r.User)
	a.audit.Operator(ctx, taxii.Event{Name: taxii.EventRemoveUser, Subject: r.User})
	return nil
}

// ListKeys lists the API keys.
func (a AccountAdmin) ListKeys() ([]KeyInfo, error) {
	list, err := a.repo.Keys()
	infos := make([]KeyInfo, len(list))
	for i, k := range list {
		infos[i] = describeKey(k)
	}
	return infos, err
}

// AddKey makes an API key.
func (a AccountAdmin) AddKey(ctx context.Context, s KeySpec) (NewKey, error) {
	role, limits, err := a.rights(s.Role, s.Limits)
	if err == nil {
		if nameErr := checkName(s.Name); nameErr != nil {
			err = problem.Input(nameErr)
		}
	}
	made := state.Now()
	if err == nil && !s.Expires.IsZero() && !s.Expires.After(made) {
		err = problem.Input(errors.New("the key would have expired already"))
	}
	if err != nil {
		return NewKey{}, err
	}
	k := accounts.APIKey{Name: s.Name, Role: role.String(), Created: made, Expires: s.Expires, Limits: limits}
	secret, err := a.repo.AddKey(k)
	if err != nil {
		return NewKey{}, mistaken(err)
	}
	a.audit.Operator(ctx, taxii.Event{Name: "add-key", Subject: s.Name, Detail: rightsText(k.Role, limits)})
	return NewKey{describeKey(k), secret}, nil
}

// RemoveKey ends an API key.
func (a AccountAdmin) RemoveKey(ctx context.Context, name string) error {
	if err := a.repo.RemoveKey(name); err != nil {
		return mistaken(err)
	}
	a.audit.Operator(ctx, taxii.Event{Name: "remove-key", Subject: name})
	return nil
}

// Revoke ends tokens.
func (a AccountAdmin) Revoke(ctx context.Context, s TokenSelection) (Ended, error) {
	if (s.ID == "") == (s.User == "") {
		return Ended{}, problem.Input(errors.New("name the id of a token, or the user of all of them"))
	}
	n, err := a.repo.EndTokens(s.ID, s.User)
	if err != nil {
		return Ended{}, err
	}
	if n == 0 {
		return Ended{}, problem.Missing(fmt.Errorf("no such token: %w", accounts.ErrUnknown))
	}
	a.audit.Operator(ctx, taxii.Event{Name: "revoke-token", Subject: s.ID + s.User, Count: n})
	return Ended{n}, nil
}

// KnownIDs takes collections by id only, where there is no node to ask what they are called.
func KnownIDs(names []string) ([]string, error) {
	for _, name := range names {
		if uuid.Validate(name) != nil {
			return nil, fmt.Errorf("collection %.60q: while the daemon does not run, collections are named by their ids", name)
		}
	}
	return names, nil
}

// CollectionIDs finds collections that this organisation can read, as an operator names them.
func CollectionIDs(f *state.Shared, own repo.Consortium, names []string) ([]string, error) {
	everything, others := EverythingID(own), OthersID(own)
	ids := make([]string, 0, len(names))
	for _, name := range names {
		if name == everything || name == state.EverythingAlias {
			ids = append(ids, everything)
			continue
		}
		if name == others || name == state.OthersAlias {
			ids = append(ids, others)
			continue
		}
		c, err := f.Called(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// ListTokens lists the logins that last.
func (a AccountAdmin) ListTokens() ([]accounts.Token, error) { return a.repo.Tokens(state.Now()) }
