package repo

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/internal/archive"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

// maxSmallFile bounds config, manifest and the like, in bytes.
const maxSmallFile = 1 << 20

// maxDirectoryFile bounds a file of a directory, in bytes: 12 MiB of payload (unixfs.MaxPayload).
const maxDirectoryFile = 12 << 20

// restoreChunk is how many records are written at once; the disk is waited for once for all of them.
const restoreChunk = 4096

// stagingPath is where a backup is unpacked before anything of it counts. As long as it is there, and the version is
// not, a restore is not complete.
func stagingPath(dir string) string { return filepath.Join(dir, "restoring") }

// restoredPath is where directories wait to be taken into the block store.
func restoredPath(dir string) string { return filepath.Join(dir, "restored") }

// restorable is what a restore puts in place, in this order. The version follows.
func restorable(dir string) []string {
	return []string{statePath(dir), restoredPath(dir), consortiumPath(dir), config.Path(dir), keysPath(dir)}
}

// Restore makes a repository from a backup in dir, which must be empty or absent: else the error wraps [ErrExists]. The
// passphrase is for the keys, if they are sealed. Everything is unpacked beside and checked to its end before any of it
// is put in place; a restore that was interrupted can be repeated.
func Restore(dir string, backup io.Reader, passphrase keys.Passphrase) (Manifest, error) {
	m, err := restore(dir, backup, passphrase)
	if err != nil {
		return Manifest{}, fmt.Errorf("restoring into %s: %w", dir, err)
	}
	return m, nil
}

func restore(dir string, backup io.Reader, passphrase keys.Passphrase) (m Manifest, err error) {
	lock, err := makeFolder(dir)
	if err != nil {
		return Manifest{}, err
	}
	defer lock.Unlock()
	if err := clearForRestore(dir); err != nil {
		return Manifest{}, err
	}
	staging := stagingPath(dir)
	if err := os.Mkdir(staging, 0o700); err != nil {
		return Manifest{}, err
	}
	u := unpacking{dir: staging, passphrase: passphrase}
	err = errors.Join(u.unpack(archived{backup}), u.close())
	if err != nil {
		return Manifest{}, errors.Join(err, os.RemoveAll(staging))
	}
	for i, from := range restorable(staging) {
		if err := os.Rename(from, restorable(dir)[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Manifest{}, err
		}
	}
	if err := disk.Sync(dir); err != nil {
		return Manifest{}, err
	}
	if err := disk.WriteFile(versionPath(dir), []byte(version+"\n")); err != nil {
		return Manifest{}, err
	}
	return u.manifest, os.Remove(staging)
}

// EmptyState makes a repository whose state is damaged, and of which there is no backup, one with an empty state: the
// damaged one is set aside, into the folder that is returned. The repository is as after a restore: it signs nothing
// before the chain has shown what the lost state knew. Its accounts are gone, and nobody who comes along may make the
// first one.
func EmptyState(dir string, passphrase keys.Passphrase) (aside string, err error) {
	if err := CheckVersion(dir); err != nil {
		return "", err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	k, err := keys.Read(keysPath(dir), passphrase)
	if err != nil {
		return "", err
	}
	if state, err := openState(dir, k.Store); !errors.Is(err, ErrDamaged) && !errors.Is(err, kv.ErrMissing) {
		if err == nil {
			err = errors.Join(fmt.Errorf("the state in %s is whole", statePath(dir)), state.Close())
		}
		return "", err
	}
	aside = statePath(dir) + time.Now().UTC().Format(".damaged-20060102T150405.000Z")
	if err := os.Rename(statePath(dir), aside); errors.Is(err, fs.ErrNotExist) {
		aside = ""
	} else if err != nil {
		return "", fmt.Errorf("setting the damaged state aside: %w", err)
	}
	state, err := newState(dir, k)
	if err != nil {
		return "", err
	}
	err = state.Write(func(txn *kv.Txn) error {
		return errors.Join(accounts.Claim(txn), outbox.BeginRecovery(txn))
	})
	return aside, errors.Join(err, state.Close())
}

// clearForRestore removes what an interrupted restore left and makes sure that there is nothing else.
func clearForRestore(dir string) error {
	if _, err := os.Stat(versionPath(dir)); err == nil {
		return ErrExists
	}
	if _, err := os.Stat(stagingPath(dir)); err == nil {
		for _, path := range append(restorable(dir), stagingPath(dir)) {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(lockPath(dir)) {
			return fmt.Errorf("%w, or something else: %q is in the way", ErrExists, entry.Name())
		}
	}
	return nil
}

// unpacking is a backup on its way to the disk. Every byte of it may be hostile: who knows the recipient of a backup
// can make one.
type unpacking struct {
	dir        string
	passphrase keys.Passphrase
	manifest   Manifest
	state      *store.Store
	found      Contents
	ended      bool
}

func (u *unpacking) unpack(backup io.Reader) error {
	in := archive.NewReader(backup)
	name, size, err := in.Next()
	if err != nil || name != manifestFile {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it is none of slnode's", ErrBackup)
		}
		return err
	}
	if err := u.readJSON(in, name, size, &u.manifest); err != nil {
		return err
	}
	if u.manifest.Format != backupFormat || u.manifest.Repository != version {
		return fmt.Errorf("%w: it has format %d of a repository of version %.20q, this program knows %d and %s",
			ErrBackup, u.manifest.Format, u.manifest.Repository, backupFormat, version)
	}
	for {
		name, size, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return err
		}
		if u.ended {
			return fmt.Errorf("%w: %.80q comes after the end", ErrBackup, name)
		}
		if err := u.file(in, name, size); err != nil {
			return fmt.Errorf("%.200q of the backup: %w", name, err)
		}
	}
}

// archived is a backup as it is read: one that can't be read to its end is damaged.
type archived struct{ io.Reader }

func (a archived) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it is damaged or cut short; take another copy, or an earlier one: %w", ErrBackup, err)
	}
	return n, err
}

// file unpacks one file.
func (u *unpacking) file(in archive.Reader, name string, size int64) error {
	folder, rest, _ := strings.Cut(name, "/")
	switch {
	case name == filepath.Base(config.Path("")):
		return u.small(in, name, size, config.Path(u.dir))
	case name == filepath.Base(consortiumPath("")):
		var c Consortium
		if err := u.readJSON(in, name, size, &c); err != nil {
			return err
		}
		return (&Repo{Dir: u.dir}).SetConsortium(c)
	case folder == keysFolder && keys.IsFile(rest):
		if u.state != nil {
			return errors.New("keys come before the state store")
		}
		if err := mkdir(keysPath(u.dir)); err != nil {
			return err
		}
		return u.small(in, name, size, filepath.Join(keysPath(u.dir), rest))
	case folder == objectsFolder:
		return u.object(in, rest, size)
	case folder == stateFolder:
		return u.records(in, size)
	case name == endFile:
		u.ended = true
		return u.readJSON(in, name, size, &u.manifest.Contents)
	}
	return errors.New("no such file belongs in a backup")
}

func mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (u *unpacking) readJSON(in archive.Reader, name string, size int64, v any) error {
	data, err := in.Content(name, size, maxSmallFile)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (u *unpacking) small(in archive.Reader, name string, size int64, path string) error {
	data, err := in.Content(name, size, maxSmallFile)
	if err != nil {
		return err
	}
	return disk.WriteFile(path, data)
}

// object unpacks a file of a directory. Whether the directory is the one that its name says is seen when it is taken
// into the block store.
func (u *unpacking) object(in archive.Reader, name string, size int64) error {
	directory, file, _ := strings.Cut(name, "/")
	if !checkCID(directory) || file == "" || file == "." || file == ".." || strings.ContainsAny(file, "/\\\x00") || len(file) > 200 {
		return errors.New("this is not the name of a directory's file")
	}
	if size > maxDirectoryFile {
		return fmt.Errorf("%d bytes are more than a file can have", size)
	}
	folder := filepath.Join(restoredPath(u.dir), directory)
	if err := errors.Join(mkdir(restoredPath(u.dir)), mkdir(folder)); err != nil {
		return err
	}
	u.found.Files++
	to, err := os.OpenFile(filepath.Join(folder, file), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, in)
	return errors.Join(err, to.Sync(), to.Close(), disk.Sync(folder))
}

// open makes the state store, for which the keys must have come.
func (u *unpacking) open() error {
	if u.state != nil {
		return nil
	}
	k, err := keys.Read(keysPath(u.dir), u.passphrase)
	if err != nil {
		return err
	}
	u.state, err = newState(u.dir, k)
	return err
}

// records unpacks a file with records of the state store.
func (u *unpacking) records(in archive.Reader, size int64) error {
	if err := u.open(); err != nil {
		return err
	}
	from := bufio.NewReader(io.LimitReader(in, size))
	for done := false; !done; {
		var chunk []record
		for bytes := 0; len(chunk) < restoreChunk && bytes < store.ChunkBytes; {
			r, err := readRecord(from)
			if errors.Is(err, io.EOF) {
				done = true
				break
			}
			if err != nil {
				return err
			}
			chunk, bytes = append(chunk, r), bytes+len(r.key)+len(r.value)
		}
		err := u.state.Write(func(txn *kv.Txn) error {
			for _, r := range chunk {
				if err := txn.Put(kv.Entry{Key: r.key, Body: r.value, Expires: r.expires}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		u.found.Records += uint64(len(chunk))
	}
	return nil
}

// readRecord reads one record; io.EOF is the end.
func readRecord(from *bufio.Reader) (r record, err error) {
	if _, err := from.Peek(1); err != nil {
		return record{}, err
	}
	var numbers [3]uint64
	for i := range numbers {
		if numbers[i], err = binary.ReadUvarint(from); err != nil {
			return record{}, fmt.Errorf("a record is cut off: %w", unexpectedEOF(err))
		}
	}
	if numbers[0] > maxRecordKey || numbers[1] > maxRecordValue {
		return record{}, fmt.Errorf("a record with a key of %d and a value of %d bytes", numbers[0], numbers[1])
	}
	both := make([]byte, numbers[0]+numbers[1])
	if _, err := io.ReadFull(from, both); err != nil {
		return record{}, fmt.Errorf("a record is cut off: %w", unexpectedEOF(err))
	}
	r = record{key: both[:numbers[0]:numbers[0]], value: both[numbers[0]:], expires: numbers[2]}
	return r, r.check()
}

// unexpectedEOF makes the end of the input in the middle of something an error.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check refuses a record that the state store would not have, as far as it could do harm.
func (r record) check() error {
	k := r.key
	letter := len(k) >= 2 && k[1] == '/' && (k[0] >= 'a' && k[0] <= 'z' || k[0] >= 'A' && k[0] <= 'Z')
	switch {
	case !letter, k[0] == store.TableToken:
		return fmt.Errorf("a record with the key %.20q", k)
	case k[0] == store.TableQueue && (len(k) != len(store.Key(store.TableQueue))+1+8+8 || k[2] < byte(outbox.Accepted) || k[2] >= byte(outbox.Confirmed)):
		return fmt.Errorf("a record with the key %.20q, which is no place in a queue", k)
	}
	return nil
}

// finish checks the whole and marks it as restored.
func (u *unpacking) finish() error {
	if !u.ended {
		return errors.New("the backup has no end")
	}
	if u.found != u.manifest.Contents {
		return fmt.Errorf("the backup should have %+v, it has %+v", u.manifest.Contents, u.found)
	}
	c, err := config.Load(config.Path(u.dir), nil)
	if err != nil {
		return err
	}
	if c.Organisation.Name != u.manifest.Organisation {
		return fmt.Errorf("the backup is of %.80q, its configuration of %q", u.manifest.Organisation, c.Organisation.Name)
	}
	if err := u.open(); err != nil {
		return err
	}
	o, err := outbox.Open(u.state)
	if err != nil {
		return err
	}
	if u.found.Files > 0 {
		if err := disk.Sync(restoredPath(u.dir)); err != nil {
			return err
		}
	}
	return o.SetRecovery(&outbox.Recovery{})
}

func (u *unpacking) close() error {
	if u.state == nil {
		return nil
	}
	return u.state.Close()
}
