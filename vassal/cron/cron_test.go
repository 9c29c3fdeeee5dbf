package cron

import (
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		t, err := time.ParseInLocation("2006-01-02 15:04:05", text, berlin)
		if err != nil {
			panic(err)
		}
		return t
	}
	for _, test := range []struct{ line, after, want string }{
		{"-1 -1 -1 -1 -1", "2026-11-21 20:59:59", "2026-11-21 21:00:00"},
		{"-1 -1 -1 -1 -1", "2026-11-21 21:00:00", "2026-11-21 21:01:00"},
		{"-5 -1 -1 -1 -1", "2026-11-21 20:56:00", "2026-11-21 21:00:00"},
		{"59 2 -1 -1 -1", "2026-11-21 02:59:01", "2026-11-22 02:59:00"},
		{"0 -6 -1 -1 -1", "2026-11-21 18:00:30", "2026-11-22 00:00:00"},
		{"0 0 1 -1 -1", "2026-11-21 20:00:00", "2026-12-01 00:00:00"},
		{"0 0 -1 -3 -1", "2026-11-21 20:00:00", "2026-12-01 00:00:00"}, // every third month
		{"0 0 -10 -1 -1", "2026-11-21 20:00:00", "2026-11-30 00:00:00"},
		{"30 4 -1 -1 1", "2026-11-21 20:00:00", "2026-11-23 04:30:00"},  // Monday
		{"0 12 -1 -1 0", "2026-11-21 20:00:00", "2026-11-22 12:00:00"},  // Sunday
		{"0 12 -1 -1 7", "2026-11-21 20:00:00", "2026-11-22 12:00:00"},  // Sunday, too
		{"0 12 25 -1 7", "2026-11-22 20:00:00", "2026-11-25 12:00:00"},  // either
		{"0 12 25 -1 -1", "2026-11-25 12:00:00", "2026-12-25 12:00:00"}, // not now again
		{"0 0 29 2 -1", "2026-11-21 20:00:00", "2028-02-29 00:00:00"},
		{"0 0 31 -1 -1", "2026-11-21 20:00:00", "2026-12-31 00:00:00"},
		{"30 2 -1 -1 -1", "2026-03-29 00:00:00", "2026-03-30 02:30:00"}, // 02:30 does not exist on the 29th
		{"15 -1 -1 -1 -1", "2026-03-29 01:30:00", "2026-03-29 03:15:00"},
	} {
		s, rest, err := Parse(test.line + "  do it")
		if err != nil || rest != "do it" {
			t.Errorf("%s: rest %q, %v", test.line, rest, err)
			continue
		}
		if got := s.Next(at(test.after)); !got.Equal(at(test.want)) {
			t.Errorf("%s after %s: %s, want %s", test.line, test.after, got, test.want)
		}
	}
	// The hour from two to three comes twice.
	first, _, _ := Parse("30 2 -1 -1 -1")
	once := first.Next(at("2026-10-25 01:00:00"))
	if twice := first.Next(once); twice.Sub(once) != time.Hour {
		t.Errorf("%s, then %s", once, twice)
	}
}

func TestMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"":                     `minute: want a number, got ""`,
		"1 2 3":                `month: want a number, got ""; want five numbers`,
		"60 -1 -1 -1 -1 x":     "minute: want 0 to 59, -1 for any or -N for every N, got 60",
		"0 24 -1 -1 -1 x":      "hour: want 0 to 23",
		"0 0 0 -1 -1 x":        "day: want 1 to 31",
		"0 0 -1 13 -1 x":       "month: want 1 to 12",
		"0 0 -1 -1 8 x":        "week: want 0 to 7",
		"*/5 * * * * x":        `minute: "*/5" is how crontab writes it: here it is -5`,
		"0 * * * * x":          `hour: "*" is how crontab writes it: here it is -1`,
		"0 0 30 2 -1 x":        "0 0 30 2 -1 never comes",
		"0 0 -1 -1 monday x":   `week: want a number, got "monday"`,
		"99999999999 0 0 0 0":  "minute: want 0 to 59",
		"0 0 31 -2 -1 command": "", // August, December
	} {
		_, _, err := Parse(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
	s := Always()
	if err := s.Set("second", "1"); err == nil {
		t.Error("there is no field second")
	}
}

// FuzzNext compares with looking at each minute, and with Matches.
func FuzzNext(f *testing.F) {
	f.Add("-1 -1 -1 -1 -1", int64(1764000000))
	f.Add("30 2 -1 -1 -1", int64(1774742400))
	f.Add("0 0 29 2 0", int64(0))
	f.Add("-7 -5 -3 -2 -2", int64(1792886400))
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string, after int64) {
		s, rest, err := Parse(line)
		if err != nil {
			return
		}
		if again, more, err := Parse(s.String() + " " + rest); err != nil || again != s || more != strings.TrimLeft(rest, " \t") {
			t.Fatalf("%q becomes %q and then %v %q, %v", line, s, again, more, err)
		}
		from := time.Unix(after%4e9, 0).In(zone)
		next := s.Next(from)
		if next.IsZero() {
			t.Fatalf("%s has no next after %s", s, from)
		}
		if !next.After(from) || !s.Matches(next) || next.Second() != 0 {
			t.Fatalf("%s after %s: %s", s, from, next)
		}
		minute := from.Truncate(time.Minute)
		for range 3000 {
			minute = minute.Add(time.Minute)
			if !minute.Before(next) {
				break
			}
			if s.Matches(minute) {
				t.Fatalf("%s after %s: %s, but %s fits", s, from, next, minute)
			}
		}
	})
}
