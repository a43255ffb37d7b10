package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/repo/internal/archive"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/outbox"
)

// quickDir is a folder in memory where the system has that: a disk that is waited for is slower than what is fuzzed.
func quickDir(f *testing.F) string {
	f.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "slnode-fuzz-")
	if err != nil {
		return f.TempDir()
	}
	f.Cleanup(func() { must(f, os.RemoveAll(dir)) })
	return dir
}

// Whatever the records of a backup say, reading them is bounded, and what is taken does not break the outbox.
func FuzzRestoredState(f *testing.F) {
	records := func(list ...record) []byte {
		var out bytes.Buffer
		for _, r := range list {
			appendRecord(&out, r)
		}
		return out.Bytes()
	}
	f.Add(records(record{key: store.Key(store.TableItem, store.U64(1)), value: []byte(`{"n":1}`)}, record{key: store.Key(store.TableCounter), value: []byte(`{"items":1}`)}))
	f.Add(records(record{key: store.Key(store.TableQueue, []byte{9}, store.U64(1))}))
	f.Add(records(record{key: store.Key(store.TableQueue, []byte{1}, store.U64(1)), expires: 1}))
	f.Add(records(record{key: store.Key(store.TableToken, []byte("x")), value: []byte("{}")}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0})
	s, err := store.Open(quickDir(f), kv.Options{Key: make([]byte, 32), Create: true})
	must(f, err)
	f.Cleanup(func() { must(f, s.Close()) })
	f.Fuzz(func(t *testing.T, data []byte) {
		defer deleteAll(t, s)
		var out bytes.Buffer
		w := archive.NewWriter(&out)
		must(t, w.Add("state/1", data))
		must(t, w.Close())
		in := archive.NewReader(&out)
		_, size, err := in.Next()
		must(t, err)
		u := unpacking{state: s}
		if u.records(in, size) != nil {
			return
		}
		o, err := outbox.Open(s)
		if err != nil {
			return
		}
		for _, state := range []outbox.State{outbox.Accepted, outbox.Stored, outbox.Signed} {
			_, _ = o.Queue(state, 0, 10) // an error is as good as any answer
		}
	})
}

// deleteAll empties a store that has a few keys, a thousand times as fast as dropping its files.
func deleteAll(t testing.TB, s *store.Store) {
	t.Helper()
	must(t, s.Write(func(txn *kv.Txn) error {
		var keys [][]byte
		if err := store.Scan(txn, nil, nil, func(_ []byte, item *kv.Item) (bool, error) {
			keys = append(keys, slices.Clone(item.Key()))
			return true, nil
		}); err != nil {
			return err
		}
		for _, k := range keys {
			if err := txn.Delete(k); err != nil {
				return err
			}
		}
		return nil
	}))
}

// FuzzRestore unpacks files of whatever names and contents, and never outside of its folder. A fuzzer hardly ever finds
// the checksums of an archive: this one is given the files.
func FuzzRestore(f *testing.F) {
	for _, names := range [][2]string{
		{"config.toml", "end.json"}, {"consortium.json", "state/1"}, {"keys/account", "../x"}, {"keys/sealed", "state/1"},
		{"objects/" + someCID + "/object.json", "objects/" + someCID + "/.."}, {"objects/../../x", "/x"},
	} {
		f.Add(names[0], names[1], []byte("{}"))
	}
	manifest, err := json.Marshal(Manifest{Format: backupFormat, Repository: version, Organisation: "acme"})
	must(f, err)
	parent := quickDir(f)
	dir := filepath.Join(parent, "repository")
	f.Fuzz(func(t *testing.T, first, second string, content []byte) {
		var out bytes.Buffer
		w := archive.NewWriter(&out)
		for _, err := range []error{w.Add(manifestFile, manifest), w.Add(first, content), w.Add(second, content), w.Close()} {
			if err != nil {
				return // an archive can't have such a name
			}
		}
		must(t, os.Mkdir(dir, 0o700))
		u := unpacking{dir: dir, passphrase: says("a passphrase")}
		if errors.Join(u.unpack(&out), u.close()) == nil {
			t.Error("this is no backup")
		}
		if names := namesIn(t, parent); !slices.Equal(names, []string{"repository"}) {
			t.Errorf("beside the repository there is %q", names)
		}
		must(t, os.RemoveAll(dir))
	})
}
