// Package repo is a node's directory on disk: its configuration, its keys, a lock, and two stores. It promises:
//
//   - One process at a time uses a repository ([ErrLocked]).
//   - What a method of [Outbox] or [Accounts] returned from survives the death of the process and of the machine.
//   - The view (package-level type [View]) is derived from the chain and from IPFS. It may lag after a power loss, or
//     be deleted altogether; it is never ahead of its cursor and never holds half of a window of the chain.
//   - Both stores are encrypted with a key of the repository: no plaintext of an object is in any file.
//   - Damage is never taken for there being less. A damaged view is derived again; damaged keys or a damaged state, which
//     can't be, are refused when the repository is opened ([ErrDamaged]).
//   - The keys can be sealed with a passphrase. At every moment of sealing and unsealing they are all on the disk.
//   - A backup is of one moment, and a restore is all or nothing.
package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// version is the layout of the directory. It is in the file "version"; a program refuses a layout that it doesn't know.
const version = "2"

// The files and folders of a repository.
func configPath(dir string) string     { return filepath.Join(dir, "config.toml") }
func keysPath(dir string) string       { return filepath.Join(dir, "keys") }
func lockPath(dir string) string       { return filepath.Join(dir, "lock") }
func versionPath(dir string) string    { return filepath.Join(dir, "version") }
func statePath(dir string) string      { return filepath.Join(dir, "state") }
func viewPath(dir string) string       { return filepath.Join(dir, "view") }
func consortiumPath(dir string) string { return filepath.Join(dir, "consortium.json") }

// BlocksPath is where the IPFS blocks are kept.
func BlocksPath(dir string) string { return filepath.Join(dir, "blocks") }

// DaemonPath is where a running daemon says how to reach it.
func DaemonPath(dir string) string { return filepath.Join(dir, "daemon.json") }

// SocketPath is where a running daemon is reached if the machine has no loopback interface.
func SocketPath(dir string) string { return filepath.Join(dir, "daemon.sock") }

var (
	// ErrLocked means that another process uses the repository.
	ErrLocked = errors.New("the repository is in use by another process")
	// ErrMissing means that there is no repository in the directory.
	ErrMissing = errors.New("no repository here")
	// ErrExists means that there is one already.
	ErrExists = errors.New("there is a repository already")
	// ErrDamaged means that files of the repository are not as they were written.
	ErrDamaged = kv.ErrDamaged
)

// Repo is an open repository.
type Repo struct {
	Dir      string
	Config   Config
	Keys     Keys
	Outbox   *Outbox
	Accounts *Accounts
	Audit    *Audit
	View     *View
	// Notes say what of the repository was found damaged when it was opened, and mended.
	Notes []string

	lock  *flock.Flock
	state *store
}

// Init makes a repository: config file, keys, version. The keys are sealed with the passphrase unless it is "". It does
// nothing to a directory that is a repository already and returns an error wrapping [ErrExists].
func Init(dir string, config Config, passphrase string) (Keys, error) {
	if err := config.Validate(); err != nil {
		return Keys{}, fmt.Errorf("initialising %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("initialising %s: %w", dir, err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return Keys{}, err
	}
	defer lock.Unlock()
	// The version is written last: a directory with one is complete, and an interrupted Init is begun again, keeping
	// the keys that it made.
	if _, err := os.Stat(versionPath(dir)); err == nil {
		return Keys{}, fmt.Errorf("initialising %s: %w", dir, ErrExists)
	}
	if _, err := os.Stat(stagingPath(dir)); err == nil {
		return Keys{}, fmt.Errorf("initialising %s: %w, half restored from a backup; repeat \"slnode restore\"", dir, ErrExists)
	}
	text, err := config.encode()
	if err != nil {
		return Keys{}, err
	}
	if err := WriteFile(configPath(dir), text); err != nil {
		return Keys{}, err
	}
	keys, err := makeKeys(keysPath(dir), passphrase)
	if err != nil {
		return Keys{}, err
	}
	if err := beginSole(dir, keys); err != nil {
		return Keys{}, err
	}
	return keys, WriteFile(versionPath(dir), []byte(version+"\n"))
}

// beginSole records that nothing was ever signed with the keys.
func beginSole(dir string, keys Keys) error {
	state, err := openStore(statePath(dir), stateOptions(keys.store, true))
	if err != nil {
		return err
	}
	return errors.Join((&Outbox{store: state}).SetSole(Sole{Account: keys.Address()}), state.close())
}

// Open takes the lock and opens the stores. The error wraps [ErrPassphrase] if the keys are sealed with another one, and
// [ErrDamaged] if what only this node knows is damaged.
func Open(dir string, passphrase Passphrase) (_ *Repo, err error) {
	if err := checkVersion(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	r := &Repo{Dir: dir, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.Config, err = ReadConfig(dir); err != nil {
		return nil, err
	}
	if r.Keys, err = openKeys(keysPath(dir), passphrase); err != nil {
		return nil, err
	}
	if r.state, err = openState(dir, r.Keys.store); err != nil {
		return nil, err
	}
	if r.Outbox, err = openOutbox(r.state); err != nil {
		return nil, err
	}
	if err = r.mendConsortium(); err != nil {
		return nil, err
	}
	r.Accounts = &Accounts{store: r.state}
	if r.Audit, err = openAudit(AuditPath(dir), r.Config.TAXII.AuditFileSize, int(r.Config.TAXII.AuditFiles), time.Now); err != nil {
		return nil, err
	}
	r.View, err = openView(viewPath(dir), r.Keys.store)
	if errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrKey) {
		r.Notes = append(r.Notes, "the view is damaged, and derived again from the chain and the members: "+err.Error())
		if err = os.RemoveAll(viewPath(dir)); err == nil {
			r.View, err = openView(viewPath(dir), r.Keys.store)
		}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// openState opens the store of what only this node knows, and says what to do if it can't be.
func openState(dir string, key []byte) (*store, error) {
	state, err := openStore(statePath(dir), stateOptions(key, false))
	if errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrMissing) {
		return nil, remedyOf(dir, err)
	}
	return state, err
}

func remedyOf(dir string, damage error) error {
	return fmt.Errorf("%w: accounts, and what is not on the chain yet, can't be derived again: move %s away and restore a backup "+
		"into it with \"slnode restore\"; without one, \"slnode restore --empty-state\" goes on with an empty state", damage, dir)
}

// Damaged is closed when the state is found damaged while it is open.
func (r *Repo) Damaged() <-chan struct{} { return r.state.db.Damaged() }

// Damage is what of the state was found damaged since it was opened, and what to do; or nil.
func (r *Repo) Damage() error {
	if damage := r.state.db.Damage(); damage != nil {
		return remedyOf(r.Dir, damage)
	}
	return nil
}

// Reclaim gives the disk space of what was deleted back. It is worth doing now and then.
func (r *Repo) Reclaim() error { return errors.Join(r.state.db.Reclaim(), r.View.reclaim()) }

// Close closes the stores and gives the lock back. A view that was found damaged is deleted.
func (r *Repo) Close() error {
	var errs []error
	if r.Audit != nil {
		errs = append(errs, r.Audit.close())
	}
	if r.View != nil {
		damage := r.View.Damage()
		if err := r.View.close(); damage == nil {
			errs = append(errs, err)
		} else {
			errs = append(errs, os.RemoveAll(viewPath(r.Dir)))
		}
	}
	if r.state != nil {
		errs = append(errs, r.state.close())
	}
	errs = append(errs, r.lock.Unlock())
	return errors.Join(errs...)
}

func checkVersion(dir string) error {
	text, err := os.ReadFile(versionPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; make one with \"slnode init\"", dir, ErrMissing)
	}
	if err != nil {
		return fmt.Errorf("reading the repository's version: %w", err)
	}
	if found := strings.TrimSpace(string(text)); found != version {
		return fmt.Errorf("%s has the repository version %.20q, this program knows version %s; if no other program made it, restore it from a backup",
			dir, found, version)
	}
	return nil
}

func takeLock(dir string) (*flock.Flock, error) {
	if err := checkOwner(dir); err != nil {
		return nil, err
	}
	lock := flock.New(lockPath(dir))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w; is a daemon running?", dir, ErrLocked)
	}
	return lock, nil
}

// WriteFile replaces a file so that after a power loss it is the old one or the new one, and readable by its owner only.
func WriteFile(path string, data []byte) error {
	return WriteStream(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteStream is WriteFile for what is too long for memory. If write fails, the old file stays.
func WriteStream(path string, write func(io.Writer) error) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(temporary.Name())))
		}
	}()
	err = write(temporary)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
