package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"syscall"

	"github.com/BurntSushi/toml"

	"github.com/serviceledger/slnode/internal/disk"
)

// edit changes the feeds, or the limits of accounts and keys, in the text of the config file, so that all else in it,
// comments too, stays. do changes both the text and what it says. The result is read before it is written: a file that
// is written in a way that this can't edit is left alone. There is one edit at a time.
func edit(dir string, do func([]byte, *Config) ([]byte, error)) (_ Config, err error) {
	unlock, err := lock(dir)
	if err != nil {
		return Config{}, err
	}
	defer unlock()
	path := Path(dir)
	want, err := Read(dir)
	if err != nil {
		return Config{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if text, err = do(text, &want); err != nil {
		return Config{}, err
	}
	if err := want.Validate(); err != nil {
		return Config{}, err
	}
	after := Default()
	_, err = toml.Decode(string(text), &after)
	for i := range after.Feeds {
		after.Feeds[i].setDefaults()
	}
	if err != nil || !sameEdited(after, want) {
		return Config{}, fmt.Errorf("%s is written in a way that can't be changed here; edit it by hand (%v)", path, err)
	}
	if err := disk.WriteFile(path, text); err != nil {
		return Config{}, err
	}
	return Read(dir)
}

// sameEdited compares what edit can change.
func sameEdited(a, b Config) bool {
	feeds := len(a.Feeds) == len(b.Feeds) && (len(a.Feeds) == 0 || reflect.DeepEqual(a.Feeds, b.Feeds))
	return feeds && maps.Equal(a.Limits.Accounts, b.Limits.Accounts) && maps.Equal(a.Limits.Keys, b.Limits.Keys)
}

// lock keeps others from editing the config file of a repository meanwhile.
func lock(dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking the configuration: %w", err)
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the configuration: %w", err), folder.Close())
	}
	return func() { _ = folder.Close() }, nil // which unlocks it
}
