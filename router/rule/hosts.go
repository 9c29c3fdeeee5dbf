package rule

import (
	"maps"
	"slices"
	"strings"
)

// Hosts returns every host that route-host rules of the request chain spell, sorted:
// those of patterns that match a handful of names, such as ^(www\.)?example\.com$.
// What becomes of a request for one of them is Match's to say.
func (t *Table) Hosts() []string {
	hosts := slices.Collect(maps.Keys(t.chains[RequestChain].index.exact))
	hosts = slices.DeleteFunc(hosts, func(host string) bool { return host == "" || strings.Contains(host, ":") })
	slices.Sort(hosts)
	return hosts
}
