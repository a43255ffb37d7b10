package members

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
)

// Join makes a repository belong to the consortium of an invite.
func Join(ctx context.Context, r *repo.Repo, sealed []byte) (*repo.Consortium, error) {
	invite, err := wire.OpenInvite(sealed, r.Keys.Identity)
	if err != nil {
		return nil, problem.Input(err)
	}
	if invite.Account != r.Keys.Address() {
		return nil, problem.Input(fmt.Errorf("the invite is for the account %s, this repository's is %s", invite.Account, r.Keys.Address()))
	}
	existing, err := r.Consortium()
	if err != nil {
		return nil, err
	}
	if existing != nil && existing.ID != invite.Consortium {
		return nil, problem.Input(fmt.Errorf("this repository belongs to the consortium %q (%d) already", existing.Name, existing.ID))
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
	auditlog.New(r).Command("join-consortium", own.Name, err)
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
	if err := problem.CheckNetwork(params.GenesisID, params.GenesisHash[:], invite.GenesisID, invite.GenesisHash); err != nil {
		return problem.Input(fmt.Errorf("%w; correct algorand.algod_url, or take an invite of a consortium on that network", err))
	}
	return nil
}
