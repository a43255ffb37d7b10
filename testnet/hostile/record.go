package hostile

import (
	"encoding/json"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// Collection drafts a collection record whose properties are whatever they are: what a good member would not write,
// too. The key is that of the epoch, and is given to the recipients.
func (m *Member) Collection(id string, epoch uint32, properties any, key *seal.EpochKey, recipients ...string) (consortium.Draft, error) {
	plaintext, err := json.Marshal(properties)
	if err != nil {
		return consortium.Draft{}, err
	}
	sealed, err := key.Seal(plaintext)
	if err != nil {
		return consortium.Draft{}, err
	}
	keyring, err := wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: epoch, Secret: key.Secret()}}}.Encode()
	if err != nil {
		return consortium.Draft{}, err
	}
	given, err := seal.SealTo(append([]string{m.Keys.Identity.Recipient()}, recipients...), keyring)
	if err != nil {
		return consortium.Draft{}, err
	}
	commitment := key.Commitment(id, epoch)
	payload, err := wire.CollectionRecord{Collection: id, Key: commitment[:], Keyrings: [][]byte{given}, Sealed: sealed}.Encode()
	if err != nil {
		return consortium.Draft{}, err
	}
	metadata := wire.NewMetadata(wire.Properties{
		Kind: wire.KindCollection, Consortium: m.Consortium.ID, Publisher: m.Address(), Collection: id, Epoch: epoch, StoredAt: wire.FormatTime(time.Now()),
	}, payload)
	encoded, err := metadata.Encode()
	if err != nil {
		return consortium.Draft{}, err
	}
	return consortium.Draft{
		Note: wire.Note{Kind: wire.KindCollection, Collection: id}, Metadata: encoded, Payload: payload, PayloadName: metadata.Properties.Path,
	}, nil
}
