package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// administered are the accounts of a repository, and the command line's side of them.
type administered struct {
	AccountAdmin
	t       *testing.T
	trail   *auditlog.Trail
	changed []string // the users about whom the server was told to ask again
}

func newAdministered(t *testing.T) *administered {
	t.Helper()
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	_, err := repo.Init(dir, config, "")
	nodetest.Must(t, err)
	r, err := repo.Open(dir, nil)
	nodetest.Must(t, err)
	t.Cleanup(func() { nodetest.Must(t, r.Close()) })
	a := &administered{t: t, trail: auditlog.New(r)}
	a.AccountAdmin = AccountAdmin{Accounts: NewAccounts(r, a.trail), Collections: func(names []string) ([]string, error) {
		var ids []string
		for _, name := range names {
			if name == "nothing" {
				return nil, errors.New("there is no such collection")
			}
			ids = append(ids, "id of "+name)
		}
		return ids, nil
	}}
	a.Changed = func(user string) { a.changed = append(a.changed, user) }
	return a
}

// lines are those of the audit log: event, subject, detail, and how many.
func (a *administered) lines() (list []string) {
	a.t.Helper()
	nodetest.Must(a.t, a.trail.Read(a.t.Context(), taxii.AuditQuery{}, func(line []byte) error {
		var e taxii.Event
		list = append(list, "")
		err := json.Unmarshal(line, &e)
		list[len(list)-1] = strings.TrimSpace(fmt.Sprintf("%s %s: %s", e.Name, e.Subject, e.Detail))
		return err
	}))
	return list
}

func isInput(err error) bool {
	var input *problem.InputError
	return errors.As(err, &input)
}

func (a *administered) mustAdd(s AccountSpec) AccountInfo {
	a.t.Helper()
	info, err := a.AddAccount(a.t.Context(), s)
	nodetest.Must(a.t, err)
	return info
}

const password = "correct horse"

func TestACredentialIsWhoItBelongsToWithItsRoleAndLimits(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "publisher", Limits: accounts.Limits{Read: []string{"x"}, Write: []string{}}})
	fingerprint := [32]byte{1, 2, 3}
	_, err := a.ChangeAccount(t.Context(), AccountChange{User: "alice", AddCertificate: strings.ToUpper(fmt.Sprintf("%x", fingerprint))})
	nodetest.Must(t, err)
	session, err := a.Login(t.Context(), "alice", password)
	nodetest.Must(t, err)
	key, err := a.AddKey(t.Context(), KeySpec{Name: "siem", Role: "reader"})
	nodetest.Must(t, err)
	for name, test := range map[string]struct {
		ask  func() (taxii.Principal, error)
		want string
	}{
		"a password":          {func() (taxii.Principal, error) { return a.Password(t.Context(), "alice", password) }, "alice acme publisher password"},
		"a token":             {func() (taxii.Principal, error) { return a.Token(t.Context(), session.Token) }, "alice acme publisher token"},
		"a certificate":       {func() (taxii.Principal, error) { return a.Certificate(t.Context(), fingerprint) }, "alice acme publisher certificate"},
		"an API key":          {func() (taxii.Principal, error) { return a.Token(t.Context(), key.Secret) }, "key:siem acme reader API key"},
		"a wrong password":    {func() (taxii.Principal, error) { return a.Password(t.Context(), "alice", "wrong horse") }, ""},
		"an unknown user":     {func() (taxii.Principal, error) { return a.Password(t.Context(), "bob", password) }, ""},
		"a wrong token":       {func() (taxii.Principal, error) { return a.Token(t.Context(), session.Token+"x") }, ""},
		"another certificate": {func() (taxii.Principal, error) { return a.Certificate(t.Context(), [32]byte{}) }, ""},
	} {
		who, err := test.ask()
		if test.want == "" {
			if !errors.Is(err, taxii.ErrUnauthorized) || who.Role != taxii.RoleNone {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
			continue
		}
		if got := fmt.Sprintf("%s %s %s %s", who.User, who.Org, who.Role, who.Credential); err != nil || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q (%v), want %q", name, got, err, test.want)
		}
		if limited := name != "an API key"; limited != slices.Equal(who.Limits.Read, []string{"id of x"}) || limited != (who.Limits.Write != nil) || len(who.Limits.Write) > 0 {
			t.Errorf("%s: limits %+v", name, who.Limits)
		}
	}
}

func TestOnlyWhoComesFirstBecomesAdministratorOfItsOwnOrganisation(t *testing.T) {
	a := newAdministered(t)
	if _, _, err := a.SignupAdmin(t.Context(), taxii.SignUp{Org: "other", User: "ada", Password: password}); !errors.Is(err, taxii.ErrConflict) || !strings.Contains(err.Error(), "the node of acme") {
		t.Errorf("another organisation: %v", err)
	}
	var invalid *taxii.InvalidError
	if _, _, err := a.SignupAdmin(t.Context(), taxii.SignUp{Org: "acme", User: "ada", Password: "short"}); !errors.As(err, &invalid) {
		t.Errorf("a short password: %v", err)
	}
	org, account, err := a.SignupAdmin(t.Context(), taxii.SignUp{Org: "acme", User: "ada", Password: password, Role: taxii.RoleReader})
	if err != nil || org.Name != "acme" || len(org.Address) != 58 || account.User != "ada" || account.Role != taxii.RoleAdmin || account.Org != "acme" || account.ID == "" {
		t.Errorf("%+v, %+v, %v", org, account, err)
	}
	if _, _, err := a.SignupAdmin(t.Context(), taxii.SignUp{Org: "acme", User: "eve", Password: password}); !errors.Is(err, taxii.ErrConflict) || !strings.Contains(err.Error(), "has let somebody in before") {
		t.Errorf("who comes second: %v", err)
	}
	nodetest.Must(t, a.RemoveAccount(t.Context(), AccountRemoval{User: "ada", Last: true}))
	if _, _, err := a.SignupAdmin(t.Context(), taxii.SignUp{Org: "acme", User: "eve", Password: password}); !errors.Is(err, taxii.ErrConflict) {
		t.Errorf("after the first has gone: %v", err)
	}
	if list, err := a.ListAccounts(); err != nil || len(list) != 0 {
		t.Errorf("the accounts are %+v, %v", list, err)
	}
}

func TestAnAdministratorMakesFurtherAccountsAndNobodyElse(t *testing.T) {
	a := newAdministered(t)
	admin := taxii.Principal{User: "ada", Role: taxii.RoleAdmin}
	for _, who := range []taxii.Principal{{}, reader, writer} {
		if _, err := a.SignupUser(t.Context(), who, taxii.SignUp{Org: "acme", User: "sue", Password: password, Role: taxii.RoleReader}); !errors.Is(err, taxii.ErrForbidden) {
			t.Errorf("%s: %v", who.Role, err)
		}
	}
	if _, err := a.SignupUser(t.Context(), admin, taxii.SignUp{Org: "other", User: "sue", Password: password, Role: taxii.RoleReader}); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("for another organisation: %v", err)
	}
	account, err := a.SignupUser(t.Context(), admin, taxii.SignUp{Org: "acme", User: "sue", Password: password, Role: taxii.RoleReader})
	if err != nil || account.User != "sue" || account.Role != taxii.RoleReader {
		t.Errorf("%+v, %v", account, err)
	}
	if _, err := a.SignupUser(t.Context(), admin, taxii.SignUp{Org: "acme", User: "sue", Password: password, Role: taxii.RoleAdmin}); !errors.Is(err, taxii.ErrConflict) || !strings.Contains(err.Error(), "the name is taken") {
		t.Errorf("the same name: %v", err)
	}
	if users, err := a.Users(t.Context(), admin); err != nil || !slices.Equal(users, []string{"sue"}) {
		t.Errorf("%v, %v", users, err)
	}
	if org, err := a.Organisation(t.Context(), "acme"); err != nil || len(org.Address) != 58 {
		t.Errorf("%+v, %v", org, err)
	}
	if _, err := a.Organisation(t.Context(), "other"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("another organisation: %v", err)
	}
}

// What HTTP Basic or the log could misread is no name.
func TestNamesAndPasswordsHaveBounds(t *testing.T) {
	a := newAdministered(t)
	long := strings.Repeat("x", taxii.MaxAccountField)
	for name, good := range map[string]bool{
		"alice": true, long: true, "élan vital": true, "": false, long + "x": false, "a:b": false, "a\nb": false, "a\x7fb": false, "a\xff": false, "a\x00": false,
	} {
		if _, err := a.Add(name, password, taxii.RoleReader, accounts.Limits{}, false); (err == nil) != good || !good && !isInput(err) {
			t.Errorf("the name %.20q: %v", name, err)
		}
		if _, err := a.AddKey(t.Context(), KeySpec{Name: name, Role: "reader"}); (err == nil) != good || !good && !isInput(err) {
			t.Errorf("the key %.20q: %v", name, err)
		}
	}
	for password, good := range map[string]bool{"12345678": true, "éééééééé": true, long: true, "1234567": false, "ééééééé": false, "": false, long + "x": false} {
		if _, err := a.Add(fmt.Sprintf("user %.9s %d", password, len(password)), password, taxii.RoleReader, accounts.Limits{}, false); (err == nil) != good || !good && !isInput(err) {
			t.Errorf("the password %.20q: %v", password, err)
		}
	}
}

func TestALoginLastsForItsTimeOrUntilItsEnd(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "reader"})
	before := time.Now()
	session, err := a.Login(t.Context(), "alice", password)
	if err != nil || session.Account.User != "alice" || session.Account.Role != taxii.RoleReader || session.Expires.Sub(before).Round(time.Minute) != a.session {
		t.Errorf("%+v, %v", session, err)
	}
	if _, err := a.Login(t.Context(), "alice", "wrong horse"); !errors.Is(err, taxii.ErrUnauthorized) {
		t.Errorf("a wrong password: %v", err)
	}
	if tokens, err := a.ListTokens(); err != nil || len(tokens) != 1 || tokens[0].User != "alice" {
		t.Errorf("%+v, %v", tokens, err)
	}
	nodetest.Must(t, a.Logout(t.Context(), session.Token))
	nodetest.Must(t, a.Logout(t.Context(), session.Token)) // which is no error
	if _, err := a.Token(t.Context(), session.Token); !errors.Is(err, taxii.ErrUnauthorized) {
		t.Errorf("after its end: %v", err)
	}
}

func TestEachChangeOfAnAccountIsMadeToldAndWrittenDown(t *testing.T) {
	a := newAdministered(t)
	info := a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "reader", Limits: accounts.Limits{Read: []string{"x"}}})
	if info.User != "alice" || info.Role != "reader" || !slices.Equal(info.Read, []string{"id of x"}) || info.Write != nil {
		t.Errorf("%+v", info)
	}
	sum := strings.Repeat("ab", 32)
	info, err := a.ChangeAccount(t.Context(), AccountChange{
		User: "alice", Password: "another horse", Role: "publisher", Limits: &accounts.Limits{Write: []string{"y", "z"}}, AddCertificate: strings.ToUpper(sum),
	})
	if err != nil || info.Role != "publisher" || info.Read != nil || !slices.Equal(info.Write, []string{"id of y", "id of z"}) || !slices.Equal(info.Certificates, []string{sum}) {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err = a.ChangeAccount(t.Context(), AccountChange{User: "alice", RemoveCertificate: strings.ToUpper(sum)}); err != nil || len(info.Certificates) != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := a.Password(t.Context(), "alice", "another horse"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	want := []string{
		"sign-up alice: reader, read only [id of x]", "set-password alice:", "set-role alice: publisher", "restrict alice: publisher, write only [id of y id of z]",
		"add-certificate alice: " + strings.ToUpper(sum), "remove-certificate alice: " + strings.ToUpper(sum),
	}
	if got := a.lines(); !slices.Equal(got, want) {
		t.Errorf("written down are %q, want %q", got, want)
	}
	if !slices.Equal(a.changed, []string{"alice", "alice"}) {
		t.Errorf("the server was told of %v", a.changed)
	}
	if text := strings.Join(a.lines(), "\n"); strings.Contains(text, "horse") {
		t.Error("a password is in the audit log")
	}
}

// What was changed before the mistake stays, is written down, and is in the server's memory no more.
func TestAChangeEndsAtTheFirstMistake(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "reader"})
	before := len(a.lines())
	for name, test := range map[string]struct {
		change AccountChange
		lines  []string
	}{
		"a short password":       {AccountChange{Password: "short", Role: "admin"}, nil},
		"no role":                {AccountChange{Password: "another horse", Role: "king", AddCertificate: strings.Repeat("ab", 32)}, []string{"set-password alice:"}},
		"no collection":          {AccountChange{Limits: &accounts.Limits{Read: []string{"nothing"}}}, nil},
		"no fingerprint":         {AccountChange{AddCertificate: "ab"}, nil},
		"no hex":                 {AccountChange{AddCertificate: strings.Repeat("xy", 32)}, nil},
		"a certificate of none":  {AccountChange{RemoveCertificate: strings.Repeat("ab", 32)}, nil},
		"an account of somebody": {AccountChange{User: "bob", Role: "admin"}, nil},
	} {
		if test.change.User == "" {
			test.change.User = "alice"
		}
		if _, err := a.ChangeAccount(t.Context(), test.change); !isInput(err) {
			t.Errorf("%s: %v", name, err)
		}
		got := a.lines()[before:]
		before += len(got)
		if !slices.Equal(got, test.lines) {
			t.Errorf("%s: written down are %q, want %q", name, got, test.lines)
		}
	}
	if list, err := a.ListAccounts(); err != nil || len(list) != 1 || list[0].Role != "reader" || len(list[0].Certificates) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWhatIsNotThereOrThereAlreadyIsTheCallersMistake(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "reader"})
	_, err := a.AddKey(t.Context(), KeySpec{Name: "siem", Role: "reader", Expires: time.Now().Add(time.Hour)})
	nodetest.Must(t, err)
	written := len(a.lines())
	for name, ask := range map[string]func() error{
		"an account twice": func() error {
			_, err := a.AddAccount(t.Context(), AccountSpec{User: "alice", Password: password, Role: "reader"})
			return err
		},
		"an account of no role": func() error {
			_, err := a.AddAccount(t.Context(), AccountSpec{User: "bob", Password: password, Role: "king"})
			return err
		},
		"limits to nothing": func() error {
			_, err := a.AddAccount(t.Context(), AccountSpec{User: "bob", Password: password, Role: "reader", Limits: accounts.Limits{Write: []string{"nothing"}}})
			return err
		},
		"nobody's account": func() error { return a.RemoveAccount(t.Context(), AccountRemoval{User: "bob", Last: true}) },
		"a key twice":      func() error { _, err := a.AddKey(t.Context(), KeySpec{Name: "siem", Role: "reader"}); return err },
		"a key of no role": func() error { _, err := a.AddKey(t.Context(), KeySpec{Name: "x", Role: "king"}); return err },
		"a key that has expired": func() error {
			_, err := a.AddKey(t.Context(), KeySpec{Name: "x", Role: "reader", Expires: time.Now().Add(-time.Second)})
			return err
		},
		"no key":               func() error { return a.RemoveKey(t.Context(), "x") },
		"tokens of nobody":     func() error { _, err := a.Revoke(t.Context(), TokenSelection{User: "bob"}); return err },
		"no tokens":            func() error { _, err := a.Revoke(t.Context(), TokenSelection{}); return err },
		"a token and its user": func() error { _, err := a.Revoke(t.Context(), TokenSelection{ID: "1", User: "alice"}); return err },
	} {
		if err := ask(); !isInput(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := a.lines(); len(got) != written {
		t.Errorf("written down are %q", got[written:])
	}
	keys, err := a.ListKeys()
	if err != nil || len(keys) != 1 || keys[0].Name != "siem" || keys[0].Role != "reader" || keys[0].Expires.IsZero() {
		t.Errorf("%+v, %v", keys, err)
	}
}

func TestAnEndOfTokensKeysAndAccountsIsAtOnce(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "alice", Password: password, Role: "reader"})
	key, err := a.AddKey(t.Context(), KeySpec{Name: "siem", Role: "reader"})
	nodetest.Must(t, err)
	var tokens []string
	for range 3 {
		session, err := a.Login(t.Context(), "alice", password)
		nodetest.Must(t, err)
		tokens = append(tokens, session.Token)
	}
	list, err := a.ListTokens()
	nodetest.Must(t, err)
	if ended, err := a.Revoke(t.Context(), TokenSelection{ID: list[0].ID}); err != nil || ended.Tokens != 1 {
		t.Errorf("one token: %+v, %v", ended, err)
	}
	if ended, err := a.Revoke(t.Context(), TokenSelection{User: "alice"}); err != nil || ended.Tokens != 2 {
		t.Errorf("the rest: %+v, %v", ended, err)
	}
	nodetest.Must(t, a.RemoveKey(t.Context(), "siem"))
	for _, secret := range append(tokens, key.Secret) {
		if _, err := a.Token(t.Context(), secret); !errors.Is(err, taxii.ErrUnauthorized) {
			t.Errorf("it is let in still: %v", err)
		}
	}
	nodetest.Must(t, a.RemoveAccount(t.Context(), AccountRemoval{User: "alice", Last: true}))
	if _, err := a.Password(t.Context(), "alice", password); !errors.Is(err, taxii.ErrUnauthorized) || !slices.Contains(a.changed, "alice") {
		t.Errorf("it is let in still: %v, the server was told of %v", err, a.changed)
	}
	want := []string{"sign-up alice: reader", "add-key siem: reader", "revoke-token " + list[0].ID + ":", "revoke-token alice:", "remove-key siem:", "remove-user alice:"}
	if got := a.lines(); !slices.Equal(got, want) {
		t.Errorf("written down are %q, want %q", got, want)
	}
}

func TestTheLastAdministratorIsRemovedByTheOperatorAlone(t *testing.T) {
	a := newAdministered(t)
	a.mustAdd(AccountSpec{User: "ada", Password: password, Role: "admin"})
	a.mustAdd(AccountSpec{User: "rita", Password: password, Role: "reader"})
	ada := taxii.Principal{User: "ada", Role: taxii.RoleAdmin}
	if err := a.RemoveUser(t.Context(), ada, "ada"); !errors.Is(err, taxii.ErrConflict) || !strings.Contains(err.Error(), "slnode account remove") {
		t.Errorf("%v", err)
	}
	if err := a.RemoveUser(t.Context(), ada, "bob"); !errors.Is(err, taxii.ErrNotFound) || len(a.changed) != 0 {
		t.Errorf("%v, the server was told of %v", err, a.changed)
	}
	if err := a.RemoveUser(t.Context(), ada, "rita"); err != nil || !slices.Equal(a.changed, []string{"rita"}) {
		t.Errorf("%v, the server was told of %v", err, a.changed)
	}
	for what, err := range map[string]error{
		"removed": a.RemoveAccount(t.Context(), AccountRemoval{User: "ada"}),
		"made a reader": func() error {
			_, err := a.ChangeAccount(t.Context(), AccountChange{User: "ada", Role: "reader"})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), "the only administrator") {
			t.Errorf("the operator is not told that it is the last that is %s: %v", what, err)
		}
	}
	a.mustAdd(AccountSpec{User: "bea", Password: password, Role: "admin"})
	_, err := a.ChangeAccount(t.Context(), AccountChange{User: "bea", Role: "reader"})
	nodetest.Must(t, err)
	nodetest.Must(t, a.RemoveAccount(t.Context(), AccountRemoval{User: "ada", Last: true}))
}

func TestACollectionOfALimitIsFoundByIdOrAliasAndWithoutANodeByIdOnly(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	own := repo.Consortium{ID: h.ID}
	everything := EverythingID(own)
	for name, want := range map[string]string{"everything": everything, everything: everything, "notes": h.Own, h.Own: h.Own, h.Collection: h.Collection, "nothing": ""} {
		ids, err := CollectionIDs(h.State, own, []string{name})
		if (want == "") != (err != nil) || want != "" && !slices.Equal(ids, []string{want}) {
			t.Errorf("%q is %v (%v), want %q", name, ids, err, want)
		}
	}
	if ids, err := CollectionIDs(h.State, own, []string{}); err != nil || ids == nil {
		t.Errorf("a limit to nothing becomes none: %v, %v", ids, err)
	}
	if ids, err := KnownIDs([]string{h.Own, everything}); err != nil || !slices.Equal(ids, []string{h.Own, everything}) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := KnownIDs([]string{h.Own, "notes"}); err == nil || !strings.Contains(err.Error(), "notes") {
		t.Errorf("an alias: %v", err)
	}
}
