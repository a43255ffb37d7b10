package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/spelling"
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

// meant says which key is probably meant by one that there is not: one that is typed almost alike, or that is in
// another section.
func meant(key string) string {
	key = key[:min(len(key), 100)]
	var ours []string
	sections := reflect.TypeFor[Config]()
	for i := range sections.NumField() {
		fields := sections.Field(i).Type
		if fields.Kind() == reflect.Slice {
			fields = fields.Elem()
		}
		for j := range fields.NumField() {
			name := fields.Field(j).Tag.Get("toml")
			name, _, _ = strings.Cut(name, ",")
			ours = append(ours, sections.Field(i).Tag.Get("toml")+"."+name)
		}
	}
	_, last, _ := strings.Cut(key, ".")
	for _, one := range ours {
		if _, name, _ := strings.Cut(one, "."); last != "" && name == last {
			return fmt.Sprintf("; is %s meant, in the section [%s]?", one, one[:strings.Index(one, ".")])
		}
	}
	near := slices.MinFunc(ours, func(a, b string) int { return spelling.Distance(key, a) - spelling.Distance(key, b) })
	if spelling.Distance(key, near) <= slips {
		return fmt.Sprintf("; is %s meant?", near)
	}
	return ""
}

// Overridden names the variables of an environment that override something.
func Overridden(environ []string) (names []string) {
	known := (&Config{}).overrides()
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); known[name].IsValid() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// override applies the variables SLNODE_<SECTION>_<KEY> of an environment. One that was probably meant to be such a
// variable is an error: what its author wanted wouldn't happen.
func (c *Config) override(environ []string) error {
	known := c.overrides()
	names := append(slices.Sorted(maps.Keys(known)), DirectoryVariable)
	for _, name := range []string{KeysPassphraseVariable, NewPassphraseVariable, BackupPassphraseVariable} {
		names = append(names, name, name+"_FILE")
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		if field, found := known[name]; found {
			if err := set(field, value); err != nil {
				return fmt.Errorf("environment variable %s: %w", name, err)
			}
		} else if meant := intended(name, names); meant != "" && !c.uses(name) {
			return fmt.Errorf("environment variable %.100s: there is none of this name; is %s meant?", name, meant)
		}
	}
	return nil
}

// uses reports whether a feed takes a secret from a variable.
func (c *Config) uses(name string) bool {
	return slices.ContainsFunc(c.Feeds, func(f Feed) bool {
		return slices.Contains([]string{f.User, f.Password, f.Token, f.APIKey}, "env:"+name)
	})
}

// slips is how many characters are probably mistyped, and not another word.
const slips = 2

// intended is the variable of ours that one with another name was probably meant to be: one that is typed almost alike,
// one whose section was left out, or the nearest where the section is one of ours. It is "" for what others name so:
// Kubernetes for a service that is called slnode, the scripts around a node.
func intended(name string, ours []string) string {
	if slices.Contains(ours, name) {
		return ""
	}
	name = name[:min(len(name), 100)] // an environment can hold anything
	key := strings.TrimPrefix(name, environmentPrefix)
	section := func(name string) string {
		section, _, _ := strings.Cut(strings.TrimPrefix(name, environmentPrefix), "_")
		return section
	}
	near := slices.MinFunc(ours, func(a, b string) int { return spelling.Distance(name, a) - spelling.Distance(name, b) })
	for _, candidate := range ours {
		if strings.Contains(key, "_") && strings.TrimPrefix(candidate, environmentPrefix+section(candidate)+"_") == key {
			return candidate
		}
	}
	if spelling.Distance(name, near) <= slips || strings.Contains(key, "_") && section(near) == section(name) {
		return near
	}
	return ""
}
