package clients

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/taxii"
)

// Accounts lets the repository's accounts and keys in, and changes them.
type Accounts struct {
	repo    *accounts.Accounts
	dir     string // the repository, with the configuration
	own     string // this organisation's name
	address string // of its account on the chain
	session time.Duration
	audit   *auditlog.Trail
	Changed func(user string) // tells the server to look again at who a credential belongs to
	Limited func() error      // tells the node that the limits in the configuration are others
}

var (
	_ taxii.Authenticator            = (*Accounts)(nil)
	_ taxii.CertificateAuthenticator = (*Accounts)(nil)
	_ taxii.Accounts                 = (*Accounts)(nil)
)

// NewAccounts are those of a repository.
func NewAccounts(r *repo.Repo, audit *auditlog.Trail) *Accounts {
	return &Accounts{
		repo: r.Accounts, dir: r.Dir, own: r.Config.Organisation.Name, address: r.Keys.Address(), session: r.Config.TAXII.Session.Duration,
		audit: audit, Changed: func(string) {}, Limited: func() error { return nil },
	}
}

// Password checks a user's password.
func (a *Accounts) Password(_ context.Context, user, password string) (taxii.Principal, error) {
	account, err := a.repo.Check(user, password)
	if err != nil {
		return taxii.Principal{}, authError(err)
	}
	return a.principal(accounts.Caller{User: account.User, Role: account.Role, Limits: account.Limits, Credential: "password"}, nil)
}

// Token checks a bearer token or API key.
func (a *Accounts) Token(_ context.Context, token string) (taxii.Principal, error) {
	return a.principal(a.repo.CheckToken(token, state.Now()))
}

// Certificate finds out who a client certificate stands for.
func (a *Accounts) Certificate(_ context.Context, fingerprint [32]byte) (taxii.Principal, error) {
	return a.principal(a.repo.CheckCertificate(hex.EncodeToString(fingerprint[:])))
}

func (a *Accounts) principal(caller accounts.Caller, err error) (taxii.Principal, error) {
	if err != nil {
		return taxii.Principal{}, authError(err)
	}
	role, err := taxii.ParseRole(caller.Role)
	return taxii.Principal{
		User: caller.User, Org: a.own, Role: role, Credential: caller.Credential,
		Limits: taxii.Limits{Read: caller.Limits.Read, Write: caller.Limits.Write},
	}, err
}

// SignupAdmin makes the node's first account.
func (a *Accounts) SignupAdmin(_ context.Context, s taxii.SignUp) (taxii.Organisation, taxii.Account, error) {
	if s.Org != a.own {
		return taxii.Organisation{}, taxii.Account{}, fmt.Errorf("%w: this is the node of %s; every organisation runs its own", taxii.ErrConflict, a.own)
	}
	// Somebody was let in on most nodes: they need no slow hash to say so.
	if claimed, err := a.repo.Claimed(); err != nil {
		return taxii.Organisation{}, taxii.Account{}, err
	} else if claimed {
		return taxii.Organisation{}, taxii.Account{}, takenError(accounts.ErrTaken, true)
	}
	account, err := a.signUp(s, taxii.RoleAdmin, true)
	return taxii.Organisation{Name: a.own, Address: a.address}, account, err
}

// SignupUser makes a further account.
func (a *Accounts) SignupUser(_ context.Context, by taxii.Principal, s taxii.SignUp) (taxii.Account, error) {
	if by.Role != taxii.RoleAdmin || s.Org != a.own {
		return taxii.Account{}, taxii.ErrForbidden
	}
	return a.signUp(s, s.Role, false)
}

func (a *Accounts) signUp(s taxii.SignUp, role taxii.Role, first bool) (taxii.Account, error) {
	account, err := a.Add(s.User, s.Password, role, accounts.Limits{}, first)
	if err != nil {
		return taxii.Account{}, problem.ForClient(takenError(err, first))
	}
	return a.describe(account)
}

func (a *Accounts) describe(account accounts.Account) (taxii.Account, error) {
	role, err := taxii.ParseRole(account.Role)
	return taxii.Account{User: account.User, Org: a.own, ID: account.ID, Role: role, Created: account.Created}, err
}

// Add makes an account if its name and password will do.
func (a *Accounts) Add(user, password string, role taxii.Role, limits accounts.Limits, first bool) (accounts.Account, error) {
	if err := errors.Join(checkName(user), checkPassword(password)); err != nil {
		return accounts.Account{}, problem.Input(err)
	}
	return a.repo.Add(user, password, role.String(), limits, first, state.Now())
}

// checkName refuses names that logs and HTTP Basic could misread.
func checkName(name string) error {
	if name == "" || len(name) > taxii.MaxAccountField || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) {
		return fmt.Errorf("the name must have 1 to %d bytes and neither a colon nor a control character", taxii.MaxAccountField)
	}
	return nil
}

// minPassword is the least number of characters that a password has (NIST SP 800-63B asks for eight).
const minPassword = 8

func checkPassword(password string) error {
	if utf8.RuneCountInString(password) < minPassword || len(password) > taxii.MaxAccountField {
		return fmt.Errorf("the password must have %d characters or more, and at most %d bytes", minPassword, taxii.MaxAccountField)
	}
	return nil
}

// Login trades a password for a token.
func (a *Accounts) Login(_ context.Context, user, password string) (taxii.Session, error) {
	account, err := a.repo.Check(user, password)
	if err != nil {
		return taxii.Session{}, authError(err)
	}
	begun := state.Now()
	expires := begun.Add(a.session)
	token, err := a.repo.NewToken(account, begun, expires)
	if err != nil {
		return taxii.Session{}, authError(err)
	}
	described, err := a.describe(account)
	return taxii.Session{Token: token, Expires: expires, Account: described}, err
}

// Logout ends a token.
func (a *Accounts) Logout(_ context.Context, token string) error { return a.repo.EndToken(token) }

// Organisation describes this organisation.
func (a *Accounts) Organisation(_ context.Context, name string) (taxii.Organisation, error) {
	if name != a.own {
		return taxii.Organisation{}, taxii.ErrNotFound
	}
	return taxii.Organisation{Name: a.own, Address: a.address}, nil
}

// Users lists the accounts' names.
func (a *Accounts) Users(context.Context, taxii.Principal) ([]string, error) {
	list, err := a.repo.List()
	names := make([]string, len(list))
	for i, account := range list {
		names[i] = account.User
	}
	return names, err
}

// RemoveUser removes an account. The last administrator's stays: over HTTP nobody could make another.
func (a *Accounts) RemoveUser(_ context.Context, _ taxii.Principal, user string) error {
	err := a.repo.Remove(user, taxii.RoleAdmin.String())
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return taxii.ErrNotFound
	case errors.Is(err, accounts.ErrOnly):
		return fmt.Errorf("%w: this is the only administrator; the operator can remove it with \"slnode account remove\"", taxii.ErrConflict)
	case err != nil:
		return err
	}
	a.Changed(user)
	return nil
}

// authError says in the server's words that a credential is wrong.
func authError(err error) error {
	var expired *accounts.ExpiredError
	if errors.As(err, &expired) {
		return &taxii.ExpiredError{At: expired.At}
	}
	if errors.Is(err, accounts.ErrCredentials) {
		return taxii.ErrUnauthorized
	}
	return err
}

// takenError says in the server's words that an account is there already: the one of that name or, for who comes first,
// any at any time.
func takenError(err error, first bool) error {
	switch {
	case !errors.Is(err, accounts.ErrTaken):
		return err
	case first:
		return fmt.Errorf("%w: this node has let somebody in before; its administrators make further accounts, or its operator with \"slnode account add\"", taxii.ErrConflict)
	}
	return fmt.Errorf("%w: the name is taken", taxii.ErrConflict)
}
