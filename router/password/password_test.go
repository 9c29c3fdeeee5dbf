package password

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func basic(name, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
}

// vectors are pairs of passwords and hashes that other programs made.
func vectors(t testing.TB) (pairs [][2]string) {
	t.Helper()
	content, err := os.ReadFile("testdata/crypt.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatal(err)
		}
		password, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, [2]string{password, strings.TrimSpace(line[len(quoted):])})
	}
	return pairs
}

func TestHashesOfOthers(t *testing.T) {
	seen := map[string]bool{}
	for _, pair := range vectors(t) {
		password, text := pair[0], pair[1]
		h, _, err := parseHash(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !h.matches([]byte(password)) {
			t.Errorf("%q does not match %s", password, text)
		}
		for _, other := range []string{"", password + "x", "x" + password, strings.ToUpper(password)} {
			if h.matches([]byte(other)) && !(len(password) >= 8 && len(text) == 13 || len(password) >= 72 && text[1] == '2') && other != password {
				t.Errorf("%q matches %s too", other, text)
			}
		}
		// Any change of the hash makes it another.
		at := len(text) - 2
		changed := "x"
		if text[at] == 'x' {
			changed = "y"
		}
		if h, _, err := parseHash(text[:at] + changed + text[at+1:]); err == nil && h.matches([]byte(password)) {
			t.Errorf("%q matches %s with a changed end", password, text)
		}
		seen[fmt.Sprintf("%T %.2s", h, text)] = true
	}
	if len(seen) < 8 {
		t.Errorf("only %v", seen)
	}
}

func TestParse(t *testing.T) {
	const hash = "$2y$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm"
	f, problems := Parse([]byte(strings.Join([]string{
		"# a comment", "", "  # another", "alice:" + hash, "bob:" + hash + ":Bob himself\r",
		"nothing::x", ":" + hash, "carol:", "alice:{PLAIN}other", "dave:secret", "eve:$y$j9T$abc$def", "frank:{CRYPT}x",
		"gina:$2y$15$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm", "hal:" + hash[:59], "ina:$5$rounds=600000$s$OH4IDuTlsuTYPdED1gsuiRMyTAwNlRWyA6Xr3I4/dQ5",
		"jo:$6$short", "kim:$apr1$s$x", "leo:{SHA}x", "mia:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "nia:abJnggxhB/yWI", "o o:{PLAIN}", "pat:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		strings.Repeat("n", longest+1) + ":" + hash, "quin:$2x$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm", "rob:$5$rounds=x$s$y",
	}, "\n")))
	var got []string
	for _, p := range problems {
		kind := "error"
		if p.Warn {
			kind = "warning"
		}
		got = append(got, fmt.Sprintf("%s: %s", kind, p))
	}
	want := []string{
		`error: line 6: want user:hash, as htpasswd -B writes it`,
		`error: line 7: want user:hash, as htpasswd -B writes it`,
		`error: line 8: want user:hash, as htpasswd -B writes it`,
		`warning: line 9: "alice" is there twice, the first line counts`,
		`error: line 10: "dave": this is no hash; write it anew with htpas`,
		`error: line 11: "eve": a hash that begins with "$y$" is not known`,
		`error: line 12: "frank": a hash that begins with "{CRYPT}" is not`,
		`error: line 13: "gina": bcrypt of cost 15 takes longer than a vis`,
		`error: line 14: "hal": this bcrypt hash is not whole; write it an`,
		`error: line 15: "ina": SHA-crypt with 600000 rounds takes longer `,
		`error: line 16: "jo": this SHA-crypt hash is not whole; write it `,
		`error: line 17: "kim": this MD5 hash is not whole; write it anew `,
		`error: line 18: "leo": this SHA hash is not whole; write it anew `,
		`warning: line 19: "mia": {SHA} is quickly guessed by who gets the fi`,
		`warning: line 20: "nia": only the first 8 characters of this passwor`,
		`warning: line 21: "o o": the password is there for everybody to read`,
		`error: line 22: "pat": this SHA hash is not whole; write it anew `,
		`error: line 23: the name is longer than 256 bytes`,
		`error: line 24: "quin": a hash that begins with "$2x$" is not kno`,
		`error: line 25: "rob": this SHA-crypt hash has no readable number`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("%d:\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if f.Len() != 5 {
		t.Errorf("%d users", f.Len())
	}
	c := NewChecker(1)
	for name, password := range map[string]string{"alice": "password", "bob": "password", "mia": "secret", "nia": "password", "o o": ""} {
		if got, err := c.Check(t.Context(), f, basic(name, password)); got != name || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got, err := c.Check(t.Context(), f, basic(name, "?"+password)); got != "" || err != ErrWrong {
			t.Errorf("%s with another password: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"dave", "eve", "gina", "nobody", ""} {
		if got, err := c.Check(t.Context(), f, basic(name, "password")); got != "" || err != ErrWrong {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	empty, _ := Parse(nil)
	if _, err := c.Check(t.Context(), empty, basic("a", "b")); err != ErrWrong {
		t.Errorf("an empty file: %v", err)
	}
}

func TestSingle(t *testing.T) {
	f := Single("admin", "s3:cret")
	c := NewChecker(0)
	for _, test := range []struct {
		authorization string
		err           error
	}{
		{string(basic("admin", "s3:cret")), nil},
		{"basic " + string(basic("admin", "s3:cret")[6:]), nil},
		{"BASIC   " + strings.TrimRight(string(basic("admin", "s3:cret")[6:]), "="), nil},
		{string(basic("admin", "s3")), ErrWrong},
		{string(basic("Admin", "s3:cret")), ErrWrong},
		{string(basic("", "s3:cret")), ErrWrong},
		{string(basic("admin", "s3:cret\x00")), ErrWrong},
		{string(basic("admin", strings.Repeat("x", longest+1))), ErrWrong},
		{string(basic("admin", strings.Repeat("x", 5000))), ErrWrong},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("admin")), ErrWrong},
		{"Basic !!!", ErrWrong},
		{"Basic ", ErrWrong},
		{"Basic", ErrMissing},
		{"", ErrMissing},
		{"Bearer abc", ErrMissing},
		{"Basically " + string(basic("admin", "s3:cret")[6:]), ErrMissing},
	} {
		name, err := c.Check(t.Context(), f, []byte(test.authorization))
		if err != test.err || (err == nil) != (name == "admin") {
			t.Errorf("%.40q: %q, %v; want %v", test.authorization, name, err, test.err)
		}
	}
}

func TestChallenge(t *testing.T) {
	for realm, want := range map[string]string{
		"My site": `Basic realm="My site", charset="UTF-8"`,
		"a\"b\\c": `Basic realm="a\"b\\c", charset="UTF-8"`,
		"a\r\nX":  `Basic realm="a  X", charset="UTF-8"`,
	} {
		if got := string(AppendChallenge(nil, realm)); got != want {
			t.Errorf("%q: %s", realm, got)
		}
	}
}

// counted is a slow hash that says how often it was computed, and takes as long as
// the test wants.
type counted struct {
	password string
	count    *atomic.Int64
	gate     chan struct{} // nil: open
}

func (c counted) slow() bool { return true }

func (c counted) matches(password []byte) bool {
	c.count.Add(1)
	if c.gate != nil {
		<-c.gate
	}
	return string(password) == c.password
}

func withHash(h hash, names ...string) *File {
	f := newFile()
	for _, name := range names {
		f.add(name, h)
	}
	return f
}

// What was found out is known for a while: a right password for a minute, a wrong
// one for ten seconds; an unknown user costs what a known one does.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		f := withHash(counted{password: "right", count: &count}, "a", "b")
		c := NewChecker(1)
		for _, step := range []struct {
			after          time.Duration
			name, password string
			err            error
			computed       int64 // in all
		}{
			{0, "a", "right", nil, 1},
			{0, "a", "right", nil, 1},
			{0, "b", "right", nil, 2},
			{0, "a", "wrong", ErrWrong, 3},
			{0, "a", "wrong", ErrWrong, 3},
			{0, "nobody", "right", ErrWrong, 4},
			{0, "nobody", "right", ErrWrong, 4},
			{9 * time.Second, "a", "wrong", ErrWrong, 4},
			{2 * time.Second, "a", "wrong", ErrWrong, 5},
			{48 * time.Second, "a", "right", nil, 5},
			{2 * time.Second, "a", "right", nil, 6},
		} {
			time.Sleep(step.after)
			if _, err := c.Check(t.Context(), f, basic(step.name, step.password)); err != step.err || count.Load() != step.computed {
				t.Fatalf("%+v: %v, computed %d", step, err, count.Load())
			}
		}
		// Guesses do not push out who is in, nor fill the memory.
		for i := range 2 * mostKept {
			_, _ = c.Check(t.Context(), f, basic("a", fmt.Sprint("guess ", i)))
		}
		before := count.Load()
		if _, err := c.Check(t.Context(), f, basic("a", "right")); err != nil || count.Load() != before {
			t.Errorf("after many guesses: %v, computed %v", err, count.Load() != before)
		}
		if len(f.memory.wrong) > mostKept || len(f.memory.pending) > 0 {
			t.Errorf("%d wrong passwords kept, %d pending", len(f.memory.wrong), len(f.memory.pending))
		}
	})
}

// Many at once: the same password is computed once, others one after the other,
// and who can't be served soon is told so; another file has its own turn.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count, countB atomic.Int64
		gate := make(chan struct{})
		a := withHash(counted{"right", &count, gate}, "a")
		b := withHash(counted{"right", &countB, nil}, "b")
		c := NewChecker(2)
		var visitors sync.WaitGroup
		var in, busy, wrong atomic.Int64
		check := func(password string) {
			visitors.Go(func() {
				switch _, err := c.Check(t.Context(), a, basic("a", password)); err {
				case nil:
					in.Add(1)
				case ErrBusy:
					busy.Add(1)
				case ErrWrong:
					wrong.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		for range 100 {
			check("right")
		}
		synctest.Wait()
		if count.Load() != 1 {
			t.Errorf("computed %d times", count.Load())
		}
		for i := range mostWaiting + 10 {
			check(fmt.Sprint("guess ", i))
		}
		synctest.Wait()
		if busy.Load() != 10 || count.Load() != 1 {
			t.Errorf("%d are busy, computed %d", busy.Load(), count.Load())
		}
		if _, err := c.Check(t.Context(), b, basic("b", "right")); err != nil {
			t.Errorf("another file: %v", err)
		}
		close(gate)
		visitors.Wait()
		if in.Load() != 100 || wrong.Load() != mostWaiting || count.Load() != 1+mostWaiting {
			t.Errorf("%d in, %d wrong, computed %d", in.Load(), wrong.Load(), count.Load())
		}
	})
}

// Who goes away while waiting leaves nothing behind, and who waited for what he was
// to find out takes it over.
func TestGoingAwayWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		gate := make(chan struct{})
		f := withHash(counted{"right", &count, gate}, "a")
		c := NewChecker(1)
		var visitors sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		outcome := func(ctx context.Context, password string) *error {
			err := errors.New("none yet")
			visitors.Go(func() { _, err = c.Check(ctx, f, basic("a", password)) })
			synctest.Wait()
			return &err
		}
		first := outcome(t.Context(), "guess")
		second := outcome(ctx, "right")        // waits for its turn
		third := outcome(t.Context(), "right") // waits for the second
		cancel()
		synctest.Wait()
		close(gate)
		visitors.Wait()
		if *first != ErrWrong || !errors.Is(*second, context.Canceled) || *third != nil {
			t.Errorf("%v, %v, %v", *first, *second, *third)
		}
		if n := f.waiting.Load(); n != 0 || len(f.turn) != 0 || len(c.slots) != 0 {
			t.Errorf("%d waiting, turn %d, slots %d", n, len(f.turn), len(c.slots))
		}
	})
}

// An unknown name stands for the same known one each time.
func TestUnknownUsersCost(t *testing.T) {
	var count atomic.Int64
	f := newFile()
	f.add("fast", newPlain("x"))
	f.add("slow", counted{"x", &count, nil})
	first := map[string]hash{}
	for range 3 {
		for i := range 50 {
			name := fmt.Sprint("nobody", i)
			u, known := f.find([]byte(name))
			if known || first[name] != nil && first[name] != u.hash {
				t.Fatalf("%s: %v, another hash than before", name, known)
			}
			first[name] = u.hash
		}
	}
	kinds := map[bool]int{}
	for _, h := range first {
		kinds[h.slow()]++
	}
	if kinds[true] < 10 || kinds[false] < 10 {
		t.Errorf("fast and slow: %v", kinds)
	}
}

func FuzzParse(f *testing.F) {
	for _, pair := range vectors(f) {
		f.Add("user:" + pair[1] + "\nother:" + pair[1][1:])
	}
	f.Fuzz(func(t *testing.T, content string) {
		file, problems := Parse([]byte(content))
		if lines := strings.Count(content, "\n") + 1; file.Len()+len(problems) > 2*lines {
			t.Fatalf("%d users and %d problems in %d lines", file.Len(), len(problems), lines)
		}
		for _, u := range file.all {
			if u.name == "" || u.hash == nil {
				t.Fatalf("%+v", u)
			}
			cheap := true
			switch h := u.hash.(type) {
			case bcryptHash:
				cost, err := bcrypt.Cost(h)
				cheap = err == nil && cost < 5
			case shaCrypt:
				cheap = h.rounds <= 5000
			}
			if cheap {
				u.hash.matches([]byte("x"))
				u.hash.matches(nil)
			}
		}
	})
}

func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{"Basic YTpi", "basic YTpiOmM=", "Basic", "Basic  YTpi ", "Bearer x", "Basic Og", "Basic YQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var room [2 * longest]byte
		name, password, err := credentials(room[:], []byte(value))
		r := http.Request{Header: http.Header{"Authorization": {value}}}
		theirName, theirPassword, ok := r.BasicAuth()
		switch {
		case err == nil && ok && (string(name) != theirName || string(password) != theirPassword):
			t.Fatalf("%q: %q %q, net/http: %q %q", value, name, password, theirName, theirPassword)
		case err != nil && ok && len(theirName) <= longest && len(theirPassword) < longest && !strings.Contains(theirName+theirPassword, "\x00"):
			t.Fatalf("%q: %v, net/http: %q %q", value, err, theirName, theirPassword)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 10)
	if err != nil {
		b.Fatal(err)
	}
	f, _ := Parse([]byte("bcrypt:" + string(hash) + "\nsha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"))
	c := NewChecker(1)
	for _, name := range []string{"bcrypt", "sha"} {
		authorization := basic(name, "secret")
		b.Run(name+" again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Check(b.Context(), f, authorization); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, text := range []string{string(hash), "abJnggxhB/yWI", "$apr1$s$bHQMM1UunWFj8XWEuTGlW.", "$5$saltstring$OH4IDuTlsuTYPdED1gsuiRMyTAwNlRWyA6Xr3I4/dQ5"} {
		h, _, err := parseHash(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text[:5], func(b *testing.B) {
			for b.Loop() {
				h.matches([]byte("secret"))
			}
		})
	}
}
