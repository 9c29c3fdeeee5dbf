package logs

import (
	"testing"
	"time"
)

func TestRestAfter(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		n              int
		within, waited time.Duration
		want           time.Duration
	}{
		"a line now and then":         {100, time.Second, time.Second, 0},
		"a line soon after another":   {100, ms, ms, 10 * ms},
		"lines that came in a rest":   {3000, 10 * ms, 0, 10 * ms},
		"much, and it might be more":  {8192, 4 * ms, ms, 8 * ms},
		"a burst":                     {16384, 10 * ms, 0, 0},
		"a burst in small pieces":     {1000, 50 * time.Microsecond, 50 * time.Microsecond, 0},
		"a read that brought nothing": {0, ms, ms, 0},
	} {
		if got := restAfter(c.n, c.within, c.waited); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
