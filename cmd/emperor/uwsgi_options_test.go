package main

import (
	"bytes"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"emperor/emperor"
)

// aboutTheEmperor are the names of uWSGI's options that are about its emperor, vassals
// and hooks.
var aboutTheEmperor = regexp.MustCompile(`emperor|vassal|imperial|heartbeat|^zeus$|^early-emperor$|^(hook|exec|call|mount|umount)-(as|pre|post|in|asap|accepting|master|touch)`)

// namesOfUWSGI are the long options that the installed uWSGI prints.
func namesOfUWSGI(t *testing.T) (names []string) {
	t.Helper()
	help, err := exec.Command("uwsgi", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^ +(?:-.\|)?--([\w-]+)`).FindAllSubmatch(help, -1) {
		names = append(names, string(line[1]))
	}
	if len(names) < 500 {
		t.Fatalf("uwsgi --help shows %d options", len(names))
	}
	return names
}

// TestEveryEmperorOptionOfUWSGI: each option that is about the emperor and its vassals,
// of the installed uWSGI and of the unfinished 2.1, has a meaning here, is accepted with
// the reason why it has none, or is refused; `emperor options` says which.
func TestEveryEmperorOptionOfUWSGI(t *testing.T) {
	set, err := mainOptions()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
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
		"vassals-start-hook vassals-stop-hook hook-emperor-start hook-as-vassal hook-as-emperor exec-as-vassal exec-as-emperor": "",
		"hook-as-on-demand-vassal hook-as-emperor-before-vassal hook-as-vassal-before-drop":                                     "",
		"exec-asap exec-pre-jail exec-in-jail exec-as-root exec-as-user exec-as-user-atexit":                                    "",
		"hook-asap hook-pre-jail hook-in-jail hook-as-root hook-as-user hook-as-user-atexit":                                    "",
		// Accepted.
		"early-emperor":             "nothing comes before the emperor",
		"emperor-magic-exec":        "no program is run to learn what a vassal is",
		"emperor-broodlord":         "more processes by cheaper",
		"emperor-graceful-shutdown": "always finished",
		"emperor-use-fork-server emperor-fork-server-attr vassal-fork-base fork-server fork-socket": "not supported: ",
		"exec-post-jail": "say exec-in-jail",
		"hook-post-jail": "say hook-in-jail",
		"exec-pre-app exec-post-app hook-pre-app hook-post-app hook-post-fork hook-accepting hook-accepting1 hook-accepting-once hook-accepting1-once hook-master-start hook-touch hook-as-mule hook-as-gateway": "serves no app and has no workers",
		"mount-asap mount-pre-jail mount-post-jail mount-in-jail mount-as-root mount-as-vassal mount-as-emperor":                                                                                                 "the emperor mounts nothing",
		"umount-asap umount-pre-jail umount-post-jail umount-in-jail umount-as-root umount-as-vassal umount-as-emperor":                                                                                          "the emperor mounts nothing",
		"call-asap call-pre-jail call-post-jail call-in-jail call-as-root call-as-user call-as-user-atexit call-pre-app call-post-app":                                                                           "no symbols of C",
		"call-as-vassal call-as-vassal1 call-as-vassal3 call-as-emperor call-as-emperor1 call-as-emperor2 call-as-emperor4":                                                                                      "no symbols of C",
		"hook-as-on-config-vassal":                                          "read from files",
		"hook-as-emperor-setns":                                             "no namespaces",
		"fastrouter fastrouter-to fastrouter-subscription-server":           "the front speaks HTTP with the server before it",
		"emperor-collect-attribute emperor-wrapper-attr emperor-chdir-attr": "own file",
		"emperor-subreaper":                                                 "adopts what vassals leave behind",
		"imperial-monitor-list imperial-monitors-list":                      "dir://DIRECTORY and glob://GLOB",
		"zeus": "never finished",
		"daemonize master processes vacuum log-date": " ",
		// A vassal says it, and uWSGI carries it out.
		"emperor-proxy-socket heartbeat vassal-sos vassal-sos-backlog die-on-idle hook-emperor-stop hook-emperor-reload hook-emperor-lost": "for all vassals: vassal-set",
	} {
		for _, name := range strings.Fields(words) {
			said[name] = true
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
	refused := emperor.Refused()
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		said[name] = true
		var out bytes.Buffer
		err := runOptions([]string{name}, &out)
		lines := strings.Split(strings.ToLower(out.String()), "\n")
		if at := slices.Index(lines, name); err != nil || at < 0 || !strings.Contains(lines[at+1], "refused in the main file of vassals: ") {
			t.Errorf("emperor options %s does not say that it is refused: %v\n%s", name, err, out.Bytes())
		}
	}
	for _, name := range namesOfUWSGI(t) {
		if aboutTheEmperor.MatchString(name) && !said[name] {
			t.Errorf("%s: an option of the installed uWSGI of which this test does not know what becomes of it", name)
		}
		if _, known := set.Lookup(name); !known {
			t.Errorf("%s: an option of the installed uWSGI that nobody knows", name)
		}
	}
}
