package emperor

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRelayKeepsLevelAndAttributes(t *testing.T) {
	var out bytes.Buffer
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: drop}))
	input := `{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"request failed","status":502,"host":"a b"}
panic: oh
{"not":"a log line"}
{"level":"ERROR","msg":"cut` + "\n"
	(&relayed{file: written(t, input)}).relay(log)
	want := `level=WARN msg="request failed" status=502 host="a b"
level=WARN msg="panic: oh"
level=WARN msg="{\"not\":\"a log line\"}"
level=WARN msg="{\"level\":\"ERROR\",\"msg\":\"cut"
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// written is a pipe with that text in it, or about to be.
func written(t *testing.T, text string) *os.File {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends when the text was read
		_, _ = io.WriteString(to, text)
		_ = to.Close()
	}()
	return from
}

func TestRelayOfAVeryLongLine(t *testing.T) {
	var out bytes.Buffer
	(&relayed{file: written(t, strings.Repeat("x", 200<<10)+"\nend\n")}).relay(slog.New(slog.NewTextHandler(&out, nil)))
	if text := out.String(); strings.Count(text, "x") < 200<<10 || !strings.Contains(text, "msg=end") {
		t.Errorf("%d bytes came out", len(text))
	}
}

func TestPIDFiles(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	main, _, _ := readText(t, "[uwsgi]\npidfile = "+ours+"\nemperor-pidfile = "+theirs+"\n")
	if err := main.writePIDFiles(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(theirs, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	removePIDFiles([]string{ours, theirs})
	if _, err := os.Stat(ours); !os.IsNotExist(err) {
		t.Error("ours is still there")
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error("another emperor's was removed")
	}
	main, _, _ = readText(t, "[uwsgi]\nemperor-pidfile = /nowhere/x\n")
	if err := main.writePIDFiles(); err == nil || !strings.HasSuffix(err.Error(), "main.ini:2: emperor-pidfile: open /nowhere/x: no such file or directory") {
		t.Errorf("a missing directory: %v", err)
	}
}

func TestTooFewFiles(t *testing.T) {
	for _, test := range []struct {
		vassals int
		limit   uint64
		says    string
	}{
		{1000, 524288, ""},
		{5, 64, ""},
		{5, 0, ""}, // not known
		{6, 64, "no more than 64 files open (RLIMIT_NOFILE), and needs about 68 for 6 vassals"},
	} {
		got := tooFewFiles(test.vassals, test.limit)
		if (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%d vassals with %d files: %q, want %q", test.vassals, test.limit, got, test.says)
		}
	}
}
