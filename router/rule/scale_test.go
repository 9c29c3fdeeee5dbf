package rule

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func BenchmarkMatch(b *testing.B) {
	for _, set := range []struct {
		name string
		list func(int) []Source
	}{{"mixed", manyRules}, {"literal", literalHosts}, {"sloppy", sloppyRules}} {
		for _, n := range []int{10, 100, 10_000, 100_000} {
			table := compile(b, set.list(n))
			for _, hit := range []struct {
				name, host string
			}{
				{"first", "www.site0.example"},
				{"last", fmt.Sprintf("www.site%d.example", n-2)},
				{"capture", fmt.Sprintf("blog.site%d.example", n-1)},
				{"none", "www.other.org"},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", set.name, n, hit.name), func(b *testing.B) {
					q := &Query{Host: []byte(hit.host)}
					var d Decision
					b.ReportAllocs()
					for b.Loop() {
						table.Match(q, &d)
					}
				})
			}
		}
	}
}

// jumpingRules returns n rules that give every site a program of its own: a jump
// for its host, and below all jumps a label and two rules.
func jumpingRules(n int) []Source {
	var jumps, programs []Source
	for i := range n / 4 {
		jumps = append(jumps, Source{"route-host", fmt.Sprintf(`^www\.site%d\.example$ goto:site%d`, i, i), "main.ini", i})
		programs = append(programs,
			Source{"route-label", fmt.Sprintf("site%d", i), "main.ini", i},
			Source{"route", fmt.Sprintf(`^/api/ uwsgi:/run/sites/api%d.sock,0,0`, i), "main.ini", i},
			Source{"route-run", fmt.Sprintf(`uwsgi:/run/sites/site%d.sock,0,0`, i), "main.ini", i})
	}
	return append(append(jumps, Source{"route-run", "last:", "main.ini", n}), programs...)
}

// BenchmarkScale: what ten thousand rules cost more than ten. Both are measured in
// turns, and the best turn of each counts, so that other work on the machine does
// not show.
func BenchmarkScale(b *testing.B) {
	const turn = 200
	for _, set := range []struct {
		name string
		list func(int) []Source
	}{{"mixed", manyRules}, {"literal", literalHosts}, {"sloppy", sloppyRules}, {"jumping", jumpingRules}} {
		b.Run(set.name, func(b *testing.B) {
			sizes := [2]int{10, 10_000}
			var tables [2]*Table
			var queries [2][]*Query
			for i, n := range sizes {
				tables[i] = compile(b, set.list(n))
				for _, host := range []string{"www.site0.example", fmt.Sprintf("www.site%d.example", n/4-1), "blog.site9.example", "www.other.org"} {
					queries[i] = append(queries[i], &Query{Host: []byte(host), Path: []byte("/")})
				}
			}
			var d Decision
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i := range sizes {
					start := time.Now()
					for k := range turn {
						tables[i].Match(queries[i][k%len(queries[i])], &d)
					}
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(0, "ns/op") // of both together says nothing
			b.ReportMetric(float64(best[0])/turn, "ns/10-rules")
			b.ReportMetric(float64(best[1])/turn, "ns/10000-rules")
			b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, set := range []struct {
		name string
		list func(int) []Source
	}{{"mixed", manyRules}, {"literal", literalHosts}, {"sloppy", sloppyRules}} {
		list := set.list(100_000)
		b.Run(set.name+"/100000", func(b *testing.B) {
			b.ReportAllocs()
			var table *Table
			before := heap()
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				table = compile(b, list)
				best = min(best, time.Since(start))
			}
			b.ReportMetric(best.Seconds(), "s/best")
			b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-table")
			runtime.KeepAlive(table)
		})
	}
}
