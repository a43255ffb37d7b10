package testnet

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// The rooms of the node and of its repository stay rooms: what doesn't fit any more is a reason for another one.
const (
	longestFile     = 450  // lines
	longestFunction = 60   // lines
	largestPackage  = 2500 // lines, without tests, but for taxii, which is one protocol
	largestWiring   = 1000 // … of package node itself
)

func TestTheRoomsStaySmall(t *testing.T) {
	t.Parallel()
	sizes, said := map[string]int{}, map[string]int{}
	for _, root := range []string{"node", "repo", "taxii", "internal/certs", "internal/outbound", "internal/signal"} {
		must(t, filepath.WalkDir(filepath.Join("..", root), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, source, parser.ParseComments)
			if err != nil {
				return err
			}
			lines := bytes.Count(source, []byte("\n"))
			if lines > longestFile {
				t.Errorf("%s has %d lines", path, lines)
			}
			if !strings.HasSuffix(path, "_test.go") {
				folder := filepath.Dir(path)
				sizes[folder] += lines
				if file.Doc != nil {
					said[folder]++
				}
			}
			for _, declaration := range file.Decls {
				function, is := declaration.(*ast.FuncDecl)
				if !is {
					continue
				}
				if n := files.Position(function.End()).Line - files.Position(function.Pos()).Line + 1; n > longestFunction {
					t.Errorf("%s: %s has %d lines", path, function.Name.Name, n)
				}
			}
			return nil
		}))
	}
	if len(sizes) < 20 {
		t.Fatalf("%d packages were looked at", len(sizes))
	}
	for folder, lines := range sizes {
		most := largestPackage
		switch folder {
		case filepath.Join("..", "node"):
			most = largestWiring
		case filepath.Join("..", "taxii"):
			most = lines
		}
		if lines > most {
			t.Errorf("%s has %d lines", folder, lines)
		}
		if said[folder] != 1 {
			t.Errorf("%s says in %d files what it is, want one", folder, said[folder])
		}
	}
}

// widestComment is the width to which comments are filled, in characters, a tab being one.
const widestComment = 120

func TestCommentsHaveOneWidth(t *testing.T) {
	t.Parallel()
	looked := 0
	must(t, filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked++
		for i, line := range strings.Split(string(source), "\n") {
			if strings.HasPrefix(strings.TrimLeft(line, "\t"), "// ") && utf8.RuneCountInString(line) > widestComment {
				t.Errorf("%s:%d is wider than %d characters", path, i+1, widestComment)
			}
		}
		return nil
	}))
	if looked < 500 {
		t.Fatalf("%d files were looked at", looked)
	}
}
