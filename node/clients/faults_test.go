package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/taxii"
)

// What a store does not give is never taken for there being nothing: nobody is let in, turned away or shown less
// because of it.
func TestNobodyIsShownLessBecauseOfAFault(t *testing.T) {
	s := newShownWorld(t)
	s.Exports = semaphore.NewWeighted(1)
	for n := range 3 {
		s.Takes(s.Mint(s.Mallory, s.HostileWorld.Object(n+1)))
	}
	of := taxii.Collection{Root: "self", ID: s.HostileWorld.Collection}
	for what, ask := range map[string]func() error{
		"a page": func() error {
			page, err := s.Objects(t.Context(), reader, of, taxii.Query{Limit: 2, Version: taxii.VersionMatch{Last: true}, WithObjects: true})
			for _, part := range page.Rest {
				if _, failed := part.Read(); failed != nil {
					err = failed
				}
			}
			return err
		},
		"whether there is an object": func() error { _, err := s.HasObject(t.Context(), reader, of, indicatorID(1)); return err },
		"when it changed":            func() error { _, err := s.Changed(t.Context(), of); return err },
		"an export": func() error {
			e, err := s.Export(t.Context(), reader, of, taxii.ExportQuery{Format: "plain"})
			if err == nil {
				defer e.Close()
				err = e.Write(t.Context(), &bytes.Buffer{})
			}
			return err
		},
	} {
		s.Faults.EachIsTold(t, what, ask)
	}
}

// So it is with accounts: an account that can't be read is neither a wrong password nor a free name.
func TestNobodyIsTurnedAwayBecauseOfAFault(t *testing.T) {
	w := nodetest.NewChain(t, nodetest.NewOrg(t, "self"))
	a := AccountAdmin{Accounts: NewAccounts(w.R, auditlog.New(w.R)), Collections: KnownIDs}
	a.Changed = func(string) {}
	admin := taxii.Principal{User: "ada", Role: taxii.RoleAdmin}
	count := 0
	named := func(text string) string { count++; return fmt.Sprint(text, count) }
	told := func(what string, do func() error) {
		t.Helper()
		w.Faults.EachIsTold(t, what, do)
	}
	told("a first administrator", func() error {
		_, _, err := a.SignupAdmin(t.Context(), taxii.SignUp{User: named("ada"), Password: password, Org: "self"})
		if errors.Is(err, taxii.ErrConflict) {
			t.Errorf("who comes first is told %v", err)
		}
		return err
	})
	told("a sign-up", func() error {
		_, err := a.SignupUser(t.Context(), admin, taxii.SignUp{User: named("bob"), Password: password, Org: "self", Role: taxii.RoleReader})
		return err
	})
	told("another account", func() error {
		_, err := a.AddAccount(t.Context(), AccountSpec{User: named("alice"), Password: password, Role: "reader"})
		return err
	})
	_, err := a.AddAccount(t.Context(), AccountSpec{User: "carol", Password: password, Role: "reader"})
	nodetest.Must(t, err)
	told("a password", func() error { _, err := a.Password(t.Context(), "carol", password); return err })
	session, err := a.Login(t.Context(), "carol", password)
	nodetest.Must(t, err)
	told("a login", func() error { _, err := a.Login(t.Context(), "carol", password); return err })
	told("a token", func() error { _, err := a.Token(t.Context(), session.Token); return err })
	sum := [32]byte{1}
	told("a change", func() error {
		_, err := a.ChangeAccount(t.Context(), AccountChange{User: "carol", Password: "another horse", Role: "publisher", Limits: &accounts.Limits{}, AddCertificate: fmt.Sprintf("%x", sum)})
		return err
	})
	told("a certificate", func() error { _, err := a.Certificate(t.Context(), sum); return err })
	told("a certificate less", func() error {
		_, err := a.ChangeAccount(t.Context(), AccountChange{User: "carol", RemoveCertificate: fmt.Sprintf("%x", sum)})
		return err
	})
	told("a key", func() error {
		_, err := a.AddKey(t.Context(), KeySpec{Name: named("siem"), Role: "reader"})
		return err
	})
	readsLists(t, a, told)
	session, err = a.Login(t.Context(), "carol", "another horse")
	nodetest.Must(t, err)
	told("ending tokens", func() error { _, err := a.Revoke(t.Context(), TokenSelection{User: "carol"}); return err })
	told("a logout", func() error { return a.Logout(t.Context(), session.Token) })
	_, err = a.AddAccount(t.Context(), AccountSpec{User: "dora", Password: password, Role: "reader"})
	nodetest.Must(t, err)
	told("a user less", func() error { return a.RemoveUser(t.Context(), admin, "dora") })
	told("an account less", func() error { return a.RemoveAccount(t.Context(), AccountRemoval{User: "carol", Last: true}) })
	keys, err := a.ListKeys()
	nodetest.Must(t, err)
	told("a key less", func() error { return a.RemoveKey(t.Context(), keys[0].Name) })
}

func readsLists(t *testing.T, a AccountAdmin, told func(string, func() error)) {
	t.Helper()
	for what, list := range map[string]func() error{
		"accounts": func() error { _, err := a.ListAccounts(); return err },
		"keys":     func() error { _, err := a.ListKeys(); return err },
		"tokens":   func() error { _, err := a.ListTokens(); return err },
		"users":    func() error { _, err := a.Users(t.Context(), taxii.Principal{Role: taxii.RoleAdmin}); return err },
	} {
		told("the list of "+what, list)
	}
}

// So it is with what the API root is called.
func TestTheNameOfTheAPIRootIsNotGuessed(t *testing.T) {
	w := nodetest.NewChain(t, nodetest.NewOrg(t, "self"))
	described, err := OpenAPIRoot(w.R.Outbox, "Self")
	nodetest.Must(t, err)
	w.Faults.EachIsTold(t, "what the API root is called", func() error { _, err := OpenAPIRoot(w.R.Outbox, "Self"); return err })
	w.Faults.EachIsTold(t, "another name of the API root", func() error {
		return (&Administration{Described: described}).DescribeRoot(t.Context(), taxii.Principal{}, "Other", strings.Repeat("d", 10))
	})
}

// What a member published itself is told apart from what others published of the same.
func TestWhatIsOwnIsAskedForApart(t *testing.T) {
	s := newShownWorld(t)
	s.Takes(s.Mint(s.Mallory, s.HostileWorld.Object(1)), s.Mint(s.Self, s.HostileWorld.Object(2)), s.Mint(s.Self, s.HostileWorld.ObjectOf(1, "own")))
	of := taxii.Collection{Root: "self", ID: s.HostileWorld.Collection}
	for own, want := range map[bool][2]string{false: {"mallory", "self"}, true: {"self", "self"}} {
		page, err := s.Objects(t.Context(), reader, of, taxii.Query{Limit: 9, Version: taxii.VersionMatch{Last: true}, Own: own, IDs: []string{indicatorID(1), indicatorID(2)}})
		nodetest.Must(t, err)
		of := map[string]string{}
		for _, r := range page.Records {
			of[r.ID] = r.Publisher
		}
		if len(of) != 2 || of[indicatorID(1)] != want[0] || of[indicatorID(2)] != want[1] {
			t.Errorf("asked for what is own (%v): %v, want %v", own, of, want)
		}
	}
}

// A list of some kinds has nothing of others, and who leaves while others' lists are made waits for no turn.
func TestAListIsOfTheKindsThatWereAskedFor(t *testing.T) {
	s := newShownWorld(t)
	s.Exports = semaphore.NewWeighted(1)
	s.Takes(s.Mint(s.Mallory, s.HostileWorld.Object(1))) // an MD5
	of := taxii.Collection{Root: "self", ID: s.HostileWorld.Collection}
	for kind, want := range map[string]int{"hash": 1, "md5": 1, "ip": 0, "domain": 0} {
		e, err := s.Export(t.Context(), reader, of, taxii.ExportQuery{Format: "plain", Kinds: []string{kind}})
		nodetest.Must(t, err)
		var out bytes.Buffer
		nodetest.Must(t, e.Write(t.Context(), &out))
		e.Close()
		if lines := strings.Count(out.String(), "\n"); lines != want {
			t.Errorf("of %s it has %q", kind, out.String())
		}
	}
	nodetest.Must(t, s.Exports.Acquire(t.Context(), 1))
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.Export(gone, reader, of, taxii.ExportQuery{Format: "plain"}); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left is told %v", err)
	}
}
