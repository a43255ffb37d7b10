package consortium

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// Draft is a record, or an object, that is ready to be stored on IPFS and minted, once [Draft.By] has said by whom.
type Draft struct {
	Note        wire.Note // without its sequence number, which is given when the transaction is signed
	Metadata    []byte    // metadata.json; nil as long as it isn't anybody's
	Payload     []byte
	PayloadName string

	metadata wire.Metadata
}

func newDraft(note wire.Note, properties wire.Properties, payload []byte, now time.Time) Draft {
	properties.Kind = note.Kind
	properties.StoredAt = wire.FormatTime(now)
	metadata := wire.NewMetadata(properties, payload)
	return Draft{Note: note, Payload: payload, PayloadName: metadata.Properties.Path, metadata: metadata}
}

// Redraft reads what was drafted before, from its files. By somebody else it becomes another directory with the same
// payload.
func Redraft(note wire.Note, metadata, payload []byte) (Draft, error) {
	m, err := wire.ParseMetadata(metadata)
	if err != nil {
		return Draft{}, err
	}
	return Draft{Note: note, Metadata: metadata, Payload: payload, PayloadName: m.Properties.Path, metadata: m}, nil
}

// Parsed is what metadata.json says.
func (d Draft) Parsed() wire.Metadata { return d.metadata }

// By is the draft for the account that will sign its transaction: whoever else mints it publishes nothing.
func (d Draft) By(account string) (Draft, error) {
	d.metadata.Properties.Publisher = account
	encoded, err := d.metadata.Encode()
	if err != nil {
		return Draft{}, fmt.Errorf("drafting a %s by %s: %w", d.Note.Kind, account, err)
	}
	d.Metadata = encoded
	return d, nil
}

// DraftCharter drafts the record that founds a consortium.
func DraftCharter(charter wire.Charter, now time.Time) (Draft, error) {
	payload, err := charter.Encode()
	if err != nil {
		return Draft{}, err
	}
	return newDraft(wire.Note{Kind: wire.KindCharter}, wire.Properties{}, payload, now), nil
}

// DraftMember drafts the admission of an organisation.
func DraftMember(consortium uint64, member wire.Member, now time.Time) (Draft, error) {
	payload, err := member.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindMember, Account: member.Account}
	return newDraft(note, wire.Properties{Consortium: consortium}, payload, now), nil
}

// DraftAmendment drafts the record that names the governor from its position on.
func DraftAmendment(consortium uint64, amendment wire.Amendment, now time.Time) (Draft, error) {
	payload, err := amendment.Encode()
	if err != nil {
		return Draft{}, err
	}
	governor, err := amendment.Governor.Address()
	if err != nil {
		return Draft{}, fmt.Errorf("drafting an amendment: %w", err)
	}
	note := wire.Note{Kind: wire.KindAmendment, Account: governor}
	return newDraft(note, wire.Properties{Consortium: consortium}, payload, now), nil
}

// DraftRemoval drafts the record that ends a membership.
func DraftRemoval(consortium uint64, account string, now time.Time) (Draft, error) {
	payload, err := wire.Removal{Account: account}.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindRemoval, Account: account}
	return newDraft(note, wire.Properties{Consortium: consortium}, payload, now), nil
}

// DraftWithdrawal drafts the record that withdraws what an NFT published, where destroying that can't: because it was
// minted with an earlier account of the member or destroyed before, or because it is one object of a batch that is
// meant, by its index; with the index 0 it is all.
func DraftWithdrawal(consortium, asset uint64, index uint32, now time.Time) (Draft, error) {
	payload, err := wire.Removal{Asset: asset, Index: index}.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindRemoval, Asset: asset, Index: index}
	return newDraft(note, wire.Properties{Consortium: consortium}, payload, now), nil
}

// DraftRotation drafts the record that gives the member with an account other keys. Where the member does it itself,
// account is the key of its next account, which consents; the governor has none.
func DraftRotation(consortium uint64, former string, member wire.Member, account ed25519.PrivateKey, now time.Time) (Draft, error) {
	payload, err := wire.Rotation{Member: member}.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindRotation, Account: member.Account, Former: former, PeerDigest: wire.PeerDigest(member.Peer)}
	if account != nil {
		if note, err = note.WithConsent(consortium, account); err != nil {
			return Draft{}, err
		}
	}
	return newDraft(note, wire.Properties{Consortium: consortium}, payload, now), nil
}

// DraftCollection drafts the record that makes a collection, or changes it, or begins an epoch: its properties
// sealed to the epoch's key, and the given keys (the epoch's among them) sealed to the recipients.
func DraftCollection(consortium uint64, id string, epoch uint32, properties wire.Collection,
	keys map[uint32]*seal.EpochKey, recipients []string, now time.Time) (Draft, error) {
	key := keys[epoch]
	if key == nil {
		return Draft{}, fmt.Errorf("drafting collection %s: no key of epoch %d", id, epoch)
	}
	plaintext, err := properties.Encode()
	if err != nil {
		return Draft{}, err
	}
	sealed, err := key.Seal(seal.PadCoarse(plaintext)) // its size would tell how many members it names
	if err != nil {
		return Draft{}, fmt.Errorf("drafting collection %s: %w", id, err)
	}
	keyrings, err := sealKeyrings(id, keys, recipients)
	if err != nil {
		return Draft{}, fmt.Errorf("drafting collection %s: %w", id, err)
	}
	commitment := key.Commitment(id, epoch)
	payload, err := wire.CollectionRecord{Collection: id, Key: commitment[:], Keyrings: keyrings, Sealed: sealed}.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindCollection, Collection: id}
	return newDraft(note, wire.Properties{Consortium: consortium, Collection: id, Epoch: epoch}, payload, now), nil
}

// DraftKeyring drafts the record that gives keys of a collection to readers who came later.
func DraftKeyring(consortium uint64, id string, keys map[uint32]*seal.EpochKey, recipients []string, now time.Time) (Draft, error) {
	keyrings, err := sealKeyrings(id, keys, recipients)
	if err != nil {
		return Draft{}, fmt.Errorf("drafting a keyring of collection %s: %w", id, err)
	}
	payload, err := wire.KeyringRecord{Collection: id, Keyrings: keyrings}.Encode()
	if err != nil {
		return Draft{}, err
	}
	note := wire.Note{Kind: wire.KindKeyring, Collection: id}
	return newDraft(note, wire.Properties{Consortium: consortium, Collection: id}, payload, now), nil
}

// DraftObject drafts one version of an object for the collection's current epoch: sealed, and with an identifier in
// clear only where that gives nothing away (revealing), else with a handle. Version is "" for an unversioned object.
func DraftObject(consortium uint64, c Collection, id, version string, revealing bool, object []byte, now time.Time) (Draft, error) {
	if c.Properties.Padding == wire.PaddingCoarse {
		object = seal.PadCoarse(object)
	}
	ciphertext, err := c.Key.Seal(object)
	if err != nil {
		return Draft{}, fmt.Errorf("drafting an object of collection %s: %w", c.ID, err)
	}
	payload, err := wire.EncodeSealedObject(ciphertext)
	if err != nil {
		return Draft{}, err
	}
	properties := wire.Properties{Consortium: consortium, Collection: c.ID, Epoch: c.Epoch, Identifier: id, Version: version}
	if !revealing || c.Properties.Metadata != wire.MetadataOpen {
		properties.Identifier, properties.Version = c.Key.Handle(id, version), ""
	}
	return newDraft(wire.Note{Kind: wire.KindObject}, properties, payload, now), nil
}

// DraftBatch drafts the record that publishes objects of one collection and epoch, which were drafted and stored, with
// one NFT.
func DraftBatch(consortium uint64, collection string, epoch uint32, directories []cid.Cid, now time.Time) (Draft, error) {
	payload, err := wire.NewBatch(directories).Encode()
	if err != nil {
		return Draft{}, err
	}
	properties := wire.Properties{Consortium: consortium, Collection: collection, Epoch: epoch, Objects: uint32(len(directories))}
	return newDraft(wire.Note{Kind: wire.KindBatch}, properties, payload, now), nil
}

// sealKeyrings seals a keyring to all recipients, in as few files as hold them. They are spread evenly, so that the
// size of the last one doesn't tell their number.
func sealKeyrings(id string, keys map[uint32]*seal.EpochKey, recipients []string) ([][]byte, error) {
	keyring := wire.Keyring{Collection: id}
	for _, epoch := range slices.Sorted(maps.Keys(keys)) {
		keyring.Epochs = append(keyring.Epochs, wire.KeyringEpoch{Epoch: epoch, Secret: keys[epoch].Secret()})
	}
	plaintext, err := keyring.Encode()
	if err != nil {
		return nil, err
	}
	files := make([][]byte, max(1, (len(recipients)+seal.MaxRecipients-1)/seal.MaxRecipients))
	for n := range files {
		share := recipients[n*len(recipients)/len(files) : (n+1)*len(recipients)/len(files)]
		if files[n], err = seal.SealTo(share, plaintext); err != nil {
			return nil, err
		}
	}
	return files, nil
}
