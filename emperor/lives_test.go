package emperor

import (
	"testing"
	"time"
)

// TestLives: what the main file says of how long vassals may take and wait.
func TestLives(t *testing.T) {
	for _, test := range []struct {
		lines                   string
		throttle, most, curse   time.Duration
		initGroups, tyrantAtAll bool
	}{
		{"", time.Second, 3 * time.Minute, 10 * time.Second, false, false},
		{"emperor-throttle = 700", 700 * time.Millisecond, 3 * time.Minute, 10 * time.Second, false, false},
		{"emperor-throttle = 700\nemperor-no-blacklist = true", 700 * time.Millisecond, 700 * time.Millisecond, 10 * time.Second, false, false},
		{"emperor-throttle = 700\nemperor-max-throttle = 300", 700 * time.Millisecond, 700 * time.Millisecond, 10 * time.Second, false, false},
		{"emperor-curse-tolerance = 3", time.Second, 3 * time.Minute, 3 * time.Second, false, false},
		{"emperor-tyrant = true", time.Second, 3 * time.Minute, 10 * time.Second, false, true},
		{"emperor-tyrant = true\nemperor-tyrant-initgroups = true", time.Second, 3 * time.Minute, 10 * time.Second, true, true},
	} {
		main, _, problems := readText(t, "[uwsgi]\nemperor = /tmp\n"+test.lines+"\n")
		if main == nil {
			t.Errorf("%s: %v", test.lines, problems)
			continue
		}
		d := main.Defaults
		if d.Throttle != test.throttle || d.MaxThrottle != test.most || d.Stop != test.curse {
			t.Errorf("%q: throttle %s, at most %s, curse %s", test.lines, d.Throttle, d.MaxThrottle, d.Stop)
		}
		if (main.tyrant != nil) != test.tyrantAtAll || test.tyrantAtAll && main.tyrant.InitGroups != test.initGroups {
			t.Errorf("%q: tyrant %+v", test.lines, main.tyrant)
		}
	}
}
