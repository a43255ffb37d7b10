package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/packages"
)

// mutant is one small fault that the tests of a package should notice.
type mutant struct {
	id   int
	node ast.Node
	kind string
	own  []edit // of a mutant that has a build of its own
}

// edit inserts text at an offset of a file, in place of some bytes.
type edit struct {
	offset, remove int
	order          int // among those at the same offset
	text           string
}

// schema holds the mutants of a package in one program: each of them is asleep until the environment wakes it.
type schema struct {
	pkg     *packages.Package
	info    *types.Info
	sources map[string][]byte
	edits   map[string][]edit
	mutants []mutant
}

func newSchema(pkg *packages.Package) (*schema, error) {
	s := &schema{pkg: pkg, info: pkg.TypesInfo, sources: map[string][]byte{}, edits: map[string][]edit{}}
	for _, name := range pkg.CompiledGoFiles {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s.sources[name] = source
	}
	inspector.New(pkg.Syntax).Root().Inspect(nil, s.mutate)
	return s, nil
}

// mutate adds the mutants of one node, and says whether to go on inside it.
func (s *schema) mutate(c inspector.Cursor) bool {
	where, _ := c.ParentEdge()
	switch n := c.Node().(type) {
	case *ast.ImportSpec:
		return false
	case *ast.ValueSpec:
		return !s.limit(c, n)
	case *ast.ReturnStmt:
		s.dropError(c, n)
	case ast.Stmt:
		if where == edge.BlockStmt_List || where == edge.CaseClause_Body || where == edge.CommClause_Body {
			s.remove(n)
		}
	case ast.Expr:
		if value := s.info.Types[n]; value.Value != nil || value.IsType() {
			s.constant(c, n)
			return false
		}
		s.condition(where, n)
		if binary, ok := n.(*ast.BinaryExpr); ok {
			s.binary(binary)
		}
	}
	return true
}

// condition lets what is asked never hold, and turns the answer round where no comparison is there to be turned.
func (s *schema) condition(where edge.Kind, n ast.Expr) {
	if t := s.info.TypeOf(n); t == nil || !types.Identical(types.Default(t), types.Typ[types.Bool]) {
		return
	}
	guard := where == edge.IfStmt_Cond || where == edge.CaseClause_List
	if guard {
		s.wrap(n, "never taken", "((", ") && !mutOn__(ID))")
	}
	if binary, ok := ast.Unparen(n).(*ast.BinaryExpr); (guard || where == edge.ReturnStmt_Results) && (!ok || !isComparison(binary.Op)) {
		s.wrap(n, "negated", "((", ") != mutOn__(ID))")
	}
}

// moved is the function in which a boundary can be moved by one.
var moved = map[token.Token]string{token.LSS: "mutLess__", token.LEQ: "mutAtMost__", token.GTR: "mutMore__", token.GEQ: "mutAtLeast__"}

func isComparison(op token.Token) bool { return op == token.EQL || op == token.NEQ || moved[op] != "" }

func (s *schema) binary(n *ast.BinaryExpr) {
	switch {
	case isComparison(n.Op):
		s.wrap(n, "negated", "((", ") != mutOn__(ID))")
		if function := moved[n.Op]; function != "" {
			s.wrap(n, "moved", function+"(ID, ", ")")
			s.insert(n.OpPos, len(n.Op.String()), 1, ",")
		}
	case n.Op == token.LAND || n.Op == token.LOR:
		after := map[token.Token]string{token.LAND: ") || mutOn__(ID))", token.LOR: ") && !mutOn__(ID))"}[n.Op]
		for _, operand := range []ast.Expr{n.X, n.Y} {
			if inner, ok := operand.(*ast.BinaryExpr); !ok || inner.Op != n.Op {
				s.wrap(operand, "operand forced", "((", after)
			}
		}
	}
}

// dropError lets a function return no error.
func (s *schema) dropError(c inspector.Cursor, n *ast.ReturnStmt) {
	results := s.results(c)
	if len(n.Results) == 0 || !isError(results.At(results.Len()-1).Type()) {
		return
	}
	last := n.Results[len(n.Results)-1]
	switch {
	case len(n.Results) == results.Len() && !s.info.Types[last].IsNil():
		s.wrap(last, "error dropped", "mutDrop__(ID, ", ")")
	case len(n.Results) < results.Len(): // return f()
		names := "mut0__"
		for i := 1; i < results.Len(); i++ {
			names += fmt.Sprintf(", mut%d__", i)
		}
		s.wrap(n, "error dropped", "{ "+names+" := ", fmt.Sprintf("; if mutOn__(ID) { mut%d__ = nil }; return %s }", results.Len()-1, names))
		s.insert(n.Pos(), len("return"), 1, "")
	}
}

// results are those of the function around a statement.
func (s *schema) results(c inspector.Cursor) *types.Tuple {
	for f := range c.Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		if declared, ok := f.Node().(*ast.FuncDecl); ok {
			return s.info.Defs[declared.Name].Type().(*types.Signature).Results()
		}
		return s.info.TypeOf(f.Node().(ast.Expr)).(*types.Signature).Results()
	}
	return nil
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// remove leaves a statement out that has an effect and no name.
func (s *schema) remove(n ast.Stmt) {
	switch n := n.(type) {
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); ok && types.ExprString(call.Fun) == "panic" {
			return // what ends a function
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return
		}
	case *ast.BranchStmt:
		if n.Tok != token.BREAK && n.Tok != token.CONTINUE {
			return
		}
	case *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
	default:
		return
	}
	s.wrap(n, "removed", "if !mutOn__(ID) { ", " }")
}

// constant adds one to an integer where it is used, and turns a truth round.
func (s *schema) constant(c inspector.Cursor, n ast.Expr) {
	value, parent := s.info.Types[n], c.Parent().Node()
	if value.Value == nil {
		return
	}
	if value.Value.Kind() == constant.Bool {
		s.wrap(n, "negated", "((", ") != mutOn__(ID))")
		return
	}
	where, _ := c.ParentEdge()
	switch where {
	case edge.BinaryExpr_X:
		if op := parent.(*ast.BinaryExpr).Op; op == token.SHL || op == token.SHR {
			return // its type comes from outside
		}
	case edge.KeyValueExpr_Key:
		if _, ok := s.info.TypeOf(c.Parent().Parent().Node().(ast.Expr)).Underlying().(*types.Map); !ok {
			return // an index has to be a constant
		}
	case edge.ReturnStmt_Results:
		if results := s.results(c); isError(results.At(results.Len() - 1).Type()) {
			return // what stands beside an error, nobody reads
		}
	}
	name := types.TypeString(types.Default(value.Type), types.RelativeTo(s.pkg.Types))
	if value.Value.Kind() == constant.Int && !strings.ContainsAny(name, "./") && isInteger(value.Type) {
		s.wrap(n, "one more", "mutPlus__["+name+"](ID, ", ")")
	}
}

// limit adds one to constants where they are declared, in a build of its own: a test that names one doesn't notice.
func (s *schema) limit(c inspector.Cursor, n *ast.ValueSpec) (isConstant bool) {
	if declaration, ok := c.Parent().Node().(*ast.GenDecl); !ok || declaration.Tok != token.CONST {
		return false
	}
	for i, value := range n.Values {
		t := s.info.TypeOf(n.Names[i])
		if isInteger(t) && t.String() != "time.Duration" && !strings.Contains(types.ExprString(value), "iota") {
			from, to := s.at(value.Pos()).Offset, s.at(value.End()).Offset
			s.mutants = append(s.mutants, mutant{node: n, kind: "limit", own: []edit{{offset: from, text: "("}, {offset: to, text: ") + 1"}}})
		}
	}
	return true
}

func isInteger(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}

// wrap makes a mutant by what is put around a node. What is begun last there ends first.
func (s *schema) wrap(n ast.Node, kind, before, after string) {
	m := mutant{id: len(s.mutants) + 1, node: n, kind: kind}
	s.mutants = append(s.mutants, m)
	s.insert(n.Pos(), 0, m.id, strings.ReplaceAll(before, "ID", strconv.Itoa(m.id)))
	s.insert(n.End(), 0, -m.id, strings.ReplaceAll(after, "ID", strconv.Itoa(m.id)))
}

func (s *schema) insert(at token.Pos, remove, order int, text string) {
	name := s.at(at).Filename
	s.edits[name] = append(s.edits[name], edit{s.at(at).Offset, remove, order, text})
}

// apply makes edits.
func apply(source []byte, edits []edit) []byte {
	edits = slices.SortedStableFunc(slices.Values(edits), func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.order, b.order))
	})
	var out []byte
	done := 0
	for _, e := range edits {
		out = append(append(out, source[done:max(done, e.offset)]...), e.text...)
		done = max(done, e.offset+e.remove)
	}
	return append(out, source[done:]...)
}

func (s *schema) at(at token.Pos) token.Position { return s.pkg.Fset.Position(at) }

// describe is a mutant's line: where it is, what it does, and to what.
func (s *schema) describe(m mutant) string {
	from, to := s.at(m.node.Pos()), s.at(m.node.End())
	text := strings.Join(strings.Fields(string(s.sources[from.Filename][from.Offset:to.Offset])), " ")
	if len(text) > 90 {
		text = text[:90] + "…"
	}
	return fmt.Sprintf("%s:%d: %s: %s", filepath.Base(from.Filename), from.Line, m.kind, text)
}
