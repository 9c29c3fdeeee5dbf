package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"emperor/emperor"
	"emperor/router"
)

// TestSeed000 reads the article's command lines and checks of each what the file
// beside it expects.
func TestSeed000(t *testing.T) {
	const file = "../../testdata/seeds/000.tsv"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := pair(t, 1, "unbit.com", "www.unbit.com")
	t.Chdir(t.TempDir())
	folder := t.TempDir()
	for path, content := range map[string]string{
		"unbit.crt": certificate, "unbit.key": key, "clients.pem": certificate,
		folder + "/unbit.com.crt": certificate, folder + "/unbit.com.key": key, folder + "/unbit.com.ca": certificate,
		folder + "/example.com.crt": certificate, folder + "/example.com.key": key,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var main *emperor.Main
	said, commands, expected := "", 0, true
	for n, row := range strings.Split(string(text), "\n") {
		where := filepath.Base(file) + ":" + strconv.Itoa(n+1)
		columns := strings.Split(strings.ReplaceAll(row, "DIR", folder), "\t")
		wants := func(good bool) {
			t.Helper()
			if expected = true; !good {
				t.Errorf("%s: want %q, got %q", where, columns[1:], said)
			}
		}
		switch columns[0] {
		case "command", "meant":
			if columns[0] == "command" {
				commands++
			}
			if !expected {
				t.Errorf("%s: of the line before nothing is expected", where)
			}
			r, err := check(reader, emperor.Source{Args: words(columns[1]), Dir: dir})
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			main, said, expected = r.main, r.problems.String(), false
		case "error":
			wants(main == nil && strings.Contains(said, columns[1]))
		case "warning":
			wants(main != nil && strings.Contains(said, columns[1]))
		case "explain":
			if main == nil {
				t.Fatalf("%s: %s", where, said)
			}
			if said, err = router.Explain(&main.Front, nil, router.Asking{}, "GET", "https://"+columns[1]+"/"); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			_, rest, ok := strings.Cut(said, columns[2])
			wants(ok && rest[0] == '\n')
		default:
			if row != "" && row[0] != '#' {
				t.Errorf("%s: %q is no row", where, row)
			}
		}
	}
	if commands != 6 || !expected {
		t.Errorf("only %d command lines", commands)
	}
}

// words takes a command line apart as a shell does that knows nothing but "".
func words(line string) (out []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}
