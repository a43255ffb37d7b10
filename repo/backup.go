package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/internal/archive"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

// backupFormat is the version of what is in a backup. A backup is a tar of plain files, in this order:
//
//	backup.json               what it is a backup of
//	config.toml, keys/…       as they are in the repository: keys that are sealed stay sealed
//	consortium.json           with the addresses of the members
//	objects/<CID>/<file>      directories that might be nowhere else: the records, and what is not confirmed yet
//	state/<number>            the state store: outbox, accounts, statuses; no login sessions
//	end.json                  how much there was
//
// The view and the other directories come back from the chain and the peers.
const backupFormat = 1

// The files of a backup that are not files of the repository.
const (
	manifestFile  = "backup.json"
	endFile       = "end.json"
	objectsFolder = "objects"
	stateFolder   = "state"
	keysFolder    = "keys"
)

// Manifest says what a backup is a backup of.
type Manifest struct {
	Format       int       `json:"slnode_backup"`
	Repository   string    `json:"repository_version"`
	Organisation string    `json:"organisation"`
	Created      time.Time `json:"created"`
	Contents     Contents  `json:"-"`
}

// Contents says how much is in a backup.
type Contents struct {
	Records uint64 `json:"records"` // of the state store
	Files   uint64 `json:"files"`   // of directories
}

// File is one file of a directory of the block store.
type File struct {
	Name string
	Data []byte
}

// Directory is a directory of the block store, by its CID.
type Directory struct {
	CID   string
	Files []File
}

// stateChunk is how large a file with records of the state store becomes before the next one begins, in bytes.
const stateChunk = 1 << 20

// Dump writes the part of a backup for which the repository must be open: the state store as it is at one moment, and
// what belongs to it. It may run beside everything else. Read gives the files of a directory of the block store; none
// if it is not here.
func (r *Repo) Dump(ctx context.Context, w io.Writer, read func(ctx context.Context, directory string) ([]File, error)) error {
	d := dump{archive: archive.NewWriter(w), read: read, seen: map[string]bool{}}
	if err := d.write(ctx, r); err != nil {
		return fmt.Errorf("dumping the repository: %w", err)
	}
	return nil
}

type dump struct {
	archive archive.Writer
	read    func(ctx context.Context, directory string) ([]File, error)
	seen    map[string]bool // the records' directories
	Contents
}

func (d *dump) write(ctx context.Context, r *Repo) error {
	if err := d.consortium(r); err != nil {
		return err
	}
	records, err := r.View.Records()
	if err != nil {
		return err
	}
	for _, e := range records {
		if e.Directory == "" || d.seen[e.Directory] {
			continue
		}
		d.seen[e.Directory] = true
		if err := d.directory(ctx, e.Directory); err != nil {
			return err
		}
	}
	err = r.state.Read(func(txn *kv.Txn) error {
		if err := d.pending(ctx, txn); err != nil {
			return err
		}
		return d.state(ctx, txn)
	})
	if err != nil {
		return err
	}
	end, err := json.Marshal(d.Contents)
	if err != nil {
		return err
	}
	return errors.Join(d.archive.Add(endFile, end), d.archive.Close())
}

func (d *dump) consortium(r *Repo) error {
	own, err := r.Consortium()
	if err != nil || own == nil {
		return err
	}
	data, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return d.archive.Add(path.Base(consortiumPath("")), data)
}

// directory adds a directory, if it is here.
func (d *dump) directory(ctx context.Context, directory string) error {
	files, err := d.read(ctx, directory)
	if err != nil || len(files) == 0 {
		return err
	}
	for _, file := range files {
		if err := d.archive.Add(path.Join(objectsFolder, directory, file.Name), file.Data); err != nil {
			return err
		}
		d.Files++
	}
	return nil
}

// pending adds the directories of what is on its way to the chain. Their plaintext is gone, and other members need not
// have them.
func (d *dump) pending(ctx context.Context, txn *kv.Txn) error {
	return outbox.EachPending(txn, func(directory string) error {
		if d.seen[directory] {
			return nil
		}
		return d.directory(ctx, directory)
	})
}

// state adds the records of the state store, save the login sessions.
func (d *dump) state(ctx context.Context, txn *kv.Txn) error {
	var chunk bytes.Buffer
	number := 0
	flush := func() error {
		number++
		err := d.archive.Add(fmt.Sprintf("%s/%08d", stateFolder, number), chunk.Bytes())
		chunk.Reset()
		return err
	}
	// Values one at a time: to read ahead would be to hold a hundred large objects.
	err := store.Scan(txn, nil, nil, func(k []byte, item *kv.Item) (bool, error) {
		if k[0] == store.TableToken || k[0] == 0 { // what begins with 0 is the store's own
			return true, nil
		}
		value, err := item.Value()
		if err != nil {
			return false, err
		}
		appendRecord(&chunk, record{key: k, value: value, expires: item.Expires()})
		d.Records++
		if chunk.Len() < stateChunk {
			return true, ctx.Err()
		}
		return true, flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// record is one record of the state store. In a backup it is the lengths of key and value and the second (Unix) at
// which it disappears, 0 for never, as unsigned varints, followed by key and value.
type record struct {
	key, value []byte
	expires    uint64
}

// What a record has at most, in bytes. An object has 12 MiB at most (unixfs.MaxPayload).
const (
	maxRecordKey   = 4 << 10
	maxRecordValue = 40 << 20
)

func appendRecord(to *bytes.Buffer, r record) {
	var head []byte
	for _, n := range []uint64{uint64(len(r.key)), uint64(len(r.value)), r.expires} {
		head = binary.AppendUvarint(head, n)
	}
	to.Write(head)
	to.Write(r.key)
	to.Write(r.value)
}

// Backup writes a backup of the repository in dir: what can be read beside a daemon, and a dump.
func Backup(dir string, dump io.Reader, w io.Writer) (Manifest, error) {
	m, err := backup(dir, dump, archive.NewWriter(w))
	if err != nil {
		return Manifest{}, fmt.Errorf("backing %s up: %w", dir, err)
	}
	return m, nil
}

func backup(dir string, dump io.Reader, to archive.Writer) (Manifest, error) {
	c, err := config.Read(dir)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: backupFormat, Repository: version, Organisation: c.Organisation.Name, Created: time.Now().UTC().Truncate(time.Second)}
	head, err := json.Marshal(m)
	if err != nil {
		return Manifest{}, err
	}
	if err := to.Add(manifestFile, head); err != nil {
		return Manifest{}, err
	}
	text, err := os.ReadFile(config.Path(dir))
	if err != nil {
		return Manifest{}, err
	}
	if err := to.Add(filepath.Base(config.Path(dir)), text); err != nil {
		return Manifest{}, err
	}
	files, err := keys.Files(keysPath(dir))
	if err != nil {
		return Manifest{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := to.Add(path.Join(keysFolder, name), files[name]); err != nil {
			return Manifest{}, err
		}
	}
	if err := m.Contents.copyDump(dump, to); err != nil {
		return Manifest{}, err
	}
	return m, to.Close()
}

// copyDump copies a dump and makes sure that it is complete.
func (c *Contents) copyDump(dump io.Reader, to archive.Writer) error {
	from := archive.NewReader(dump)
	ended := false
	for {
		name, size, err := from.Next()
		if errors.Is(err, io.EOF) && ended {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the dump is incomplete: %w", err)
		}
		if name == endFile {
			ended = true
			end, err := from.Content(name, size, maxSmallFile)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(end, c); err != nil {
				return err
			}
			if err := to.Add(name, end); err != nil {
				return err
			}
			continue
		}
		if err := to.File(name, size); err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
}

// checkCID takes what a CID's text can be, and nothing that means something to a file system.
func checkCID(text string) bool {
	return text != "" && len(text) <= 128 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}
