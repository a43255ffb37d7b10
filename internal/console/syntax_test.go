package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What marks text as safe is how escaping is turned off: nothing here has a reason to.
func TestNothingTurnsEscapingOff(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) < 8 {
		t.Fatal(names, err)
	}
	files, uses := token.NewFileSet(), 0
	for _, name := range names {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range file.Imports {
			if path := one.Path.Value; path == `"text/template"` || path == `"unsafe"` || one.Name != nil && path == `"html/template"` {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, is := n.(*ast.SelectorExpr)
			if !is {
				return true
			}
			if of, is := s.X.(*ast.Ident); is && of.Name == "template" {
				uses++
				switch s.Sel.Name {
				case "HTML", "HTMLAttr", "JS", "JSStr", "URL", "CSS", "Srcset":
					t.Errorf("%s: template.%s", files.Position(n.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
	if uses == 0 {
		t.Error("html/template is not even used")
	}
}

var (
	inline   = regexp.MustCompile(`(?i)\son\w+\s*=|\sstyle\s*=|<style|<script(?: [^>]*)?>[^<]|javascript:|<base|<iframe|<object|<embed`)
	absolute = regexp.MustCompile(`(?i)(href|src|action)\s*=\s*"?(/|https?:|//)`)
	sinks    = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML|srcdoc|https?://`)
)

func TestTemplatesAndScriptsKeepToThePolicy(t *testing.T) {
	t.Parallel()
	looked := 0
	read := func(files fs.FS, what *regexp.Regexp, suffix string) {
		err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
				return err
			}
			looked++
			data, err := fs.ReadFile(files, path)
			if found := what.Find(data); found != nil {
				t.Errorf("%s has %q", path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(templateFiles, inline, ".html")
	read(templateFiles, absolute, ".html")
	read(staticFiles, sinks, ".js")
	if looked < 10 {
		t.Fatalf("%d files were looked at", looked)
	}
	sheet, err := staticFiles.ReadFile("static/app.css")
	if err != nil || len(sheet) > 20_000 {
		t.Errorf("app.css has %d bytes: %v", len(sheet), err)
	}
}
