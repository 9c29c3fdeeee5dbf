// Package cron knows when a line such as "30 4 -1 -1 1" is due: the five fields of
// uWSGI's cron options, in local time. It runs nothing and has no clock: who asks
// brings the time.
//
// A field is a number, or negative: -1 is any, -N every Nth (a minute, hour, day …
// that N divides). Where both the day of the month and the day of the week are
// numbers either is enough, as in crontab(5).
package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Any is the field that always fits.
const Any = -1

// Schedule is when something is to run. Its zero value is midnight of the 0th of
// the month 0, which never comes: begin with Always.
type Schedule struct {
	Minute, Hour, Day, Month int
	// Week is the day of the week; 0 and 7 are Sunday.
	Week int
}

// Always is every minute.
func Always() Schedule { return Schedule{Any, Any, Any, Any, Any} }

// fields are the names, limits and places of the fields, in the order of a line.
var fields = []struct {
	name      string
	low, high int
	of        func(*Schedule) *int
}{
	{"minute", 0, 59, func(s *Schedule) *int { return &s.Minute }},
	{"hour", 0, 23, func(s *Schedule) *int { return &s.Hour }},
	{"day", 1, 31, func(s *Schedule) *int { return &s.Day }},
	{"month", 1, 12, func(s *Schedule) *int { return &s.Month }},
	{"week", 0, 7, func(s *Schedule) *int { return &s.Week }},
}

// Parse reads the five fields at the beginning of a line; rest is what follows them.
func Parse(line string) (s Schedule, rest string, err error) {
	rest = line
	for _, f := range fields {
		rest = strings.TrimLeft(rest, " \t")
		word := rest
		if end := strings.IndexAny(rest, " \t"); end >= 0 {
			word = rest[:end]
		}
		rest = rest[len(word):]
		if err := s.Set(f.name, word); err != nil {
			return Schedule{}, "", fmt.Errorf("%w; want five numbers, minute hour day month weekday (-1 is any, -N every N), and a command", err)
		}
	}
	return s, strings.TrimLeft(rest, " \t"), s.check()
}

// Set changes one field, which is named minute, hour, day, month or week.
func (s *Schedule) Set(name, value string) error {
	for _, f := range fields {
		if f.name != name {
			continue
		}
		n, err := strconv.Atoi(value)
		if every, ok := strings.CutPrefix(value, "*"); ok {
			every = strings.TrimPrefix(every, "/")
			if every == "" {
				every = "1"
			}
			return fmt.Errorf("%s: %q is how crontab writes it: here it is -%s", name, value, every)
		}
		switch {
		case err != nil:
			return fmt.Errorf("%s: want a number, got %q", name, value)
		case n > f.high, n < -f.high, n >= 0 && n < f.low:
			return fmt.Errorf("%s: want %d to %d, -1 for any or -N for every N, got %s", name, f.low, f.high, value)
		}
		*f.of(s) = n
		return nil
	}
	return fmt.Errorf("there is no field %q: want minute, hour, day, month or week", name)
}

// check refuses what never comes.
func (s Schedule) check() error {
	// Any leap year and the seven before and after it have every day there is.
	if s.Next(time.Date(2023, 12, 31, 23, 59, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("%s never comes", s)
	}
	return nil
}

// Check says what is wrong with a schedule that was put together by Set.
func (s Schedule) Check() error { return s.check() }

// String is the line.
func (s Schedule) String() string {
	return fmt.Sprintf("%d %d %d %d %d", s.Minute, s.Hour, s.Day, s.Month, s.Week)
}

// Matches tells whether it is due in the minute of t, as t's own clock shows it.
func (s Schedule) Matches(t time.Time) bool {
	return fits(s.Minute, t.Minute()) && fits(s.Hour, t.Hour()) && s.onDay(t)
}

func (s Schedule) onDay(t time.Time) bool {
	if !fits(s.Month, int(t.Month())) {
		return false
	}
	week := s.Week
	if week == 7 {
		week = 0
	}
	day, weekday := fits(s.Day, t.Day()), fits(week, int(t.Weekday()))
	if s.Day >= 0 && s.Week >= 0 {
		return day || weekday
	}
	return day && weekday
}

func fits(field, now int) bool {
	if field < 0 {
		return now%-field == 0
	}
	return field == now
}

// horizon is how far Next looks: a 29th of February that is a certain day of the
// week comes every 28 years, and once every 40 around a century without a leap day.
const horizon = 41

// Next is the beginning of the first minute after t in which it is due, in t's
// location; zero if that never comes. (What is due in an hour that the change to
// summer time leaves out is left out; what is due in one that comes twice runs twice.)
func (s Schedule) Next(t time.Time) time.Time {
	limit := t.AddDate(horizon, 0, 0)
	t = t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond())).Add(time.Minute)
	for t.Before(limit) {
		switch {
		case !s.onDay(t):
			t = later(t, time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location()))
		case !fits(s.Hour, t.Hour()):
			// Not by the clock's hour: at the end of summer time that would go back.
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case !fits(s.Minute, t.Minute()):
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

// later is the later one of t, an hour on, and next: where a day begins later than at
// midnight time.Date may give a time of the day before.
func later(t, next time.Time) time.Time {
	if next.After(t) {
		return next
	}
	return t.Add(time.Hour)
}
