package spec

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// TestAnnouncements: what a uWSGI's file says it will announce, as uWSGI 2.0.21 sends it.
func TestAnnouncements(t *testing.T) {
	const site = "[uwsgi]\nmodule = app\nsocket = s\n"
	for _, test := range []struct {
		lines string
		want  []link.Announcement
	}{
		{"subscribe-to = 127.0.0.1:7000:a.test\nsubscribe = 127.0.0.1:7000:b.test,5,SHA256:/key.pem\n", []link.Announcement{{Server: "127.0.0.1:7000", Key: "a.test"}, {Server: "127.0.0.1:7000", Key: "b.test"}}},
		{"subscribe-to = /run/nodes.sock:a.test\n", []link.Announcement{{Server: "/run/nodes.sock", Key: "a.test"}}},
		{"subscribe-to = 127.0.0.1:9000=127.0.0.1:7000:a.test:8080\n", []link.Announcement{{Server: "127.0.0.1:7000", Key: "a.test:8080"}}},
		{"subscribe2 = server=127.0.0.1:7000,key=a.test,weight=2\n", []link.Announcement{{Server: "127.0.0.1:7000", Key: "a.test"}}},
		{"subscribe-to = =0=127.0.0.1:7000:a.test\n", []link.Announcement{{Server: "127.0.0.1:7000", Key: "a.test"}}},
		{"subscribe-to = 127.0.0.1:7000:@/missing\nsubscribe-to = 127.0.0.1:7000:@\nsubscribe-to = 127.0.0.1:7000\nsubscribe-to = nonsense\nsubscribe2 = key=a.test\n", nil},
		{"subscribe-to = 127.0.0.1:7000:a.test\nstart-unsubscribed = true\n", nil},
	} {
		s, problems, _ := readText(t, "site.ini", site+test.lines, nil)
		if s == nil {
			t.Errorf("%s: %v", test.lines, problems)
			continue
		}
		if !slices.Equal(s.Announcements(), test.want) {
			t.Errorf("%s: %v, want %v", test.lines, s.Announcements(), test.want)
		}
	}
}

// TestKeysInAFile: what uWSGI 2.0.21 announces of a file of keys, whatever it says at the
// moment.
func TestKeysInAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	s, problems, _ := readText(t, "site.ini", "[uwsgi]\nmodule = app\nsocket = s\nchdir = "+dir+"\nsubscribe-to = 127.0.0.1:7000:@keys\nsubscribe-to = 127.0.0.1:7000:last.test\nsubscribe2 = server=127.0.0.1:7000,key=@keys\n", nil)
	if s == nil {
		t.Fatal(problems)
	}
	before := s.Fingerprint()
	for _, test := range []struct {
		text string
		want []string
	}{
		{"a.test\n#no.test\n\n b.test\nc.test,5\nd.test \r\n,6\ne.test,7,8\nf.test", []string{"a.test", " b.test", "c.test", "d.test \r", "e.test", "f.test"}},
		{"", nil},
		{"g.test\n", []string{"g.test"}},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range s.Announcements() {
			got = append(got, a.Key)
		}
		if want := append([]string{"last.test", "@keys"}, test.want...); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", test.text, got, want)
		}
	}
	if !s.AnnouncesItself() || !slices.Equal(s.KeyFiles(), []string{path}) || s.Fingerprint() != before {
		t.Error("the file's text is no part of what the vassal is")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := s.Announcements(); len(got) != 2 {
		t.Errorf("a pipe says %v", got)
	}
}
