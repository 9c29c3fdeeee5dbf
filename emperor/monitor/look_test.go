package monitor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte("[uwsgi]\n"), 0o644)) }
	file("b.ini")
	file("a.yml")
	file("README")
	file("c.conf")
	file(".hidden.ini")
	file("d.ini~")
	must(t, os.Mkdir(filepath.Join(dir, "folder.ini"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.ini"), 0o644))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.ini")))
	must(t, os.Symlink("folder", filepath.Join(dir, "linked.ini")))
	must(t, os.Symlink("loop.ini", filepath.Join(dir, "loop.ini")))
	must(t, os.Symlink("b.ini", filepath.Join(dir, "good.ini")))

	// Two lines that name the same say it once.
	seen, err := Look(Options{Dir: dir, Patterns: []Pattern{{Value: dir, Pos: position("main.ini:2")}, {Value: dir + "/*.ini", Pos: position("main.ini:3")}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range seen.Items {
		got = append(got, item.Name)
	}
	for _, p := range seen.Passed {
		got = append(got, p.Pos+" "+strings.TrimPrefix(p.Path, dir+"/")+" "+strings.ReplaceAll(p.Why, dir, "DIR"))
	}
	for _, other := range seen.Others {
		got = append(got, strings.TrimPrefix(other, dir+"/"))
	}
	want := []string{
		"a", "b", "good",
		"main.ini:2 dangling.ini is a symbolic link to nowhere, which leads nowhere (no such file or directory): no vassal until it does",
		"main.ini:2 folder.ini is a directory, and so no vassal",
		"main.ini:2 linked.ini leads to DIR/folder, which is a directory, and so no vassal",
		"main.ini:2 loop.ini is a symbolic link to loop.ini, which leads nowhere (too many levels of symbolic links): no vassal until it does",
		"main.ini:2 pipe.ini is a named pipe, and so no vassal",
		"README", "c.conf",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := Look(Options{Patterns: []Pattern{{Value: "[", Pos: position("main.ini:2")}}}); err == nil {
		t.Error("a bad pattern is no error")
	}
}
