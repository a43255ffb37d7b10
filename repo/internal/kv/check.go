package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/dgraph-io/ristretto/v2/z"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/disk"
)

// Badger takes what it can't read for the end of what was written: of a log it cuts off what follows a damaged record,
// a table with a damaged index it leaves out, and a damaged block is one with nothing in it. It says so in its log, if
// at all. So everything is read here before Badger opens it.
//
// That nothing is missing is known by numbers: every transaction carries its own, one more than that of the one before.
// From the tables to the last log they must go on without a gap, up to the number in the mark: that of the last
// transaction that was acknowledged. What comes after it, of a transaction that was cut off when the power went, is
// nobody's loss.

const (
	logExtension   = ".mem" // a memory table's write-ahead log
	tableExtension = ".sst"
	markFile       = "mark"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkFiles reads the files of a store that nobody has open.
func checkFiles(dir string, o Options) error {
	have, err := fileNames(dir)
	if err != nil {
		return err
	}
	for _, name := range []string{badger.ManifestFilename, badger.KeyRegistryFileName} {
		if slices.Contains(have.rest, name) {
			continue
		}
		if len(have.logs)+len(have.tables) > 0 || slices.Contains(have.rest, markFile) {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		}
		if !o.Create {
			return ErrMissing
		}
		return nil // it is new
	}
	registry, manifest, err := readManifest(dir, o)
	if err != nil {
		return err
	}
	number, err := checkTables(dir, registry, manifest)
	if err != nil {
		return disk.AsDamage(err)
	}
	if number, err = checkLogs(dir, have.logs, registry, number, o.Durable); err != nil {
		return err
	}
	marked, err := readMark(dir)
	if err == nil && number < marked.number {
		err = fmt.Errorf("%w: the last transaction is number %d, %d was acknowledged", ErrDamaged, number, marked.number)
	}
	return err
}

// storeFiles are the names of a store's files, by what they are.
type storeFiles struct{ logs, tables, rest []string }

func fileNames(dir string) (names storeFiles, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return storeFiles{}, err
	}
	for _, entry := range entries {
		switch name := entry.Name(); filepath.Ext(name) {
		case logExtension:
			names.logs = append(names.logs, name)
		case tableExtension:
			names.tables = append(names.tables, name)
		default:
			names.rest = append(names.rest, name)
		}
	}
	return names, nil
}

// removeValueLog removes the value log. There is nothing in it, and nothing of it can be damaged.
func removeValueLog(dir string) error {
	names, err := fileNames(dir)
	if err != nil {
		return err
	}
	for _, name := range names.rest {
		if filepath.Ext(name) == ".vlog" || name == "DISCARD" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readManifest reads which tables there are, and the keys that they are encrypted with.
func readManifest(dir string, o Options) (*badger.KeyRegistry, badger.Manifest, error) {
	var registry *badger.KeyRegistry
	var manifest badger.Manifest
	err := recovering(func() (err error) {
		registry, err = badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true, EncryptionKey: o.Key})
		if errors.Is(err, badger.ErrEncryptionKeyMismatch) {
			return ErrKey
		}
		if err != nil {
			return disk.AsDamage(err)
		}
		file, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
		if err != nil {
			return err
		}
		manifest, _, err = badger.ReplayManifestFile(file, 0, badgerOptions(dir, o))
		return disk.AsDamage(errors.Join(err, file.Close()))
	})
	return registry, manifest, err
}

// checkTables reads every block of every table, and compares it with its checksum. It returns the greatest number of a
// transaction in them.
func checkTables(dir string, registry *badger.KeyRegistry, manifest badger.Manifest) (number uint64, err error) {
	indices, err := ristretto.NewCache(&ristretto.Config[uint64, *fb.TableIndex]{NumCounters: 1000, MaxCost: 16 << 20, BufferItems: 64})
	if err != nil {
		return 0, err
	}
	defer indices.Close()
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	for id, t := range manifest.Tables {
		group.Go(func() error {
			path := table.NewFilename(id, dir)
			n, err := checkTable(path, registry, t, indices)
			if err != nil {
				return fmt.Errorf("table %s: %w", filepath.Base(path), err)
			}
			mu.Lock()
			defer mu.Unlock()
			number = max(number, n)
			return nil
		})
	}
	err = group.Wait()
	return number, err
}

func checkTable(path string, registry *badger.KeyRegistry, t badger.TableManifest, indices *ristretto.Cache[uint64, *fb.TableIndex]) (number uint64, err error) {
	key, err := registry.DataKey(t.KeyID)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if info, err := os.Stat(path); err != nil {
		return 0, err
	} else if info.Size() == 0 { // such a file can't be mapped
		return 0, fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close(-1) // it was only read
	err = recovering(func() error {
		opened, err := table.OpenTable(file, table.Options{
			ReadOnly: true, ChkMode: options.OnTableAndBlockRead, BlockSize: badger.DefaultOptions("").BlockSize,
			Compression: t.Compression, DataKey: key, IndexCache: indices,
		})
		if err != nil {
			return err
		}
		it := opened.NewIterator(table.NOCACHE)
		defer it.Close()
		it.Seek(y.KeyWithTs(numberKey, math.MaxUint64))
		if it.Valid() && bytes.Equal(y.ParseKey(it.Key()), numberKey) {
			number, err = parseNumber(it.Value().Value)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return number, err
}

func parseNumber(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: the number of a transaction has %d bytes", ErrDamaged, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// checkLogs reads the logs, the oldest first, and returns the number of the last transaction in them. When the power
// went, a store that isn't durable may have lost more of one than of the next: then it ends with the first.
func checkLogs(dir string, names []string, registry *badger.KeyRegistry, number uint64, durable bool) (uint64, error) {
	ids := map[string]int{}
	for _, name := range names {
		id, err := strconv.Atoi(strings.TrimSuffix(name, logExtension))
		if err != nil {
			return 0, fmt.Errorf("%w: a log is called %q", ErrDamaged, name)
		}
		ids[name] = id
	}
	slices.SortFunc(names, func(a, b string) int { return ids[a] - ids[b] })
	names, err := dropUnbegun(dir, names)
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		next, err := checkLog(filepath.Join(dir, name), registry, number)
		switch {
		case errors.Is(err, errGap) && i > 0 && !durable:
			for _, later := range names[i:] {
				if err := os.Remove(filepath.Join(dir, later)); err != nil {
					return 0, err
				}
			}
			return number, nil
		case err != nil:
			return 0, fmt.Errorf("log %s: %w", name, err)
		}
		number = next
	}
	return number, nil
}

// dropUnbegun removes the logs that have no byte, and gives the others: a process was killed that had just made one,
// and Badger takes it for a failure. What was acknowledged is never in one.
func dropUnbegun(dir string, names []string) ([]string, error) {
	begun := names[:0:0]
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 {
			begun = append(begun, name)
			continue
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return begun, nil
}

// errGap means that a log begins after what should come before it.
var errGap = fmt.Errorf("%w: transactions are missing before it", ErrDamaged)

// checkLog reads a log. The transactions before it end with a number.
func checkLog(path string, registry *badger.KeyRegistry, number uint64) (uint64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if len(data) < logHeader {
		return number, nil
	}
	key, err := registry.DataKey(binary.BigEndian.Uint64(data))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	l := logReader{data: data, at: logHeader, key: key}
	for {
		numbers, ok, err := l.transaction()
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return number, nil
		case len(numbers) != 1:
			return 0, fmt.Errorf("%w: a transaction has %d numbers", ErrDamaged, len(numbers))
		case numbers[0] > number+1:
			return 0, errGap
		}
		number = max(number, numbers[0])
	}
}

// logHeader is how long the beginning of a log is: the number of its key and the beginning of the initialisation
// vectors.
const logHeader = 20

// What kinds of records there are in a log, in Badger's byte for itself.
const (
	inTransaction  = 1 << 6
	endTransaction = 1 << 7
)

// logReader reads a log as Badger does: until something isn't a record, or does not belong there.
type logReader struct {
	data []byte
	at   int
	key  *pb.DataKey
}

// transaction reads the next transaction, and gives the numbers that are in it. It is not ok if there is none any more.
func (l *logReader) transaction() (numbers []uint64, ok bool, err error) {
	var timestamp uint64
	for {
		r, ok, err := l.record()
		if err != nil || !ok || len(r.key) == 0 {
			return nil, false, err
		}
		switch {
		case r.meta&endTransaction != 0:
			n, err := strconv.ParseUint(string(r.value), 10, 64)
			return numbers, err == nil && n == timestamp, nil
		case len(r.key) < 8 || r.meta&inTransaction == 0 || timestamp != 0 && timestamp != y.ParseTs(r.key):
			return nil, false, nil
		}
		timestamp = y.ParseTs(r.key)
		if r.userMeta&isNumber != 0 && bytes.Equal(y.ParseKey(r.key), numberKey) {
			n, err := parseNumber(r.value)
			if err != nil {
				return nil, false, err
			}
			numbers = append(numbers, n)
		}
	}
}

type logRecord struct {
	meta, userMeta byte
	key, value     []byte
}

// record reads the next record: its header, the key and the value, encrypted, and a checksum of all that.
func (l *logReader) record() (r logRecord, ok bool, err error) {
	data, at := l.data[l.at:], 2
	uvarint := func() uint64 {
		n, size := binary.Uvarint(data[min(at, len(data)):])
		if size <= 0 {
			at = len(data) + 1
			return 0
		}
		at += size
		return n
	}
	keySize, valueSize := uvarint(), uvarint()
	uvarint() // when it expires
	if at > len(data) || keySize > math.MaxUint16+1 || valueSize > uint64(len(data)) {
		return logRecord{}, false, nil
	}
	end := at + int(keySize) + int(valueSize)
	if end+crc32.Size > len(data) || crc32.Checksum(data[:end], castagnoli) != binary.BigEndian.Uint32(data[end:]) {
		return logRecord{}, false, nil
	}
	if l.key == nil { // everything is encrypted
		return logRecord{}, false, fmt.Errorf("%w: a log without a key", ErrDamaged)
	}
	// The vector ends with where the record begins.
	vector := binary.BigEndian.AppendUint32(slices.Clone(l.data[8:logHeader]), uint32(l.at))
	clear, err := y.XORBlockAllocate(data[at:end], l.key.Data, vector)
	if err != nil {
		return logRecord{}, false, err
	}
	l.at += end + crc32.Size
	return logRecord{meta: data[0], userMeta: data[1], key: clear[:keySize], value: clear[keySize:]}, true, nil
}

// mark is what is known of a store beside it.
type mark struct {
	number uint64 // of the last transaction that is on the disk
	freed  uint64 // [DB.freed]
}

// markSize is what a mark takes, with its checksum.
const markSize = 8 + 8 + crc32.Size

// write writes the mark, after what it says has become so. The file isn't synced: a mark may be behind, but it is never
// ahead.
func (m mark) write(file *os.File) error {
	data := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, m.number), m.freed)
	_, err := file.WriteAt(binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli)), 0)
	return err
}

// readMark reads the mark. A damaged one is as good as none: everything that it is about can still be good.
func readMark(dir string) (mark, error) {
	data, err := os.ReadFile(filepath.Join(dir, markFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mark{}, err
	}
	if len(data) != markSize || crc32.Checksum(data[:16], castagnoli) != binary.BigEndian.Uint32(data[16:]) {
		return mark{}, nil
	}
	return mark{number: binary.BigEndian.Uint64(data), freed: binary.BigEndian.Uint64(data[8:])}, nil
}
