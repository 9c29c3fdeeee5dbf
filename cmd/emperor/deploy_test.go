package main

import (
	"fmt"
	"testing"
)

// TestNoRequestFailsInDeploys deploys a site over and over while clients ask
// without pause, and long requests, uploads and websockets are under way. The
// long run is EMPEROR_DEPLOYS=200 EMPEROR_LONG_REQUEST=20.
func TestNoRequestFailsInDeploys(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			m.vassal("site", kind.vassal)
			m.start()
			visitors := m.visitors("site.test")
			deploys := fromEnvironment(t, "EMPEROR_DEPLOYS", 4)
			seconds := fromEnvironment(t, "EMPEROR_LONG_REQUEST", 4)
			var under []*companions
			for release := 1; release <= deploys; release++ {
				during := &companions{load: visitors}
				during.accompany(seconds)
				under = append(under, during)
				m.write("RELEASE", fmt.Sprint(release))
				m.vassal("site", fmt.Sprintf("%s; release %d\n", kind.vassal, release))
				m.untilRelease("site.test", fmt.Sprint(release))
				// What began before the last deploy has seen two.
				if len(under) > 1 {
					under[len(under)-2].hangUp()
				}
			}
			for _, during := range under {
				during.end()
			}
			report(t, visitors, fmt.Sprintf("%d deploys", deploys))
			m.stop()
		})
	}
}
