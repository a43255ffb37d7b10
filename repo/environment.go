package repo

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// environmentPrefix begins the names of the variables that override the config file, and of the others that are ours.
const environmentPrefix = "SLNODE_"

// The variables of ours that override nothing. With _FILE after them, those of passphrases name a file that holds it.
const (
	DirectoryVariable        = "SLNODE_REPO"
	KeysPassphraseVariable   = "SLNODE_PASSPHRASE"        // of the repository's keys
	NewPassphraseVariable    = "SLNODE_NEW_PASSPHRASE"    // that the keys get
	BackupPassphraseVariable = "SLNODE_BACKUP_PASSPHRASE" // of a backup
)

// foreignVariables begin names that others set in an environment where the node may run: our own tests and benchmarks,
// and Kubernetes, which tells every container of a service that is called slnode.
var foreignVariables = []string{"SLNODE_TEST_", "SLNODE_BENCH_", "SLNODE_SERVICE_", "SLNODE_PORT_"}

// overrides are the values that a variable can override, by its name. A list of sections has none.
func (c *Config) overrides() map[string]reflect.Value {
	values := map[string]reflect.Value{}
	sections := reflect.ValueOf(c).Elem()
	for i := range sections.NumField() {
		section := sections.Field(i)
		if section.Kind() != reflect.Struct {
			continue
		}
		for j := range section.NumField() {
			name := sections.Type().Field(i).Tag.Get("toml") + "_" + section.Type().Field(j).Tag.Get("toml")
			values[environmentPrefix+strings.ToUpper(name)] = section.Field(j)
		}
	}
	return values
}

// override applies the variables SLNODE_<SECTION>_<KEY> of an environment. One that begins like ours and is not known is
// an error: it was meant to change something.
func (c *Config) override(environ []string) error {
	known := c.overrides()
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		field, found := known[name]
		switch {
		case found:
			if err := set(field, value); err != nil {
				return fmt.Errorf("environment variable %s: %w", name, err)
			}
		case !c.knowsVariable(name):
			others := []string{DirectoryVariable, KeysPassphraseVariable, NewPassphraseVariable, BackupPassphraseVariable}
			return fmt.Errorf("environment variable %.100s: there is none of this name; the nearest is %s", name,
				nearest(name, append(slices.Sorted(maps.Keys(known)), others...)))
		}
	}
	return nil
}

// knowsVariable reports whether a variable is for something else than an override.
func (c *Config) knowsVariable(name string) bool {
	switch strings.TrimSuffix(name, "_FILE") {
	case KeysPassphraseVariable, NewPassphraseVariable, BackupPassphraseVariable:
		return true
	}
	if name == DirectoryVariable || name == "SLNODE_PORT" || slices.ContainsFunc(foreignVariables, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
		return true
	}
	return slices.ContainsFunc(c.Feeds, func(f Feed) bool {
		return slices.Contains([]string{f.User, f.Password, f.Token, f.APIKey}, "env:"+name)
	})
}

// nearest is the candidate that the fewest changes of a character make of a name; one that it is without the section, if
// there is such.
func nearest(name string, candidates []string) string {
	name = name[:min(len(name), 100)] // an environment can hold anything
	key := "_" + strings.TrimPrefix(name, environmentPrefix)
	if whole := slices.DeleteFunc(slices.Clone(candidates), func(c string) bool { return !strings.HasSuffix(c, key) }); len(whole) > 0 {
		candidates = whole
	}
	return slices.MinFunc(candidates, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is how many characters have to be inserted, deleted or replaced to make one word of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // from a's beginning so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
