package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
)

// Options are what the checker knows from elsewhere.
type Options struct {
	// Consortium is the asset id of the charter of the consortium that is meant; 0 if that isn't known.
	Consortium uint64
	// Trust are hashes that the caller has from a source of its own, as a report shows them: of blocks, of state proof
	// messages, of the network's genesis. A step that comes down to one of them passes.
	Trust []string
	// Directory computes CIDs.
	Directory Directory
}

// checker walks along one file.
type checker struct {
	Report
	options Options
	network *[32]byte // genesis hash; nil before the first transaction
	state   *consortium.State
	seen    []string           // state proof messages that were reported
	events  []consortium.Event // of the records
	bare    map[string]bool    // by transaction: it is there without its files
	blocks  map[uint64]bool    // by round: its transactions are there with their block
}

// Check walks along the evidence of a file, step by step. Nothing is asked of anybody: what the file can't prove is a
// step of its own that says so ([Trusted]).
func Check(data []byte, o Options) Report {
	c := &checker{Report: NewReport(""), options: o, bare: map[string]bool{}, blocks: map[uint64]bool{}}
	if f, err := parse(data); c.Add("file", Format, err) {
		c.file(f)
	}
	for _, s := range c.Steps {
		if s.Outcome == Fail {
			c.Conclusion = fmt.Sprintf("Nothing is proved: the step %q fails: %s.", s.Name, s.Detail)
			break
		}
	}
	return c.Report
}

// file walks along a file, up to the first step that fails.
func (c *checker) file(f File) {
	c.TxID = f.Subject.TxID
	charter := append(slices.Clone(f.Records), f.Subject)[0].TxID
	c.state = consortium.New(f.Consortium, charter, nil)
	subject, ok := c.fold(f)
	if !ok || !c.consortium(f.Consortium, subject) || !c.membership(subject) {
		return
	}
	what := described(subject, f)
	if subject.Note.Kind == wire.KindObject || f.Disclosed != nil {
		what = c.object(subject, f)
	}
	c.conclude(subject, what)
}

// fold checks the records and the subject, each in its place of the chain.
func (c *checker) fold(f File) (subject consortium.Event, ok bool) {
	rest := f.Records
	for len(rest) > 0 && place(rest[0]).Before(place(f.Subject)) {
		e, ok := c.publication(rest[0], false)
		if !ok {
			return subject, false
		}
		c.events, rest = append(c.events, e), rest[1:]
	}
	if subject, ok = c.publication(f.Subject, true); !ok {
		return subject, false
	}
	for _, record := range rest { // what came later shows by its number that nothing was before
		e, ok := c.publication(record, false)
		if !ok {
			return subject, false
		}
		c.events = append(c.events, e)
	}
	return subject, true
}

// place is where a publication says that it is; the zero position if it can't be read, which [checker.publication]
// says.
func place(p Publication) consortium.Position {
	confirmed, _, err := read(p)
	if err != nil {
		return consortium.Position{}
	}
	return confirmed.Position
}

// publication checks one transaction with its files, and folds it into the state.
func (c *checker) publication(p Publication, isSubject bool) (consortium.Event, bool) {
	confirmed, header, err := read(p)
	if err != nil {
		return consortium.Event{}, c.Add("transaction", p.TxID, err)
	}
	if c.network == nil {
		network := [32]byte(confirmed.Txn.GenesisHash)
		c.network = &network
	}
	e, err := confirmed.Event(*c.network)
	prefix := kindName(e.Note.Kind) + ": "
	if err == nil && confirmed.TxID != p.TxID {
		err = errors.New("its content has the id " + confirmed.TxID)
	}
	if !c.Add(prefix+"signature", p.TxID+" by "+signer(confirmed.SignedTxn), err) || !c.confirmation(prefix, p, e, confirmed, header) {
		return e, false
	}
	bare := !isSubject && p.Metadata == "" && p.Payload == ""
	if p.Batch != nil && (!isSubject || e.Note.Kind != wire.KindBatch) {
		return e, c.Add(prefix+"batch", p.TxID, errors.New("it is not the batch that the subject is an object of"))
	}
	effect, reason := c.state.Apply(e)
	switch {
	case effect == consortium.Nothing && !bare:
		return e, c.Add(prefix+"counts", p.TxID, errors.New(reason))
	case effect == consortium.Nothing:
		c.Note(NotThere, prefix+"counts", p.TxID, "it does not: "+reason)
		return e, true
	}
	if p.Batch != nil {
		return c.listed(prefix, p, e)
	}
	return e, c.content(prefix, p, e, bare)
}

// listed checks the files of a batch, and those of the object that the file is about, and gives that.
func (c *checker) listed(prefix string, p Publication, batch consortium.Event) (consortium.Event, bool) {
	record := []byte(p.Batch.Record)
	says, ok := c.Contents(prefix, batch, []byte(p.Batch.Metadata), record, c.options.Directory)
	if !ok {
		return batch, false
	}
	e, ok := c.Place(batch, says, record, p.Batch.Index)
	if !ok {
		return e, false
	}
	_, ok = c.Listed(e, says, []byte(p.Metadata), []byte(p.Payload), c.options.Directory)
	return e, ok
}

// read decodes a transaction, and the header of its block if that is there.
func read(p Publication) (confirmed onchain.Confirmed, header *types.BlockHeader, err error) {
	switch {
	case len(p.Transaction) > maxTransaction:
		return confirmed, nil, fmt.Errorf("%d bytes, at most %d are read", len(p.Transaction), maxTransaction)
	case (p.Block == nil) == (p.Word == nil):
		return confirmed, nil, errors.New("there must be a block, or else somebody's word, and not both")
	case p.Word != nil:
		var signed types.SignedTxn
		if err := decode(p.Transaction, &signed); err != nil {
			return confirmed, nil, err
		}
		w := p.Word
		return onchain.Confirmed{
			SignedTxn: signed, TxID: crypto.TransactionIDString(signed.Txn), Asset: w.Asset, Time: time.Unix(w.Time, 0),
			Position: consortium.Position{Round: w.Round, Intra: w.Offset},
		}, nil, nil
	case len(p.Block.Header) > maxHeader:
		return confirmed, nil, fmt.Errorf("a block header of %d bytes, at most %d are read", len(p.Block.Header), maxHeader)
	}
	header = &types.BlockHeader{}
	if err := decode(p.Block.Header, header); err != nil {
		return confirmed, nil, fmt.Errorf("the block header: %w", err)
	}
	var inBlock types.SignedTxnInBlock
	if err := decode(p.Transaction, &inBlock); err != nil {
		return confirmed, nil, err
	}
	return onchain.Restore(header, inBlock, p.Block.Index), header, nil
}

// decode reads canonical msgpack, and nothing beside it.
func decode[T any](data []byte, value *T) error {
	if err := msgpack.Decode(data, value); err != nil {
		return fmt.Errorf("not the msgpack that is expected: %w", err)
	}
	if !bytes.Equal(msgpack.Encode(value), data) {
		return errors.New("the msgpack is not canonical")
	}
	return nil
}

// signer says whose signature is on a transaction.
func signer(t types.SignedTxn) string {
	if t.Msig.Blank() {
		return t.Txn.Sender.String()
	}
	return fmt.Sprintf("%s (%d of %d keys)", t.Txn.Sender, t.Msig.Threshold, len(t.Msig.Subsigs))
}

// kindName is what a kind of transaction is called in a report.
func kindName(kind wire.Kind) string {
	switch kind {
	case "":
		return "transaction"
	case wire.KindMember:
		return "admission"
	case wire.KindDestroy:
		return "withdrawal"
	}
	return fmt.Sprintf("%.20s", kind)
}

// confirmation checks that the transaction is in its block, and the block on the chain.
func (c *checker) confirmation(prefix string, p Publication, e consortium.Event, confirmed onchain.Confirmed, header *types.BlockHeader) bool {
	value := fmt.Sprintf("round %d, %s, asset %d", e.Round, e.Time.Format(time.RFC3339), e.Asset)
	// An indexer counts inner transactions, a block's tree doesn't.
	if before, seen := c.blocks[e.Round]; seen && before != (header != nil) {
		return c.Add(prefix+"confirmed", value, errors.New("of this round one transaction is there with its block and one without: their order can't be told"))
	}
	c.blocks[e.Round] = header != nil
	if header == nil {
		c.Note(Trusted, prefix+"confirmed", value, "the file holds no block: the indexer's word")
		return true
	}
	root, err := onchain.Root(onchain.Leaf(confirmed.Txn, onchain.InBlockHash(p.Transaction)), p.Block.Index, p.Block.Path)
	if err == nil && root != header.Sha256Commitment {
		err = errors.New("the block does not commit to it")
	}
	if !c.Add(prefix+"in its block", value, err) {
		return false
	}
	hash := onchain.HeaderHash(p.Block.Header)
	value = onchain.FormatHash(hash)
	proof := p.Block.StateProof
	if proof == nil {
		c.trust(prefix+"block", value, fmt.Sprintf("that the network's block %d has this hash; no state proof covers it here", e.Round))
		return true
	}
	return c.attested(prefix, value, proof, onchain.LightHeader(header, hash))
}

// attested checks that a block is among those of a state proof's message.
func (c *checker) attested(prefix, value string, proof *StateProof, light types.LightBlockHeader) bool {
	m := types.Message{
		BlockHeadersCommitment: proof.Message.BlockHeadersCommitment, VotersCommitment: proof.Message.VotersCommitment,
		LnProvenWeight: proof.Message.LnProvenWeight, FirstAttestedRound: proof.Message.FirstAttestedRound, LastAttestedRound: proof.Message.LastAttestedRound,
	}
	root, err := onchain.Root(crypto.HashLightBlockHeader(light), proof.Index, proof.Path)
	switch round := uint64(light.RoundNumber); {
	case err != nil:
	case !bytes.Equal(root[:], m.BlockHeadersCommitment):
		err = errors.New("the state proof does not commit to it")
	case round > m.LastAttestedRound || proof.Index != round-m.FirstAttestedRound: // before the first it is no index at all
		err = fmt.Errorf("the state proof is about rounds %d to %d", m.FirstAttestedRound, m.LastAttestedRound)
	}
	if !c.Add(prefix+"block", value, err) {
		return false
	}
	message := crypto.HashStateProofMessage(&m)
	hash := hex.EncodeToString(message[:])
	if !slices.Contains(c.seen, hash) {
		c.seen = append(c.seen, hash)
		c.trust("state proof", hash, fmt.Sprintf("that the network signed this message about its blocks %d to %d", m.FirstAttestedRound, m.LastAttestedRound))
	}
	return true
}

// trust adds a step that comes down to a hash which nothing in the file proves.
func (c *checker) trust(name, value, what string) {
	if slices.Contains(c.options.Trust, value) {
		c.Note(Pass, name, value, "as given")
		return
	}
	c.Note(Trusted, name, value, what)
}

// content checks the files that a transaction published. The state takes those of the charter and of members, and what
// changes them.
func (c *checker) content(prefix string, p Publication, e consortium.Event, bare bool) bool {
	if e.Directory == "" {
		if p.Metadata != "" || p.Payload != "" {
			return c.Add(prefix+"files", "", fmt.Errorf("a %s publishes none", kindName(e.Note.Kind)))
		}
		c.Note(NotThere, prefix+"files", "", fmt.Sprintf("the transaction destroys asset %d", e.Asset))
		return true
	}
	if bare {
		c.bare[e.TxID] = true
		c.Note(NotThere, prefix+"files", e.Directory, "they are not in the file; what the note says counts without them")
		return true
	}
	m, ok := c.Contents(prefix, e, []byte(p.Metadata), []byte(p.Payload), c.options.Directory)
	if !ok {
		return false
	}
	switch e.Note.Kind {
	case wire.KindCharter, wire.KindMember:
		if err := c.state.Attach(e.TxID, m, []byte(p.Payload)); err != nil {
			return c.Add(prefix+"record", p.TxID, err)
		}
	case wire.KindAmendment, wire.KindRotation:
		// What their notes say counts even where their content is void.
		if err := c.state.Attach(e.TxID, m, []byte(p.Payload)); err != nil {
			c.Note(NotThere, prefix+"record", p.TxID, err.Error())
		}
	}
	return true
}

// consortium checks which consortium all this is of.
func (c *checker) consortium(id uint64, subject consortium.Event) bool {
	charter := c.state.Charter()
	if charter == nil {
		return c.Add("consortium", fmt.Sprint(id), errors.New("its charter is not in the file"))
	}
	value := fmt.Sprintf("%s (%d), governed by %s", charter.Name, id, c.state.GovernorAt(subject.Position))
	genesis := base64.StdEncoding.EncodeToString(charter.GenesisHash)
	var err error
	switch {
	case !bytes.Equal(charter.GenesisHash, c.network[:]):
		err = errors.New("its charter is for the network " + genesis)
	case c.options.Consortium != 0 && c.options.Consortium != id:
		err = fmt.Errorf("it is not consortium %d", c.options.Consortium)
	}
	switch {
	case err != nil || c.options.Consortium != 0:
		if !c.Add("consortium", value, err) {
			return false
		}
	default:
		c.Note(Trusted, "consortium", value, "that this is the consortium that you mean")
	}
	c.trust("network", genesis, fmt.Sprintf("that this is the genesis hash of the Algorand network %q", charter.GenesisID))
	return true
}

// membership checks that the sender was a member, or the governor, and names what its right rests on.
func (c *checker) membership(e consortium.Event) bool {
	const name = "publisher was a member in that round"
	admission, admitted := c.state.AdmissionAt(e.Sender, e.Position)
	switch {
	case admitted && c.bare[admission.TxID]:
		return c.Add(name, e.Sender, errors.New("the record of its admission is not in the file"))
	case admitted:
		value := e.Sender
		for _, m := range c.state.Members() {
			if m.Account == e.Sender || slices.Contains(m.Former, e.Sender) {
				value = fmt.Sprintf("%s (%s), since round %d", m.Name, e.Sender, admission.Round)
			}
		}
		c.Note(Pass, name, value, "by the records in the file")
		c.absences(admission, e)
		return true
	case Membership(c.state, e) == nil:
		c.Note(Pass, name, e.Sender+" is the governor", "by the records in the file")
		c.inOffice(e.Position)
		return true
	}
	return c.Add(name, e.Sender, Membership(c.state, e))
}

// object checks what the file has of an object beside its publication, and tells what was published in words.
func (c *checker) object(e consortium.Event, f File) (what string) {
	m, err := wire.ParseMetadata([]byte(f.Subject.Metadata))
	if err == nil && e.Note.Kind == wire.KindObject {
		c.Note(Trusted, "collection", fmt.Sprintf("%s, epoch %d", m.Properties.Collection, m.Properties.Epoch),
			"that the publisher might publish in the collection, and that the epoch was not over: who may is sealed to its readers")
	}
	const name = "disclosed object"
	if f.Disclosed == nil {
		c.Note(NotThere, name, "", "the payload is sealed, and the file discloses no key")
		return described(e, f)
	}
	var object *stix.Object
	handle := false
	if err == nil {
		object, handle, err = open(e, m, f)
	}
	value := ""
	if object != nil {
		value = fmt.Sprintf("%s, version %s", object.ID, object.Version())
	}
	if !c.Add(name, value, err) {
		return described(e, f)
	}
	if handle {
		c.Steps[len(c.Steps)-1].Detail = "the metadata has a handle instead of its identifier"
		c.Note(Trusted, "identifier", m.Properties.Identifier, "that this handle in the metadata is the object's: only the collection's key can compare them")
	}
	c.Note(Trusted, "readers could open it", fmt.Sprintf("%s, epoch %d", m.Properties.Collection, m.Properties.Epoch),
		"that it was sealed to the key that the readers of the collection have: what is sealed to another, or to nobody's, looks the same")
	return "the STIX object " + value + ", sealed"
}

// described tells in words what a publication is.
func described(e consortium.Event, f File) string {
	m, err := wire.ParseMetadata([]byte(f.Subject.Metadata))
	switch {
	case e.Note.Kind == wire.KindDestroy:
		return fmt.Sprintf("the withdrawal of the NFT %d", e.Asset)
	case e.Note.Kind == wire.KindRelease:
		return fmt.Sprintf("the release of the NFT %d, which withdraws nothing", e.Asset)
	case err != nil:
		return "a " + kindName(e.Note.Kind)
	case e.Note.Kind == wire.KindObject:
		return "an object that stays sealed here, with " + m.Properties.Integrity
	}
	if e.Note.Kind == wire.KindBatch {
		return fmt.Sprintf("a batch of %d objects, with %s", m.Properties.Objects, m.Properties.Integrity)
	}
	return fmt.Sprintf("a record of the kind %s, with %s", e.Note.Kind, m.Properties.Integrity)
}

// open decrypts the payload with the key that is disclosed, and compares. Handle tells that its identifier can't be.
func open(e consortium.Event, m wire.Metadata, f File) (object *stix.Object, handle bool, err error) {
	if e.Note.Kind != wire.KindObject {
		return nil, false, fmt.Errorf("a %s record discloses none", e.Note.Kind)
	}
	sealed, err := wire.ParseSealedObject([]byte(f.Subject.Payload))
	if err != nil {
		return nil, false, err
	}
	plaintext, err := seal.OpenWithFileKey(f.Disclosed.FileKey, sealed)
	if err != nil {
		return nil, false, err
	}
	if string(plaintext) != f.Disclosed.Object {
		return nil, false, errors.New("the payload holds another object")
	}
	if object, err = stix.Read(plaintext); err != nil {
		return nil, false, fmt.Errorf("it is not a STIX object: %w", err)
	}
	switch p := m.Properties; {
	case p.Identifier == object.ID && p.Version == object.Version():
		return object, false, nil
	case p.Version == "" && strings.HasPrefix(p.Identifier, seal.HandlePrefix):
		return object, true, nil
	default:
		return object, false, fmt.Errorf("the metadata says %s, version %s", p.Identifier, p.Version)
	}
}
