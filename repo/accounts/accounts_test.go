package accounts

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func openAccounts(t *testing.T) *Accounts {
	t.Helper()
	s, err := store.Open(t.TempDir(), kv.Options{Key: make([]byte, 32), Durable: true, Create: true})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return New(s)
}

func addAccount(t *testing.T, a *Accounts, user, role string) Account {
	t.Helper()
	account, err := a.Add(user, "secret of "+user, role, Limits{}, false, monday)
	must(t, err)
	return account
}

func newToken(t *testing.T, a *Accounts, user string) string {
	t.Helper()
	now := time.Now()
	account, err := a.Account(user)
	must(t, err)
	token, err := a.NewToken(account, now, now.Add(time.Hour))
	must(t, err)
	return token
}

// A login that was under way when the password was changed comes to nothing: its token would outlive the password.
func TestATokenIsMadeAgainstTheHashThatWasChecked(t *testing.T) {
	for what, meanwhile := range map[string]func(*Accounts) error{
		"another password":  func(a *Accounts) error { _, err := a.SetPassword("ann", "another"); return err },
		"the same password": func(a *Accounts) error { _, err := a.SetPassword("ann", "secret of ann"); return err },
		"no account":        func(a *Accounts) error { return a.Remove("ann", "") },
		"somebody else's, anew": func(a *Accounts) error {
			must(t, a.Remove("ann", ""))
			addAccount(t, a, "ann", "reader")
			return nil
		},
	} {
		a := openAccounts(t)
		addAccount(t, a, "ann", "admin")
		checked, err := a.Check("ann", "secret of ann")
		must(t, err)
		must(t, meanwhile(a))
		now := time.Now()
		if token, err := a.NewToken(checked, now, now.Add(time.Hour)); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s meanwhile: token %q, %v", what, token, err)
		}
		if list, err := a.Tokens(now); err != nil || len(list) > 0 {
			t.Errorf("%s meanwhile: %v, %v", what, list, err)
		}
	}
}

// The race itself: whoever logs in while the password changes has no token that lets in afterwards.
func TestNoLoginOutlivesAChangeOfThePassword(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	old := "secret of ann"
	for round := range 3 {
		var logins sync.WaitGroup
		tokens := make([]string, 4)
		for i := range tokens {
			logins.Go(func() {
				if checked, err := a.Check("ann", old); err == nil {
					now := time.Now()
					tokens[i], _ = a.NewToken(checked, now, now.Add(time.Hour)) // refused if it came too late
				}
			})
		}
		next := fmt.Sprintf("password %d", round)
		_, err := a.SetPassword("ann", next)
		must(t, err)
		logins.Wait()
		for _, token := range tokens {
			if _, err := a.CheckToken(token, time.Now()); token != "" && err == nil {
				t.Errorf("round %d: a token for the old password is good", round)
			}
		}
		old = next
	}
}

// Two administrators who remove each other at the same moment: one of them stays.
func TestOneOfARoleStays(t *testing.T) {
	a := openAccounts(t)
	for range 10 {
		for _, user := range []string{"ann", "bob"} {
			if _, err := a.Account(user); err != nil {
				addAccount(t, a, user, "admin")
			}
		}
		var removals sync.WaitGroup
		for _, user := range []string{"ann", "bob"} {
			removals.Go(func() { _ = a.Remove(user, "admin") })
		}
		removals.Wait()
		if list, err := a.List(); err != nil || len(list) != 1 {
			t.Fatalf("%d are left, %v", len(list), err)
		}
	}
	list, err := a.List()
	must(t, err)
	if err := a.Remove(list[0].User, "admin"); !errors.Is(err, ErrOnly) {
		t.Error(err)
	}
	must(t, a.Remove(list[0].User, ""))
}

func TestPasswordsAreChecked(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	if account, err := a.Check("ann", "secret of ann"); err != nil || account.Role != "admin" {
		t.Errorf("the right password: %+v, %v", account, err)
	}
	for _, wrong := range [][2]string{{"ann", "wrong"}, {"ann", ""}, {"nobody", "secret of ann"}, {"", ""}} {
		if _, err := a.Check(wrong[0], wrong[1]); !errors.Is(err, ErrCredentials) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	if _, err := a.Add("ann", "x", "reader", Limits{}, false, monday); !errors.Is(err, ErrTaken) {
		t.Errorf("the same name was given twice: %v", err)
	}
}

func TestTheFirstToComeIsWelcomeOnlyOnANodeThatNobodyUses(t *testing.T) {
	for name, use := range map[string]func(*Accounts){
		"an account": func(a *Accounts) { addAccount(t, a, "bob", "reader") },
		"an API key": func(a *Accounts) {
			_, err := a.AddKey(APIKey{Name: "siem", Role: "reader", Created: monday})
			must(t, err)
		},
		"one that went": func(a *Accounts) { addAccount(t, a, "bob", "admin"); must(t, a.Remove("bob", "")) },
		"the first that": func(a *Accounts) {
			_, err := a.Add("bob", "x", "admin", Limits{}, true, monday)
			must(t, err)
		},
	} {
		a := openAccounts(t)
		if claimed, err := a.Claimed(); err != nil || claimed {
			t.Fatalf("a new repository is claimed: %v, %v", claimed, err)
		}
		use(a)
		if claimed, err := a.Claimed(); err != nil || !claimed {
			t.Errorf("%s: claimed %v, %v", name, claimed, err)
		}
		if _, err := a.Add("ann", "x", "admin", Limits{}, true, monday); !errors.Is(err, ErrTaken) {
			t.Errorf("%s was there first: %v", name, err)
		}
	}
}

// Nor does it cost the node a password's memory to send the others away: anybody can ask.
func TestWhoComesToAClaimedNodeCostsItNoPassword(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, err := a.Add("eve", "x", "admin", Limits{}, true, monday); !errors.Is(err, ErrTaken) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 { // one password takes 19 MiB
		t.Errorf("ten refusals take %d bytes", taken)
	}
}

func TestAccountsAreListedAndChanged(t *testing.T) {
	a := openAccounts(t)
	ann := addAccount(t, a, "ann", "admin")
	addAccount(t, a, "bob", "reader")
	limits := Limits{Read: []string{"c1"}, Write: []string{}}
	_, err := a.SetLimits("bob", limits)
	must(t, err)
	_, err = a.SetRole("bob", "publisher", "")
	must(t, err)
	list, err := a.List()
	must(t, err)
	if len(list) != 2 || list[0].ID != ann.ID || list[1].Role != "publisher" || !slices.Equal(list[1].Read, limits.Read) || list[1].Write == nil || len(list[1].Write) != 0 {
		t.Errorf("listed as %+v", list)
	}
	if list[0].Read != nil || list[0].Write != nil {
		t.Error("an account that nobody restricted is")
	}
	for name, change := range map[string]func() error{
		"password":    func() error { _, err := a.SetPassword("eve", "x"); return err },
		"role":        func() error { _, err := a.SetRole("eve", "admin", ""); return err },
		"limits":      func() error { _, err := a.SetLimits("eve", Limits{}); return err },
		"certificate": func() error { _, err := a.AddCertificate("eve", "00"); return err },
		"removal":     func() error { return a.Remove("eve", "") },
		"key":         func() error { return a.RemoveKey("eve") },
	} {
		if err := change(); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	for name, end := range map[string]func(a *Accounts, token string) error{
		"by logout":   func(a *Accounts, token string) error { return a.EndToken(token) },
		"by id":       func(a *Accounts, token string) error { return endOne(a, tokensOf(t, a, "ann")[0].ID, "") },
		"by user":     func(a *Accounts, token string) error { return endOne(a, "", "ann") },
		"by password": func(a *Accounts, token string) error { _, err := a.SetPassword("ann", "another"); return err },
		"by removal":  func(a *Accounts, token string) error { return a.Remove("ann", "") },
	} {
		t.Run(name, func(t *testing.T) {
			a := openAccounts(t)
			addAccount(t, a, "ann", "admin")
			addAccount(t, a, "bob", "reader")
			token, other := newToken(t, a, "ann"), newToken(t, a, "bob")
			if caller, err := a.CheckToken(token, time.Now()); err != nil || caller.User != "ann" || !strings.HasPrefix(caller.Credential, "token ") {
				t.Fatalf("a good token: %+v, %v", caller, err)
			}
			if _, err := a.CheckToken(token, time.Now().Add(2*time.Hour)); !errors.Is(err, ErrCredentials) {
				t.Errorf("an expired token: %v", err)
			}
			must(t, end(a, token))
			if _, err := a.CheckToken(token, time.Now()); !errors.Is(err, ErrCredentials) {
				t.Errorf("an ended token: %v", err)
			}
			if _, err := a.CheckToken(other, time.Now()); err != nil {
				t.Errorf("another's token: %v", err)
			}
			if list := tokensOf(t, a, "ann"); len(list) != 0 {
				t.Errorf("still listed: %+v", list)
			}
		})
	}
}

func endOne(a *Accounts, id, user string) error {
	if n, err := a.EndTokens(id, user); err != nil || n != 1 {
		return errors.Join(err, errors.New("not one token ended"))
	}
	return nil
}

func tokensOf(t *testing.T, a *Accounts, user string) []Token {
	t.Helper()
	list, err := a.Tokens(time.Now())
	must(t, err)
	return slices.DeleteFunc(list, func(token Token) bool { return token.User != user })
}

// What an account may do is looked up when its token is used, not when it was made.
func TestATokenDoesWhatItsAccountMayDoNow(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	token := newToken(t, a, "ann")
	_, err := a.SetRole("ann", "reader", "")
	must(t, err)
	_, err = a.SetLimits("ann", Limits{Write: []string{"c1"}})
	must(t, err)
	if caller, err := a.CheckToken(token, time.Now()); err != nil || caller.Role != "reader" || len(caller.Limits.Write) != 1 {
		t.Errorf("%+v, %v", caller, err)
	}
}

func TestAPIKeysLetMachinesIn(t *testing.T) {
	a := openAccounts(t)
	now := time.Now()
	secret, err := a.AddKey(APIKey{Name: "opencti", Role: "publisher", Created: now, Limits: Limits{Write: []string{"c1"}}})
	must(t, err)
	short, err := a.AddKey(APIKey{Name: "short", Role: "reader", Created: now, Expires: now.Add(time.Hour)})
	must(t, err)
	caller, err := a.CheckToken(secret, now.Add(1000*time.Hour))
	if err != nil || caller.User != "key:opencti" || caller.Role != "publisher" || !slices.Equal(caller.Limits.Write, []string{"c1"}) {
		t.Errorf("the key: %+v, %v", caller, err)
	}
	if _, err := a.CheckToken(short, now.Add(2*time.Hour)); !errors.Is(err, ErrCredentials) {
		t.Errorf("an expired key: %v", err)
	}
	var told *ExpiredError
	if _, err := a.CheckToken(short, now.Add(time.Hour)); !errors.As(err, &told) || !told.At.Equal(now.Add(time.Hour)) {
		t.Errorf("who holds an expired key is told %v", err)
	}
	if _, err := a.CheckToken(short[:len(short)-1]+"!", now.Add(time.Hour)); !errors.Is(err, ErrCredentials) || errors.As(err, &told) {
		t.Errorf("who guesses at one is told %v", err)
	}
	if _, err := a.AddKey(APIKey{Name: "opencti", Role: "reader", Created: now}); !errors.Is(err, ErrTaken) {
		t.Errorf("a name twice: %v", err)
	}
	keys, err := a.Keys()
	must(t, err)
	if len(keys) != 2 || keys[0].Name != "opencti" || strings.Contains(secret, keys[0].Hash) {
		t.Errorf("listed as %+v", keys)
	}
	if tokens, err := a.Tokens(now); err != nil || len(tokens) != 0 {
		t.Errorf("keys are listed as tokens: %+v, %v", tokens, err)
	}
	must(t, a.EndToken(secret)) // a logout is not the end of a key
	if n, err := a.EndTokens("", ""); err != nil || n != 0 {
		t.Errorf("%d keys ended as tokens, %v", n, err)
	}
	if _, err := a.CheckToken(secret, now); err != nil {
		t.Errorf("after logouts: %v", err)
	}
	must(t, a.RemoveKey("opencti"))
	if _, err := a.CheckToken(secret, now); !errors.Is(err, ErrCredentials) {
		t.Errorf("a removed key: %v", err)
	}
}

func TestCertificatesStandForAccounts(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	addAccount(t, a, "bob", "reader")
	fingerprint := strings.Repeat("ab", 32)
	_, err := a.AddCertificate("ann", fingerprint)
	must(t, err)
	if _, err := a.AddCertificate("bob", fingerprint); !errors.Is(err, ErrTaken) {
		t.Errorf("one certificate for two: %v", err)
	}
	if caller, err := a.CheckCertificate(fingerprint); err != nil || caller.User != "ann" {
		t.Errorf("%+v, %v", caller, err)
	}
	if _, err := a.CheckCertificate(strings.Repeat("cd", 32)); !errors.Is(err, ErrCredentials) {
		t.Errorf("a stranger's: %v", err)
	}
	if _, err := a.RemoveCertificate("bob", fingerprint); !errors.Is(err, ErrUnknown) {
		t.Errorf("taken from who does not have it: %v", err)
	}
	_, err = a.RemoveCertificate("ann", fingerprint)
	must(t, err)
	_, err = a.AddCertificate("bob", fingerprint)
	must(t, err)
	must(t, a.Remove("bob", ""))
	if _, err := a.CheckCertificate(fingerprint); !errors.Is(err, ErrCredentials) {
		t.Errorf("of a removed account: %v", err)
	}
}

// What the memory of an argon2id check tells, its time tells too: who guesses names learns nothing from how long it
// takes.
func TestAnUnknownUserCostsWhatAKnownOneDoes(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	cost := func(user, password string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := a.Check(user, password); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", user, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	known, unknown := cost("ann", "wrong"), cost("nobody", "wrong")
	if least := uint64(argonMemory << 10); known < least || unknown < least || unknown > known+known/2 || known > unknown+unknown/2 {
		t.Errorf("a known user costs %d bytes of memory, an unknown one %d; a hash takes %d", known, unknown, least)
	}
	if checkPassword(nobodysHash, "") || checkPassword(nobodysHash, "nobody") {
		t.Error("nobody has a password")
	}
}

// Accounts were made before it was noted that somebody was let in: an account alone says so, too.
func TestANodeWithAnAccountIsClaimedWithoutAMark(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	must(t, a.change(func(txn *kv.Txn) error { return txn.Delete(store.Key(store.TableClaimed)) }))
	if claimed, err := a.Claimed(); err != nil || !claimed {
		t.Errorf("claimed: %v, %v", claimed, err)
	}
	if _, err := a.Add("eve", "x", "admin", Limits{}, true, monday); !errors.Is(err, ErrTaken) {
		t.Errorf("whoever comes is the first: %v", err)
	}
	if _, err := a.Add("bob", "x", "reader", Limits{}, false, monday); err != nil {
		t.Errorf("an administrator's own account: %v", err)
	}
}

func TestAHashThatCostsTooMuchIsNoPassword(t *testing.T) {
	for _, hash := range []string{
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$",
	} {
		if checkPassword(hash, "") {
			t.Errorf("the password fits %s", hash)
		}
	}
}
