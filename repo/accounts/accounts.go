// Package accounts is who may use a node: accounts.go has accounts with their roles, limits and client certificates,
// tokens.go login sessions and API keys, password.go how passwords are kept. What a method of [Accounts] returned from
// is durable.
package accounts

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Accounts are the people and machines that may use this node.
type Accounts struct {
	store *store.Store
	mu    sync.Mutex // makes every look and the change that follows from it one step
}

// Account is one of the people.
type Account struct {
	User    string    `json:"user"`
	ID      string    `json:"id"` // UUID
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Hash    string    `json:"hash"` // argon2id, PHC string format
	Limits
	Certificates []string `json:"certificates,omitzero"` // SHA-256 of the client certificates that stand for it, in hex
}

// Limits restrict an account or key to some collections, beyond what its role does. nil restricts nothing, an empty
// list leaves nothing.
type Limits struct {
	Read  []string `json:"read,omitzero"` // ids of collections
	Write []string `json:"write,omitzero"`
}

// Caller is who a credential belongs to, and what it may do.
type Caller struct {
	User       string
	Role       string
	Limits     Limits
	Credential string // its kind and what names it, fit for a log
}

var (
	// ErrTaken means that there is an account or key of this name, or an administrator already.
	ErrTaken = errors.New("the name is taken")
	// ErrUnknown means that there is no account, key or token of this name.
	ErrUnknown = errors.New("there is none of this name")
	// ErrOnly means that an account is the only one with its role.
	ErrOnly = errors.New("there is no other of this role")
	// ErrCredentials means that a credential is wrong or has expired.
	ErrCredentials = errors.New("wrong credentials")
)

// New are the accounts in a store.
func New(s *store.Store) *Accounts { return &Accounts{store: s} }

// accountID is the id of accounts that were made when accounts had none.
func accountID(user string) string { return uuid.NewSHA1(uuid.Nil, []byte(user)).String() }

// Add makes an account. If first is set, it is made only if nobody was ever let in before.
func (a *Accounts) Add(user, password, role string, limits Limits, first bool, now time.Time) (Account, error) {
	if first { // a password costs memory and time: not for whoever comes by
		claimed, err := a.Claimed()
		if err := refusal(claimed, ErrTaken, err); err != nil {
			return Account{}, fmt.Errorf("adding account %.40q: %w", user, err)
		}
	}
	hash, err := hashPassword(password)
	if err != nil {
		return Account{}, err
	}
	account := Account{User: user, ID: uuid.NewString(), Role: role, Created: now, Hash: hash, Limits: limits}
	err = a.change(func(txn *kv.Txn) error {
		if first {
			claimed, err := isClaimed(txn)
			if err := refusal(claimed, ErrTaken, err); err != nil {
				return err
			}
		}
		taken, err := store.Has(txn, store.Key(store.TableAccount, []byte(user)))
		if err := refusal(taken, ErrTaken, err); err != nil {
			return err
		}
		return errors.Join(Claim(txn), store.SetJSON(txn, store.Key(store.TableAccount, []byte(user)), account))
	})
	if err != nil {
		return Account{}, fmt.Errorf("adding account %.40q: %w", user, err)
	}
	return account, nil
}

// refusal is the reason if something is to be refused for it. What can't be read is refused for that alone: it is not
// said to be taken, unknown, or wrong.
func refusal(refused bool, reason, unread error) error {
	if unread == nil && refused {
		return reason
	}
	return unread
}

// change is one step that looks and changes.
func (a *Accounts) change(step func(*kv.Txn) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store.Write(step)
}

// Claim notes that somebody was let in. Should all accounts be removed one day, the node is not up for grabs.
func Claim(txn *kv.Txn) error { return txn.Set(store.Key(store.TableClaimed), nil) }

func isClaimed(txn *kv.Txn) (bool, error) {
	if _, any := store.Last(txn, store.Key(store.TableAccount)); any {
		return true, nil
	}
	return store.Has(txn, store.Key(store.TableClaimed))
}

// Claimed reports whether anybody was ever let in.
func (a *Accounts) Claimed() (claimed bool, err error) {
	err = a.store.Read(func(txn *kv.Txn) error {
		claimed, err = isClaimed(txn)
		return err
	})
	return claimed, err
}

// List lists the accounts by name.
func (a *Accounts) List() (list []Account, err error) {
	err = a.store.Read(func(txn *kv.Txn) error {
		return store.ScanJSON(txn, store.Key(store.TableAccount), func(_ []byte, account Account) error {
			list = append(list, account.complete())
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the accounts: %w", err)
	}
	return list, nil
}

func (a Account) complete() Account {
	if a.ID == "" {
		a.ID = accountID(a.User)
	}
	return a
}

// update changes an account.
func (a *Accounts) update(user string, apply func(*kv.Txn, *Account) error) (account Account, err error) {
	err = a.change(func(txn *kv.Txn) error {
		found, err := store.GetJSON(txn, store.Key(store.TableAccount, []byte(user)), &account)
		if err := refusal(!found, ErrUnknown, err); err != nil {
			return err
		}
		account = account.complete()
		if err := apply(txn, &account); err != nil {
			return err
		}
		return store.SetJSON(txn, store.Key(store.TableAccount, []byte(user)), account)
	})
	if err != nil {
		return Account{}, fmt.Errorf("changing account %.40q: %w", user, err)
	}
	return account, nil
}

// SetPassword gives an account another password and ends its tokens.
func (a *Accounts) SetPassword(user, password string) (Account, error) {
	hash, err := hashPassword(password)
	if err != nil {
		return Account{}, err
	}
	return a.update(user, func(txn *kv.Txn, account *Account) error {
		account.Hash = hash
		_, err := endTokens(txn, func(_ string, t tokenRecord) bool { return t.User == user })
		return err
	})
}

// SetRole gives an account another role. If a role is given that must not be left without an account, and this is the
// only one that has it, it keeps it, and the error wraps [ErrOnly].
func (a *Accounts) SetRole(user, role, onlyRole string) (Account, error) {
	return a.update(user, func(txn *kv.Txn, account *Account) error {
		if account.Role == onlyRole && role != onlyRole {
			if err := checkOthers(txn, user, onlyRole); err != nil {
				return err
			}
		}
		account.Role = role
		return nil
	})
}

// checkOthers refuses to leave a role without an account.
func checkOthers(txn *kv.Txn, user, role string) error {
	others := false
	err := store.ScanJSON(txn, store.Key(store.TableAccount), func(_ []byte, other Account) error {
		others = others || other.User != user && other.Role == role
		return nil
	})
	return refusal(!others, ErrOnly, err)
}

// SetLimits restricts an account to some collections.
func (a *Accounts) SetLimits(user string, limits Limits) (Account, error) {
	return a.update(user, func(_ *kv.Txn, account *Account) error {
		account.Limits = limits
		return nil
	})
}

// AddCertificate lets a client certificate stand for an account.
func (a *Accounts) AddCertificate(user, fingerprint string) (Account, error) {
	return a.update(user, func(txn *kv.Txn, account *Account) error {
		taken, err := store.Has(txn, store.Key(store.TableCertificate, []byte(fingerprint)))
		if err := refusal(taken, ErrTaken, err); err != nil {
			return err
		}
		account.Certificates = append(account.Certificates, fingerprint)
		return txn.Set(store.Key(store.TableCertificate, []byte(fingerprint)), []byte(user))
	})
}

// RemoveCertificate ends that.
func (a *Accounts) RemoveCertificate(user, fingerprint string) (Account, error) {
	return a.update(user, func(txn *kv.Txn, account *Account) error {
		i := slices.Index(account.Certificates, fingerprint)
		if i < 0 {
			return ErrUnknown
		}
		account.Certificates = slices.Delete(account.Certificates, i, i+1)
		return txn.Delete(store.Key(store.TableCertificate, []byte(fingerprint)))
	})
}

// Remove removes an account, its tokens and its certificates. If a role is given and the account is the only one that
// has it, it stays, and the error wraps [ErrOnly].
func (a *Accounts) Remove(user, onlyRole string) error {
	err := a.change(func(txn *kv.Txn) error {
		var account Account
		found, err := store.GetJSON(txn, store.Key(store.TableAccount, []byte(user)), &account)
		if err := refusal(!found, ErrUnknown, err); err != nil {
			return err
		}
		if account.Role == onlyRole {
			if err := checkOthers(txn, user, onlyRole); err != nil {
				return err
			}
		}
		for _, fingerprint := range account.Certificates {
			if err := txn.Delete(store.Key(store.TableCertificate, []byte(fingerprint))); err != nil {
				return err
			}
		}
		if _, err := endTokens(txn, func(_ string, t tokenRecord) bool { return t.User == user }); err != nil {
			return err
		}
		return errors.Join(Claim(txn), txn.Delete(store.Key(store.TableAccount, []byte(user))))
	})
	if err != nil {
		return fmt.Errorf("removing account %.40q: %w", user, err)
	}
	return nil
}

// Check returns the account if the password is right, else an error wrapping [ErrCredentials]. It takes as long for a
// user that doesn't exist as for one that does.
func (a *Accounts) Check(user, password string) (Account, error) {
	account, found, err := a.account(user)
	if err != nil {
		return Account{}, err
	}
	if !found {
		account.Hash = nobodysHash
	}
	if !checkPassword(account.Hash, password) || !found {
		return Account{}, ErrCredentials
	}
	return account, nil
}

// CheckCertificate returns who a client certificate stands for, by its SHA-256 in hex, else an error wrapping
// [ErrCredentials].
func (a *Accounts) CheckCertificate(fingerprint string) (Caller, error) {
	var user []byte
	err := a.store.Read(func(txn *kv.Txn) (err error) {
		user, _, err = store.Get(txn, store.Key(store.TableCertificate, []byte(fingerprint)))
		return err
	})
	if err != nil {
		return Caller{}, fmt.Errorf("checking a certificate: %w", err)
	}
	account, found, err := a.account(string(user))
	if err != nil {
		return Caller{}, err
	}
	if !found {
		return Caller{}, ErrCredentials
	}
	return account.caller("certificate " + fingerprint[:shortID]), nil
}

func (a Account) caller(credential string) Caller {
	return Caller{User: a.User, Role: a.Role, Limits: a.Limits, Credential: credential}
}

func (a *Accounts) account(user string) (account Account, found bool, err error) {
	err = a.store.Read(func(txn *kv.Txn) error {
		found, err = store.GetJSON(txn, store.Key(store.TableAccount, []byte(user)), &account)
		return err
	})
	if err != nil {
		return Account{}, false, fmt.Errorf("reading an account: %w", err)
	}
	return account.complete(), found, nil
}

// Account gives an account by name, or an error wrapping [ErrUnknown].
func (a *Accounts) Account(user string) (Account, error) {
	account, found, err := a.account(user)
	if err == nil && !found {
		err = fmt.Errorf("account %.40q: %w", user, ErrUnknown)
	}
	return account, err
}
