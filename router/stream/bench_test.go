package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyRules makes n rules: names, wildcards and patterns of the sort that people
// write for clusters and tenants.
func manyRules(n int) string {
	var rules strings.Builder
	for i := range n {
		switch i % 5 {
		case 0, 1:
			fmt.Fprintf(&rules, "route-sni = www.site%d.test pass:10.0.0.1:443\n", i)
		case 2:
			fmt.Fprintf(&rules, "route-sni = *.site%d.test pass:10.0.0.1:443\n", i)
		case 3:
			fmt.Fprintf(&rules, "route-sni = ^(?<app>.+)-(?<ns>[^-.]+)\\.site%d\\.example$ pass:${app}-public.${ns}.svc.cluster.local:443\n", i)
		case 4:
			fmt.Fprintf(&rules, "route-sni = ^tenant%d-([^.]+)\\.example\\.org$ pass:vassal:$1\n", i)
		}
	}
	return rules.String()
}

// asked are clients that each meet another kind of rule, and one that meets none.
func asked(n int) []*Client {
	return []*Client{
		{Name: fmt.Sprintf("www.site%d.test", n-5)},
		{Name: fmt.Sprintf("blog.site%d.test", n-3)},
		{Name: fmt.Sprintf("shop-eu.site%d.example", n-2)},
		{Name: fmt.Sprintf("tenant%d-shop.example.org", n-1)},
		{Name: "www.other.net"},
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		table := compile(b, manyRules(n))
		for i, kind := range []string{"name", "wildcard", "pattern", "prefixed", "none"} {
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) {
				c := asked(n)[i]
				if _, ok := table.Find(c); ok != (kind != "none") {
					b.Fatal(c.Name)
				}
				b.ReportAllocs()
				for b.Loop() {
					table.Find(c)
				}
			})
		}
	}
}

// BenchmarkScale: what ten thousand rules cost more than ten. Both are measured in
// turns, and the best turn of each counts, so that other work on the machine does
// not show.
func BenchmarkScale(b *testing.B) {
	const turn = 100
	sizes := [2]int{10, 10_000}
	var tables [2]*Table
	for i, n := range sizes {
		tables[i] = compile(b, manyRules(n))
	}
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, n := range sizes {
			clients := asked(n)
			start := time.Now()
			for k := range turn {
				tables[i].Find(clients[k%len(clients)])
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	b.ReportMetric(0, "ns/op") // of both together says nothing
	b.ReportMetric(float64(best[0])/turn, "ns/10-rules")
	b.ReportMetric(float64(best[1])/turn, "ns/10000-rules")
	b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
}

func BenchmarkCompile(b *testing.B) {
	sources := lines(manyRules(10_000))
	for b.Loop() {
		Compile(sources)
	}
}
