package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/BurntSushi/toml"

	"github.com/serviceledger/slnode/internal/microalgo"
)

// Limits are what a day (UTC) may bring: all together, and each account and API key. 0 is no limit.
type Limits struct {
	Objects  int64            `toml:"objects"`
	ALGO     microalgo.Text   `toml:"algo"`     // fees and deposits of what is taken in
	Accounts map[string]Limit `toml:"accounts"` // by the account's name
	Keys     map[string]Limit `toml:"keys"`     // by the API key's name
}

// Limit is what a day may bring by one account or API key.
type Limit struct {
	Objects int64          `toml:"objects"`
	ALGO    microalgo.Text `toml:"algo"`
}

// EverybodyElse is the name in [Limits] for the accounts, or keys, that have no limit of their own.
const EverybodyElse = "*"

// Of is the limit of one account or API key.
func (l Limits) Of(list map[string]Limit, name string) Limit {
	if own, found := list[name]; found {
		return own
	}
	return list[EverybodyElse]
}

const mostObjects = 1_000_000_000 // in a day

func (l Limits) check() error {
	wrong := []error{at("limits.objects", between(l.Objects, 0, mostObjects))}
	for section, list := range map[string]map[string]Limit{"limits.accounts": l.Accounts, "limits.keys": l.Keys} {
		for name, one := range list {
			if name == "" {
				wrong = append(wrong, fmt.Errorf("%s: a name is empty; \"*\" is everybody else", section))
			}
			wrong = append(wrong, at(fmt.Sprintf("%s.%q.objects", section, name), between(one.Objects, 0, mostObjects)))
		}
	}
	return errors.Join(wrong...)
}

// at says where something is wrong, if it is.
func at(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// Whose limits a section of the config file has: those of accounts, or of API keys.
type Whose string

// The sections.
const (
	OfAccounts Whose = "accounts"
	OfKeys     Whose = "keys"
)

// list is the section's, of which there is one afterwards.
func (l *Limits) list(w Whose) map[string]Limit {
	of := &l.Accounts
	if w == OfKeys {
		of = &l.Keys
	}
	if *of == nil {
		*of = map[string]Limit{}
	}
	return *of
}

// SetLimit writes the limit of an account or key into the config file of a repository, or takes it out where it is nil,
// and returns what the file says then.
func SetLimit(dir string, whose Whose, name string, limit *Limit) (Config, error) {
	return edit(dir, func(text []byte, c *Config) ([]byte, error) {
		if limit == nil {
			delete(c.Limits.list(whose), name)
		} else {
			c.Limits.list(whose)[name] = *limit
		}
		return setLimit(text, whose, name, limit), nil
	})
}

// setLimit changes the line of a name in a section of a config file. A comment behind it stays.
func setLimit(text []byte, whose Whose, name string, limit *Limit) []byte {
	header := regexp.MustCompile(`^\[\s*limits\s*\.\s*` + string(whose) + `\s*\]`)
	var line string
	if limit != nil {
		line = fmt.Sprintf("%s = { objects = %d, algo = %q }", strconv.Quote(name), limit.Objects, limit.ALGO)
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	within, last := false, -1 // in the section; its last line that says something
	for i, l := range lines {
		switch head := bytes.TrimSpace(l); {
		case bytes.HasPrefix(head, []byte("[")):
			if within = header.Match(head); within {
				last = i
			}
		case !within || len(head) == 0 || head[0] == '#':
		case !isOf(l, name):
			last = i
		case limit == nil:
			return joined(slices.Delete(lines, i, i+1))
		default:
			lines[i] = []byte(line + behind(l))
			return joined(lines)
		}
	}
	switch {
	case limit == nil:
	case last < 0:
		lines = append(lines, nil, []byte("[limits."+string(whose)+"]"), []byte(line))
	default:
		lines = slices.Insert(lines, last+1, []byte(line))
	}
	return joined(lines)
}

func joined(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

// isOf reports whether a line gives a name its limit.
func isOf(line []byte, name string) bool {
	var says map[string]any
	if _, err := toml.Decode(string(line), &says); err != nil {
		return false
	}
	_, is := says[name]
	return is
}

// behind is what stands behind the value of a line: a comment, or nothing.
func behind(line []byte) string {
	_, value, _ := bytes.Cut(line, []byte("{"))
	_, rest, _ := bytes.Cut(value, []byte("}"))
	return string(bytes.TrimRight(rest, " \t\r"))
}
