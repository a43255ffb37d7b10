package devchain

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

const (
	// feeSink and rewardsPool are the addresses that private Algorand networks commonly use.
	feeSink     = "A7NMWS3NT3IUDMLVO26ULGXGIIOUQ3ND2TXSER6EBGRZNOBOUIQXHIBGDE"
	rewardsPool = "7777777777777777777777777777777777777777777777777774MSJUVU"
	// funderBalance is ten billion ALGO, all that there is on the main network, in microalgos.
	funderBalance = 10_000_000_000_000_000
)

const (
	genesisFile = "genesis.msgpack"
	funderFile  = "funder.mnemonic"
	blocksFile  = "blocks.log"
	lockFile    = "lock"
)

// newGenesis makes a network of its own: its hash is like no other's, because its funder is.
func newGenesis(funder types.Address, devMode bool, now time.Time) *types.Genesis {
	alloc := func(address, comment string, state types.Account) types.GenesisAllocation {
		return types.GenesisAllocation{Address: address, Comment: comment, State: state}
	}
	const notParticipating = 2
	return &types.Genesis{
		SchemaID: "v1",
		Network:  "sldev",
		Proto:    string(consensusVersion),
		Allocation: []types.GenesisAllocation{
			alloc(rewardsPool, "RewardsPool", types.Account{Status: notParticipating, MicroAlgos: 100_000}),
			alloc(feeSink, "FeeSink", types.Account{Status: notParticipating, MicroAlgos: 100_000}),
			alloc(funder.String(), "Funder", types.Account{MicroAlgos: funderBalance}),
		},
		RewardsPool: rewardsPool,
		FeeSink:     feeSink,
		Timestamp:   now.Unix(),
		DevMode:     devMode,
	}
}

// identity is what makes a chain this chain and no other.
type identity struct {
	genesis *types.Genesis
	funder  string // mnemonic of the account that owns everything at first
}

func newIdentity(devMode bool) (identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return identity{}, err
	}
	words, err := mnemonic.FromPrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	funder, err := crypto.AccountFromPrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	return identity{newGenesis(funder.Address, devMode, time.Now()), words}, nil
}

// loadIdentity reads a chain's identity from its directory, or makes one there.
func loadIdentity(dir string, devMode bool) (identity, error) {
	encoded, err := os.ReadFile(filepath.Join(dir, genesisFile))
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(dir, devMode)
	}
	if err != nil {
		return identity{}, fmt.Errorf("reading the genesis: %w", err)
	}
	id := identity{genesis: new(types.Genesis)}
	if err := msgpack.Decode(encoded, id.genesis); err != nil {
		return identity{}, fmt.Errorf("reading the genesis: %w", err)
	}
	if id.genesis.Proto != string(consensusVersion) {
		return identity{}, fmt.Errorf("the chain in %s was made for consensus version %s; this version can't continue it",
			dir, id.genesis.Proto)
	}
	words, err := os.ReadFile(filepath.Join(dir, funderFile))
	if err != nil {
		return identity{}, fmt.Errorf("reading the funder's mnemonic: %w", err)
	}
	id.funder = strings.TrimSpace(string(words))
	return id, nil
}

// createIdentity writes the genesis last: with it the chain exists.
func createIdentity(dir string, devMode bool) (identity, error) {
	id, err := newIdentity(devMode)
	if err != nil {
		return identity{}, fmt.Errorf("making a genesis: %w", err)
	}
	if err := writeDurably(filepath.Join(dir, funderFile), []byte(id.funder+"\n")); err != nil {
		return identity{}, fmt.Errorf("writing the funder's mnemonic: %w", err)
	}
	if err := writeDurably(filepath.Join(dir, genesisFile), msgpack.Encode(id.genesis)); err != nil {
		return identity{}, fmt.Errorf("writing the genesis: %w", err)
	}
	return id, nil
}

// writeDurably replaces a file that only its owner may read, as a whole or not at all.
func writeDurably(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
