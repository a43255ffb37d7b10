package kv

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/scratch"
)

// sector is what a disk writes as a whole.
const sector = 512

// torn is a file that was being written when the power went: of some sectors what was there before, of others what
// should be.
func torn(random *rand.Rand, before, after file) file {
	size := len(after.data)
	was, is := make([]byte, size), make([]byte, size)
	copy(was, before.data)
	copy(is, after.data)
	for at := 0; at < size; at += sector {
		if random.IntN(2) == 0 {
			copy(is[at:min(at+sector, size)], was[at:])
		}
	}
	return file{is, after.size}
}

func isLog(name string) bool { return strings.HasSuffix(name, logExtension) }

// When the power goes in the middle of a transaction, the store is as it was before it or after it; and after it, once
// it was acknowledged. A store that isn't durable is as it was after some transaction. No file of a large value is left
// over.
func TestAStoreSurvivesTheLossOfPower(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{true, false} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("durable=%v %d", durable, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				dir := filepath.Join(scratch.Dir(t), "store")
				db, err := Open(dir, storeOptions(durable))
				must(t, err)
				before, held, since := image(t, dir, "*"), holding{{}}, 0
				last := before
				for n := range 20 {
					key := string(rune('a' + random.IntN(6)))
					next := maps.Clone(held[len(held)-1])
					if v := value(n, []int{0, 10, 3000, largeSize, 100 << 10}[random.IntN(5)]); random.IntN(3) == 0 {
						delete(next, key)
						must(t, remove(db, key))
					} else {
						next[key] = string(v)
						must(t, put(db, key, v))
					}
					held = append(held, next)
					after := image(t, dir, "*")
					if !durable && gone(last, after) { // for which the store has waited for the disk
						before, since = after, len(held)-1
					}
					last = after
					if len(after["mark"].data) > 0 { // the last acknowledged transaction may be known or not
						checkCrash(t, durable, after, held[len(held)-1:])
					}
					checkCrash(t, durable, tear(random, before, after), held[since:])
					if durable || random.IntN(4) == 0 {
						must(t, db.badger.Sync())
						before, since = after, len(held)-1
					}
					if random.IntN(10) == 0 {
						must(t, db.compact())
						before, since = image(t, dir, "*"), len(held)-1
					}
				}
				must(t, db.Close())
			})
		}
	}
}

// gone tells if a file of a large value was removed.
func gone(before, after files) bool {
	for name := range before {
		if _, is := after[name]; !is && strings.HasPrefix(name, largeFolder) {
			return true
		}
	}
	return false
}

// tear is what is on the disk when the power goes before the last writes to the logs are synced. The files of large
// values are there, since they were waited for; those that are to go, too.
func tear(random *rand.Rand, before, after files) files {
	list := maps.Clone(after)
	maps.Copy(list, before)
	for name, is := range after {
		was, known := before[name]
		if isLog(name) {
			list[name] = torn(random, was, is)
		} else if !known {
			list[name] = is
		}
	}
	return list
}

func checkCrash(t *testing.T, durable bool, crashed files, possible holding) {
	t.Helper()
	dir := filepath.Join(scratch.Dir(t), "store")
	crashed.write(t, dir)
	o := storeOptions(durable)
	o.Create = false
	db, err := Open(dir, o)
	must(t, err)
	found, err := content(db)
	must(t, err)
	if !slices.ContainsFunc(possible, func(p map[string]string) bool { return maps.Equal(p, found) }) {
		t.Fatalf("the store holds %s, before it held %s", summary(found), summary(possible[0]))
	}
	refs, err := db.large.files()
	must(t, err)
	if named := largeRefs(db); len(refs) != named {
		t.Fatalf("%d files of large values, %d are named", len(refs), named)
	}
	must(t, errors.Join(db.Close(), os.RemoveAll(dir)))
}

// A file that was being written when the power went, and that no key names, is removed.
func TestAFileOfALostTransactionIsRemoved(t *testing.T) {
	dir := filepath.Join(scratch.Dir(t), "store")
	db, err := Open(dir, storeOptions(true))
	must(t, err)
	must(t, put(db, "a", value(1, largeSize)))
	killed := image(t, dir, "*")
	must(t, db.Close())
	killed[largeFolder+"/"+ref{1}.name()] = file{value(2, 1000), 1000}
	killed[largeFolder+"/half"] = file{}
	checkCrash(t, true, killed, holding{{"a": string(value(1, largeSize))}})
}

// twoLogs is a store that was killed while what is in one log wasn't in a table yet, and what came next went into
// another.
func twoLogs(t *testing.T, durable bool) (files, holding) {
	t.Helper()
	dir := filepath.Join(scratch.Dir(t), "store")
	db, err := Open(dir, storeOptions(durable))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	var inTheWay []string // so that what is in the first log can't become a table, whose next name is tried each second
	for n := range 1000 {
		inTheWay = append(inTheWay, filepath.Join(dir, fmt.Sprintf("%06d.sst", n+1)))
		must(t, os.WriteFile(inTheWay[n], nil, 0o600))
	}
	held := holding{{}}
	for n := 0; ; n++ {
		v := value(n, largeSize-1)
		next := maps.Clone(held[len(held)-1])
		next[fmt.Sprintf("%05d", n)] = string(v)
		held = append(held, next)
		must(t, put(db, fmt.Sprintf("%05d", n), v))
		logs, err := filepath.Glob(filepath.Join(dir, "*"+logExtension))
		must(t, err)
		if len(logs) < 2 {
			continue
		}
		killed := image(t, dir, "*")
		for _, path := range inTheWay {
			delete(killed, filepath.Base(path))
			must(t, os.Remove(path))
		}
		return killed, held
	}
}

// Of two logs, the first was whole before the second began: if it is shorter, a durable store is damaged. One that
// isn't may have lost the end of the first when the power went, and not the second: it ends there, and nothing is left
// out.
func TestNothingIsLeftOutBetweenTwoLogs(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{true, false} {
		killed, held := twoLogs(t, durable)
		checkCrash(t, durable, killed, held[len(held)-1:])
		first := slices.MinFunc(slices.Collect(maps.Keys(killed)), func(a, b string) int {
			if isLog(a) != isLog(b) {
				return map[bool]int{true: -1, false: 1}[isLog(a)]
			}
			return strings.Compare(a, b)
		})
		whole := killed[first]
		for _, keep := range []int{0, len(whole.data) / 2, len(whole.data) - 1} {
			killed[first] = file{whole.data[:keep], whole.size}
			dir := filepath.Join(scratch.Dir(t), "store")
			killed.write(t, dir)
			db, err := Open(dir, storeOptions(durable))
			switch {
			case durable && !errors.Is(err, ErrDamaged):
				t.Errorf("%d of %d bytes of the first log: %v", keep, len(whole.data), err)
			case durable || keep == 0 && errors.Is(err, ErrDamaged): // of nothing before it nothing can be told
				continue
			case err != nil:
				t.Errorf("not durable, %d of %d bytes of the first log: %v", keep, len(whole.data), err)
				continue
			}
			found, err := content(db)
			must(t, err)
			if len(found) > len(held)-1 || !maps.Equal(found, held[len(found)]) {
				t.Errorf("it holds %d values, and not the first ones", len(found))
			}
			must(t, db.Close())
		}
	}
}

// A process is killed between making a log and giving it its size.
func TestALogThatWasMadeAndNotBegunIsNoDamage(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{true, false} {
		dir := filepath.Join(scratch.Dir(t), "store")
		db, err := Open(dir, storeOptions(durable))
		must(t, err)
		must(t, put(db, "a", value(1, 100)))
		killed := image(t, dir, "*")
		must(t, db.Close())
		killed["00009"+logExtension] = file{}
		checkCrash(t, durable, killed, holding{{"a": string(value(1, 100))}})
	}
}
