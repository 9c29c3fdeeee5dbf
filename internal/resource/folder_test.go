package resource

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func names(entries []os.DirEntry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A file that is replaced while its folder is read may be missing from what was
// read, which must not look as if it had been removed.
func TestFolderThatChangesWhileItIsRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.crt", "b.crt", "c.crt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reading := 0
	got, err := readSteadily(dir, func() ([]os.DirEntry, error) {
		reading++
		entries, err := os.ReadDir(dir)
		switch reading {
		case 1: // b moved while we read
			return slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == "b.crt" }), err
		case 2: // c was removed behind our back
			return entries, os.Remove(filepath.Join(dir, "c.crt"))
		}
		return entries, err
	})
	if want := []string{"a.crt", "b.crt"}; err != nil || !slices.Equal(names(got), want) {
		t.Errorf("got %q, %v, want %q", names(got), err, want)
	}
}

func TestFolderAtRestIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.crt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	readings := 0
	got, err := readSteadily(dir, func() ([]os.DirEntry, error) {
		readings++
		return os.ReadDir(dir)
	})
	if err != nil || readings != 1 || !slices.Equal(names(got), []string{"a.crt"}) {
		t.Errorf("got %q after %d readings, %v", names(got), readings, err)
	}
	if _, err := readFolder(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("error is %v, want that it is not there", err)
	}
}
