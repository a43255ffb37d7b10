package wire

import (
	"errors"
	"fmt"
	"slices"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// Charter is the record that founds a consortium. Its NFT's asset id is the consortium's id, and the account that
// minted it is the governor until an [Amendment].
type Charter struct {
	Format            string `json:"format"`
	Kind              Kind   `json:"kind"`
	Name              string `json:"name"`
	GenesisID         string `json:"genesis_id"`
	GenesisHash       []byte `json:"genesis_hash"` // 32 bytes: the Algorand network that this consortium lives on
	Network           string `json:"network"`      // "private" (a swarm with a pre-shared key) or "public"
	Founder           string `json:"founder"`      // account of the member that owns the default collection
	DefaultCollection string `json:"default_collection"`
	History           bool   `json:"history"` // newcomers may read what was published before their admission
}

// The networks of a charter.
const (
	NetworkPrivate = "private"
	NetworkPublic  = "public"
)

// Amendment is the record by which the governor hands over to another one, or to itself, and changes what may change
// of a charter. Everything else of it stays for good, and is not repeated.
type Amendment struct {
	Format   string `json:"format"`
	Kind     Kind   `json:"kind"`
	Name     string `json:"name"`
	History  bool   `json:"history"`
	Governor Quorum `json:"governor"`
}

// Quorum is who the governor is: so many of some accounts. One account alone is the governor itself; of several, the
// governor is their Algorand multisig account, which is made of their addresses in this order and the threshold.
type Quorum struct {
	Threshold int      `json:"threshold"` // how many of them sign
	Accounts  []string `json:"accounts"`  // 1 to 16, each once
}

// maxQuorum keeps a multisig transaction small.
const maxQuorum = 16

// multisigVersion is the only one that Algorand has.
const multisigVersion = 1

// Check refuses a quorum that could never sign, or that is written in another way than the format has.
func (q Quorum) Check() error {
	_, err := q.addresses()
	return err
}

func (q Quorum) addresses() ([]types.Address, error) {
	if len(q.Accounts) > maxQuorum {
		return nil, fmt.Errorf("a governor of %d accounts, at most %d", len(q.Accounts), maxQuorum)
	}
	if q.Threshold < 1 || q.Threshold > len(q.Accounts) {
		return nil, fmt.Errorf("%d of %d accounts can't sign", q.Threshold, len(q.Accounts))
	}
	var addresses []types.Address
	for _, account := range q.Accounts {
		address, err := parseAccount(account)
		if err != nil {
			return nil, err
		}
		if slices.Contains(addresses, address) {
			return nil, fmt.Errorf("the account %s is named twice", account)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// Address is the account that the quorum signs for. The quorum must be in order.
func (q Quorum) Address() (string, error) {
	if len(q.Accounts) == 1 {
		return q.Accounts[0], nil
	}
	multisig, err := q.Multisig()
	if err != nil {
		return "", err
	}
	address, err := multisig.Address()
	return address.String(), err
}

// Multisig is the Algorand account of a quorum of several.
func (q Quorum) Multisig() (crypto.MultisigAccount, error) {
	addresses, err := q.addresses()
	if err != nil {
		return crypto.MultisigAccount{}, err
	}
	return crypto.MultisigAccountWithParams(multisigVersion, uint8(q.Threshold), addresses)
}

// Encode writes record.json.
func (c Charter) Encode() ([]byte, error) {
	c.Format, c.Kind = Format, KindCharter
	return encodeRecord(c.Kind, c, c.check)
}

// ParseCharter reads a charter's record.json.
func ParseCharter(data []byte) (Charter, error) {
	return parseRecord(data, KindCharter, func(c *Charter) (string, Kind) { return c.Format, c.Kind }, (*Charter).check)
}

func (c *Charter) check() error {
	if err := checkText("name", c.Name, 1, 200); err != nil {
		return err
	}
	if len(c.GenesisHash) != 32 || c.GenesisID == "" || len(c.GenesisID) > 100 {
		return errors.New("the genesis hash or id is missing")
	}
	if c.Network != NetworkPrivate && c.Network != NetworkPublic {
		return fmt.Errorf("network %.40q is neither %s nor %s", c.Network, NetworkPrivate, NetworkPublic)
	}
	if err := checkAccount(c.Founder); err != nil {
		return fmt.Errorf("founder: %w", err)
	}
	return CheckUUID(c.DefaultCollection)
}

// Encode writes record.json.
func (a Amendment) Encode() ([]byte, error) {
	a.Format, a.Kind = Format, KindAmendment
	return encodeRecord(a.Kind, a, a.check)
}

// ParseAmendment reads an amendment's record.json.
func ParseAmendment(data []byte) (Amendment, error) {
	return parseRecord(data, KindAmendment, func(a *Amendment) (string, Kind) { return a.Format, a.Kind }, (*Amendment).check)
}

func (a *Amendment) check() error {
	if err := checkText("name", a.Name, 1, 200); err != nil {
		return err
	}
	if err := a.Governor.Check(); err != nil {
		return fmt.Errorf("governor: %w", err)
	}
	return nil
}
