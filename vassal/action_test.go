package vassal

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// TestActions: what each does, and which are refused.
func TestActions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	starter := proc.NewStarter(proc.NewMark(filepath.Base(dir) + "actions"))
	defer starter.Close()
	for i, test := range []struct{ key, value, want string }{
		{"hook-asap", "mkdir:a dir", ""},
		{"hook-asap", "write:sub one two  'three", ""}, // the file's name ends at the first space
		{"hook-asap", "append:sub  four", ""},
		{"hook-asap", "writen:lines a", ""},
		{"hook-asap", "appendn:lines $HOME", ""},
		{"hook-asap", "create:made", ""},
		{"hook-asap", "chmod:made 640", ""},
		{"hook-asap", "wait_for_file:made", ""},
		{"hook-asap", "exec:echo $((1+1)) > sum", ""},
		{"exec-asap", "cp sum copy", ""},
		{"hook-asap", "unlink:sum", ""},
		{"hook-asap", "print:hello", ""},
		{"hook-asap", "unlink:nothing", "exit status 1"},
		{"exec-asap", "sh -c 'kill -9 $$'", "killed by SIGKILL"},
		{"hook-asap", "exec", "want ACTION:ARGUMENTS"},
		{"hook-asap", "dance:all night", `there is no action "dance" here`},
		{"hook-asap", "chmod:made", "chmod: want FILE MODE, got \"made\""},
		{"hook-asap", "chown:made nobody", "chown: want FILE USER GROUP"},
		{"hook-asap", "putenv:A=1", "putenv is not supported here: say env"},
		{"hook-asap", "mount:proc none /proc", "mount is not supported here"},
		{"exec-asap", "", "want a program"},
	} {
		a, err := ReadAction(config.Value{Key: test.key, Value: test.value})
		if err == nil {
			err = a.Run(context.Background(), starter, slog.New(slog.DiscardHandler), &proc.Command{Name: "actions", Generation: uint64(i + 1), Dir: dir, Env: os.Environ(), Umask: -1})
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s = %s: %v, want %q", test.key, test.value, err, test.want)
		}
	}
	for name, want := range map[string]string{"sub": "one two  'three four", "lines": "a\n$HOME\n", "made": "", "copy": "2\n"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", name, text, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "made")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of made: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "sum")); err == nil {
		t.Error("sum was not removed")
	}
	hidden, _ := ReadAction(config.Value{Key: "hook-asap", Value: "!exec:secret"})
	if strings.Contains(hidden.Line, "secret") {
		t.Errorf("a hidden action is called %q", hidden.Line)
	}
}
