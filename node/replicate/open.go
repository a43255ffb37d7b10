package replicate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	OpenBytes = 32 << 20 // of payloads that are opened at the same time, and of opened objects that are held
	readAhead = 4 << 20  // what a payload counts for while it is read from the disk, and its size isn't known
)

// openObjects opens the objects of a load and records the results, as many at once as may be held in memory.
// Those that name one directory are opened once: anybody can mint any number of them.
func (f *Fetcher) openObjects(ctx context.Context, l load, objects []int) error {
	at := map[cid.Cid]int{}
	var groups [][]int
	for _, i := range objects {
		n, found := at[l.roots[i]]
		if !found {
			n = len(groups)
			at[l.roots[i]], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	for len(groups) > 0 {
		n, err := f.openSome(ctx, l, groups)
		if err != nil {
			return err
		}
		groups = groups[n:]
	}
	return nil
}

// openSome opens groups of a load, as many as may be held in memory, and records the results. It returns how
// many they were.
func (f *Fetcher) openSome(ctx context.Context, l load, groups [][]int) (n int, err error) {
	outcomes := make([][]view.Outcome, len(groups))
	room := semaphore.NewWeighted(f.Memory)
	var held atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for n < len(groups) && held.Load() < f.Memory {
		at := n
		workers.Go(func() (err error) {
			outcomes[at], err = f.openGroup(ctx, l, groups[at], room)
			if err == nil && len(outcomes[at]) > 0 && outcomes[at][0].Entry != nil {
				held.Add(int64(len(outcomes[at][0].Entry.Object)))
			}
			return err
		})
		n++
	}
	if err := workers.Wait(); err != nil {
		return 0, err
	}
	return n, f.record(slices.Concat(outcomes[:n]...))
}

// openGroup decides about the objects that name one directory, and opens it if one of them is for us. An error is this
// node's own; whatever is wrong with the objects is their outcome.
func (f *Fetcher) openGroup(ctx context.Context, l load, group []int, room *semaphore.Weighted) ([]view.Outcome, error) {
	own := f.Own.take(l.roots[group[0]])
	if own != nil && !isCompared(l.roots[group[0]]) {
		o := opening{content: own.content, key: own.key, entry: own.entry, kept: true}
		if outcomes := f.decideAll(&o, l, group); !o.outdated {
			return outcomes, nil
		}
	}
	weight := min(f.weigh(l, group[0]), f.Memory)
	if err := room.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	defer func() { room.Release(weight) }()
	files, err := f.files(ctx, l, group[0])
	if errors.Is(err, unixfs.ErrNotFound) {
		outcomes := make([]view.Outcome, len(group))
		for n, i := range group {
			outcomes[n] = view.Outcome{Event: l.events[i], State: view.Waiting, Reason: err.Error(), Due: retryAt(l.events[i])}
		}
		return outcomes, nil
	}
	if err != nil {
		return nil, err
	}
	if size := min(sizeOf(files), f.Memory); size > weight { // now that it is known
		room.Release(weight)
		weight = 0
		if err := room.Acquire(ctx, size); err != nil {
			return nil, err
		}
		weight = size
	}
	outcomes := f.decideAll(&opening{content: inspect(files)}, l, group)
	if own != nil {
		for _, outcome := range outcomes {
			f.check(own, outcome)
		}
	}
	return outcomes, nil
}

// decideAll decides about the objects that name one directory.
func (f *Fetcher) decideAll(o *opening, l load, group []int) []view.Outcome {
	outcomes := make([]view.Outcome, len(group))
	for n, i := range group {
		outcomes[n] = f.decide(o, l.events[i])
		if o.outdated {
			return nil
		}
		f.count(o, outcomes[n])
	}
	return outcomes
}

// count counts an object that was looked at. What waited for a record or a key since it was fetched has an epoch
// already.
func (f *Fetcher) count(o *opening, outcome view.Outcome) {
	var stored time.Time
	switch outcome.State {
	case view.Refused:
		return
	case view.InView:
		stored = outcome.Entry.StoredAt
		f.passed(stages.Opened, outcome.Event, stored)
	default:
		var err error
		if stored, err = wire.ParseTime(o.content.metadata.Properties.StoredAt); err != nil {
			return
		}
	}
	if outcome.Event.Epoch == 0 {
		f.passed(stages.Fetched, outcome.Event, stored)
	}
}

// weigh is how much memory the files of an event take, as far as that is known before they are read.
func (f *Fetcher) weigh(l load, i int) int64 {
	if d, ok := l.fetched.Brought[l.roots[i]]; ok {
		return int64(d.Size())
	}
	return readAhead
}

func sizeOf(files []unixfs.File) (n int64) {
	for _, file := range files {
		n += int64(len(file.Data))
	}
	return n
}

// opening is a directory and what it holds, opened once for each key.
type opening struct {
	content directoryContent
	key     *seal.EpochKey
	entry   *view.Entry // without what differs from event to event
	problem error

	kept     bool // it was kept since it was sealed, without the payload
	outdated bool // … to another key than that which is asked for now
}

// decide decides about one object.
func (f *Fetcher) decide(o *opening, e view.Event) view.Outcome {
	metadata, _, err := o.content.of(e.Event)
	if err == nil {
		err = fits(e, metadata)
	}
	if err != nil {
		return refused(e, err.Error())
	}
	var ruling consortium.Ruling
	f.State.Read(func(s *consortium.State) { ruling = s.Rule(e.Event, metadata) })
	switch ruling.Outcome {
	case consortium.Refused:
		return refused(e, ruling.Reason)
	case consortium.Waits, consortium.NotForUs:
		return undecided(e, metadata, ruling)
	}
	entry, err := o.open(e.Event, ruling.Key)
	if err != nil {
		return refused(e, err.Error())
	}
	if ruling.Late {
		f.Log.Warn("an object was sealed to a key epoch that is over; it counts, since the grace is not over",
			"txid", e.TxID, "sender", e.Sender, "epoch", metadata.Properties.Epoch)
	}
	return view.Outcome{Event: e, State: view.InView, Epoch: metadata.Properties.Epoch, Entry: entry}
}

// open opens the object with a key, for an event.
func (o *opening) open(e consortium.Event, key *seal.EpochKey) (*view.Entry, error) {
	if !key.Equal(o.key) {
		if o.kept {
			o.outdated = true
			return nil, errors.New("it was sealed to another key")
		}
		o.key = key
		o.entry, o.problem = OpenObject(o.content.metadata, o.content.payload, key)
	}
	if o.problem != nil {
		return nil, o.problem
	}
	entry := *o.entry
	entry.Position, entry.Publisher, entry.TxID, entry.Asset, entry.Directory = e.Position, e.Sender, e.TxID, e.Asset, e.Directory
	return &entry, nil
}

// OpenObject decrypts an object and compares it with what its metadata says.
func OpenObject(metadata wire.Metadata, payload []byte, key *seal.EpochKey) (*view.Entry, error) {
	sealed, err := wire.ParseSealedObject(payload)
	if err != nil {
		return nil, err
	}
	plaintext, err := key.Open(sealed)
	if err != nil {
		return nil, err
	}
	return entryOf(metadata, plaintext, key)
}

// entryOf reads what an object's directory holds, and compares it with what its metadata says.
func entryOf(metadata wire.Metadata, plaintext []byte, key *seal.EpochKey) (*view.Entry, error) {
	object, err := stix.Read(plaintext)
	if err != nil {
		return nil, fmt.Errorf("it does not hold a STIX object: %w", err)
	}
	p := metadata.Properties
	clear := p.Identifier == object.ID && p.Version == object.Version()
	if !clear && (p.Identifier != key.Handle(object.ID, object.Version()) || p.Version != "") {
		return nil, errors.New("it holds another object than its metadata says")
	}
	stored, err := wire.ParseTime(p.StoredAt)
	if err != nil {
		return nil, err
	}
	hash, err := object.ContentHash()
	if err != nil {
		return nil, err
	}
	return state.EntryOf(p.Collection, object, hash, stored), nil
}

// directoryContent is the two files of a directory, checked against each other.
type directoryContent struct {
	hash     [32]byte // of metadata.json
	metadata wire.Metadata
	payload  []byte
	problem  error
}

// inspect reads the files of a directory and checks the metadata's integrity over the payload.
func inspect(files []unixfs.File) (c directoryContent) {
	var raw []byte
	for _, file := range files {
		if file.Name == wire.MetadataName {
			raw = file.Data
		}
	}
	c.hash = wire.MetadataHash(raw)
	if c.metadata, c.problem = wire.ParseMetadata(raw); c.problem != nil {
		return c
	}
	for _, file := range files {
		if file.Name == c.metadata.Properties.Path {
			c.payload = file.Data
			c.problem = c.metadata.CheckPayload(file.Data)
			return c
		}
	}
	c.problem = fmt.Errorf("the directory has no %s", c.metadata.Properties.Path)
	return c
}

// of gives the metadata and the payload, after checking that they are what an NFT is about.
func (c *directoryContent) of(e consortium.Event) (m wire.Metadata, payload []byte, err error) {
	switch {
	case e.Index == 0 && string(c.hash[:]) != string(e.MetadataHash): // of a batch's object the list names the directory
		return m, nil, errors.New("metadata.json has another hash than the NFT says")
	case c.problem != nil:
		return m, nil, c.problem
	}
	if err := c.metadata.CheckTransaction(e.Note.Kind, e.Consortium, e.Sender); err != nil {
		return m, nil, err
	}
	return c.metadata, c.payload, nil
}

// verifiedFiles gives the metadata and the payload of a directory, after checking the chain of hashes: the NFT's
// metadata hash over metadata.json, and its integrity over the payload.
func verifiedFiles(e consortium.Event, files []unixfs.File) (m wire.Metadata, payload []byte, err error) {
	c := inspect(files)
	return c.of(e)
}

// readContent reads a record that was applied, and gives what it says also as it is stored. The problem says what is
// wrong with the record.
func readContent(f *state.Shared, e consortium.Event, files []unixfs.File) (content consortium.Content, encoded []byte, problem, err error) {
	metadata, payload, problem := verifiedFiles(e, files)
	if problem != nil {
		return content, nil, problem, nil
	}
	var reader consortium.Reader
	f.Read(func(s *consortium.State) { reader, err = s.Reader(e.TxID) })
	if err != nil {
		return content, nil, nil, err
	}
	if content, problem = reader.Read(metadata, payload); problem != nil {
		return content, nil, problem, nil
	}
	encoded, err = content.Encode()
	return content, encoded, nil, err
}
