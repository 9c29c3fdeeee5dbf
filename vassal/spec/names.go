package spec

import (
	"strings"
	"sync"
)

// uwsgiNames is every option of uWSGI 2.0.21, those included that are also ours.
var uwsgiNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(foreignTable) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] != "#" {
			names[fields[0]] = true
		}
	}
	return names
})

// KnownToUWSGI tells whether an option of that name is uWSGI's, whoever acts on it.
func KnownToUWSGI(name string) bool { return uwsgiNames()[name] }
