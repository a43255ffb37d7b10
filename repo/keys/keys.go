// Package keys is an organisation's keys on the disk: keys.go has what they are, files.go the files that they are kept
// in, sealed.go the one file that holds them sealed with a passphrase, rotation.go how they are replaced. At every
// moment of sealing, unsealing and replacing they are all on the disk. The functions are given the folder of the keys;
// whoever changes something has the lock of the repository.
package keys

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"

	"github.com/serviceledger/slnode/internal/seal"
)

// Keys are an organisation's keys. Whoever has them is the organisation.
type Keys struct {
	Account  crypto.Account    // signs and pays for transactions
	Peer     p2pcrypto.PrivKey // the node's identity in the swarm
	Identity *seal.Identity    // opens keyrings, those for earlier keys too
	Former   []crypto.Account  // the accounts that it had before
	Store    []byte            // encrypts the two stores
	swarm    []byte            // the swarm's pre-shared key; nil if there is none (yet)

	files *keyStore
}

// String keeps the secrets out of logs and error messages.
func (k Keys) String() string { return "keys of " + k.Account.Address.String() }

// GoString keeps the secrets out of %#v.
func (k Keys) GoString() string { return k.String() }

// ErrUnusable means that the keys can't be used until somebody has put them right.
var ErrUnusable = errors.New("the keys can't be used")

// unusable says why, and what to do.
func unusable(format string, values ...any) error {
	return &unusableError{fmt.Sprintf(format, values...)}
}

type unusableError struct{ says string }

func (e *unusableError) Error() string        { return e.says }
func (e *unusableError) Is(target error) bool { return target == ErrUnusable }

func newAccount() (string, error) {
	return mnemonic.FromPrivateKey(crypto.GenerateAccount().PrivateKey)
}

func newPeerKey() (string, error) {
	key, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	raw, err := p2pcrypto.MarshalPrivateKey(key)
	return base64.StdEncoding.EncodeToString(raw), err
}

func newIdentity() (string, error) {
	identity, err := seal.NewIdentity()
	if err != nil {
		return "", err
	}
	return "# Service Ledger: opens the keyrings that are sealed to this organisation\n" + identity.Secret(), nil
}

func newStoreKey() (string, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return hex.EncodeToString(key), err
}

// Open is Read for who has the lock: it carries out what was decided or interrupted.
func Open(dir string, passphrase Passphrase) (Keys, error) {
	files, secret, err := readKeyFiles(dir, passphrase)
	if err != nil {
		return Keys{}, err
	}
	if secret != "" {
		if err := removeClear(dir); err != nil { // what an interrupted sealing left
			return Keys{}, err
		}
	}
	if files, err = switchKeys(dir, files, secret); err != nil {
		return Keys{}, err
	}
	return parseKeys(dir, files, secret)
}

// Read reads the keys in a folder.
func Read(dir string, passphrase Passphrase) (Keys, error) {
	files, secret, err := readKeyFiles(dir, passphrase)
	if err != nil {
		return Keys{}, err
	}
	return parseKeys(dir, files, secret)
}

// parseKeys reads the content of the key files. Errors name the file and never its content.
func parseKeys(dir string, files keyFiles, passphrase string) (Keys, error) {
	k := Keys{files: &keyStore{dir: dir, passphrase: passphrase, files: files}, swarm: files[SwarmFile]}
	for name, parse := range map[string]func(string) error{
		accountFile:  k.parseAccount,
		peerFile:     k.parsePeer,
		identityFile: k.parseIdentity,
		StoreFile:    k.parseStore,
	} {
		if files[name] == nil {
			return Keys{}, fmt.Errorf("reading keys: %w", unusable("there is no %s in %s; put it back from a backup", name, dir))
		}
		if err := files.parse(dir, name, parse); err != nil {
			return Keys{}, err
		}
	}
	return k, k.readFormer()
}

// parse reads the content of one file.
func (f keyFiles) parse(dir, name string, parse func(string) error) error {
	if parse(strings.TrimSpace(string(f[name]))) != nil {
		return fmt.Errorf("reading keys: %w", unusable("%s is damaged; put it back from a backup", filepath.Join(dir, name)))
	}
	return nil
}

func (k *Keys) parseAccount(words string) error {
	private, err := mnemonic.ToPrivateKey(words)
	if err != nil {
		return err
	}
	k.Account, err = crypto.AccountFromPrivateKey(private)
	return err
}

func (k *Keys) parsePeer(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if k.Peer, err = p2pcrypto.UnmarshalPrivateKey(raw); err != nil {
		return err
	}
	// The key holds its public half, too, and libp2p compares them not: of a damaged one, peers would refuse every word.
	signature, err := k.Peer.Sign(nil)
	if err != nil {
		return err
	}
	if good, err := k.Peer.GetPublic().Verify(nil, signature); err != nil || !good {
		return errors.Join(err, errors.New("its halves don't belong together"))
	}
	return nil
}

func (k *Keys) parseIdentity(text string) (err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			k.Identity, err = seal.ParseIdentity(line)
			return err
		}
	}
	return errors.New("no identity")
}

func (k *Keys) parseStore(text string) (err error) {
	k.Store, err = hex.DecodeString(text)
	if err == nil && len(k.Store) != 32 {
		err = errors.New("not 32 bytes")
	}
	return err
}

// Address is the Algorand address of the organisation.
func (k Keys) Address() string { return k.Account.Address.String() }

// Mnemonic is the account's 25 words. It is the one way to get the account's secret out, for an operator's backup.
func (k Keys) Mnemonic() (string, error) { return mnemonic.FromPrivateKey(k.Account.PrivateKey) }

// LeaseKey makes leases that only this organisation can recompute: HKDF-SHA-256 of the account's seed, info
// "serviceledger/1 lease". It survives the loss of everything but the account.
func (k Keys) LeaseKey() ([]byte, error) {
	return hkdf.Key(sha256.New, ed25519.PrivateKey(k.Account.PrivateKey).Seed(), nil, "serviceledger/1 lease", sha256.Size)
}

// CursorKey authenticates the page cursors that TAXII clients keep: HKDF-SHA-256 of the store's key.
func (k Keys) CursorKey() ([]byte, error) {
	return hkdf.Key(sha256.New, k.Store, nil, "serviceledger/1 cursor", sha256.Size)
}

// SwarmKey is the swarm's pre-shared key, or nil if there is none (yet).
func (k Keys) SwarmKey() []byte { return k.swarm }

// SetSwarmKey stores the swarm's pre-shared key.
func (k *Keys) SetSwarmKey(text []byte) error {
	err := k.files.change(func(files keyFiles) error {
		files[SwarmFile] = text
		return nil
	})
	if err == nil {
		k.swarm = text
	}
	return err
}

// NewSwarmKey makes the key of a new private swarm, in the form of IPFS's swarm.key.
func NewSwarmKey() ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making a swarm key: %w", err)
	}
	return []byte("/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"), nil
}
