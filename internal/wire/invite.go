package wire

import (
	"errors"
	"fmt"

	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/internal/seal"
)

// KindInvite marks an invite; it is a file between two organisations and never a record.
const KindInvite Kind = "invite"

// Invite is what the governor's node gives an admitted organisation: where the consortium is on the chain and how to
// reach its swarm. It holds the swarm key, so it travels sealed to the newcomer's hybrid key (see [Invite.Seal]).
type Invite struct {
	Format      string   `json:"format"`
	Kind        Kind     `json:"kind"`
	Consortium  uint64   `json:"consortium"` // asset id of the charter
	Charter     string   `json:"charter"`    // id of the transaction that minted it, so that no indexer can put another in its place
	Name        string   `json:"name"`
	GenesisID   string   `json:"genesis_id"`
	GenesisHash []byte   `json:"genesis_hash"`
	Account     string   `json:"account"` // the newcomer's Algorand account
	Network     string   `json:"network"`
	SwarmKey    string   `json:"swarm_key,omitzero"` // the content of swarm.key; none on the public network
	Peers       []string `json:"peers"`              // multiaddresses ending in /p2p/<peer id>
}

const (
	maxInvite = 256 << 10 // bytes, sealed
	maxPeers  = 256
)

// Seal writes the invite as an age file for the newcomer alone.
func (i Invite) Seal(recipient string) ([]byte, error) {
	i.Format, i.Kind = Format, KindInvite
	data, err := encode("an invite", maxInvite, i, i.check)
	if err != nil {
		return nil, err
	}
	sealed, err := seal.SealTo([]string{recipient}, data)
	if err == nil && len(sealed) > maxInvite {
		err = fmt.Errorf("%d bytes, at most %d", len(sealed), maxInvite)
	}
	if err != nil {
		return nil, fmt.Errorf("writing an invite: %w", err)
	}
	return sealed, nil
}

// OpenInvite reads an invite with the newcomer's key. Errors don't repeat its content.
func OpenInvite(sealed []byte, identity *seal.Identity) (Invite, error) {
	if len(sealed) > maxInvite {
		return Invite{}, fmt.Errorf("reading an invite: %d bytes, at most %d", len(sealed), maxInvite)
	}
	data, err := identity.Open(sealed)
	if errors.Is(err, seal.ErrNotForUs) {
		return Invite{}, errors.New("this invite was made for another key than this repository's: it is another organisation's, or of before the keys were changed; the governor makes one with \"slnode member admit\" for what \"slnode member request\" writes now")
	}
	if err != nil {
		return Invite{}, fmt.Errorf("reading an invite: it is damaged or cut short; ask the governor to send it again: %w", err)
	}
	var i Invite
	if err := unmarshal(data, len(data), &i); err != nil || i.Format != Format || i.Kind != KindInvite {
		return Invite{}, errors.New("reading an invite: not an invite of " + Format)
	}
	if err := i.check(); err != nil {
		return Invite{}, fmt.Errorf("reading an invite: %w", err)
	}
	return i, nil
}

func (i *Invite) check() error {
	if i.Consortium == 0 || len(i.Charter) != 52 || len(i.GenesisHash) != 32 {
		return errors.New("the consortium, its charter's transaction or the genesis hash is missing")
	}
	if (i.Network == NetworkPrivate) != (i.SwarmKey != "") {
		return errors.New("a private network, and no other, has a swarm key")
	}
	if err := checkAccount(i.Account); err != nil {
		return err
	}
	if len(i.Peers) > maxPeers {
		return fmt.Errorf("%d peers, at most %d", len(i.Peers), maxPeers)
	}
	for _, address := range i.Peers {
		if _, err := multiaddr.NewMultiaddr(address); err != nil {
			return fmt.Errorf("%.100q is not a multiaddress", address)
		}
	}
	return nil
}
