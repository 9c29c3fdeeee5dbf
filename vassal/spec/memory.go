package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"emperor/internal/config"
)

// memoryOptions replace a vassal that has grown too large. In a file that uWSGI runs
// reload-on-rss and min-worker-lifetime are uWSGI's, which looks at each worker when that
// has answered a request; memory-limit is always ours.
var memoryOptions = []config.Option{
	{Name: "memory-limit", Type: config.String, Where: config.Vassal, Help: "A command or a uWSGI app that takes more memory than this, all its processes together, is replaced by a new generation, as after an edit: no request is cut. MiB, or with K, M, G or T: 512, 512M, 2G."},
	{Name: "reload-on-rss", Type: config.Int, Min: 1, Where: config.Vassal, Help: "A command that takes more MiB of memory, all its processes together, is replaced by a new generation, as memory-limit does it. A uWSGI ends each worker that has grown so large itself."},
	{Name: "min-worker-lifetime", Type: config.Seconds, Min: 1, Default: "60", Where: config.Vassal, Help: "How long a generation serves at least before memory-limit, or reload-on-rss of a command, replaces it."},
}

// Memory says when a generation is replaced for what it takes.
type Memory struct {
	_ struct{} `carry:"small"`

	Limit  uint64 // bytes; 0: never
	Floor  time.Duration
	Option string // that says so
	Pos    config.Pos
}

// readMemory completes the spec with it; of several lines the last one counts.
func (r *reader) readMemory() {
	names := []string{"memory-limit"}
	switch r.spec.Kind {
	case Command:
		names = append(names, "reload-on-rss")
	case UWSGI:
		r.warnOfThreads()
	}
	lines := r.c.All(names...)
	if len(lines) == 0 || lines[len(lines)-1].Unknown {
		return
	}
	v := lines[len(lines)-1]
	if r.spec.Kind == Static {
		r.warn(v, "no effect: a folder has no process of its own")
		return
	}
	limit, err := mebibytes(v.Value)
	if err != nil {
		r.wrong(v, "%v", err)
		return
	}
	r.spec.Memory = Memory{Limit: limit, Floor: r.c.Seconds("min-worker-lifetime"), Option: v.Key, Pos: v.Pos}
	if r.spec.Memory.Floor <= 0 {
		r.spec.Memory.Floor = time.Minute // the lines of one app have no defaults
	}
}

// warnOfThreads: a uWSGI that ends a worker for its memory waits for none of the worker's
// other threads (observed with 2.0.21).
func (r *reader) warnOfThreads() {
	v, asked := r.c.Last("reload-on-rss")
	threads, _ := r.c.Last("threads")
	if n, err := strconv.Atoi(threads.Value); asked && err == nil && n > 1 {
		r.warn(v, "uWSGI ends a worker in the middle of what its other threads do (%v says threads = %d): memory-limit cuts no request", threads.Pos, n)
	}
}

// mebibytes reads an amount of memory: a plain number counts MiB, as in uWSGI.
func mebibytes(text string) (bytes uint64, err error) {
	text = strings.TrimSpace(text)
	n, err := amount(text, true)
	if err == nil && text[len(text)-1] <= '9' {
		n, err = amount(text+"M", true)
	}
	if err != nil || n == 0 || n > 1<<60 {
		return 0, fmt.Errorf("want a number of MiB, or one with K, M, G or T such as 512M or 2G, got %q", text)
	}
	return n, nil
}
