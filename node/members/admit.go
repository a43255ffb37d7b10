package members

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

// memberDocument is what this organisation says of itself: its request for admission.
func (r *Registrar) memberDocument() (wire.Member, error) {
	return Document(r.Repo.Config, r.Repo.Keys)
}

// Document makes and signs what an organisation says of itself.
func Document(config config.Config, keys keys.Keys) (wire.Member, error) {
	id, err := peer.IDFromPrivateKey(keys.Peer)
	if err != nil {
		return wire.Member{}, err
	}
	title := config.Organisation.Title
	if title == "" {
		title = config.Organisation.Name
	}
	return wire.Member{
		Organisation: config.Organisation.Name, Title: title, Account: keys.Address(), Peer: id.String(),
		Recipient: keys.Identity.Recipient(),
	}.Sign(keys.Account.PrivateKey, keys.Peer)
}

// Request is who asks to be admitted.
type Request struct {
	Organisation string `json:"organisation"`
	Title        string `json:"title"`
	Account      string `json:"account"`
	Peer         string `json:"peer"`
}

// ReadRequest reads a request for admission, and checks that who made it has the keys that it names.
func ReadRequest(data []byte) (Request, error) {
	m, err := wire.ParseMember(data)
	if err != nil {
		return Request{}, problem.Input(err)
	}
	return requestOf(m), nil
}

func requestOf(m wire.Member) Request {
	return Request{Organisation: m.Organisation, Title: m.Title, Account: m.Account, Peer: m.Peer}
}

// MakeRequest makes this organisation's request for admission, which holds no secret.
func MakeRequest(config config.Config, keys keys.Keys) (Request, []byte, error) {
	document, err := Document(config, keys)
	if err != nil {
		return Request{}, nil, err
	}
	data, err := document.Encode()
	return requestOf(document), append(data, '\n'), err
}

// storeMember takes the admission of an organisation into the outbox.
func (r *Registrar) storeMember(ctx context.Context, m wire.Member) (outbox.Item, error) {
	draft, err := consortium.DraftMember(r.Consortium.ID, m, time.Now())
	if err != nil {
		return outbox.Item{}, err
	}
	return r.Records.Store(ctx, r.memberKey(m), draft)
}

// affordAdmission refuses an admission that can't be paid for, with the keys that the newcomer gets.
func (r *Registrar) affordAdmission(ctx context.Context, m wire.Member) error {
	nfts, err := r.recordsOfAdmission(m)
	if err != nil {
		return err
	}
	return r.afford(ctx, nfts, 0)
}

func (r *Registrar) memberKey(m wire.Member) []byte {
	removals := 0 // who was removed can be admitted again
	r.State.Read(func(s *consortium.State) { removals = s.Removals(m.Account) })
	return publish.KeyOf("member", m.Organisation, m.Title, m.Account, m.Peer, m.Recipient, strconv.Itoa(removals))
}

// Admission is the answer to a request.
type Admission struct {
	Organisation string `json:"organisation"`
	Account      string `json:"account"`
	TxID         string `json:"txid"`
	Round        uint64 `json:"round"`
	Asset        uint64 `json:"asset_id"`
	Invite       []byte `json:"invite,omitempty"`   // an age file for the newcomer
	Proposal     []byte `json:"proposal,omitempty"` // instead of all that, where the governor is several: what they sign
}

// Admit makes an organisation a member, and returns when that is on the chain, the newcomer's keyring too. Repeating it
// gives the same admission again and costs nothing. Where the governor is several accounts, it gives a proposal for
// them or, if they have admitted the organisation, the invite.
func (r *Registrar) Admit(ctx context.Context, request []byte) (Admission, error) {
	m, err := wire.ParseMember(request)
	if err != nil {
		return Admission{}, problem.Input(err)
	}
	a, err := r.authority(ctx, "admit members")
	if err != nil {
		return Admission{}, err
	}
	admitted, err := r.mayAdmit(m)
	if err != nil {
		return Admission{}, err
	}
	answer := Admission{Organisation: m.Organisation, Account: m.Account}
	switch {
	case admitted != nil: // by whichever node and governor
		answer.TxID, answer.Round, answer.Asset = admitted.Admitted.TxID, admitted.Admitted.Round, admitted.Admitted.Asset
	case a.quorum != nil:
		return r.proposeAdmission(ctx, a, m)
	default:
		if err := r.affordAdmission(ctx, m); err != nil {
			return Admission{}, err
		}
		item, err := r.storeMember(ctx, m)
		if err != nil {
			return Admission{}, err
		}
		if item, err = r.awaitItem(ctx, item.Key); err != nil {
			return Admission{}, fmt.Errorf("admitting %s: %w", m.Organisation, err)
		}
		answer.TxID, answer.Round, answer.Asset = item.TxID, item.Round, item.Asset
	}
	if a.quorum == nil {
		if err := r.awaitKeyring(ctx, m); err != nil {
			return Admission{}, fmt.Errorf("giving %s its keys: %w", m.Organisation, err)
		}
	}
	answer.Invite, err = r.invite(m)
	return answer, err
}

// proposeAdmission makes a proposal of an admission.
func (r *Registrar) proposeAdmission(ctx context.Context, a authority, m wire.Member) (Admission, error) {
	answer := Admission{Organisation: m.Organisation, Account: m.Account}
	draft, err := consortium.DraftMember(r.Consortium.ID, m, state.Now())
	if err != nil {
		return answer, err
	}
	signed, err := r.propose(ctx, a, draft, r.purposeOf(wire.KindMember, m.Account)...)
	if err != nil {
		return answer, fmt.Errorf("proposing to admit %s: %w", m.Organisation, err)
	}
	answer.Proposal = signed.File
	return answer, nil
}

// mayAdmit refuses what belongs to another member. It gives the member that the document is about, if it is one with
// this very document.
func (r *Registrar) mayAdmit(m wire.Member) (*consortium.Member, error) {
	for _, other := range r.State.Members() {
		switch {
		case other.Account == m.Account && other.Removed == nil && other.Known && other.Peer == m.Peer && other.Recipient == m.Recipient && other.Name == m.Organisation:
			return &other, nil
		case other.Account == m.Account && other.ID != m.Account:
			return nil, problem.Input(fmt.Errorf("the account %s belongs to the member %s, which changed its keys", m.Account, other.Name))
		case slices.Contains(other.Former, m.Account):
			return nil, problem.Input(fmt.Errorf("the account %s was replaced by its member, %s", m.Account, other.Name))
		case other.Account == m.Account:
			continue
		case other.Name == m.Organisation:
			return nil, problem.Input(fmt.Errorf("the name %s belongs to another member, with account %s", m.Organisation, other.Account))
		case other.Peer == m.Peer:
			return nil, problem.Input(fmt.Errorf("the peer id %s belongs to another member, %s", m.Peer, other.Name))
		}
	}
	return nil, nil
}

// awaitItem waits until what is published under a key is on the chain.
func (r *Registrar) awaitItem(ctx context.Context, key []byte) (item outbox.Item, err error) {
	err = signal.Until(ctx, func() (found bool, err error) {
		item, found, err = r.Outbox.Find(key)
		return found && item.State >= outbox.Confirmed, err
	}, &r.Outbox.Done)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errors.Join(err, r.Problem())
	}
	return item, err
}

// awaitKeyring waits until the newcomer's keyring of the default collection, if that is ours, is on the chain.
func (r *Registrar) awaitKeyring(ctx context.Context, m wire.Member) error {
	if m.Account == r.State.Self {
		return nil
	}
	err := signal.Until(ctx, func() (bool, error) {
		id := m.Account
		if who, found := r.State.Member(m.Account); found {
			id = who.ID
		}
		for _, c := range r.State.Collections() {
			if !c.Default || c.Owner != r.State.Self {
				continue
			}
			item, found, err := r.Outbox.Find(collections.KeyringKey(c, id, m.Recipient))
			if err != nil || !found || item.State < outbox.Confirmed {
				return false, err
			}
		}
		return true, nil
	}, &r.Outbox.Done, &r.State.Changed)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errors.Join(err, r.Problem())
	}
	return err
}

func (r *Registrar) invite(m wire.Member) ([]byte, error) {
	addresses, err := r.addresses()
	if err != nil {
		return nil, err
	}
	return wire.Invite{
		Consortium: r.Consortium.ID, Charter: r.Consortium.Charter, Name: r.State.NameOf(r.Consortium), GenesisID: r.Consortium.GenesisID,
		GenesisHash: r.Consortium.GenesisHash, Account: m.Account, Network: r.Consortium.Network, SwarmKey: string(r.Repo.Keys.SwarmKey()),
		Peers: addresses,
	}.Seal(m.Recipient)
}
