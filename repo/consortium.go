package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/repo/keys"
)

// Consortium is which consortium the node belongs to: what a fold needs to begin.
type Consortium struct {
	ID          uint64   `json:"id"`      // asset id of the charter
	Charter     string   `json:"charter"` // transaction that minted it
	Name        string   `json:"name"`
	GenesisID   string   `json:"genesis_id"`
	GenesisHash []byte   `json:"genesis_hash"`
	Network     string   `json:"network"`
	Peers       []string `json:"peers"` // of the invite: the first members to connect to
	// Members are the names of the members by their accounts, those that they had before, too, as this node last knew
	// them: for people who are to sign something and see accounts.
	Members map[string]string `json:"members,omitempty"`
}

// Consortium reads which consortium the node belongs to; nil if it belongs to none.
func (r *Repo) Consortium() (*Consortium, error) { return ReadConsortium(r.Dir) }

// ReadConsortium is [Repo.Consortium] for a repository that isn't open.
func ReadConsortium(dir string) (*Consortium, error) {
	return readOptional[Consortium]("the consortium", consortiumPath(dir))
}

// readOptional reads a file of JSON; nil if there is none.
func readOptional[T any](what, path string) (*T, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	var t T
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return &t, nil
}

// SetConsortium makes the node belong to a consortium.
func (r *Repo) SetConsortium(c Consortium) error {
	if r.Outbox != nil {
		if err := r.rememberConsortium(c); err != nil {
			return err
		}
	}
	return writeConsortium(r.Dir, c)
}

func writeConsortium(dir string, c Consortium) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the consortium: %w", err)
	}
	return disk.WriteFile(consortiumPath(dir), append(data, '\n'))
}

const consortiumMemo = "consortium"

// rememberedConsortium is what the state keeps of consortium.json, in which one digit makes another consortium, and of
// the swarm's key, in which one makes another swarm.
type rememberedConsortium struct {
	Consortium
	SwarmKey []byte `json:"swarm_key,omitzero"` // its SHA-256
}

func (r *Repo) rememberConsortium(c Consortium) error {
	remembered := rememberedConsortium{Consortium: c}
	if key := r.Keys.SwarmKey(); key != nil {
		hash := sha256.Sum256(key)
		remembered.SwarmKey = hash[:]
	}
	data, err := json.Marshal(remembered)
	if err != nil {
		return fmt.Errorf("remembering the consortium: %w", err)
	}
	return r.Outbox.SetMemo(consortiumMemo, data)
}

// mendConsortium compares consortium.json and the swarm's key with what the state keeps of them.
func (r *Repo) mendConsortium() error {
	data, err := r.Outbox.Memo(consortiumMemo)
	if err != nil {
		return err
	}
	found, problem := ReadConsortium(r.Dir)
	if data == nil {
		if problem != nil || found == nil {
			return problem
		}
		return r.rememberConsortium(*found)
	}
	var remembered rememberedConsortium
	if err := json.Unmarshal(data, &remembered); err != nil {
		return fmt.Errorf("%w: the memo of the consortium: %w", ErrDamaged, err)
	}
	if hash := sha256.Sum256(r.Keys.SwarmKey()); remembered.SwarmKey != nil && !bytes.Equal(hash[:], remembered.SwarmKey) {
		r.Notes = append(r.Notes, fmt.Sprintf("%s is not what it was; if no member can be reached, put it back from a backup or an invite",
			filepath.Join(keysPath(r.Dir), keys.SwarmFile)))
	}
	if problem == nil && found != nil && reflect.DeepEqual(*found, remembered.Consortium) {
		return nil
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%s is not what it was, and is written again", consortiumPath(r.Dir)))
	return writeConsortium(r.Dir, remembered.Consortium)
}
