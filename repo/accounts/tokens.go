package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Tokens and API keys are 256 random bits each. Only their SHA-256 is kept: with so much to guess, a slow hash would
// gain nothing. How they begin tells what a leaked one is.
const (
	tokenPrefix = "sl_"
	keyPrefix   = "slkey_"
)

// shortID is how many hex digits of a hash name a token or certificate in lists and logs.
const shortID = 16

// tokenRecord says who a token lets in.
type tokenRecord struct {
	User    string    `json:"user"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires"`
}

// Token is a login that lasts.
type Token struct {
	ID      string    `json:"id"` // the beginning of its hash
	User    string    `json:"user"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires"`
}

// APIKey lets a machine in under its own name, with a role and limits of its own.
type APIKey struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // never if it is zero
	Limits
	Hash string `json:"hash"` // of the secret, in hex
}

// user is the name that what is done with the key is done under. No account's name holds a colon.
func (k APIKey) user() string { return "key:" + k.Name }

// newSecret gives a secret and its hash.
func newSecret(prefix string) (secret string, hash [sha256.Size]byte) {
	random := make([]byte, 32)
	rand.Read(random) // never fails: it ends the process rather
	secret = prefix + base64.RawURLEncoding.EncodeToString(random)
	return secret, sha256.Sum256([]byte(secret))
}

// NewToken makes a bearer token for an account whose password [Accounts.Check] has found right. The error wraps
// [ErrCredentials] if the account has another password since, or is another one's: no token outlives the password that
// it was given for.
func (a *Accounts) NewToken(checked Account, now, expires time.Time) (string, error) {
	token, hash := newSecret(tokenPrefix)
	record, err := json.Marshal(tokenRecord{User: checked.User, Created: now, Expires: expires})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	err = a.change(func(txn *kv.Txn) error {
		var account Account
		found, err := store.GetJSON(txn, store.Key(store.TableAccount, []byte(checked.User)), &account)
		if err := refusal(!found || account.Hash != checked.Hash, ErrCredentials, err); err != nil {
			return err
		}
		return txn.Put(kv.Entry{Key: store.Key(store.TableToken, hash[:]), Body: record, Expires: uint64(expires.Unix()) + 1})
	})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	return token, nil
}

// AddKey makes an API key and returns its secret, which nothing can show again.
func (a *Accounts) AddKey(k APIKey) (secret string, err error) {
	secret, hash := newSecret(keyPrefix)
	k.Hash = hex.EncodeToString(hash[:])
	err = a.change(func(txn *kv.Txn) error {
		taken, err := store.Has(txn, store.Key(store.TableAPIKey, []byte(k.Name)))
		if err := refusal(taken, ErrTaken, err); err != nil {
			return err
		}
		return errors.Join(Claim(txn), store.SetJSON(txn, store.Key(store.TableAPIKey, []byte(k.Name)), k),
			txn.Set(store.Key(store.TableKeyHash, hash[:]), []byte(k.Name)))
	})
	if err != nil {
		return "", fmt.Errorf("adding the API key %.40q: %w", k.Name, err)
	}
	return secret, nil
}

// Keys lists the API keys by name, the expired ones too.
func (a *Accounts) Keys() (list []APIKey, err error) {
	err = a.store.Read(func(txn *kv.Txn) error {
		return store.ScanJSON(txn, store.Key(store.TableAPIKey), func(_ []byte, k APIKey) error {
			list = append(list, k)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the API keys: %w", err)
	}
	return list, nil
}

// RemoveKey ends an API key.
func (a *Accounts) RemoveKey(name string) error {
	err := a.change(func(txn *kv.Txn) error {
		var k APIKey
		found, err := store.GetJSON(txn, store.Key(store.TableAPIKey, []byte(name)), &k)
		if err := refusal(!found, ErrUnknown, err); err != nil {
			return err
		}
		hash, err := hex.DecodeString(k.Hash)
		if err != nil {
			return err
		}
		return errors.Join(txn.Delete(store.Key(store.TableKeyHash, hash)), txn.Delete(store.Key(store.TableAPIKey, []byte(name))))
	})
	if err != nil {
		return fmt.Errorf("removing the API key %.40q: %w", name, err)
	}
	return nil
}

// ExpiredError is an [ErrCredentials] about an API key that let somebody in until At.
type ExpiredError struct{ At time.Time }

func (e *ExpiredError) Error() string {
	return "the API key has expired, at " + e.At.UTC().Format(time.RFC3339)
}

// Is makes it one of the credentials that let nobody in.
func (e *ExpiredError) Is(target error) bool { return target == ErrCredentials }

// CheckToken returns who a token or API key lets in, else an error wrapping [ErrCredentials], which is an
// [ExpiredError] to who holds an API key of before.
func (a *Accounts) CheckToken(secret string, now time.Time) (caller Caller, err error) {
	hash := sha256.Sum256([]byte(secret))
	check := checkToken
	if strings.HasPrefix(secret, keyPrefix) {
		check = checkKey
	}
	var found bool
	err = a.store.Read(func(txn *kv.Txn) (err error) {
		caller, found, err = check(txn, hash, now)
		return err
	})
	if err != nil {
		return Caller{}, fmt.Errorf("checking a token: %w", err)
	}
	if !found {
		return Caller{}, ErrCredentials
	}
	return caller, nil
}

func checkToken(txn *kv.Txn, hash [sha256.Size]byte, now time.Time) (Caller, bool, error) {
	var record tokenRecord
	found, err := store.GetJSON(txn, store.Key(store.TableToken, hash[:]), &record)
	if err != nil || !found || !now.Before(record.Expires) {
		return Caller{}, false, err
	}
	var account Account
	found, err = store.GetJSON(txn, store.Key(store.TableAccount, []byte(record.User)), &account)
	return account.caller("token " + hex.EncodeToString(hash[:])[:shortID]), found, err
}

func checkKey(txn *kv.Txn, hash [sha256.Size]byte, now time.Time) (Caller, bool, error) {
	name, found, err := store.Get(txn, store.Key(store.TableKeyHash, hash[:]))
	if err != nil || !found {
		return Caller{}, false, err
	}
	var k APIKey
	found, err = store.GetJSON(txn, store.Key(store.TableAPIKey, name), &k)
	if err == nil && found && !k.Expires.IsZero() && !now.Before(k.Expires) {
		return Caller{}, false, &ExpiredError{k.Expires}
	}
	return Caller{User: k.user(), Role: k.Role, Limits: k.Limits, Credential: "API key"}, found, err
}

// Tokens lists the logins that last, the latest to expire last.
func (a *Accounts) Tokens(now time.Time) (list []Token, err error) {
	err = a.store.Read(func(txn *kv.Txn) error {
		return store.ScanJSON(txn, store.Key(store.TableToken), func(k []byte, record tokenRecord) error {
			if now.Before(record.Expires) {
				list = append(list, Token{ID: tokenID(k), User: record.User, Created: record.Created, Expires: record.Expires})
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the tokens: %w", err)
	}
	slices.SortFunc(list, func(a, b Token) int { return a.Expires.Compare(b.Expires) })
	return list, nil
}

// tokenID names the token that is kept under a key of the store.
func tokenID(k []byte) string {
	return hex.EncodeToString(k[len(store.Key(store.TableToken)):])[:shortID]
}

// EndToken ends a token, given in full. It does nothing to an API key.
func (a *Accounts) EndToken(secret string) error {
	if strings.HasPrefix(secret, keyPrefix) {
		return nil
	}
	hash := sha256.Sum256([]byte(secret))
	if err := a.store.Write(func(txn *kv.Txn) error { return txn.Delete(store.Key(store.TableToken, hash[:])) }); err != nil {
		return fmt.Errorf("ending a token: %w", err)
	}
	return nil
}

// EndTokens ends the token with an id or, if that is empty, all those of a user, and returns how many there were.
func (a *Accounts) EndTokens(id, user string) (ended int, err error) {
	err = a.change(func(txn *kv.Txn) error {
		ended, err = endTokens(txn, func(of string, t tokenRecord) bool {
			return of == id || id == "" && t.User == user
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ending tokens: %w", err)
	}
	return ended, nil
}

// endTokens deletes the tokens that are chosen by id and record.
func endTokens(txn *kv.Txn, chosen func(string, tokenRecord) bool) (int, error) {
	var gone [][]byte
	err := store.ScanJSON(txn, store.Key(store.TableToken), func(k []byte, record tokenRecord) error {
		if chosen(tokenID(k), record) {
			gone = append(gone, slices.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		err = errors.Join(err, txn.Delete(k))
	}
	return len(gone), err
}
