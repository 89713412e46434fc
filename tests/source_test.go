// Package tests holds what is true of ocifs as a whole: the rules of its
// source tree, and how the built binary behaves on real mounts. What other
// tests borrow lies below it, in layertest and registrytest.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "ocifs.dev/ocifs"

// A sourceFile is one Go file of this module.
type sourceFile struct {
	path  string // from the module's root, slash-separated
	dir   string // path.Dir(path): the package's place
	test  bool   // a _test.go file
	lines int
	ast   *ast.File
}

// readSource parses every Go file of the module; nested modules, testdata and
// hidden directories are not part of it.
func readSource(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	fset := token.NewFileSet()
	root := ".."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, name, d)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files = append(files, sourceFile{
			path:  rel,
			dir:   path.Dir(rel),
			test:  strings.HasSuffix(rel, "_test.go"),
			lines: fset.File(f.Pos()).LineCount(),
			ast:   f,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found: the test runs in the wrong directory")
	}
	return files
}

func skipDir(root, name string, d fs.DirEntry) error {
	if name == root {
		return nil
	}
	if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// TestSourcePackageComments holds every package to exactly one package
// comment, so that there is one place to learn its model from.
func TestSourcePackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range readSource(t) {
		if f.test && f.dir != "tests" {
			continue
		}
		if _, ok := comments[f.dir]; !ok {
			comments[f.dir] = nil
		}
		if f.ast.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.path)
		}
	}
	for dir, paths := range comments {
		if len(paths) != 1 {
			t.Errorf("%s: %d package comments, want 1: %v", dir, len(paths), paths)
		}
	}
}

// TestSourceNames forbids packages that are named for nothing.
func TestSourceNames(t *testing.T) {
	forbidden := []string{"util", "utils", "common", "types", "manager", "helpers", "misc", "base", "core", "pkg"}
	for _, f := range readSource(t) {
		for elem := range strings.SplitSeq(f.dir, "/") {
			if slices.Contains(forbidden, elem) {
				t.Errorf("%s: a directory called %s says nothing of what is in it", f.path, elem)
			}
		}
		if name := f.ast.Name.Name; slices.Contains(forbidden, strings.TrimSuffix(name, "_test")) {
			t.Errorf("%s: a package called %s says nothing of what is in it", f.path, name)
		}
	}
}

// TestSourceNoInit forbids init functions: things are listed where they are
// used, and importing a package does nothing.
func TestSourceNoInit(t *testing.T) {
	for _, f := range readSource(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init", f.path)
			}
		}
	}
}

// maxLines is the length a file may have: one noun fits.
const maxLines = 400

// longFiles may be longer: decoders, whose tables and states are one thought.
var longFiles = []string{}

// TestSourceFileSizes holds files to maxLines.
func TestSourceFileSizes(t *testing.T) {
	for _, f := range readSource(t) {
		if !f.test && f.lines > maxLines && !slices.Contains(longFiles, f.path) {
			t.Errorf("%s: %d lines, at most %d", f.path, f.lines, maxLines)
		}
	}
}

// TestSourceDocs holds every exported name outside tests to a doc comment.
func TestSourceDocs(t *testing.T) {
	for _, f := range readSource(t) {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s is exported and has no comment", f.path, name)
			}
		}
	}
}

// obviousMethods mean the same on every type: the standard library says what.
var obviousMethods = []string{"Error", "Unwrap", "Is", "As", "String", "Len", "Less", "Swap"}

// undocumented lists the exported names that d declares without a word.
// A comment on a group of constants or variables serves all of them.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		obvious := d.Recv != nil && slices.Contains(obviousMethods, d.Name.Name)
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !obvious {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil && s.Name.IsExported() {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && n.IsExported() {
						names = append(names, n.Name)
					}
				}
			}
		}
		return names
	}
	return nil
}

// exportedReceiver reports whether d is a function or a method of an exported
// type: a method of a private one is reached only through an interface, which
// is where its contract stands.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	id, ok := typ.(*ast.Ident)
	return !ok || id.IsExported()
}
