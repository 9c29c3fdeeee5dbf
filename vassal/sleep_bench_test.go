package vassal

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// sleepers is how many vassals a machine full of sleepers has.
const sleepers = 10000

// readSleepers reads the files of so many vassals that sleep.
func readSleepers(tb testing.TB, count int) []*spec.Spec {
	tb.Helper()
	specs := make([]*spec.Spec, count)
	dir := tb.TempDir()
	for i := range specs {
		name := fmt.Sprintf("s%05d", i)
		file := filepath.Join(dir, name+".ini")
		text := "[uwsgi]\nsocket = " + filepath.Join(dir, name+".sock") + "\ncommand = program\non-demand = true\nidle = 300\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
		result := spec.Read(spec.Reading{Name: name, File: file, Env: []string{}})
		if result.Spec == nil {
			tb.Fatal(result.Problems)
		}
		specs[i] = result.Spec
	}
	return specs
}

// fallAsleep makes vassals of them, and returns when all sleep; end ends them.
func fallAsleep(specs []*spec.Spec, c clock.Clock) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	sockets := sockets.New()
	var asleep atomic.Int64
	armed := make(chan struct{})
	changed := func(s Status) {
		if s.State == Asleep && asleep.Add(1) == int64(len(specs)) {
			close(armed)
		}
	}
	var running sync.WaitGroup
	for _, spec := range specs {
		v := New(spec.Name, Deps{Log: slog.New(slog.DiscardHandler), Clock: c, Sockets: sockets, Changed: changed, Front: noFront{}})
		running.Go(func() { _ = v.Run(ctx) })
		v.Want(spec, time.Time{})
	}
	<-armed
	return func() { cancel(); running.Wait() }
}

// BenchmarkArming is what it takes until 10,000 vassals, whose files were read, sleep
// with their sockets bound and watched, and what they cost then.
func BenchmarkArming(b *testing.B) {
	specs := readSleepers(b, sleepers)
	var used time.Duration
	for range b.N {
		b.StopTimer()
		before, goroutines := memory(), runtime.NumGoroutine()
		began := processor()
		b.StartTimer()
		end := fallAsleep(specs, clock.System{})
		b.StopTimer()
		used += processor() - began
		b.ReportMetric(float64(memory()-before)/sleepers, "B/sleeper")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/sleepers, "goroutines/sleeper")
		end()
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/10000")
	b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/10000")
}

// processor is what this process and its children, as far as they have ended, have used
// of it: on a machine that others use, too, it says more than the time that passed.
func processor() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return sum
}

// memory is what this process has in use, stacks included.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// noFront is a router that agrees.
type noFront struct{}

func (noFront) Publish(context.Context, link.Vassal) error    { return nil }
func (noFront) Try(context.Context, link.Vassal) error        { return nil }
func (noFront) Hold(context.Context, string) error            { return nil }
func (noFront) Release(string)                                {}
func (noFront) Drained(context.Context, string, uint64) error { return nil }
func (noFront) Answered(ctx context.Context, _ string, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}
func (noFront) Unused(ctx context.Context, _ string, quiet time.Duration) error { return ctx.Err() }

// BenchmarkWake compares what the first client of a sleeper waits with what it waits at
// the same program when that is started by hand: the difference is ours.
func BenchmarkWake(b *testing.B) {
	const program = `import socket,sys
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    c.close()
`
	dir := b.TempDir()
	script := filepath.Join(dir, "app.py")
	if err := os.WriteFile(script, []byte(program), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Run("sleeper", func(b *testing.B) {
		began := processor()
		defer func() { b.ReportMetric(float64((processor()-began).Milliseconds())/float64(b.N), "cpu-ms/op") }()
		starter := proc.NewStarter(proc.NewMark(filepath.Base(dir)))
		defer starter.Close()
		for i := range b.N {
			b.StopTimer()
			socket, file := filepath.Join(dir, fmt.Sprint(i, ".s")), filepath.Join(dir, fmt.Sprint(i, ".ini"))
			text := "[uwsgi]\nsocket = " + socket + "\ncommand = python3 -S -E " + script + "\non-demand = true\n"
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
			result := spec.Read(spec.Reading{Name: "site", File: file})
			if result.Spec == nil {
				b.Fatal(result.Problems)
			}
			armed := make(chan struct{})
			once := sync.OnceFunc(func() { close(armed) })
			v := New("site", Deps{Log: slog.New(slog.DiscardHandler), Starter: starter, Changed: func(s Status) {
				if s.State == Asleep {
					once()
				}
			}})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { _ = v.Run(ctx); close(ended) }()
			v.Want(result.Spec, time.Time{})
			<-armed
			b.StartTimer()
			askRaw(b, socket)
			b.StopTimer()
			cancel()
			<-ended
			b.StartTimer()
		}
	})
	b.Run("byhand", func(b *testing.B) {
		began := processor()
		defer func() { b.ReportMetric(float64((processor()-began).Milliseconds())/float64(b.N), "cpu-ms/op") }()
		for i := range b.N {
			b.StopTimer()
			socket := filepath.Join(dir, fmt.Sprint(i, ".h"))
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
			if err != nil {
				b.Fatal(err)
			}
			file, err := l.File()
			if err != nil {
				b.Fatal(err)
			}
			command := exec.Command("python3", "-S", "-E", script)
			command.ExtraFiles = []*os.File{file}
			b.StartTimer()
			if err := command.Start(); err != nil {
				b.Fatal(err)
			}
			askRaw(b, socket)
			b.StopTimer()
			_ = command.Process.Kill()
			_ = command.Wait()
			file.Close()
			l.Close()
			b.StartTimer()
		}
	})
}

// askRaw asks once, and waits for the whole answer.
func askRaw(b *testing.B, socket string) {
	text, err := get(socket, "/")
	if err != nil || text != "ok" {
		b.Fatal(text, err)
	}
}
