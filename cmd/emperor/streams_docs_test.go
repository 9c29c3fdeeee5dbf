package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// TestStreamExamples: every example of docs/streams.md is a file that the emperor takes,
// with no remark on it but what that page describes, and `explain` says what it says
// there.
func TestStreamExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/streams.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```ini\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 14 {
		t.Fatalf("only %d examples", len(blocks))
	}
	m := newMachine(t)
	// The pairs that they name, in a folder of ours.
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"*.example.com"}, To: time.Now().AddDate(1, 0, 0)})
	paths := regexp.MustCompile(`/(?:etc/front|certs)/([-\w.]+)`)
	for _, path := range paths.FindAllSubmatch(page, -1) {
		text := pair.Certificate
		if name := string(path[1]); strings.Contains(name, "key") {
			text = pair.Key
		}
		m.write("pairs/"+string(path[1]), text)
	}
	nobody := regexp.MustCompile(`no vassal (has|listens)`) // 127.0.0.1:6379 is somebody else's
	for _, block := range blocks {
		text := "[uwsgi]\n" + paths.ReplaceAllString(string(block[1]), "DIR/pairs/$1")
		m.write("uwsgi.ini", text)
		said, code := m.ask("check", "uwsgi.ini")
		if code != 0 {
			t.Errorf("%s\nexit status %d: %s", text, code, said)
		}
		for row := range strings.Lines(said) {
			if strings.Contains(row, "warning: ") && !strings.Contains(row, "docs/streams.md") && !nobody.MatchString(row) || strings.Contains(row, "accepted without effect") {
				t.Errorf("%s\n%s", text, row)
			}
		}
	}

	m.write("uwsgi.ini", "[uwsgi]\n"+paths.ReplaceAllString(string(blocks[0][1]), "DIR/pairs/$1"))
	transcript := regexp.MustCompile("(?s)```\n\\$ emperor explain uwsgi.ini ([^\n]+)\n(.*?)```").FindSubmatch(page)
	if transcript == nil {
		t.Fatal("there is no transcript")
	}
	said, _ := m.ask("explain", "uwsgi.ini", string(transcript[1]))
	said = strings.NewReplacer(m.path("pairs")+"/", "/etc/front/", m.dir+string(filepath.Separator), "").Replace(said)
	if said != string(transcript[2]) {
		t.Errorf("explain says\n%s\nand the page\n%s", said, transcript[2])
	}
}
