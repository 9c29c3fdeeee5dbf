package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The figures in this file are about the emperor with vassals of its own, not
// about throughput: memory, and the time a deploy takes.

const (
	memoryVassals  = 10
	memoryRequests = 10_000
)

// site is the host of the vassal with this name under startWithVassals.
func site(name string) string { return name + ".bench.test" }

// startWithVassals starts an emperor with the named vassals, each running this
// program as a small web server, and returns when all of them answer. lines are
// added to the main file.
func startWithVassals(ctx context.Context, t tools, dir string, names []string, lines ...string) (*child, string, error) {
	vassals := filepath.Join(dir, "vassals.d")
	if err := os.MkdirAll(vassals, 0o755); err != nil {
		return nil, "", err
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(vassals, name+".ini"), vassalFile(t, dir, 0), 0o644); err != nil {
			return nil, "", err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	main := filepath.Join(dir, "emperor.ini")
	ini := fmt.Sprintf("[uwsgi]\nemperor = %s/*.ini\ncontrol = %s\nhttp = %s\nroute-host = ^([-\\w]+)\\.bench\\.test$ vassal:$1\n%s\n",
		vassals, filepath.Join(dir, "control.sock"), address, strings.Join(lines, "\n"))
	if err := os.WriteFile(main, []byte(ini), 0o644); err != nil {
		return nil, "", err
	}
	emperor, err := start("emperor", dir, program{path: t.path(toolEmperor), args: []string{"run", main}})
	if err != nil {
		return nil, "", err
	}
	client := newClient(address, 1)
	defer client.CloseIdleConnections()
	for _, name := range names {
		err := emperor.waitFor(ctx, readyDeadline, func() error {
			_, err := askVassal(ctx, client, name)
			return err
		})
		if err != nil {
			emperor.stop()
			return nil, "", fmt.Errorf("vassal %s: %w", name, err)
		}
	}
	return emperor, address, nil
}

// vassalFile is a vassal that runs this program. Editions differ in a comment.
func vassalFile(t tools, dir string, edition int) []byte {
	return fmt.Appendf(nil, "# edition %d\n[uwsgi]\nsocket = %s/%%n.sock\ncommand = %s %s\n", edition, dir, t.self, vassalCommand)
}

// askVassal asks the vassal of this name through the front.
func askVassal(ctx context.Context, client *http.Client, name string) (vassalAnswer, error) {
	var answer vassalAnswer
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+site(name)+"/", nil)
	if err != nil {
		return answer, err
	}
	response, err := client.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("%s: status %d: %s", site(name), response.StatusCode, strings.TrimSpace(string(body)))
	}
	return answer, json.Unmarshal(body, &answer)
}

// memory is the proportional set size of emperor and router, in bytes.
type memory struct {
	Vassals   int
	Requests  int64
	Errors    int64
	Processes []memoryOf
	Sum       int64
}

type memoryOf struct {
	PID     int
	Command string
	PSS     int64
}

// measureMemory lets ten vassals answer ten thousand requests and reads the
// memory of the emperor's own processes after an idle time.
func measureMemory(ctx context.Context, s settings, t tools, dir string, out io.Writer) (*memory, error) {
	var names []string
	for i := range memoryVassals {
		names = append(names, fmt.Sprintf("site%d", i))
	}
	emperor, address, err := startWithVassals(ctx, t, dir, names)
	if err != nil {
		return nil, err
	}
	defer emperor.stop()

	m := &memory{Vassals: memoryVassals}
	m.Requests, m.Errors = sendRequests(ctx, address, names, memoryRequests, s.connections)
	fmt.Fprintf(out, "memory: %d requests sent, idle for %v\n", m.Requests, s.settle)
	select {
	case <-time.After(s.settle):
	case <-emperor.ended:
		return nil, emperor.failure()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return m, m.read(emperor.process.Pid)
}

// sendRequests sends count requests, to the vassals in turn, over that many
// connections at once, and tells how many failed.
func sendRequests(ctx context.Context, address string, names []string, count int64, connections int) (sent, failed int64) {
	client := newClient(address, connections)
	defer client.CloseIdleConnections()
	var next, failures atomic.Int64
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			for n := next.Add(1); n <= count && ctx.Err() == nil; n = next.Add(1) {
				if _, err := askVassal(ctx, client, names[int(n)%len(names)]); err != nil {
					failures.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return min(next.Load(), count), failures.Load()
}

// read takes the memory of the emperor and of those of its descendants that run
// the same binary: the router, not the vassals.
func (m *memory) read(emperor int) error {
	binary, err := os.Stat(fmt.Sprintf("/proc/%d/exe", emperor))
	if err != nil {
		return err
	}
	tree, err := processTree(emperor)
	if err != nil {
		return err
	}
	for _, p := range tree {
		program, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.pid))
		if err != nil || !os.SameFile(program, binary) {
			continue
		}
		pss, err := proportionalMemory(p.pid)
		if err != nil {
			return err
		}
		m.Processes = append(m.Processes, memoryOf{p.pid, commandLine(p.pid), pss})
		m.Sum += pss
	}
	return nil
}

func commandLine(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), " ")
}

// deploy is how long edits of a vassal's file took to have an effect.
type deploy struct {
	Edits  int
	Failed int64 // requests sent meanwhile that were not answered with 200
	// Started is from the end of the debounce to the first line of the new
	// program, seen from outside: the wait for the kernel to start it, and the
	// Go runtime of the program itself, are in it.
	Started []time.Duration
	// Logged is the same up to the moment at which the emperor begins to start the
	// new generation, as it says in its log (see deployLogged); nil if it says nothing.
	Logged []time.Duration
}

// debounce is how long the emperor lets a folder come to rest after an edit.
const debounce = 50 * time.Millisecond

// measureDeploy edits the file of a vassal again and again, with requests under
// way, and takes the time until the new program runs.
func measureDeploy(ctx context.Context, s settings, t tools, dir string, out io.Writer) (*deploy, error) {
	const name = "site"
	emperor, address, err := startWithVassals(ctx, t, dir, []string{name})
	if err != nil {
		return nil, err
	}
	defer emperor.stop()
	client := newClient(address, 1)
	defer client.CloseIdleConnections()

	fmt.Fprintf(out, "deploy: %d edits, each waits until the new program answers\n", s.deploys)
	d := &deploy{Edits: s.deploys}
	for edition := range s.deploys {
		edited, err := replaceFile(filepath.Join(dir, "vassals.d", name+".ini"), vassalFile(t, dir, edition+1))
		if err != nil {
			return nil, err
		}
		err = emperor.waitFor(ctx, readyDeadline, func() error {
			answer, err := askVassal(ctx, client, name)
			if err != nil {
				d.Failed++
				return err
			}
			started := time.Unix(0, answer.Started)
			if started.Before(edited) {
				return errors.New("the program from before the edit still answers")
			}
			d.Started = append(d.Started, started.Sub(edited)-debounce)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("edit %d: %w", edition+1, err)
		}
	}
	log, err := os.ReadFile(emperor.log)
	if err != nil {
		return nil, err
	}
	d.Logged = deployLogged(string(log))
	slices.Sort(d.Started)
	slices.Sort(d.Logged)
	return d, nil
}

// replaceFile writes a file the way a careful deploy does, under another name
// that no glob matches and then renamed, and returns the time of the rename.
func replaceFile(path string, text []byte) (time.Time, error) {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	return now, os.Rename(temporary, path)
}

// deployAttribute is the attribute of the emperor's log lines that holds the
// time from the end of the debounce to the start of a generation, as Go writes
// a duration: since_edit=4.1ms.
const deployAttribute = "since_edit="

// deployLogged collects the attribute from the emperor's log, in its text form.
func deployLogged(log string) []time.Duration {
	var all []time.Duration
	for line := range strings.Lines(log) {
		_, value, found := strings.Cut(line, deployAttribute)
		if !found {
			continue
		}
		value, _, _ = strings.Cut(strings.TrimSpace(value), " ")
		if d, err := time.ParseDuration(value); err == nil {
			all = append(all, d)
		}
	}
	return all
}
