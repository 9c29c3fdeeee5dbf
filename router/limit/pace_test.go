package limit

import (
	"testing"
	"time"
)

// TestPaceCutsADripNotAStall runs a client second by second: what it takes in each,
// while the server always has more.
func TestPaceCutsADripNotAStall(t *testing.T) {
	pace := Pace{BytesPerSecond: 240, Grace: time.Minute}
	for _, test := range []struct {
		name  string
		pace  Pace
		takes func(second int) int64
		from  int // cut in this second at the earliest, 0: never
		to    int
	}{
		{"just fast enough", pace, func(int) int64 { return 240 }, 0, 0},
		{"half the rate", pace, func(int) int64 { return 120 }, 119, 121},
		{"nothing", pace, func(int) int64 { return 0 }, 60, 60},
		{"one byte a second", pace, func(int) int64 { return 1 }, 60, 61},
		{"a megabyte, then nothing", pace, func(s int) int64 {
			if s == 0 {
				return 1 << 20
			}
			return 0
		}, 60, 75},
		{"stalls of 50 s every five minutes", pace, func(s int) int64 {
			if s%300 < 50 {
				return 0
			}
			return 1000
		}, 0, 0},
		{"without a rate any byte will do", Pace{Grace: time.Minute}, func(s int) int64 { return int64(1 - min(s%44, 1)) }, 0, 0},
		{"without a rate silence ends it", Pace{Grace: time.Minute}, func(s int) int64 { return int64(1 - min(s, 1)) }, 60, 75},
		{"a rate beyond reason", Pace{BytesPerSecond: 1 << 62, Grace: time.Second}, func(int) int64 { return 1 << 40 }, 1, 2},
		{"bytes beyond reason", Pace{BytesPerSecond: 1, Grace: time.Hour}, func(int) int64 { return 1 << 50 }, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m Meter
			var total int64
			var waited time.Duration // of the write under way
			cut := 0
			for second := 0; second < 2000 && cut == 0; second++ {
				total += test.takes(second)
				waited += time.Second
				if waited < m.Patience(test.pace) {
					continue
				}
				m.Waited(waited)
				waited = 0
				m.Took(test.pace, total)
				if m.TooSlow(test.pace) {
					cut = second + 1
				}
			}
			if cut < test.from || cut > test.to {
				t.Errorf("cut after %d s, want %d to %d", cut, test.from, test.to)
			}
		})
	}
}
