package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestEveryEmperorOptionOfUWSGI: each option that is about the emperor and its vassals,
// of 2.0 and of the unfinished 2.1, has a meaning here or is accepted with the reason
// why it has none; `emperor options` says which.
func TestEveryEmperorOptionOfUWSGI(t *testing.T) {
	set, err := mainOptions()
	if err != nil {
		t.Fatal(err)
	}
	for words, reason := range map[string]string{
		// With a meaning: no reason.
		"emperor emperor-freq emperor-nofollow emperor-extra-extension emperor-extra-ext":                        "",
		"emperor-procname emperor-pidfile pidfile pidfile2":                                                      "",
		"emperor-wrapper emperor-wrapper-override emperor-wrapper-fallback":                                      "",
		"emperor-curse-tolerance emperor-throttle emperor-max-throttle emperor-no-blacklist":                     "",
		"emperor-tyrant emperor-tyrant-nofollow emperor-tyrant-initgroups emperor-cap vassals-cap vassal-cap":    "",
		"emperor-stats emperor-stats-server stats stats-server stats-http stats-minified":                        "",
		"emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-directory emperor-on-demand-dir":    "",
		"emperor-on-demand-exec vassals-inherit vassals-include vassals-inherit-before vassals-include-before":   "",
		"vassals-set vassal-set reload-mercy uid gid die-on-term emperor-required-heartbeat":                     "",
		"emperor-command-socket emperor-trigger-socket emperor-wait-for-command emperor-wait-for-command-ignore": "",
		"touch-reload": "",
		// Accepted.
		"early-emperor":             "nothing comes before the emperor",
		"emperor-magic-exec":        "no program is run to learn what a vassal is",
		"emperor-broodlord":         "more processes by cheaper",
		"emperor-graceful-shutdown": "always finished",
		"emperor-use-fork-server emperor-fork-server-attr vassal-fork-base": "not supported",
		"emperor-collect-attribute emperor-wrapper-attr emperor-chdir-attr": "own file",
		"emperor-subreaper":                            "adopts what vassals leave behind",
		"imperial-monitor-list imperial-monitors-list": "dir://DIRECTORY and glob://GLOB",
		"zeus": "never finished",
		"daemonize master processes vacuum log-date": " ",
		// A vassal says it, and uWSGI carries it out.
		"emperor-proxy-socket heartbeat vassal-sos vassal-sos-backlog die-on-idle hook-emperor-stop hook-emperor-reload hook-emperor-lost": "for all vassals: vassal-set",
	} {
		for _, name := range strings.Fields(words) {
			o, known := set.Lookup(name)
			if !known {
				t.Errorf("%s: there is no such option", name)
				continue
			}
			if (reason == "") != (o.Ignored == "") || !strings.Contains(o.Ignored, reason) {
				t.Errorf("%s: accepted without effect because %q, want %q", name, o.Ignored, reason)
			}
			var out bytes.Buffer
			if err := runOptions([]string{name}, &out); err != nil {
				t.Errorf("emperor options %s: %v", name, err)
			}
		}
	}
}
