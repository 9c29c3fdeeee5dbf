package static

import "testing"

// TestLook: what is at a path, for those who have another program run it.
func TestLook(t *testing.T) {
	folder := tree(t, map[string]string{
		"index.php": "", "sub/x.php": "", "dir/": "", "to-file": "-> sub/x.php", "to-dir": "-> ROOT/sub", "out": "-> /etc/passwd", "up": "-> ../../../etc/passwd", "nowhere": "-> none", ".hidden/x.php": "",
	})
	s := site(t, folder, &Options{SkipExtensions: []string{".php"}})
	for path, want := range map[string]string{
		"/": "folder", "/index.php": "file", "//index.php": "file", "/sub/x.php": "file", "/sub": "folder", "/sub/": "folder", "/dir": "folder",
		"/to-file": "file", "/to-dir/x.php": "file", "/to-dir": "folder", "/.hidden/x.php": "file",
		"/out": "", "/up": "", "/nowhere": "", "/none": "", "/index.php/": "", "/index.php/x": "", "/../etc": "", "": "", "index.php": "",
	} {
		regular, isFolder := s.Look([]byte(path))
		got := map[[2]bool]string{{true, false}: "file", {false, true}: "folder"}[[2]bool{regular, isFolder}]
		if got != want {
			t.Errorf("%q is a %q, want %q", path, got, want)
		}
	}
	s.Close()
	if regular, isFolder := s.Look([]byte("/index.php")); regular || isFolder {
		t.Error("a closed site has files")
	}
}
