package emperor

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/sysd"
	"emperor/vassal"
)

const (
	// extendEvery and extendBy keep a service manager patient while the first
	// vassals start: a boot may take longer than its usual 90 seconds.
	extendEvery = 5 * time.Second
	extendBy    = 20 * time.Second
)

// notifier tells the service manager how we are. It belongs to the loop.
type notifier struct {
	ready     bool
	status    string
	whenReady func() // called once; nil: nothing to do
}

// tell sends the counts and what was not applied when they changed, and READY=1
// once the front is open and every vassal of the first scan is as far as it comes
// by itself: an emperor whose sites do not answer yet is not ready, one with a
// broken site is.
func (n *notifier) tell(r *registry, problems config.Problems, open bool, log *slog.Logger) {
	// First: vassals go on meanwhile, and the counts must not be older than the verdict.
	settled := r.settled()
	counts := summary(r)
	if status := counts + mistakes(r, problems); status != n.status && open {
		n.status = status
		_ = sysd.Notify("STATUS=" + status)
	}
	if !n.ready && open && settled {
		n.ready = true
		log.Info("ready", "vassals", counts)
		if err := sysd.Notify("READY=1"); err != nil {
			log.Warn("the service manager was not told that we are ready", "err", err)
		}
		if n.whenReady != nil {
			n.whenReady()
		}
	}
}

func (n *notifier) extend() {
	if !n.ready {
		_ = sysd.Notify(sysd.ExtendTimeout(extendBy))
	}
}

func (n *notifier) reloading() { _ = sysd.Notify(sysd.Reloading()) }

func (n *notifier) reloaded() {
	if n.ready {
		_ = sysd.Notify("READY=1")
	}
}

func (n *notifier) stopping() {
	_ = sysd.Notify("STOPPING=1", "STATUS=finishing requests")
}

// mistakes says which files were not applied; everything runs on as if they were in
// order, so nothing else in a service manager's status would show it.
func mistakes(r *registry, problems config.Problems) string {
	text := ""
	if len(problems) > 0 {
		text += "; the main file was not applied: " + problems[0].Error()
	}
	var refused []string
	for e := range r.all() {
		if e.refused && !e.leaving {
			refused = append(refused, e.name)
		}
	}
	if len(refused) > 0 {
		text += "; mistakes in the file of " + strings.Join(refused, ", ")
	}
	return text
}

// summary counts the vassals in words: "3 vassals: 2 ready, 1 failed".
func summary(r *registry) string {
	var counts [vassal.Gone + 1]int
	total := 0
	for _, e := range r.entries {
		counts[e.site.State()]++
		total++
	}
	text := fmt.Sprintf("%d vassals", total)
	if total == 1 {
		text = "1 vassal"
	}
	separator := ": "
	for state, n := range counts {
		if n > 0 {
			text += fmt.Sprintf("%s%d %s", separator, n, vassal.State(state))
			separator = ", "
		}
	}
	return text
}
