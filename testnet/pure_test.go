package testnet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// "make test" tests these packages without the race detector, which finds nothing where nothing runs beside others.
func TestWhatIsTestedWithoutTheRaceDetectorStartsNoGoroutine(t *testing.T) {
	t.Parallel()
	for _, name := range listedInMakefile(t, `^PURE := \$\(addprefix \$\(MODULE\)/internal/,(.+)\)$`) {
		sources, err := filepath.Glob(filepath.Join("..", "internal", name, "*.go"))
		must(t, err)
		if len(sources) == 0 {
			t.Errorf("there is no package internal/%s", name)
		}
		for _, source := range sources {
			if strings.HasSuffix(source, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, source, nil, 0)
			must(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt, *ast.ChanType:
					t.Errorf("%s has a goroutine or a channel", files.Position(n.Pos()))
				case *ast.ImportSpec:
					if path := strings.Trim(n.Path.Value, `"`); path == "sync" || path == "sync/atomic" || strings.Contains(path, "errgroup") {
						t.Errorf("%s imports %s", source, path)
					}
				}
				return true
			})
		}
	}
}

// Methods of a sync.Map are compiled into who uses one; what the race detector does not look into must not be where the
// linker takes them from, or it reports races that there are not.
func TestWhatTheRaceDetectorLeavesOutUsesNoMapThatSynchronises(t *testing.T) {
	t.Parallel()
	for _, name := range listedInMakefile(t, `^PLAIN := ((?:.*\\\n)*.*)$`) {
		looked := 0
		for line := range strings.Lines(goList(t, "-f", `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}`, name+"/...")) {
			source, err := os.ReadFile(strings.TrimSpace(line))
			must(t, err)
			looked++
			if strings.Contains(string(source), "sync.Map") {
				t.Errorf("%s of %s uses a sync.Map", filepath.Base(strings.TrimSpace(line)), name)
			}
		}
		if looked == 0 {
			t.Errorf("there is no package %s", name)
		}
	}
}

// listedInMakefile gives the names in a list of the Makefile, by the line that makes it.
func listedInMakefile(t *testing.T, line string) []string {
	t.Helper()
	makefile, err := os.ReadFile("../Makefile")
	must(t, err)
	listed := regexp.MustCompile("(?m)" + line).FindSubmatch(makefile)
	if listed == nil {
		t.Fatalf("the Makefile has no line %s", line)
	}
	return strings.Fields(strings.ReplaceAll(string(listed[1]), `\`, " "))
}
