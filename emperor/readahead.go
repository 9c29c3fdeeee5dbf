package emperor

import (
	"runtime"
	"sync"
	"sync/atomic"

	"emperor/emperor/monitor"
)

// Reading a vassal's file changes nothing, so many new ones are read on all processors
// before the loop goes through them one by one. That is most of what the start of a
// machine with thousands of vassals takes.

// readAheadFrom is how many new files are worth it.
const readAheadFrom = 32

// readAhead is a file that was read ahead.
type readAhead struct {
	item    monitor.Item
	reading reading
}

// readAhead reads the files of vassals that are not known yet.
func (r *registry) readAhead(items []monitor.Item) {
	r.read = nil
	if r.main.App != nil || r.main.onDemand.Exec.Value != "" {
		return
	}
	var fresh []monitor.Item
	for _, item := range items {
		if r.entries[item.Name] == nil {
			fresh = append(fresh, item)
		}
	}
	if len(fresh) < readAheadFrom {
		return
	}
	readings := make([]reading, len(fresh))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(fresh); i = next.Add(1) - 1 {
				readings[i] = r.main.read(fresh[i], nil, "")
			}
		})
	}
	readers.Wait()
	r.read = make(map[string]readAhead, len(fresh))
	all := make([]readAhead, len(fresh))
	for i, item := range fresh {
		all[i] = readAhead{item, readings[i]}
		r.read[item.Path] = all[i]
	}
	if r.many != nil {
		r.many(all)
	}
}

// reading is what a file says: what was read ahead, once, or what is there now.
func (r *registry) reading(item monitor.Item, includes []string, said string) reading {
	ahead, ok := r.read[item.Path]
	delete(r.read, item.Path)
	if ok && ahead.item == item && len(includes) == 0 && said == "" {
		return ahead.reading
	}
	return r.main.read(item, includes, said)
}

// anyLeaving tells whether some vassal is on its way out.
func (r *registry) anyLeaving() bool {
	for _, e := range r.entries {
		if e.leaving {
			return true
		}
	}
	return false
}
