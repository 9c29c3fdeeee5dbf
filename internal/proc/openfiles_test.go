package proc

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestExplainLimit(t *testing.T) {
	other := errors.New("other")
	for _, test := range []struct {
		err  error
		says string // with err's own text before it; empty: it stays as it is
	}{
		{nil, ""},
		{other, ""},
		{fmt.Errorf("a pipe: %w", syscall.EMFILE), fmt.Sprintf(": the emperor may have %d files open (RLIMIT_NOFILE) and has; raise it", OpenFiles())},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.ENFILE}, ": all programs together may have no more (sysctl fs.file-max)"},
	} {
		got := ExplainLimit(test.err)
		if test.says == "" {
			if got != test.err {
				t.Errorf("%v became %v", test.err, got)
			}
			continue
		}
		if want := test.err.Error() + test.says; !strings.HasPrefix(got.Error(), want) || !errors.Is(got, test.err) {
			t.Errorf("%v became %q, want %q", test.err, got, want)
		}
		if again := ExplainLimit(fmt.Errorf("later: %w", got)); strings.Count(again.Error(), test.says) != 1 {
			t.Errorf("explained twice: %v", again)
		}
	}
}
