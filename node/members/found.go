package members

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
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
	chain, err := algorand.NewIndexer(r.Config.Algorand.IndexerURL, r.Config.Algorand.IndexerToken, r.Config.Algorand.IndexerTokenHeader)
	if err != nil {
		return nil, err
	}
	return (&foundation{repo: r, ledger: ledger.New(client, r.Keys.Account, r.Config.Algorand.MaxFee),
		minted: func(ctx context.Context, txid, sender string, first, last uint64) (round, asset, tip uint64, err error) {
			return chainwatch.Minted(ctx, chain, txid, sender, first, last)
		}}).found(ctx, c)
}

// foundation is what a charter is minted with.
type foundation struct {
	repo   *repo.Repo
	ledger interface {
		algod
		Address() string
		Sign(p ledger.Params, mints []ledger.Mint) (ledger.Group, error)
	}
	// minted looks up in the indexer, whose last round is tip, what NFT a transaction made; none if asset is 0.
	minted func(ctx context.Context, txid, sender string, first, last uint64) (round, asset, tip uint64, err error)
}

// found mints the charter, unless that was done, and notes that the repository belongs to the consortium.
func (b *foundation) found(ctx context.Context, c Charter) (*repo.Consortium, error) {
	f, err := readFounding(b.repo)
	if err != nil {
		return nil, err
	}
	if f == nil {
		if err := b.mayFound(ctx); err != nil {
			return nil, err
		}
		if f, err = b.prepare(ctx, c); err != nil {
			return nil, err
		}
	}
	minted, err := b.mint(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("minting the charter: %w", err)
	}
	own := repo.Consortium{
		ID: minted.Asset, Charter: minted.TxID, Name: f.Charter.Name, GenesisID: f.Charter.GenesisID, GenesisHash: f.Charter.GenesisHash,
		Network: f.Charter.Network,
	}
	err = b.repo.SetConsortium(own)
	auditlog.New(b.repo).Command("found-consortium", own.Name, err)
	return &own, err
}

// mayFound refuses what the account can't pay for as a whole, before a third of it is minted.
func (b *foundation) mayFound(ctx context.Context) error {
	funds, err := b.ledger.FundsOf(ctx, b.ledger.Address())
	if err != nil {
		return err
	}
	if funds.Amount < foundingNeeds {
		return problem.Input(fmt.Errorf(poor+"; it has %s: send it at least %s more, then repeat the command",
			b.ledger.Address(), microalgo.Amount(funds.Amount), microalgo.Amount(foundingNeeds-funds.Amount)))
	}
	return nil
}

// foundingNeeds is what a founder's account must have, in microalgo: Algorand's own minimum, and the charter, the first
// member and the default collection.
const foundingNeeds = 100_000 + 3*uint64(microalgo.PerNFT)

// poor says that an account can't pay for the founding.
const poor = "the account %s needs ALGO: a consortium costs 0.303, every NFT 0.101, and every account keeps 0.1"

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

// prepare drafts and signs the charter, and makes the swarm key.
func (b *foundation) prepare(ctx context.Context, c Charter) (*founding, error) {
	r := b.repo
	params, err := b.ledger.Params(ctx)
	if err != nil {
		return nil, err
	}
	f := &founding{Charter: wire.Charter{
		Name: c.Name, GenesisID: params.GenesisID, GenesisHash: params.GenesisHash[:], Network: r.Config.IPFS.Network,
		Founder: r.Keys.Address(), DefaultCollection: uuid.NewString(), History: c.History,
	}}
	draft, err := consortium.DraftCharter(f.Charter, time.Now())
	if err == nil {
		draft, err = draft.By(f.Charter.Founder)
	}
	if err != nil {
		return nil, err
	}
	f.Metadata, f.Payload = draft.Metadata, draft.Payload
	if f.Charter.Network == wire.NetworkPrivate {
		swarmKey, err := keys.NewSwarmKey()
		if err != nil {
			return nil, err
		}
		if err := r.Keys.SetSwarmKey(swarmKey); err != nil {
			return nil, err
		}
	}
	if err := b.sign(f, params); err != nil {
		return nil, err
	}
	return f, f.store(r)
}

func (f *founding) directory() (unixfs.Directory, error) {
	return publish.DirectoryOf(consortium.Draft{Metadata: f.Metadata, Payload: f.Payload, PayloadName: wire.RecordName})
}

func (b *foundation) sign(f *founding, params ledger.Params) error {
	directory, err := f.directory()
	if err != nil {
		return err
	}
	note, err := wire.Note{Kind: wire.KindCharter}.Encode(0)
	if err != nil {
		return err
	}
	hash := wire.MetadataHash(f.Metadata)
	f.Group, err = b.ledger.Sign(params, []ledger.Mint{{URL: wire.URL(directory.Root()), MetadataHash: hash, Note: note, Lease: hash}})
	return err
}

// fate asks algod about the charter and, where algod doesn't have it, the indexer: only what neither has may
// be signed again.
func (b *foundation) fate(ctx context.Context, f *founding) (ledger.Fate, consortium.Place, error) {
	txid := f.Group.TxIDs[0]
	fate, minted, err := b.ledger.Fate(ctx, txid, f.Group.FirstValid, f.Group.LastValid)
	if err != nil || fate == ledger.Pending || fate == ledger.Confirmed {
		return fate, minted, err
	}
	round, err := b.ledger.Round(ctx)
	if err != nil || round <= f.Group.LastValid {
		return fate, minted, err
	}
	round, asset, tip, err := b.minted(ctx, txid, b.ledger.Address(), f.Group.FirstValid, f.Group.LastValid)
	switch {
	case err != nil:
		return ledger.Unknown, consortium.Place{}, err
	case asset > 0:
		return ledger.Confirmed, consortium.Place{TxID: txid, Round: round, Asset: asset}, nil
	case tip > f.Group.LastValid:
		return ledger.Absent, consortium.Place{}, nil // nobody has it, and its rounds are over
	}
	return ledger.Unknown, consortium.Place{}, nil
}

// mint submits the charter until it is confirmed. Like every transaction it is stored before it is submitted.
func (b *foundation) mint(ctx context.Context, f *founding) (consortium.Place, error) {
	for {
		fate, minted, err := b.fate(ctx, f)
		if err != nil {
			return consortium.Place{}, err
		}
		switch fate {
		case ledger.Confirmed:
			return minted, nil
		case ledger.Absent:
			params, err := b.ledger.Params(ctx)
			if err != nil {
				return consortium.Place{}, err
			}
			if err := b.sign(f, params); err != nil {
				return consortium.Place{}, err
			}
			if err := f.store(b.repo); err != nil {
				return consortium.Place{}, err
			}
		}
		round, err := b.ledger.Round(ctx)
		if err != nil {
			return consortium.Place{}, err
		}
		var refused *ledger.RefusedError
		err = b.ledger.Submit(ctx, f.Group.Raw)
		switch {
		case errors.As(err, &refused) && refused.Reason == ledger.NoFunds:
			return consortium.Place{}, problem.Input(fmt.Errorf(poor+" (%w)", b.ledger.Address(), err))
		case errors.As(err, &refused) && (refused.Reason == ledger.Expired || refused.Reason == ledger.LeaseHeld):
			// The next look at its fate tells more.
		case err != nil:
			return consortium.Place{}, err
		}
		if err := ledger.AwaitRound(ctx, b.ledger, round); err != nil {
			return consortium.Place{}, err
		}
	}
}

// CompleteFounding publishes what follows a charter: its directory, the founder's membership and the default
// collection with its first key epoch. It does nothing where that was done, or where somebody else founded: who
// gave a founding up and joined another consortium must not bring its collection there.
func (r *Registrar) CompleteFounding(ctx context.Context) error {
	f, err := readFounding(r.Repo)
	if err != nil || f == nil || f.Group.TxIDs[0] != r.Consortium.Charter {
		return err
	}
	directory, err := f.directory()
	if err != nil {
		return err
	}
	if err := r.Host.Put(ctx, []unixfs.Directory{directory}); err != nil {
		return fmt.Errorf("storing the charter: %w", err)
	}
	id := f.Charter.DefaultCollection
	if _, found, err := r.Repo.Outbox.Find(publish.RecordKey(id, 1)); err != nil || found {
		return err // it is complete; who is the governor and which keys we have may have changed since
	}
	own, err := r.memberDocument()
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
	return r.Collections.Found(ctx, id, wire.Collection{
		Title: f.Charter.Name, Alias: "default", Description: "What the members of " + f.Charter.Name + " share with one another.",
		Readers: all, Contributors: all, DefaultLevel: "green", Metadata: metadata,
	})
}
