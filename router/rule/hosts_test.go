package rule

import (
	"slices"
	"testing"
)

func TestHosts(t *testing.T) {
	var sources []Source
	for _, value := range []string{
		`^(www\.)?example\.com$ vassal:example`,
		`^Other\.Example$ return:404`,
		`^([-\w]+)\.example\.org$ vassal:$1`,
		`example\.net$ vassal:net`,
		`^port\.example:8080$ vassal:port`,
	} {
		sources = append(sources, Source{Key: "route-host", Value: value})
	}
	sources = append(sources, Source{Key: "error-route-status", Value: "502 return:503"})
	table, errs := Compile(sources)
	if table == nil {
		t.Fatal(errs)
	}
	if got, want := table.Hosts(), []string{"example.com", "other.example", "www.example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
