package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

func TestNoTwoTablesOfOneStoreHaveTheSameLetter(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "tables.go", nil, 0)
	must(t, err)
	for _, list := range file.Decls {
		tables := map[string]string{}
		for _, spec := range list.(*ast.GenDecl).Specs {
			table := spec.(*ast.ValueSpec)
			name, letter := table.Names[0].Name, table.Values[0].(*ast.BasicLit).Value
			if other, taken := tables[letter]; taken {
				t.Errorf("%s and %s have the letter %s", other, name, letter)
			}
			tables[letter] = name
		}
		if len(tables) < 10 {
			t.Errorf("a list of %d tables", len(tables))
		}
	}
}
