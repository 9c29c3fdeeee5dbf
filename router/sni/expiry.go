package sni

import (
	"math"
	"slices"
	"time"
)

// An Expiry is when a certificate ends.
type Expiry struct {
	Source   string // its file
	Name     string // the first name that it is for
	NotAfter time.Time
	// Lifetime is how long it was made for; 0: nobody knows.
	Lifetime time.Duration
}

// Days returns how many days are left, rounded down; negative after the end.
func (e Expiry) Days(now time.Time) int {
	return int(math.Floor(e.NotAfter.Sub(now).Hours() / 24))
}

// expirySteps are the days before its end at which a certificate is reported: when
// renewal has failed for a week or two, when there is still time, and the last call.
var expirySteps = []int{21, 7, 1}

// Step returns the smallest of 21, 7 and 1 days that are not left any more, 0 after
// the end and -1 if there is time. One that was made for days only is renewed within
// its last third: before that it is no news that it ends soon.
func (e Expiry) Step(now time.Time) int {
	left := e.NotAfter.Sub(now)
	if left <= 0 {
		return 0
	}
	step := -1
	for _, days := range expirySteps {
		if of := time.Duration(days) * 24 * time.Hour; left <= of && (e.Lifetime <= 0 || of <= e.Lifetime/3) {
			step = days
		}
	}
	return step
}

// ExpiryWatch says once each when a certificate has less than 21, 7 and 1 days left,
// and when it has ended. Its zero value is ready. It has one owner.
type ExpiryWatch struct {
	told map[string]told
}

// told is what was last said of a source.
type told struct {
	notAfter time.Time
	step     int
}

// Due returns those of all that are to be reported now, the most urgent first. What
// is not among all any more is forgotten, and a renewed certificate starts anew.
func (w *ExpiryWatch) Due(now time.Time, all []Expiry) []Expiry {
	var due []Expiry
	next := make(map[string]told)
	for _, e := range all {
		step := e.Step(now)
		if step < 0 {
			continue
		}
		this := told{e.NotAfter, step}
		if w.told[e.Source] != this {
			due = append(due, e)
		}
		next[e.Source] = this
	}
	w.told = next
	slices.SortStableFunc(due, func(a, b Expiry) int { return a.NotAfter.Compare(b.NotAfter) })
	return due
}
