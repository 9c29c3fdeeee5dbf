package logsink

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/rights"
	"emperor/internal/testlog"
)

const deadline = 20 * time.Second

// fileSink makes the sink of a file, and what is said about it.
func fileSink(t *testing.T, path string, rules FileRules) (*Sink, *testlog.Text) {
	t.Helper()
	said := &testlog.Text{}
	k := Target{Kind: File, Path: path, Rules: rules, Hand: rights.WriterAs(nil)}.NewSink(slog.New(slog.NewTextHandler(said, nil)), nil)
	t.Cleanup(func() { k.Close(deadline) })
	return k, said
}

func write(s *Source, lines string) { s.Write(&Message{Time: noon}, []byte(lines)) }

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// TestRotationLosesNothing: many write, the file is rotated all the time, and every
// line is there once, whole, and those of one writer in their order.
func TestRotationLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	k, said := fileSink(t, path, FileRules{MaxSize: 64 << 10})
	const writers, lines = 4, 10000
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			s := k.Source(fmt.Sprint(w), nil)
			var batch bytes.Buffer
			for i := range lines {
				fmt.Fprintf(&batch, "writer %d line %06d %s\n", w, i, strings.Repeat("x", i%90))
				if i%100 == 99 {
					for s.lostAny() {
						return
					}
					write(s, batch.String())
					batch.Reset()
				}
			}
			s.Close()
		})
	}
	writing.Wait()
	k.Close(deadline)
	if text := said.String(); text != "" {
		t.Fatalf("it is said: %s", text)
	}
	next := map[int]int{}
	files := rotated(t, path)
	for _, file := range append(files, path) {
		text := content(t, file)
		if file != path && (len(text) <= 64<<10 || len(text) > 64<<10+200) {
			t.Errorf("%s has %d bytes", file, len(text))
		}
		for line := range strings.Lines(text) {
			var w, i int
			if n, _ := fmt.Sscanf(line, "writer %d line %d ", &w, &i); n != 2 || !strings.HasSuffix(line, strings.Repeat("x", i%90)+"\n") || i != next[w] {
				t.Fatalf("%s: %q, want line %d", file, line, next[w])
			}
			next[w]++
		}
	}
	for w := range writers {
		if next[w] != lines {
			t.Errorf("writer %d: %d lines of %d", w, next[w], lines)
		}
	}
	if len(files) < 20 {
		t.Errorf("only %d files", len(files))
	}
}

// lostAny tells whether something was lost.
func (s *Source) lostAny() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost > 0
}

// rotated are the rotated files, oldest first.
func rotated(t *testing.T, path string) []string {
	t.Helper()
	found, _ := filepath.Glob(path + ".*")
	type backup struct{ at, n int }
	key := func(name string) (b backup) {
		at, n, _ := strings.Cut(strings.TrimPrefix(name, path+"."), ".")
		b.at, _ = strconv.Atoi(at)
		b.n, _ = strconv.Atoi(n)
		return b
	}
	for i := range found { // few enough
		for j := range i {
			if a, b := key(found[i]), key(found[j]); a.at < b.at || a.at == b.at && a.n < b.n {
				found[i], found[j] = found[j], found[i]
			}
		}
	}
	return found
}

func TestOrders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	k, _ := fileSink(t, path, FileRules{Backups: 2})
	s := k.Source("", nil)
	write(s, "one\n")
	eventually(t, "the first line", func() bool { text, _ := os.ReadFile(path); return len(text) > 0 })
	// logrotate's way.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := <-k.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(s, "two\n")
	eventually(t, "the second line", func() bool { text, _ := os.ReadFile(path); return string(text) == "two\n" })
	// Ours.
	for i := range 4 {
		write(s, fmt.Sprint(i, "\n"))
		eventually(t, "a line", func() bool { text, _ := os.ReadFile(path); return strings.HasSuffix(string(text), fmt.Sprint(i, "\n")) })
		if err := <-k.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	names := rotated(t, path)
	if len(names) != 3 || names[0] != path+".1" || content(t, names[0]) != "one\n" || content(t, names[1]) != "2\n" || content(t, names[2]) != "3\n" || content(t, path) != "" {
		t.Errorf("there are %v", names)
	}
}

func TestBackupName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	k, _ := fileSink(t, path, FileRules{BackupName: filepath.Join(dir, "old"), MaxSize: 3, Mode: 0o604})
	s := k.Source("", nil)
	write(s, "first\nsecond\nthird\n")
	k.Close(deadline)
	if content(t, filepath.Join(dir, "old")) != "third\n" || content(t, path) != "" {
		t.Errorf("%q, %q", content(t, filepath.Join(dir, "old")), content(t, path))
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o604 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestMovedAway: nobody says that the file was moved, or touches what stands for that.
func TestMovedAway(t *testing.T) {
	dir := t.TempDir()
	path, touch := filepath.Join(dir, "log"), filepath.Join(dir, "touch")
	k, _ := fileSink(t, path, FileRules{TouchRotate: touch})
	s := k.Source("", nil)
	write(s, "one\n")
	eventually(t, "the first line", func() bool { text, _ := os.ReadFile(path); return len(text) > 0 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new file", func() bool { _, err := os.Stat(path); return err == nil })
	write(s, "two\n")
	eventually(t, "the second line", func() bool { text, _ := os.ReadFile(path); return string(text) == "two\n" })
	if err := os.WriteFile(touch, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a rotated file", func() bool {
		names, _ := filepath.Glob(path + ".1?*")
		return len(names) == 1 && content(t, names[0]) == "two\n"
	})
}

// TestVanishedDirectory: it is said once, the lines wait, and go on when it is back.
func TestVanishedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(dir, "log")
	k, said := fileSink(t, path, FileRules{})
	s := k.Source("", nil)
	write(s, "one\n")
	eventually(t, "that it is said", func() bool { return strings.Contains(said.String(), "cannot be written") })
	write(s, "two\n")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lines", func() bool { text, _ := os.ReadFile(path); return string(text) == "one\ntwo\n" })
	eventually(t, "that it is said", func() bool { return strings.Contains(said.String(), "written again") })
	if text := said.String(); strings.Count(text, "\n") != 2 {
		t.Errorf("it is said: %s", text)
	}
}

// TestTwoRulesForOneFile: vassals that disagree about a file do not harm each other.
func TestTwoRulesForOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	a, _ := fileSink(t, path, FileRules{MaxSize: 20000})
	b, _ := fileSink(t, path, FileRules{MaxSize: 30000})
	var writing sync.WaitGroup
	for _, k := range []*Sink{a, b} {
		writing.Go(func() {
			s := k.Source("", nil)
			for range 2000 {
				write(s, "a line of a file that two have\n")
			}
			k.Close(deadline)
		})
	}
	writing.Wait()
	n := 0
	for _, file := range append(rotated(t, path), path) {
		for line := range strings.Lines(content(t, file)) {
			if line != "a line of a file that two have\n" {
				t.Errorf("%s: %q", file, line)
			}
			n++
		}
	}
	if n != 4000 {
		t.Errorf("%d lines, want 4000", n)
	}
}
