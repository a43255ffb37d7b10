package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// Charter is what a consortium is founded with.
type Charter struct {
	Name    string
	History bool // newcomers may read what was published before their admission
}

// founding is what the founder keeps of it, so that an interrupted founding is taken up where it stopped and no second
// charter is minted.
type founding struct {
	Charter  wire.Charter `json:"charter"`
	Metadata []byte       `json:"metadata"`
	Payload  []byte       `json:"payload"`
	Group    ledger.Group `json:"group"`
}

// Found mints the charter of a new consortium and makes the repository belong to it. The founder's membership and the
// default collection follow when the node runs. It can be repeated after a failure or a crash.
func Found(ctx context.Context, r *repo.Repo, c Charter) (*repo.Consortium, error) {
	existing, err := r.Consortium()
	if err != nil {
		return nil, err
	}
	if existing != nil {
		return nil, fmt.Errorf("this repository belongs to the consortium %q (%d) already", existing.Name, existing.ID)
	}
	client, err := algorand.NewAlgod(r.Config.Algorand.AlgodURL, r.Config.Algorand.AlgodToken, r.Config.Algorand.AlgodTokenHeader)
	if err != nil {
		return nil, err
	}
	l := ledger.New(client, r.Keys.Account, r.Config.Algorand.MaxFee)
	chain, err := algorand.NewIndexer(r.Config.Algorand.IndexerURL, r.Config.Algorand.IndexerToken, r.Config.Algorand.IndexerTokenHeader)
	if err != nil {
		return nil, err
	}
	f, err := readFounding(r)
	if err != nil {
		return nil, err
	}
	if f == nil {
		if f, err = prepareFounding(ctx, r, l, c); err != nil {
			return nil, err
		}
	}
	minted, err := mintCharter(ctx, r, l, chain, f)
	if err != nil {
		return nil, fmt.Errorf("minting the charter: %w", err)
	}
	own := repo.Consortium{
		ID: minted.Asset, Charter: minted.TxID, Name: f.Charter.Name, GenesisID: f.Charter.GenesisID, GenesisHash: f.Charter.GenesisHash,
		Network: f.Charter.Network,
	}
	err = r.SetConsortium(own)
	newTrail(r).changed("found-consortium", "", []string{own.Name}, err)
	return &own, err
}

func readFounding(r *repo.Repo) (*founding, error) {
	data, err := r.Outbox.Memo(foundingMemo)
	if err != nil || data == nil {
		return nil, err
	}
	var f founding
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("reading the founding: %w", err)
	}
	return &f, nil
}

const foundingMemo = "founding"

func (f *founding) store(r *repo.Repo) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("storing the founding: %w", err)
	}
	return r.Outbox.SetMemo(foundingMemo, data)
}

// prepareFounding drafts and signs the charter, and makes the swarm key.
func prepareFounding(ctx context.Context, r *repo.Repo, l *ledger.Ledger, c Charter) (*founding, error) {
	params, err := l.Params(ctx)
	if err != nil {
		return nil, err
	}
	f := &founding{Charter: wire.Charter{
		Name: c.Name, GenesisID: params.GenesisID, GenesisHash: params.GenesisHash[:], Network: r.Config.IPFS.Network,
		Founder: r.Keys.Address(), DefaultCollection: uuid.NewString(), History: c.History,
	}}
	draft, err := consortium.DraftCharter(f.Charter, time.Now())
	if err != nil {
		return nil, err
	}
	f.Metadata, f.Payload = draft.Metadata, draft.Payload
	if f.Charter.Network == wire.NetworkPrivate {
		swarmKey, err := repo.NewSwarmKey()
		if err != nil {
			return nil, err
		}
		if err := r.Keys.SetSwarmKey(swarmKey); err != nil {
			return nil, err
		}
	}
	if err := f.sign(l, params); err != nil {
		return nil, err
	}
	return f, f.store(r)
}

func (f *founding) directory() (p2p.Directory, error) {
	return directoryOf(consortium.Draft{Metadata: f.Metadata, Payload: f.Payload, PayloadName: wire.RecordName})
}

func (f *founding) sign(l *ledger.Ledger, params ledger.Params) error {
	directory, err := f.directory()
	if err != nil {
		return err
	}
	note, err := wire.Note{Kind: wire.KindCharter}.Encode(0)
	if err != nil {
		return err
	}
	hash := wire.MetadataHash(f.Metadata)
	f.Group, err = l.Sign(params, []ledger.Mint{{URL: wire.URL(directory.Root()), MetadataHash: hash, Note: note, Lease: hash}})
	return err
}

// fate asks algod what has become of the charter and, where algod doesn't have it, the indexer: only what neither has may
// be signed anew.
func (f *founding) fate(ctx context.Context, l *ledger.Ledger, chain *indexer.Client) (ledger.Fate, ledger.Minted, error) {
	txid := f.Group.TxIDs[0]
	fate, minted, err := l.Fate(ctx, txid, f.Group.FirstValid, f.Group.LastValid)
	if err != nil || fate == ledger.Pending || fate == ledger.Confirmed {
		return fate, minted, err
	}
	round, err := l.Round(ctx)
	if err != nil || round <= f.Group.LastValid {
		return fate, minted, err
	}
	round, asset, tip, err := chainwatch.Minted(ctx, chain, txid, l.Address(), f.Group.FirstValid, f.Group.LastValid)
	switch {
	case err != nil:
		return ledger.Unknown, ledger.Minted{}, err
	case asset > 0:
		return ledger.Confirmed, ledger.Minted{TxID: txid, Round: round, Asset: asset}, nil
	case tip > f.Group.LastValid:
		return ledger.Absent, ledger.Minted{}, nil // nobody has it, and its rounds are over
	}
	return ledger.Unknown, ledger.Minted{}, nil
}

// mintCharter submits the charter until it is confirmed. Like every transaction it is stored before it is submitted.
func mintCharter(ctx context.Context, r *repo.Repo, l *ledger.Ledger, chain *indexer.Client, f *founding) (ledger.Minted, error) {
	for {
		fate, minted, err := f.fate(ctx, l, chain)
		if err != nil {
			return ledger.Minted{}, err
		}
		switch fate {
		case ledger.Confirmed:
			return minted, nil
		case ledger.Absent:
			params, err := l.Params(ctx)
			if err != nil {
				return ledger.Minted{}, err
			}
			if err := f.sign(l, params); err != nil {
				return ledger.Minted{}, err
			}
			if err := f.store(r); err != nil {
				return ledger.Minted{}, err
			}
		}
		round, err := l.Round(ctx)
		if err != nil {
			return ledger.Minted{}, err
		}
		var refused *ledger.RefusedError
		err = l.Submit(ctx, f.Group.Raw)
		switch {
		case errors.As(err, &refused) && refused.Reason == ledger.NoFunds:
			return ledger.Minted{}, fmt.Errorf("the account %s needs ALGO: a consortium costs 0.303, every object 0.101, and every account keeps 0.1 (%w)", l.Address(), err)
		case errors.As(err, &refused) && (refused.Reason == ledger.Expired || refused.Reason == ledger.LeaseHeld):
			// The next look at its fate tells more.
		case err != nil:
			return ledger.Minted{}, err
		}
		waitCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = l.WaitAfter(waitCtx, round)
		cancel()
		if ctx.Err() != nil {
			return ledger.Minted{}, ctx.Err()
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return ledger.Minted{}, err
		}
	}
}

// completeFounding publishes what follows a charter: its directory, the founder's membership and the default
// collection with its first key epoch. It does nothing where that was done, or where somebody else founded: who
// gave a founding up and joined another consortium must not bring its collection there.
func (r *registrar) completeFounding(ctx context.Context) error {
	f, err := readFounding(r.repo)
	if err != nil || f == nil || f.Group.TxIDs[0] != r.consortium.Charter {
		return err
	}
	directory, err := f.directory()
	if err != nil {
		return err
	}
	if err := r.host.Put(ctx, []p2p.Directory{directory}); err != nil {
		return fmt.Errorf("storing the charter: %w", err)
	}
	id := f.Charter.DefaultCollection
	if _, found, err := r.repo.Outbox.Find(recordKey(id, 1)); err != nil || found {
		return err // it is complete; who is the governor and which keys we have may have changed since
	}
	own, err := r.MemberDocument()
	if err != nil {
		return err
	}
	if _, err := r.storeMember(ctx, own); err != nil {
		return err
	}
	metadata := wire.MetadataOpen
	if f.Charter.Network == wire.NetworkPublic {
		metadata = wire.MetadataSealed
	}
	all := wire.Accounts{Members: true}
	return r.collections.found(ctx, id, wire.Collection{
		Title: f.Charter.Name, Alias: "default", Description: "What the members of " + f.Charter.Name + " share with one another.",
		Readers: all, Contributors: all, DefaultLevel: "green", Metadata: metadata,
	})
}

// MemberDocument is what this organisation says of itself: its request for admission.
func (r *registrar) MemberDocument() (wire.Member, error) {
	return Document(r.repo.Config, r.repo.Keys)
}

// Document makes and signs what an organisation says of itself.
func Document(config repo.Config, keys repo.Keys) (wire.Member, error) {
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

// storeMember takes the admission of an organisation into the outbox.
func (r *registrar) storeMember(ctx context.Context, m wire.Member) (repo.Item, error) {
	draft, err := consortium.DraftMember(r.consortium.ID, m, time.Now())
	if err != nil {
		return repo.Item{}, err
	}
	removals := 0 // who was removed can be admitted again
	r.fold.read(func(s *consortium.State) { removals = s.Removals(m.Account) })
	item, err := r.records.store(ctx, memberKey(m, removals), draft)
	return item, err
}

func memberKey(m wire.Member, removals int) []byte {
	return hashOf("member", m.Organisation, m.Title, m.Account, m.Peer, m.Recipient, strconv.Itoa(removals))
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
// gives the same admission again and costs nothing. Where the governor is several accounts, it gives a proposal for them
// or, if they have admitted the organisation, the invite.
func (r *registrar) Admit(ctx context.Context, request []byte) (Admission, error) {
	m, err := wire.ParseMember(request)
	if err != nil {
		return Admission{}, input(err)
	}
	a, err := r.authority(ctx, "admit members")
	if err != nil {
		return Admission{}, err
	}
	admitted, err := r.mayAdmit(m)
	if err != nil {
		return Admission{}, err
	}
	if a.quorum != nil {
		return r.admitTogether(ctx, a, m, admitted)
	}
	item, err := r.storeMember(ctx, m)
	if err != nil {
		return Admission{}, err
	}
	if item, err = r.awaitItem(ctx, item.Key); err != nil {
		return Admission{}, fmt.Errorf("admitting %s: %w", m.Organisation, err)
	}
	if err := r.awaitKeyring(ctx, m); err != nil {
		return Admission{}, fmt.Errorf("giving %s its keys: %w", m.Organisation, err)
	}
	invite, err := r.invite(m)
	if err != nil {
		return Admission{}, err
	}
	return Admission{Organisation: m.Organisation, Account: m.Account, TxID: item.TxID, Round: item.Round, Asset: item.Asset, Invite: invite}, nil
}

// admitTogether proposes an admission or, where it was made, gives the invite.
func (r *registrar) admitTogether(ctx context.Context, a authority, m wire.Member, admitted *consortium.Member) (Admission, error) {
	answer := Admission{Organisation: m.Organisation, Account: m.Account}
	if admitted != nil {
		var err error
		answer.TxID, answer.Round, answer.Asset = admitted.Admitted.TxID, admitted.Admitted.Round, admitted.Admitted.Asset
		answer.Invite, err = r.invite(m)
		return answer, err
	}
	draft, err := consortium.DraftMember(r.consortium.ID, m, now())
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
func (r *registrar) mayAdmit(m wire.Member) (*consortium.Member, error) {
	for _, other := range r.fold.members() {
		switch {
		case other.Account == m.Account && other.Removed == nil && other.Known && other.Peer == m.Peer && other.Recipient == m.Recipient && other.Name == m.Organisation:
			return &other, nil
		case other.Account == m.Account && other.ID != m.Account:
			return nil, input(fmt.Errorf("the account %s belongs to the member %s, which changed its keys", m.Account, other.Name))
		case slices.Contains(other.Former, m.Account):
			return nil, input(fmt.Errorf("the account %s was replaced by its member, %s", m.Account, other.Name))
		case other.Account == m.Account:
			continue
		case other.Name == m.Organisation:
			return nil, input(fmt.Errorf("the name %s belongs to another member, with account %s", m.Organisation, other.Account))
		case other.Peer == m.Peer:
			return nil, input(fmt.Errorf("the peer id %s belongs to another member, %s", m.Peer, other.Name))
		}
	}
	return nil, nil
}

// awaitItem waits until what is published under a key is on the chain.
func (r *registrar) awaitItem(ctx context.Context, key []byte) (repo.Item, error) {
	for {
		changed := r.done.changed()
		item, found, err := r.repo.Outbox.Find(key)
		if err != nil || found && item.State >= repo.Confirmed {
			return item, err
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // it may not be in the outbox yet
		case <-ctx.Done():
			return repo.Item{}, errors.Join(ctx.Err(), r.problem())
		}
	}
}

// awaitKeyring waits until the newcomer's keyring of the default collection, if that is ours, is on the chain.
func (r *registrar) awaitKeyring(ctx context.Context, m wire.Member) error {
	if m.Account == r.fold.self {
		return nil
	}
	for {
		confirmed, changed := r.done.changed(), r.fold.changed.changed()
		waits, id := false, m.Account
		if who, found := r.fold.member(m.Account); found {
			id = who.ID
		}
		for _, c := range r.fold.collections() {
			if !c.Default || c.Owner != r.fold.self {
				continue
			}
			item, found, err := r.repo.Outbox.Find(keyringKey(c, id, m.Recipient))
			if err != nil {
				return err
			}
			waits = !found || item.State < repo.Confirmed
		}
		if !waits {
			return nil
		}
		select {
		case <-confirmed:
		case <-changed:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), r.problem())
		}
	}
}

func (r *registrar) invite(m wire.Member) ([]byte, error) {
	addresses, err := r.addresses()
	if err != nil {
		return nil, err
	}
	return wire.Invite{
		Consortium: r.consortium.ID, Charter: r.consortium.Charter, Name: r.fold.nameOf(r.consortium), GenesisID: r.consortium.GenesisID,
		GenesisHash: r.consortium.GenesisHash, Account: m.Account, Network: r.consortium.Network, SwarmKey: string(r.repo.Keys.SwarmKey()),
		Peers: addresses,
	}.Seal(m.Recipient)
}

// Join makes a repository belong to the consortium of an invite.
func Join(ctx context.Context, r *repo.Repo, sealed []byte) (*repo.Consortium, error) {
	invite, err := wire.OpenInvite(sealed, r.Keys.Identity)
	if err != nil {
		return nil, input(err)
	}
	if invite.Account != r.Keys.Address() {
		return nil, input(fmt.Errorf("the invite is for the account %s, this repository's is %s", invite.Account, r.Keys.Address()))
	}
	existing, err := r.Consortium()
	if err != nil {
		return nil, err
	}
	if existing != nil && existing.ID != invite.Consortium {
		return nil, input(fmt.Errorf("this repository belongs to the consortium %q (%d) already", existing.Name, existing.ID))
	}
	if err := checkNetwork(ctx, r, invite); err != nil {
		return nil, err
	}
	if invite.Network == wire.NetworkPrivate {
		if err := r.Keys.SetSwarmKey([]byte(invite.SwarmKey)); err != nil {
			return nil, err
		}
	}
	own := repo.Consortium{
		ID: invite.Consortium, Charter: invite.Charter, Name: invite.Name, GenesisID: invite.GenesisID, GenesisHash: invite.GenesisHash,
		Network: invite.Network, Peers: invite.Peers,
	}
	err = r.SetConsortium(own)
	newTrail(r).changed("join-consortium", "", []string{own.Name}, err)
	return &own, err
}

// checkNetwork refuses an invite into a consortium on another Algorand network than the configured algod's.
func checkNetwork(ctx context.Context, r *repo.Repo, invite wire.Invite) error {
	client, err := algorand.NewAlgod(r.Config.Algorand.AlgodURL, r.Config.Algorand.AlgodToken, r.Config.Algorand.AlgodTokenHeader)
	if err != nil {
		return err
	}
	params, err := ledger.New(client, r.Keys.Account, r.Config.Algorand.MaxFee).Params(ctx)
	if err != nil {
		return err
	}
	if string(params.GenesisHash[:]) != string(invite.GenesisHash) {
		return input(fmt.Errorf("the consortium lives on the Algorand network %s, the configured algod is of %s", invite.GenesisID, params.GenesisID))
	}
	return nil
}
