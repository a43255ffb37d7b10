package keys

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/seal"
)

// Changing keys takes two steps, so that no crash loses one. [Keys.Prepare] writes the new keys beside the present
// ones, sealed where those are. When the chain has them, [Keys.Switch] decides that they take their place; the next
// [Open] carries that out, and keeps the old ones: what was sealed to them has to be opened still.
const (
	nextPrefix   = "next-"   // … and the name of the file that it is to replace
	formerPrefix = "former-" // …, a number, a hyphen and the name of the file that was replaced
	switchFile   = "switch"  // it is decided; holds the number
)

// Change says which keys are to be changed.
type Change struct {
	Account  bool `json:"account"`
	Peer     bool `json:"peer"`
	Identity bool `json:"identity"`
}

func (c Change) files() (names []string) {
	for name, chosen := range map[string]bool{accountFile: c.Account, peerFile: c.Peer, identityFile: c.Identity} {
		if chosen {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// changeable tells whether a key file is one that a [Change] can be about.
func changeable(name string) bool {
	return slices.Contains(Change{Account: true, Peer: true, Identity: true}.files(), name)
}

// Prepare makes the keys of a change, unless an earlier attempt made them, and gives all keys as they will be. It
// refuses a change that differs from one that was prepared and not carried out.
func (k Keys) Prepare(c Change) (Keys, error) {
	err := k.files.change(func(files keyFiles) error {
		for _, name := range files.with(nextPrefix) {
			if name = strings.TrimPrefix(name, nextPrefix); !slices.Contains(c.files(), name) {
				return fmt.Errorf("a change of other keys (%s) was begun and is not finished; repeat that one", name)
			}
		}
		for _, name := range c.files() {
			if files[nextPrefix+name] != nil {
				continue
			}
			generate := map[string]func() (string, error){accountFile: newAccount, peerFile: newPeerKey, identityFile: newIdentity}[name]
			text, err := generate()
			if err != nil {
				return fmt.Errorf("making %s: %w", name, err)
			}
			files[nextPrefix+name] = []byte(text + "\n")
		}
		return nil
	})
	if err != nil {
		return Keys{}, err
	}
	next, _, err := k.Next()
	return next, err
}

// Next gives all keys as they will be after the change that was prepared; found is false if none was.
func (k Keys) Next() (next Keys, found bool, err error) {
	next = k
	files := k.files.read()
	for name, parse := range map[string]func(string) error{
		accountFile: next.parseAccount, peerFile: next.parsePeer, identityFile: next.parseIdentity,
	} {
		if files[nextPrefix+name] == nil {
			continue
		}
		found = true
		if err := files.parse(k.files.dir, nextPrefix+name, parse); err != nil {
			return Keys{}, false, err
		}
	}
	return next, found, nil
}

// Switch decides that the next keys take the place of the present ones, from the next [Open] on.
func (k Keys) Switch() error {
	return k.files.change(func(files keyFiles) error {
		last := 0
		for _, name := range files.with(formerPrefix) {
			number, _, _ := strings.Cut(strings.TrimPrefix(name, formerPrefix), "-")
			if n, err := strconv.Atoi(number); err == nil {
				last = max(last, n)
			}
		}
		files[switchFile] = []byte(strconv.Itoa(last+1) + "\n")
		return nil
	})
}

// Abandon forgets the next keys: they came to nothing.
func (k Keys) Abandon() error {
	return k.files.change(func(files keyFiles) error {
		for _, name := range files.with(nextPrefix) {
			delete(files, name)
		}
		return nil
	})
}

// switchKeys carries a switch out that was decided, and gives the files as they are then. Of sealed keys the file with
// all of them is replaced. In clear it can be interrupted anywhere and begun again: a key is copied before it is
// replaced, and what is replaced is not there to be replaced a second time.
func switchKeys(dir string, files keyFiles, passphrase string) (keyFiles, error) {
	decided, found := files[switchFile]
	if !found {
		return files, nil
	}
	number := strings.TrimSpace(string(decided))
	after := maps.Clone(files)
	for _, from := range files.with(nextPrefix) {
		name := strings.TrimPrefix(from, nextPrefix)
		former := formerPrefix + number + "-" + name
		if !isKeyFile(former) || files[name] == nil {
			return nil, fmt.Errorf("changing keys: %s is damaged, or there is no %s; put them back from a backup", filepath.Join(dir, switchFile), name)
		}
		after[former], after[name] = files[name], files[from]
		delete(after, from)
		if passphrase != "" {
			continue
		}
		if err := disk.WriteFile(filepath.Join(dir, former), files[name]); err != nil {
			return nil, err
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("changing keys: %w", err)
		}
		if err := disk.Sync(dir); err != nil {
			return nil, fmt.Errorf("changing keys: %w", err)
		}
	}
	delete(after, switchFile)
	if passphrase != "" {
		return after, after.seal(dir, passphrase)
	}
	if err := os.Remove(filepath.Join(dir, switchFile)); err != nil {
		return nil, fmt.Errorf("changing keys: %w", err)
	}
	return after, disk.Sync(dir)
}

// readFormer reads the keys that were replaced: the identity opens what was sealed to the earlier ones too.
func (k *Keys) readFormer() error {
	files := k.files.read()
	var identities []*seal.Identity
	for _, name := range files.with(formerPrefix) {
		old := Keys{}
		parse := old.parsePeer
		switch {
		case strings.HasSuffix(name, "-"+accountFile):
			parse = old.parseAccount
		case strings.HasSuffix(name, "-"+identityFile):
			parse = old.parseIdentity
		}
		if err := files.parse(k.files.dir, name, parse); err != nil {
			return err
		}
		if old.Account.PrivateKey != nil {
			k.Former = append(k.Former, old.Account)
		}
		if old.Identity != nil {
			identities = append(identities, old.Identity)
		}
	}
	k.Identity = k.Identity.With(identities...)
	return nil
}

// with lists the files whose names begin with a prefix.
func (f keyFiles) with(prefix string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}
