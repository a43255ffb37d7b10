package accept

import (
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// AcceptTogether takes objects in that the node wrote for a client: in one batch if they are several. It is a
// [taxii.LimitError] where not all that a day may bring is enough for them, and they are to come again.
func (p *Publisher) AcceptTogether(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (string, error) {
	id, refused, err := p.accept(who, c, into, a, terms{Anchor(config.AnchorBatch, config.Publish{}), p.Terms.Quota(who.User), true})
	p.Outbox.Stages.Refused(stages.Own, refused)
	return id, err
}
