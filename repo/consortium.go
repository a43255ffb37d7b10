package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
}

// Consortium reads which consortium the node belongs to; nil if it belongs to none.
func (r *Repo) Consortium() (*Consortium, error) { return ReadConsortium(r.Dir) }

// ReadConsortium is [Repo.Consortium] for a repository that isn't open.
func ReadConsortium(dir string) (*Consortium, error) {
	data, err := os.ReadFile(consortiumPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the consortium: %w", err)
	}
	var c Consortium
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("reading %s: %w", consortiumPath(dir), err)
	}
	return &c, nil
}

// SetConsortium makes the node belong to a consortium.
func (r *Repo) SetConsortium(c Consortium) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the consortium: %w", err)
	}
	return WriteFile(consortiumPath(r.Dir), append(data, '\n'))
}
