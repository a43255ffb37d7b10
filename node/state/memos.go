package state

import (
	"encoding/json"
	"fmt"
)

// EachMemo reads what is kept as JSON under the names that begin with a prefix, up to limit of them, the last ones
// first.
func EachMemo[T any](kept interface {
	Memo(name string) ([]byte, error)
	Memos(prefix string, limit int) ([]string, error)
}, prefix string, limit int, visit func(name string, value T)) error {
	names, err := kept.Memos(prefix, limit)
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := kept.Memo(name)
		if err != nil {
			return err
		}
		var value T
		if err := json.Unmarshal(data, &value); err != nil {
			return fmt.Errorf("the memo %s: %w", name, err)
		}
		visit(name, value)
	}
	return nil
}
