package repo

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/argon2"
)

// Accounts are the people and machines that may use this node.
type Accounts struct {
	store *store
	mu    sync.Mutex // makes "is there one already?" and "make one" one step
}

// Account is one of them.
type Account struct {
	User    string    `json:"user"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Hash    string    `json:"hash"` // argon2id, PHC string format
}

var (
	// ErrTaken means that there is an account of this name, or an administrator already.
	ErrTaken = errors.New("there is an account already")
	// ErrCredentials means that a user, password or token is wrong or has expired.
	ErrCredentials = errors.New("wrong credentials")
)

// The tables of accounts.
const (
	tableAccount = 'u' // user -> Account
	tableToken   = 't' // SHA-256 of the token -> user; disappears when the token expires
)

// Add makes an account. If first is set, it is made only if there is none at all.
func (a *Accounts) Add(user, password, role string, first bool, now time.Time) (Account, error) {
	hash, err := hashPassword(password)
	if err != nil {
		return Account{}, err
	}
	account := Account{User: user, Role: role, Created: now, Hash: hash}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.store.write(func(txn *badger.Txn) error {
		if first {
			if _, any := last(txn, key(tableAccount)); any {
				return ErrTaken
			}
		}
		if taken, err := has(txn, key(tableAccount, []byte(user))); err != nil || taken {
			return errors.Join(err, ErrTaken)
		}
		return setJSON(txn, key(tableAccount, []byte(user)), account)
	})
	if err != nil {
		return Account{}, fmt.Errorf("adding account %.40q: %w", user, err)
	}
	return account, nil
}

// Any reports whether there is any account.
func (a *Accounts) Any() (any bool, err error) {
	err = a.store.read(func(txn *badger.Txn) error {
		_, any = last(txn, key(tableAccount))
		return nil
	})
	return any, err
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

func (a *Accounts) account(user string) (account Account, found bool, err error) {
	err = a.store.read(func(txn *badger.Txn) error {
		found, err = getJSON(txn, key(tableAccount, []byte(user)), &account)
		return err
	})
	if err != nil {
		return Account{}, false, fmt.Errorf("reading an account: %w", err)
	}
	return account, found, nil
}

type tokenRecord struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

// NewToken makes a bearer token: 256 random bits. Only its hash is kept.
func (a *Accounts) NewToken(user string, expires time.Time) (string, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	token := "sl_" + base64.RawURLEncoding.EncodeToString(secret)
	record, err := json.Marshal(tokenRecord{User: user, Expires: expires})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	hash := sha256.Sum256([]byte(token))
	err = a.store.write(func(txn *badger.Txn) error {
		return setFor(txn, key(tableToken, hash[:]), record, time.Until(expires))
	})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	return token, nil
}

// CheckToken returns the account that a token belongs to, else an error wrapping [ErrCredentials].
func (a *Accounts) CheckToken(token string, now time.Time) (Account, error) {
	hash := sha256.Sum256([]byte(token))
	var record tokenRecord
	var account Account
	var found bool
	err := a.store.read(func(txn *badger.Txn) (err error) {
		if found, err = getJSON(txn, key(tableToken, hash[:]), &record); err != nil || !found {
			return err
		}
		found, err = getJSON(txn, key(tableAccount, []byte(record.User)), &account)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("checking a token: %w", err)
	}
	if !found || !now.Before(record.Expires) {
		return Account{}, ErrCredentials
	}
	return account, nil
}

// EndToken ends a token.
func (a *Accounts) EndToken(token string) error {
	hash := sha256.Sum256([]byte(token))
	if err := a.store.write(func(txn *badger.Txn) error { return txn.Delete(key(tableToken, hash[:])) }); err != nil {
		return fmt.Errorf("ending a token: %w", err)
	}
	return nil
}

// The cost of a password (OWASP's recommendation for argon2id): 19 MiB, two passes, one thread.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLength = 32
)

func hashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, argonLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// nobodysHash is what a password is compared with when there is no such user: a hash that no password has.
var nobodysHash = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime,
	base64.RawStdEncoding.EncodeToString(make([]byte, 16)), base64.RawStdEncoding.EncodeToString(make([]byte, argonLength)))

func checkPassword(hash, password string) bool {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[1] != "argon2id" {
		return false
	}
	var memory, passes uint32
	var threads uint8
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return false
	}
	// A hash may come from a backup that somebody else made: it must not cost more than some of ours.
	if memory > 8*argonMemory || passes < 1 || passes > 8*argonTime || threads < 1 || len(want) != argonLength {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
