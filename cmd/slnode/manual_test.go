package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/repo/config"
)

// The operator's documents name commands, flags, variables, config keys and log messages. These tests hold them to the
// program; what a command does is shown by the scripts in testdata.
var manuals = []string{"README.md", "docs/START.md", "docs/OPERATIONS.md", "docs/slnode.service"}

func manual(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fenced = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`\n]+)`")
	begins = regexp.MustCompile(`(?:^| |bin/)slnode +((?:--)?[a-z].*)`)
	ends   = regexp.MustCompile(` ?[|;&>(].*|[,.]$`)
	quoted = regexp.MustCompile(`"[^"]*"`)
	remark = regexp.MustCompile(`(?:^| )#( |$).*`)
)

// commandsOf are the command lines of slnode in a document: in its code blocks, and in `code` where it names a command.
func commandsOf(name, text string) (lines []string) {
	blocks := []string{}
	if strings.HasSuffix(name, ".md") {
		for _, block := range fenced.FindAllStringSubmatch(text, -1) {
			blocks = append(blocks, block[1])
		}
		for _, code := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			blocks = append(blocks, code[1])
		}
	} else {
		blocks = append(blocks, text)
	}
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "#   the governor:")
			line = strings.TrimPrefix(line, "sudo -u slnode ")
			if at := begins.FindStringSubmatch(remark.ReplaceAllString(line, "")); at != nil {
				lines = append(lines, ends.ReplaceAllString(quoted.ReplaceAllString(at[1], "QUOTED"), ""))
			}
		}
	}
	return lines
}

func TestTheManualsNameCommandsAndFlagsThatExist(t *testing.T) {
	for _, name := range manuals {
		lines := commandsOf(name, manual(t, name))
		if len(lines) == 0 {
			t.Errorf("no command was found in %s", name)
		}
		for _, line := range lines {
			words := strings.Fields(line)
			root := newRootCommand()
			root.InitDefaultHelpCmd()
			command, rest, err := root.Find(words)
			if err != nil || command.Name() == "slnode" || isGroup(command) && len(rest) == 0 {
				t.Errorf("%s: there is no command %q", name, "slnode "+line)
				continue
			}
			for _, word := range rest {
				if strings.HasPrefix(word, "-") && !hasFlag(command, word) {
					t.Errorf("%s: %q has no flag %s", name, "slnode "+line, word)
				}
			}
		}
	}
}

// isGroup reports whether a command only has others below it.
func isGroup(c *cobra.Command) bool {
	return c.HasSubCommands() && !c.LocalNonPersistentFlags().HasFlags()
}

func hasFlag(c *cobra.Command, word string) bool {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, _, _ = strings.Cut(name, "=")
		return c.Flag(name) != nil || c.InheritedFlags().Lookup(name) != nil
	}
	return len(word) == 2 && c.Flags().ShorthandLookup(word[1:]) != nil
}

// configKeys are the keys of the config file, "section.key".
func configKeys() (keys []string) {
	sections := reflect.TypeFor[config.Config]()
	for i := range sections.NumField() {
		section := sections.Field(i)
		table := section.Type
		if table.Kind() == reflect.Slice {
			table = table.Elem()
		}
		for j := range table.NumField() {
			key, _, _ := strings.Cut(table.Field(j).Tag.Get("toml"), ",")
			keys = append(keys, section.Tag.Get("toml")+"."+key)
		}
	}
	return keys
}

func TestTheManualsNameConfigKeysAndVariablesThatExist(t *testing.T) {
	keys := configKeys()
	variables := []string{"SLNODE_REPO"}
	for _, name := range []string{keysPassphrase, newPassphrase, backupPassphrase} {
		variables = append(variables, name, name+"_FILE")
	}
	sections := map[string]bool{}
	for _, key := range keys {
		variables = append(variables, "SLNODE_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
		section, _, _ := strings.Cut(key, ".")
		sections[section] = true
	}
	for _, name := range manuals {
		text := manual(t, name)
		for _, variable := range regexp.MustCompile(`SLNODE_[A-Z_]+\b`).FindAllString(text, -1) {
			if !slices.Contains(variables, variable) && !strings.HasSuffix(variable, "_") {
				t.Errorf("%s names the variable %s, which nothing reads", name, variable)
			}
		}
		for _, code := range regexp.MustCompile("`([a-z]+)\\.([a-z_]+)\\b").FindAllStringSubmatch(text, -1) {
			if sections[code[1]] && !slices.Contains(keys, code[1]+"."+code[2]) {
				t.Errorf("%s names the key %s.%s, which the config does not have", name, code[1], code[2])
			}
		}
		for _, block := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```").FindAllStringSubmatch(text, -1) {
			config := config.Default()
			meta, err := toml.Decode(block[1], &config)
			if err != nil || len(meta.Undecoded()) > 0 {
				t.Errorf("%s: its example of a config has the unknown keys %v (%v)", name, meta.Undecoded(), err)
			}
			if err := config.Validate(); err != nil {
				t.Errorf("%s: its example of a config: %v", name, err)
			}
		}
	}
}

// The table of log messages is looked up by people who are in a hurry.
func TestTheManualsExplainLogMessagesThatExist(t *testing.T) {
	_, table, found := strings.Cut(manual(t, "docs/OPERATIONS.md"), "\n## Logs\n")
	table, _, _ = strings.Cut(table, "\n## ")
	messages := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1)
	if !found || len(messages) == 0 {
		t.Fatal("OPERATIONS.md has no table of log messages")
	}
	var sources strings.Builder
	for _, folder := range []string{"node", "node/*", "chainwatch", "internal/*", "p2p", "taxii", "cmd/slnode"} {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, "_test.go") {
				sources.Write(text)
			}
		}
	}
	for _, message := range messages {
		if !strings.Contains(sources.String(), `"`+message[1]+`"`) {
			t.Errorf("OPERATIONS.md explains the log message %q, which nothing logs", message[1])
		}
	}
}

// Scripts are written from the table of exit codes.
func TestTheManualHasTheExitCodes(t *testing.T) {
	text := manual(t, "docs/OPERATIONS.md")
	for _, o := range outcomes {
		kind := ""
		if o.kind != "" {
			kind = "`" + o.kind + "`"
		}
		if line := fmt.Sprintf("\n| %d | %s | %s |\n", o.code, kind, o.says); !strings.Contains(text, line) {
			t.Errorf("OPERATIONS.md does not have the line %q", line)
		}
	}
}
