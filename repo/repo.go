// Package repo is a node's directory on disk, each part of which is a package below it: repo.go makes, opens and closes
// it, lock.go has its lock and version and what is done to its keys under the lock, owner.go whose it is, consortium.go
// which consortium it belongs to, backup.go, restore.go and restored.go how it is carried elsewhere. It promises:
//
//   - One process at a time uses a repository ([ErrLocked]).
//   - Outbox and accounts survive the death of the process and of the machine; the view, which is derived from the
//     chain and from IPFS, may lag after a power loss.
//   - Both stores are encrypted with a key of the repository: no plaintext of an object is in any file.
//   - Damage is never taken for there being less. A damaged view is derived again; damaged keys or a damaged state,
//     which can't be, are refused when the repository is opened ([ErrDamaged]).
//   - The keys can be sealed with a passphrase.
//   - A backup is of one moment, and a restore is all or nothing.
package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/spool"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/found"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// version is the layout of the directory. It is in the file "version"; a program refuses a layout that it doesn't know.
const version = "2"

// The files and folders of a repository.
func keysPath(dir string) string       { return filepath.Join(dir, "keys") }
func lockPath(dir string) string       { return filepath.Join(dir, "lock") }
func versionPath(dir string) string    { return filepath.Join(dir, "version") }
func statePath(dir string) string      { return filepath.Join(dir, "state") }
func viewPath(dir string) string       { return filepath.Join(dir, "view") }
func consortiumPath(dir string) string { return filepath.Join(dir, "consortium.json") }

// BlocksPath is where the IPFS blocks are kept.
func BlocksPath(dir string) string { return filepath.Join(dir, "blocks") }

// SpoolPath is where a running daemon keeps what it receives while it works on it.
func SpoolPath(dir string) string { return filepath.Join(dir, "spool") }

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

	// ErrFolder means that there can be none.
	ErrFolder = errors.New("no repository can be made here; choose a folder of your own with --repo or SLNODE_REPO")
	// ErrBackup means that a file is no backup that this program can restore.
	ErrBackup = errors.New("this backup can't be restored")
	// ErrVersion means that it is one of another program.
	ErrVersion = errors.New("is no repository that this program knows")
	// ErrDamaged means that files of the repository are not as they were written.
	ErrDamaged = kv.ErrDamaged
)

// Repo is an open repository.
type Repo struct {
	Dir      string
	Config   config.Config
	Keys     keys.Keys
	Outbox   *outbox.Outbox
	Accounts *accounts.Accounts
	Audit    *auditlog.Log
	Found    *found.Table
	Daybook  *daybook.Book
	Hits     *hits.Book
	View     *view.View
	Find     *find.Index
	// Notes say what of the repository was found damaged when it was opened, and mended.
	Notes []string

	lock  *flock.Flock
	state *store.Store
}

// Init makes a repository: config file, keys, version. The keys are sealed with the passphrase unless it is "". It does
// nothing to a directory that is a repository already and returns an error wrapping [ErrExists].
func Init(dir string, c config.Config, passphrase string) (keys.Keys, error) {
	if err := c.Validate(); err != nil {
		return keys.Keys{}, fmt.Errorf("initialising %s: %w", dir, err)
	}
	lock, err := makeFolder(dir)
	if err != nil {
		return keys.Keys{}, fmt.Errorf("initialising %s: %w", dir, err)
	}
	defer lock.Unlock()
	// The version is written last: a directory with one is complete, and an interrupted Init is begun again, keeping
	// the keys that it made.
	if _, err := os.Stat(versionPath(dir)); err == nil {
		return keys.Keys{}, fmt.Errorf("initialising %s: %w", dir, ErrExists)
	}
	if _, err := os.Stat(stagingPath(dir)); err == nil {
		return keys.Keys{}, fmt.Errorf("initialising %s: %w, half restored from a backup; repeat \"slnode restore\"", dir, ErrExists)
	}
	if err := c.Write(dir); err != nil {
		return keys.Keys{}, err
	}
	made, err := keys.Make(keysPath(dir), passphrase)
	if err != nil {
		return keys.Keys{}, err
	}
	if err := beginSole(dir, made); err != nil {
		return keys.Keys{}, err
	}
	return made, disk.WriteFile(versionPath(dir), []byte(version+"\n"))
}

// beginSole records that nothing was ever signed with the keys.
func beginSole(dir string, k keys.Keys) error {
	state, err := newState(dir, k)
	if err != nil {
		return err
	}
	o, err := outbox.Open(state)
	if err == nil {
		err = o.SetSole(outbox.Sole{Account: k.Address()})
	}
	return errors.Join(err, state.Close())
}

// Open takes the lock and opens the stores. The error wraps [ErrPassphrase] if the keys are sealed with another one,
// and [ErrDamaged] if what only this node knows is damaged.
func Open(dir string, passphrase keys.Passphrase) (_ *Repo, err error) {
	if err := CheckVersion(dir); err != nil {
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
	if err = spool.Clean(SpoolPath(dir)); err != nil {
		return nil, err
	}
	if r.Config, err = config.Read(dir); err != nil {
		return nil, err
	}
	if r.Keys, err = keys.Open(keysPath(dir), passphrase); err != nil {
		return nil, err
	}
	if r.state, err = openState(dir, r.Keys.Store); err != nil {
		return nil, err
	}
	if r.Outbox, err = outbox.Open(r.state); err != nil {
		return nil, err
	}
	if err = r.mendConsortium(); err != nil {
		return nil, err
	}
	r.Accounts, r.Daybook, r.Hits = accounts.New(r.state), daybook.New(r.state), hits.New(r.state)
	if r.Found, err = found.Open(r.state); err != nil {
		return nil, err
	}
	if r.Audit, err = auditlog.Open(auditlog.Path(dir), r.Config.TAXII.AuditFileSize, int(r.Config.TAXII.AuditFiles), time.Now); err != nil {
		return nil, err
	}
	if err = r.openView(); err != nil {
		return nil, err
	}
	return r, nil
}

// openView opens the view, an empty one in place of one that is damaged.
func (r *Repo) openView() (err error) {
	path := viewPath(r.Dir)
	r.View, err = view.Open(path, r.Keys.Store)
	if errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrKey) {
		r.Notes = append(r.Notes, "the view is damaged, and derived again from the chain and the members: "+nameKey(path, err).Error())
		if err = os.RemoveAll(path); err == nil {
			r.View, err = view.Open(path, r.Keys.Store)
		}
	}
	if err == nil {
		r.Find, err = find.New(r.View)
	}
	return err
}

// nameKey says which key it is that a store was not made with.
func nameKey(path string, err error) error {
	if errors.Is(err, kv.ErrKey) {
		return fmt.Errorf("opening %s: %w than keys/%s; put it back from a backup", path, kv.ErrKey, keys.StoreFile)
	}
	return err
}

// newState opens the store of what only this node knows, which need not be there yet.
func newState(dir string, k keys.Keys) (*store.Store, error) {
	state, err := store.Open(statePath(dir), kv.Options{Key: k.Store, Durable: true, Create: true})
	return state, nameKey(statePath(dir), err)
}

// openState opens the store of what only this node knows, and says what to do if it can't be.
func openState(dir string, key []byte) (*store.Store, error) {
	state, err := store.Open(statePath(dir), kv.Options{Key: key, Durable: true})
	if errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrMissing) {
		return nil, remedyOf(dir, err)
	}
	return state, nameKey(statePath(dir), err)
}

func remedyOf(dir string, damage error) error {
	return fmt.Errorf("%w: accounts, and what is not on the chain yet, can't be derived again: move %s away and restore a backup "+
		"into it with \"slnode restore\"; without one, \"slnode restore --empty-state\" goes on with an empty state", damage, dir)
}

// Damaged is closed when the state is found damaged while it is open.
func (r *Repo) Damaged() <-chan struct{} { return r.state.Damaged() }

// Damage is what of the state was found damaged since it was opened, and what to do; or nil.
func (r *Repo) Damage() error {
	if damage := r.state.Damage(); damage != nil {
		return remedyOf(r.Dir, damage)
	}
	return nil
}

// Reclaim gives the disk space of what was deleted back. It is worth doing now and then.
func (r *Repo) Reclaim() error { return errors.Join(r.state.Reclaim(), r.View.Reclaim()) }

// Close closes the stores and gives the lock back. A view that was found damaged is deleted.
func (r *Repo) Close() error {
	var errs []error
	if r.Audit != nil {
		errs = append(errs, r.Audit.Close())
	}
	if r.View != nil {
		damage := r.View.Damage()
		if err := r.View.Close(); damage == nil {
			errs = append(errs, err)
		} else {
			errs = append(errs, os.RemoveAll(viewPath(r.Dir)))
		}
	}
	if r.state != nil {
		errs = append(errs, r.state.Close())
	}
	errs = append(errs, r.lock.Unlock())
	return errors.Join(errs...)
}
