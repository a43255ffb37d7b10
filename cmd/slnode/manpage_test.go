package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// visible are a command and those below it that users are shown.
func visible(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range subcommands(c) {
		all = append(all, visible(sub)...)
	}
	return all
}

func TestEveryCommandHasAManualPageWithAllThatItsHelpSays(t *testing.T) {
	dir := t.TempDir()
	var stderr strings.Builder
	if code := run(t.Context(), []string{"manpage", dir}, strings.NewReader(""), io.Discard, &stderr); code != exitOK {
		t.Fatal(stderr.String())
	}
	commands := visible(newRootCommand())
	if pages, err := filepath.Glob(filepath.Join(dir, "*.1")); err != nil || len(pages) != len(commands) || len(commands) < 50 {
		t.Errorf("%d pages for %d commands (%v)", len(pages), len(commands), err)
	}
	_, noGroff := exec.LookPath("groff")
	unquoted := strings.NewReplacer("`", "", `"`, "") // as a help text says it, and as a page does
	for _, c := range commands {
		path := filepath.Join(dir, pageName(c)+".1")
		page, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if err != nil || noGroff != nil {
			continue
		}
		shown, warnings := formatted(t, page)
		shown = unquoted.Replace(shown)
		if warnings != "" {
			t.Errorf("%s: %s", path, warnings)
		}
		for _, text := range []string{c.CommandPath(), c.Short, c.Long, c.Example, c.LocalFlags().FlagUsages()} {
			for _, word := range strings.Fields(unquoted.Replace(text)) {
				if !strings.Contains(shown, word) {
					t.Errorf("%s does not show %q", pageName(c), word)
				}
			}
		}
	}
	if noGroff != nil {
		t.Skip("what the pages look like was not tried: there is no groff")
	}
}

// formatted is a page as man shows it, and what groff finds wrong with it.
func formatted(t *testing.T, page []byte) (text, warnings string) {
	t.Helper()
	// No hyphenation and no width: a word stays in one piece.
	command := exec.Command("groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-P-cbou", "-rHY=0", "-rLL=2000n")
	command.Stdin = strings.NewReader(string(page))
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatal(err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

func TestAManualPageLeavesTextAsItIs(t *testing.T) {
	c := &cobra.Command{Use: "slnode", Short: "a", Long: ".dir is read,\n'quoted' and \\back\nGET /<root>/x*_y_\n\n  one    two\n  .SH no heading\n\nAt ~, `date` -- ^"}
	page := string(manpage(c))
	for _, want := range []string{
		".PP\n\\&.dir is read,\n\\(aqquoted\\(aq and \\eback\nGET /<root>/x*_y_\n.PP\n",
		".PP\n.nf\n  one    two\n  .SH no heading\n.fi\n",
		"At \\(ti, \\(gadate\\(ga \\-\\- \\(ha\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
}
