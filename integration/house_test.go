package integration

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors orders the top-level folders: a package imports only from floors below its own.
var floors = map[string]int{"proto": 0, "services": 1, "coordinator": 2, "capturer": 2, "publisher": 2, "deploy": 3, "integration": 4}

func TestImportsGoOnlyDownward(t *testing.T) {
	const module = "github.com/rowmesh/rowmesh/"
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := strings.Split(filepath.ToSlash(path), "/")[1]
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			rest, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			seen++
			to, _, _ := strings.Cut(rest, "/")
			if from != to && floors[to] >= floors[from] {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d imports, %v", seen, err)
	}
}
