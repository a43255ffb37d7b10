package repo

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	store    []byte            // encrypts the two stores

	dir string
}

// String keeps the secrets out of logs and error messages.
func (k Keys) String() string { return "keys of " + k.Account.Address.String() }

// GoString keeps the secrets out of %#v.
func (k Keys) GoString() string { return k.String() }

// The files of the keys folder, each of mode 0600.
const (
	accountFile  = "account.mnemonic" // 25 words, as every Algorand wallet reads them
	peerFile     = "peer.key"         // base64 of libp2p's protobuf
	identityFile = "identity.age"     // an age identity file
	storeFile    = "store.key"        // 32 bytes in hex
	swarmFile    = "swarm.key"        // as IPFS has it; only in a private swarm, from the invite
)

// makeKeys makes the keys that are not there yet.
func makeKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	for name, generate := range map[string]func() (string, error){
		accountFile:  newAccount,
		peerFile:     newPeerKey,
		identityFile: newIdentity,
		storeFile:    newStoreKey,
	} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		text, err := generate()
		if err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
		if err := WriteFile(path, []byte(text+"\n")); err != nil {
			return err
		}
	}
	return nil
}

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

// ReadKeys reads the keys of the repository in dir without opening it.
func ReadKeys(dir string) (Keys, error) {
	if err := checkVersion(dir); err != nil {
		return Keys{}, err
	}
	return readKeys(keysPath(dir))
}

// readKeys reads the keys. Errors name the file and never its content.
func readKeys(dir string) (Keys, error) {
	k := Keys{dir: dir}
	for name, parse := range map[string]func(string) error{
		accountFile:  k.parseAccount,
		peerFile:     k.parsePeer,
		identityFile: k.parseIdentity,
		storeFile:    k.parseStore,
	} {
		if err := parseKeyFile(filepath.Join(dir, name), parse); err != nil {
			return Keys{}, err
		}
	}
	return k, k.readFormer()
}

// parseKeyFile reads a file of one key.
func parseKeyFile(path string, parse func(string) error) error {
	if err := checkMode(path); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	if parse(strings.TrimSpace(string(text))) != nil {
		return fmt.Errorf("reading keys: %s is damaged; put it back from a backup", path)
	}
	return nil
}

// checkMode refuses a key file that others can read.
func checkMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("reading keys: %s can be read by others (mode %04o); make it 0600", path, info.Mode().Perm())
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
	k.Peer, err = p2pcrypto.UnmarshalPrivateKey(raw)
	return err
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
	k.store, err = hex.DecodeString(text)
	if err == nil && len(k.store) != 32 {
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
	return hkdf.Key(sha256.New, k.store, nil, "serviceledger/1 cursor", sha256.Size)
}

// SwarmKey is the swarm's pre-shared key, or nil if there is none (yet).
func (k Keys) SwarmKey() ([]byte, error) {
	path := filepath.Join(k.dir, swarmFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the swarm key: %w", err)
	}
	return text, checkMode(path)
}

// SetSwarmKey stores the swarm's pre-shared key.
func (k Keys) SetSwarmKey(text []byte) error { return WriteFile(filepath.Join(k.dir, swarmFile), text) }

// NewSwarmKey makes the key of a new private swarm, in the form of IPFS's swarm.key.
func NewSwarmKey() ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making a swarm key: %w", err)
	}
	return []byte("/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"), nil
}
