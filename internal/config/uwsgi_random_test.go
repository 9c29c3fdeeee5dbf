package config

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// TestAgainstUWSGIRandomly puts small files together at random from pieces of the
// language and compares with the real uwsgi as TestAgainstUWSGI does. The seeds
// are fixed: a failure names one that fails always. EMPEROR_RANDOM_FILES=5000
// asks for a longer run.
func TestAgainstUWSGIRandomly(t *testing.T) {
	count := 40
	if text := os.Getenv("EMPEROR_RANDOM_FILES"); text != "" {
		if _, err := fmt.Sscan(text, &count); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range count {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			files := randomFiles(rand.New(rand.NewPCG(uint64(seed), 1)))
			if !compareWithUWSGI(t, files, []string{"--ini", "f.ini"}) {
				t.Logf("f.ini:\n%s\ng.ini:\n%s", files["f.ini"], files["g.ini"])
			}
		})
	}
}

// randomFiles avoids only what makes uwsgi loop or crash: a name refers to names
// that are defined with a smaller number, and "%()" is not written.
func randomFiles(r *rand.Rand) map[string]string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	reference := func(below int) string {
		n := r.IntN(below + 1)
		return pick(fmt.Sprintf("%%(k%d)", n), fmt.Sprintf("%%(k%d + %d)", n, r.IntN(9)), fmt.Sprintf("%%(k%d k%d ++)", n, r.IntN(below+1)),
			"%(nope)", "%(nope k0)", fmt.Sprintf("%%(x(k%d))", n), "%(3 * 4 - 5)", "%(")
	}
	value := func(below int) string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString(pick("a", "b c", " = ", ";", "#", `"`, "'", "`", `\`, "$(B)", "$(A)", "$(NOPE)", "$(C)", "$()", "$(", "%n", "%d", "%%", "%x",
				"% ", "%(_)", "@x", "(", ")", "\t", "\x00", "[", "]", "7", "-3", "$(B$(B))", reference(below), reference(below)))
		}
		return b.String()
	}
	file := func(first int, include bool) string {
		var b strings.Builder
		open := false
		b.WriteString(pick("[uwsgi]\n", "  [uwsgi]\t\r\n", "a=1\n[uwsgi]\n", "[s]\nq=1\n[uwsgi]\n"))
		for i := first; i < first+8; i++ {
			switch r.IntN(12) {
			case 0:
				if !open {
					b.WriteString(pick("if-env = B\n", "if-env = NOPE\n", "if-not-env = B\n", "if-opt = k1\n", "for = x y\n", "for-times = 2\n", "if-exists = f.ini\n", "if-not-opt = k0=a\n"))
				} else {
					b.WriteString(pick("endif\n", "end =\n", "endfor = x\n"))
				}
				open = !open
			case 1:
				b.WriteString(pick("; c\n", "# %n c\n", "\n", " \t\n", "[other]\nz = 1\n[uwsgi]\n", "[uwsgi]x\nz=1\n[uwsgi]\n", "[uwsgi\nz=1\n[uwsgi]\n"))
			case 2:
				fmt.Fprintf(&b, "set = k%d=%s\n", i, value(i-1))
			case 3:
				fmt.Fprintf(&b, "set-ph = k%d=%s\n", i, value(i-1))
			case 4:
				if include && !open { // a block in g.ini within one is a nested block
					b.WriteString("include = g.ini\n")
				}
			case 5:
				fmt.Fprintf(&b, "k%d\n", i)
			default:
				fmt.Fprintf(&b, "%sk%d%s=%s%s%s", pick("", " ", "\t"), i, pick("", " "), pick("", " "), value(i-1), pick("\n", "\r\n", " \n"))
			}
		}
		if open {
			b.WriteString("endif =\n")
		}
		return b.String()
	}
	return map[string]string{"f.ini": "[uwsgi]\nk0 = 1\n" + file(10, true), "g.ini": file(1, false)}
}
