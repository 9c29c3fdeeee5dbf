package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"emperor/emperor"
	"emperor/internal/config"
)

// TestSeed003 reads the article's command lines, and its configuration line by line,
// and checks after each what the file beside it expects.
func TestSeed003(t *testing.T) {
	const file = "../../testdata/seeds/003.tsv"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "uwsgi.ini")
	written := ""
	var main *emperor.Main
	read := func(where string, args ...string) {
		t.Helper()
		var problems config.Problems
		main, _, problems = reader.Read(emperor.Source{Args: args, Dir: filepath.Dir(name)})
		if main == nil || len(problems) > 0 {
			t.Fatalf("%s: %v", where, problems)
		}
	}
	commands, lines := 0, 0
	for n, row := range strings.Split(string(text), "\n") {
		where := file + ":" + strconv.Itoa(n+1)
		columns := strings.Split(row, "\t")
		switch columns[0] {
		case "command":
			commands++
			read(where, strings.Fields(columns[1])[1:]...)
		case "file":
			written = ""
		case "line", "named":
			if columns[0] == "line" {
				lines++
			}
			written += columns[1] + "\n"
			if err := os.WriteFile(name, []byte(written), 0o600); err != nil {
				t.Fatal(err)
			}
			if written != "[uwsgi]\n" {
				read(where, name)
			}
		case "listener":
			found := false
			for _, l := range main.Front.Listeners {
				found = found || l.Address == columns[1]
			}
			if !found {
				t.Errorf("%s: listeners %v", where, main.Front.Listeners)
			}
		case "front":
			found := false
			for _, o := range main.Front.Options {
				found = found || o.Key == columns[1] && o.Value == columns[2]
			}
			if !found {
				t.Errorf("%s: the front is sent %v", where, main.Front.Options)
			}
		case "app":
			got := []string{"-"}
			if main.App != nil {
				got = nil
				for _, v := range main.App.Lines {
					line := v.Key
					if v.HasValue {
						line += "=" + v.Value
					}
					got = append(got, line)
				}
			}
			if strings.Join(got, "|") != columns[1] {
				t.Errorf("%s: the app has %q", where, got)
			}
		case "unused":
			if !slices.ContainsFunc(main.Notes, func(p config.Problem) bool { return p.Key == columns[1] }) {
				t.Errorf("%s: notes %v", where, main.Notes)
			}
		default:
			if row != "" && row[0] != '#' {
				t.Errorf("%s: %q is no row", where, row)
			}
		}
	}
	if commands != 2 || lines < 16 {
		t.Errorf("only %d command lines and %d lines", commands, lines)
	}
}
