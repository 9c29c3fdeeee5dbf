package main

import (
	"slices"
	"time"
)

// throughput is the outcome for one front in one case.
type throughput struct {
	Case     string
	Logged   bool // access log and statistics
	Front    string
	Summary  sample // the median of each figure; Requests and Errors are sums
	Least    sample // the smallest of each figure
	Greatest sample
	Rounds   []sample
}

// latency is the same at a fixed rate.
type latency struct {
	throughput
	Rate float64 // requests a second
}

func summarise(contenders []*contender) []throughput {
	var all []throughput
	for _, c := range contenders {
		all = append(all, summariseSamples(c, c.samples))
	}
	return all
}

func summarisePaced(contenders []*contender, rate float64) []latency {
	var all []latency
	for _, c := range contenders {
		all = append(all, latency{summariseSamples(c, c.paced), rate})
	}
	return all
}

func summariseSamples(c *contender, samples []sample) throughput {
	t := throughput{Case: c.test.name, Logged: c.logged, Front: c.front, Rounds: samples}
	t.Summary, t.Least, t.Greatest = samples[0], samples[0], samples[0]
	summariseFigure(&t, func(s *sample) *float64 { return &s.PerSecond })
	summariseFigure(&t, func(s *sample) *float64 { return &s.Load })
	summariseFigure(&t, func(s *sample) *float64 { return &s.Others })
	summariseFigure(&t, func(s *sample) *float64 { return &s.Logged })
	summariseFigure(&t, func(s *sample) *time.Duration { return &s.CPU })
	summariseFigure(&t, func(s *sample) *time.Duration { return &s.Median })
	summariseFigure(&t, func(s *sample) *time.Duration { return &s.P99 })
	t.Summary.Requests, t.Summary.Errors = 0, 0
	for _, s := range samples {
		t.Summary.Requests += s.Requests
		t.Summary.Errors += s.Errors
	}
	return t
}

// summariseFigure fills in median, least and greatest of one figure.
func summariseFigure[T float64 | time.Duration](t *throughput, figure func(*sample) *T) {
	var values []T
	for i := range t.Rounds {
		values = append(values, *figure(&t.Rounds[i]))
	}
	*figure(&t.Summary) = median(values)
	*figure(&t.Least), *figure(&t.Greatest) = slices.Min(values), slices.Max(values)
}

// median returns the middle value, or the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread is a median with the least and the greatest value.
type spread struct{ Median, Least, Greatest float64 }

func spreadOf(values []float64) spread {
	return spread{median(values), slices.Min(values), slices.Max(values)}
}

// ratio compares one of the emperor's fronts with another program, round by round.
type ratio struct {
	Case      string
	Logged    bool
	Front     string
	Against   string
	PerSecond spread // more is better
	CPU       spread // less is better
	// P99 is of latency at the same rate, less is better; zero where it was not
	// measured.
	P99 spread
}

// compare makes the ratios: what slows the machine for a minute slows both sides
// within one round.
func (r *report) compare() {
	r.Ratios = nil
	for _, ours := range r.Throughput {
		if frontNamed(ours.Front).tool != toolEmperor {
			continue
		}
		for _, theirs := range r.Throughput {
			if theirs.Case != ours.Case || theirs.Logged != ours.Logged || !comparable(ours.Front, theirs.Front) {
				continue
			}
			result := ratio{Case: ours.Case, Logged: ours.Logged, Front: ours.Front, Against: theirs.Front}
			result.PerSecond = spreadOf(quotients(ours.Rounds, theirs.Rounds, func(s sample) float64 { return s.PerSecond }))
			result.CPU = spreadOf(quotients(ours.Rounds, theirs.Rounds, func(s sample) float64 { return float64(s.CPU) }))
			our, their := r.latencyOf(ours), r.latencyOf(theirs)
			if our != nil && their != nil {
				result.P99 = spreadOf(quotients(our.Rounds, their.Rounds, func(s sample) float64 { return float64(s.P99) }))
			}
			r.Ratios = append(r.Ratios, result)
		}
	}
}

// comparable: the front with many rules is compared with the one with few, the
// emperor's other fronts with those of other programs.
func comparable(ours, theirs string) bool {
	if ours == frontManyRules {
		return theirs == frontEmperor
	}
	return frontNamed(theirs).tool != toolEmperor
}

// latencyOf finds the figures at a fixed rate for the same front in the same case.
func (r *report) latencyOf(t throughput) *latency {
	for i, l := range r.Latency {
		if l.Case == t.Case && l.Logged == t.Logged && l.Front == t.Front {
			return &r.Latency[i]
		}
	}
	return nil
}

func quotients(ours, theirs []sample, figure func(sample) float64) []float64 {
	var all []float64
	for i := range ours {
		if under := figure(theirs[i]); under > 0 {
			all = append(all, figure(ours[i])/under)
		}
	}
	if len(all) == 0 {
		return []float64{0}
	}
	return all
}
