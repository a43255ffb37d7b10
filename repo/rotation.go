package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/serviceledger/slnode/internal/seal"
)

// Changing keys takes two steps, so that no crash loses one. [Keys.Prepare] writes the new keys beside the present ones.
// When the chain has them, [Keys.Switch] decides that they take their place; the next [Open] carries that out, and keeps
// the old ones: what was sealed to them has to be opened still.
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

// Prepare makes the keys of a change, unless an earlier attempt made them, and gives all keys as they will be. It refuses
// a change that differs from one that was prepared and not carried out.
func (k Keys) Prepare(c Change) (Keys, error) {
	prepared, err := filesWith(k.dir, nextPrefix)
	if err != nil {
		return Keys{}, err
	}
	for _, name := range prepared {
		if name = strings.TrimPrefix(name, nextPrefix); !slices.Contains(c.files(), name) {
			return Keys{}, fmt.Errorf("a change of other keys (%s) was begun and is not finished; repeat that one", name)
		}
	}
	for _, name := range c.files() {
		if slices.Contains(prepared, nextPrefix+name) {
			continue
		}
		generate := map[string]func() (string, error){accountFile: newAccount, peerFile: newPeerKey, identityFile: newIdentity}[name]
		text, err := generate()
		if err != nil {
			return Keys{}, fmt.Errorf("making %s: %w", name, err)
		}
		if err := WriteFile(filepath.Join(k.dir, nextPrefix+name), []byte(text+"\n")); err != nil {
			return Keys{}, err
		}
	}
	next, _, err := k.Next()
	return next, err
}

// Next gives all keys as they will be after the change that was prepared; found is false if none was.
func (k Keys) Next() (next Keys, found bool, err error) {
	next = k
	for name, parse := range map[string]func(string) error{
		accountFile: next.parseAccount, peerFile: next.parsePeer, identityFile: next.parseIdentity,
	} {
		switch err := parseKeyFile(filepath.Join(k.dir, nextPrefix+name), parse); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Keys{}, false, err
		default:
			found = true
		}
	}
	return next, found, nil
}

// Switch decides that the next keys take the place of the present ones, from the next [Open] on.
func (k Keys) Switch() error {
	former, err := filesWith(k.dir, formerPrefix)
	if err != nil {
		return err
	}
	last := 0
	for _, name := range former {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, formerPrefix), "-")
		if n, err := strconv.Atoi(number); err == nil {
			last = max(last, n)
		}
	}
	return WriteFile(filepath.Join(k.dir, switchFile), []byte(strconv.Itoa(last+1)+"\n"))
}

// Abandon forgets the next keys: they came to nothing.
func (k Keys) Abandon() error {
	prepared, err := filesWith(k.dir, nextPrefix)
	if err != nil {
		return err
	}
	for _, name := range prepared {
		if err := os.Remove(filepath.Join(k.dir, name)); err != nil {
			return fmt.Errorf("forgetting keys: %w", err)
		}
	}
	return syncFolder(k.dir)
}

// switchKeys carries a switch out that was decided. It can be interrupted anywhere and begun again: a key is copied
// before it is replaced, and what is replaced is not there to be replaced a second time.
func switchKeys(dir string) error {
	number, err := os.ReadFile(filepath.Join(dir, switchFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("changing keys: %w", err)
	}
	next, err := filesWith(dir, nextPrefix)
	if err != nil {
		return err
	}
	for _, from := range next {
		name := strings.TrimPrefix(from, nextPrefix)
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("changing keys: %w", err)
		}
		if err := WriteFile(filepath.Join(dir, formerPrefix+strings.TrimSpace(string(number))+"-"+name), old); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("changing keys: %w", err)
		}
		if err := syncFolder(dir); err != nil {
			return fmt.Errorf("changing keys: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(dir, switchFile)); err != nil {
		return fmt.Errorf("changing keys: %w", err)
	}
	return syncFolder(dir)
}

// readFormer reads the keys that were replaced: the identity opens what was sealed to the earlier ones too.
func (k *Keys) readFormer() error {
	names, err := filesWith(k.dir, formerPrefix)
	if err != nil {
		return err
	}
	var identities []*seal.Identity
	for _, name := range names {
		old := Keys{}
		parse := func(string) error { return nil }
		switch {
		case strings.HasSuffix(name, "-"+accountFile):
			parse = old.parseAccount
		case strings.HasSuffix(name, "-"+identityFile):
			parse = old.parseIdentity
		}
		if err := parseKeyFile(filepath.Join(k.dir, name), parse); err != nil {
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

// filesWith lists the files of a folder whose names begin with a prefix.
func filesWith(dir, prefix string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
