package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// longestFile is how many lines a source file may have before it is taken to hold
// more than one idea.
const longestFile = 600

// listed is what the go command tells of one package.
type listed struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Module       struct{ Path, Dir string }
}

// path is the import path below the module.
func (l *listed) path(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, l.Module.Path+"/")
}

func load(t *testing.T) ([]*listed, *policy) {
	t.Helper()
	p, err := parsePolicy(policyText)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := goList()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages, p
}

// goList asks the go command once for all packages of the module.
var goList = sync.OnceValues(func() (packages []*listed, err error) {
	list := exec.Command("go", "list", "-json", "./...")
	list.Dir = "../.."
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		l := &listed{}
		if err := decoder.Decode(l); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, l)
	}
})

func TestImports(t *testing.T) {
	packages, p := load(t)
	seen := map[string]bool{}
	uses := map[string]bool{} // "package module"
	for _, l := range packages {
		from, _ := l.path(l.ImportPath)
		seen[from] = true
		if _, ok := p.packages[from]; !ok {
			t.Errorf("%s: not in policy.txt; say there what it may import", from)
			continue
		}
		for _, path := range slices.Concat(l.Imports, l.TestImports, l.XTestImports) {
			if module, ok := p.module(path); ok {
				uses[from+" "+module] = true
			}
		}
		for _, path := range l.Imports {
			if to, ours := l.path(path); ours {
				if !p.mayImport(from, to) {
					t.Errorf("%s imports %s; policy.txt gives it %s", from, to, strings.Join(p.packages[from], " "))
				}
			} else if module, ok := p.module(path); ok && !slices.Contains(p.modules[module], from) {
				t.Errorf("%s imports %s; policy.txt gives that to %q", from, path, strings.Join(p.modules[module], " "))
			}
		}
		for _, path := range slices.Concat(l.TestImports, l.XTestImports) {
			if to, ours := l.path(path); ours {
				if strings.HasPrefix(to, "cmd/") && to != from || opposite(from, to) {
					t.Errorf("a test of %s imports %s", from, to)
				}
			} else if module, ok := p.module(path); ok && !slices.Contains(p.modules[module], from) && !slices.Contains(p.tests, module) {
				t.Errorf("a test of %s imports %s; policy.txt gives that to %q", from, path, strings.Join(p.modules[module], " "))
			}
		}
	}
	for path := range p.packages {
		if !seen[path] {
			t.Errorf("policy.txt lists %s, which is not there", path)
		}
	}
	for module, users := range p.modules {
		for _, user := range users {
			if !uses[user+" "+module] {
				t.Errorf("policy.txt gives %s to %s, which does not import it", module, user)
			}
		}
		if len(users) != 1 && module != "golang.org/x/sys" {
			t.Errorf("policy.txt: module %s is for %d packages, want one", module, len(users))
		}
	}
}

// opposite tells whether one is of the emperor's process and the other of the
// router's. policy.txt says the same line by line; this stays when its lines change.
func opposite(a, b string) bool {
	side := func(path string) string {
		first, _, _ := strings.Cut(path, "/")
		return first
	}
	return side(a) == "emperor" && side(b) == "router" || side(a) == "router" && side(b) == "emperor"
}

func TestEmperorAndRouterStayApart(t *testing.T) {
	packages, _ := load(t)
	for _, l := range packages {
		from, _ := l.path(l.ImportPath)
		for _, path := range l.Imports {
			if to, ours := l.path(path); ours && opposite(from, to) {
				t.Errorf("%s imports %s: they are two processes", from, to)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	packages, _ := load(t)
	for _, l := range packages {
		if len(l.GoFiles) > 0 && l.Doc == "" {
			t.Errorf("%s: there is no package comment", l.ImportPath)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	packages, _ := load(t)
	for _, l := range packages {
		for _, name := range l.GoFiles {
			text, err := os.ReadFile(filepath.Join(l.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > longestFile {
				t.Errorf("%s has %d lines, want at most %d: does it still hold one idea?", filepath.Join(l.ImportPath, name), lines, longestFile)
			}
		}
	}
}

// openers are the calls by which a file's content can be got at.
var openers = map[string][]string{
	"os":                    {"Open", "OpenFile", "OpenInRoot", "OpenRoot", "ReadFile", "DirFS"},
	"io/ioutil":             {"ReadFile"},
	"syscall":               {"Open", "Openat"},
	"golang.org/x/sys/unix": {"Open", "Openat", "Openat2"},
}

// Nothing reads configuration past internal/uini: who opens files at all is listed.
func TestWhoOpensFiles(t *testing.T) {
	packages, p := load(t)
	used := map[string]bool{}
	for _, l := range packages {
		from, _ := l.path(l.ImportPath)
		if from == "cmd/bench" || from == "internal/testvassal" || strings.HasPrefix(from, "vassals.d-example/") {
			continue // tools and examples, not the program
		}
		for _, name := range l.GoFiles {
			file := filepath.Join(from, name)
			for _, call := range opened(t, filepath.Join(l.Dir, name)) {
				used[file] = true
				if p.opens[file] == "" {
					t.Errorf("%s calls %s. Configuration is read by internal/config and parsed by internal/uini only; "+
						"if this is none, say in policy.txt what it is", file, call)
				}
			}
		}
	}
	for file := range p.opens {
		if !used[file] {
			t.Errorf("policy.txt lets %s open files, which it does not", file)
		}
	}
}

// opened lists the calls in a source file that open files.
func opened(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // in this file → import path
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = path
	}
	var calls []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(openers[names[x.Name]], s.Sel.Name) {
				calls = append(calls, x.Name+"."+s.Sel.Name)
			}
		}
		return true
	})
	return calls
}
