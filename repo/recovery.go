package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Recovery is what a node has before it that was restored from a backup: after the backup was made, the lost node may
// have signed what this outbox doesn't know of. Nothing may be signed before the chain has shown all of it.
type Recovery struct {
	// Until is the last round in which anything that the lost node signed can be confirmed; 0 as long as it is not known.
	Until uint64 `json:"until,omitzero"`
	// Disputed says that the other is no lost node: it had this one's keys at the same time.
	Disputed bool `json:"disputed,omitzero"`
}

var recoveryKey = key(tableMemo, []byte("recovery"))

// Recovery gives what is before a restored node; nil if nothing is.
func (o *Outbox) Recovery() (recovery *Recovery, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		var r Recovery
		found, err := getJSON(txn, recoveryKey, &r)
		if found {
			recovery = &r
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is to be recovered: %w", err)
	}
	return recovery, nil
}

// SetRecovery changes what is before a restored node; nil ends it.
func (o *Outbox) SetRecovery(recovery *Recovery) error {
	err := o.store.write(func(txn *kv.Txn) error {
		if recovery == nil {
			return txn.Delete(recoveryKey)
		}
		return setJSON(txn, recoveryKey, recovery)
	})
	if err != nil {
		return fmt.Errorf("recording what is to be recovered: %w", err)
	}
	return nil
}

// maxFree bounds how many numbers are filled in.
const maxFree = 4096

// FillSequence gives the numbers that are missing on the chain to what is signed next: the lost node had given them to
// what was never confirmed, and other members would miss them for ever. It must not be called before it is certain that
// they can't be confirmed any more. Those that an item of this outbox has are left to it.
func (o *Outbox) FillSequence(missing []consortium.Range) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		given := map[uint64]bool{}
		err := eachQueued(txn, []State{Accepted, Stored, Signed}, func(item Item) error {
			given[item.Note.Sequence] = true
			return nil
		})
		if err != nil {
			return err
		}
		next.Free = nil
		for _, hole := range missing {
			for n := hole.First; n <= min(hole.Last, next.Sequence) && len(next.Free) < maxFree; n++ {
				if n > 0 && !given[n] {
					next.Free = append(next.Free, n)
				}
			}
		}
		return setJSON(txn, key(tableCounter), next)
	})
	if err != nil {
		return fmt.Errorf("filling in sequence numbers: %w", err)
	}
	o.counters = next
	return nil
}

// restoredBatch is how much of what came with a backup is read at once, in bytes and directories.
const (
	restoredBatch = 4 << 20
	restoredMost  = 256
)

// Restored gives some of the directories that came with a backup and are not in the block store yet; none if there are
// no more. Their content is unchecked.
func (r *Repo) Restored() (directories []Directory, err error) {
	folder, err := os.Open(restoredPath(r.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was restored: %w", err)
	}
	defer folder.Close()
	entries, err := folder.ReadDir(restoredMost)
	if err != nil && len(entries) > 0 || len(entries) == 0 {
		return nil, errors.Join(notEOF(err), os.Remove(folder.Name()))
	}
	size := 0
	for _, entry := range entries {
		d := Directory{CID: entry.Name()}
		files, err := os.ReadDir(filepath.Join(folder.Name(), entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading what was restored: %w", err)
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(folder.Name(), entry.Name(), file.Name()))
			if err != nil {
				return nil, fmt.Errorf("reading what was restored: %w", err)
			}
			d.Files = append(d.Files, File{Name: file.Name(), Data: data})
			size += len(data)
		}
		directories = append(directories, d)
		if size > restoredBatch {
			break
		}
	}
	return directories, nil
}

// ForgetRestored removes directories that are in the block store now.
func (r *Repo) ForgetRestored(directories []Directory) error {
	for _, d := range directories {
		if err := os.RemoveAll(filepath.Join(restoredPath(r.Dir), d.CID)); err != nil {
			return fmt.Errorf("removing what was restored: %w", err)
		}
	}
	return nil
}
