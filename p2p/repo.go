package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/filestore"
	"github.com/ipfs/boxo/keystore"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	pebbleds "github.com/ipfs/go-ds-pebble"
	"github.com/ipfs/kubo/config"
	kuborepo "github.com/ipfs/kubo/repo"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/internal/disk"
)

// repository is Kubo's view of what the node keeps: one pebble store for blocks and all else, and a configuration that
// lives in memory. Having all of it in one write-ahead log is what makes the store crash-safe: what survives is always
// a prefix of the batches that were written. Kubo's own fsrepo is left out, and with it the plugin loader, repository
// versions, migrations and its separate lock file (pebble locks the directory itself).
type repository struct {
	dir      string
	config   *config.Config
	swarmKey []byte
	data     *pebbleds.Datastore
	keys     keystore.Keystore
	lock     *pebble.Lock
	marks    *disk.Marks
	damage   *damage
}

var _ kuborepo.Repo = (*repository)(nil)

// Idle pebble memory: a cache of 8 MiB, and at most two memtables of 4 MiB.
const (
	pebbleCache    = 8 << 20
	pebbleMemTable = 4 << 20
)

// openOrReplace opens the store in c.Dir or, if it is damaged or of another layout, sets it aside and begins a new one.
// An older one that is still aside gives way: it was of less.
func openOrReplace(fs vfs.FS, c *Config, k *config.Config, log *slog.Logger) (*repository, error) {
	r, err := openRepository(fs, c, k)
	aside := AsidePath(c.Dir)
	switch {
	case errors.Is(err, errLayout):
		log.Warn("the block store is of another version of this program: it is set aside, and its directories are taken from it", "aside", aside)
	case errors.Is(err, disk.ErrDamaged):
		log.Error("the block store is damaged: it is set aside, and its directories are fetched anew", "aside", aside, "error", err)
	default:
		return r, err
	}
	err = errors.Join(fs.RemoveAll(aside), fs.Rename(c.Dir, aside), disk.SyncFolder(fs, filepath.Dir(c.Dir)))
	if err != nil {
		return nil, fmt.Errorf("set the damaged store aside: %w", err)
	}
	return openRepository(fs, c, k)
}

// openRepository opens the store in c.Dir, making it if absent. If it is damaged the error wraps [disk.ErrDamaged].
func openRepository(fs vfs.FS, c *Config, k *config.Config) (_ *repository, err error) {
	r := &repository{dir: c.Dir, config: k, swarmKey: c.SwarmKey, keys: keystore.NewMemKeystore(), damage: newDamage()}
	if err := disk.MakeFolder(fs, c.Dir); err != nil {
		return nil, err
	}
	if r.lock, err = pebble.LockDirectory(c.Dir, fs); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.lock.Close())
		}
	}()
	if _, err := fs.Stat(damagedFile(c.Dir)); err == nil {
		return nil, fmt.Errorf("%w: it was found so while the node ran", disk.ErrDamaged)
	}
	if r.marks, err = disk.OpenMarks(fs, c.Dir); err != nil {
		return nil, err
	}
	data, err := openPebble(c.Dir, &pebble.Options{
		FS: r.marks, Lock: r.lock, Cleaner: disk.NoRecycling{},
		EventListener: &pebble.EventListener{
			DataCorruption:  func(info pebble.DataCorruptionInfo) { r.damage.note(fmt.Errorf("%s: %w", info.Path, info.Details)) },
			BackgroundError: func(err error) { r.damage.note(err) },
		},
	})
	if err != nil {
		return nil, errors.Join(disk.AsDamage(err), r.marks.Close())
	}
	if err := checkLayout(data); err != nil {
		return nil, errors.Join(err, data.Close(), r.marks.Close())
	}
	r.data = data
	return r, nil
}

// layout is written into a new store. What is in one without it, or with another, was not written as kept.go says, and
// none of it would be found.
const layout = "1"

var (
	layoutKey = datastore.NewKey("/slnode/layout")
	errLayout = errors.New("the store has another layout")
)

func checkLayout(data *pebbleds.Datastore) error {
	ctx := context.Background()
	found, err := data.Get(ctx, layoutKey)
	switch {
	case err == nil && string(found) == layout:
		return nil
	case err == nil:
		return errLayout
	case !errors.Is(err, datastore.ErrNotFound):
		return disk.AsDamage(err)
	}
	results, err := data.Query(ctx, query.Query{Limit: 1, KeysOnly: true})
	if err != nil {
		return disk.AsDamage(err)
	}
	switch entries, err := results.Rest(); {
	case err != nil:
		return disk.AsDamage(err)
	case len(entries) > 0:
		return errLayout
	}
	return data.Put(ctx, layoutKey, []byte(layout)) // before all else in the one log
}

func openPebble(dir string, options *pebble.Options) (*pebbleds.Datastore, error) {
	options.FormatMajorVersion, options.MemTableSize, options.Logger = pebble.FormatNewest, pebbleMemTable, disk.Quiet{}
	// Most look-ups are for what is not here yet. The other levels follow the first.
	options.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	return pebbleds.NewDatastore(dir, pebbleds.WithCacheSize(pebbleCache), pebbleds.WithPebbleOpts(options))
}

func (r *repository) Config() (*config.Config, error)     { return r.config, nil }
func (r *repository) Path() string                        { return r.dir }
func (r *repository) Datastore() kuborepo.Datastore       { return r.data }
func (r *repository) Keystore() keystore.Keystore         { return r.keys } // of IPNS keys, which this node has none of
func (r *repository) SwarmKey() ([]byte, error)           { return r.swarmKey, nil }
func (r *repository) FileManager() *filestore.FileManager { return nil } // the filestore experiment is off

// Close closes the store. One that was found damaged says so to the next start.
func (r *repository) Close() error {
	errs := []error{r.data.Close(), r.marks.Close()}
	if r.damage.is() != nil {
		errs = []error{r.markDamaged()} // what else went wrong is no news
	}
	return errors.Join(append(errs, r.lock.Close())...)
}

func (r *repository) markDamaged() error {
	file, err := r.marks.Create(damagedFile(r.dir), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close(), disk.SyncFolder(r.marks, r.dir))
}

func (r *repository) UserResourceOverrides() (rcmgr.PartialLimitConfig, error) {
	return rcmgr.PartialLimitConfig{}, nil
}

func (r *repository) GetStorageUsage(ctx context.Context) (uint64, error) {
	return r.data.DiskUsage(ctx)
}

// errNoConfigFile answers what Kubo's command line would do to a configuration file; a running node never asks.
var errNoConfigFile = errors.New("p2p: the configuration has no file")

func (r *repository) BackupConfig(string) (string, error)  { return "", errNoConfigFile }
func (r *repository) SetConfig(*config.Config) error       { return errNoConfigFile }
func (r *repository) SetConfigKey(string, any) error       { return errNoConfigFile }
func (r *repository) GetConfigKey(string) (any, error)     { return nil, errNoConfigFile }
func (r *repository) SetAPIAddr(multiaddr.Multiaddr) error { return errNoConfigFile }
func (r *repository) SetGatewayAddr(net.Addr) error        { return errNoConfigFile }
