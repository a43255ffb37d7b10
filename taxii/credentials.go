package taxii

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// credentialKey stands for a user and password in memory.
type credentialKey [sha256.Size]byte

// credentials remembers for some minutes which passwords were found right, so that HTTP Basic does not cost a slow hash
// on every request. It keeps no password, only a MAC under a key that is made anew in each process.
type credentials struct {
	ttl time.Duration
	now func() time.Time
	key [32]byte

	mu         sync.Mutex
	known      map[credentialKey]verified
	generation uint64 // counts forgets
}

type verified struct {
	who   Principal
	user  string
	until time.Time
}

// credentialsKept bounds how many credentials are remembered at once.
const credentialsKept = 4096

func newCredentials(ttl time.Duration, now func() time.Time) *credentials {
	c := &credentials{ttl: ttl, now: now, known: make(map[credentialKey]verified)}
	rand.Read(c.key[:]) // never fails: it ends the process rather
	return c
}

// keyOf returns what a user and password are known by, at the address where
// they were found right: elsewhere nobody can try whether they are.
func (c *credentials) keyOf(user, password, address string) (key credentialKey) {
	h := hmac.New(sha256.New, c.key[:])
	for _, part := range []string{address, user, password} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Sum(key[:0])
	return key
}

// get returns who the credential belongs to if that is known. Otherwise it
// returns the generation that a check begun now belongs to.
func (c *credentials) get(key credentialKey) (who Principal, generation uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known[key]
	if ok && c.now().Before(v.until) {
		return v.who, c.generation, true
	}
	return Principal{}, c.generation, false
}

// put remembers the outcome of a check that began in the given generation. It is dropped if an account changed
// meanwhile: the check may have been made against what was there before.
func (c *credentials) put(key credentialKey, user string, who Principal, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	now := c.now()
	if len(c.known) >= credentialsKept {
		evict(c.known, func(v verified) bool { return !now.Before(v.until) })
	}
	c.known[key] = verified{who: who, user: user, until: now.Add(c.ttl)}
}

// forget drops what is known of a user.
func (c *credentials) forget(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for key, v := range c.known {
		if v.user == user || v.who.User == user {
			delete(c.known, key)
		}
	}
}
