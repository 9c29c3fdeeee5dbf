package logs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
	"emperor/internal/rights"
	"emperor/vassal/clock"
)

// BenchmarkRelay is the way of a vassal's output from its pipe to its log: MB/s, how
// much processor time of the emperor a MB takes (the writer's part of it, write(2) to a
// pipe, included), and what was lost.
func BenchmarkRelay(b *testing.B) {
	line := append(bytes.Repeat([]byte{'x'}, 99), '\n')
	piece := bytes.Repeat(line, 640)
	for _, form := range []struct {
		name   string
		target func(dir string) logsink.Target
	}{
		{"as it is", func(dir string) logsink.Target {
			return logsink.Target{Kind: logsink.File, Path: filepath.Join(dir, "log")}
		}},
		{"rotated", func(dir string) logsink.Target {
			return logsink.Target{Kind: logsink.File, Path: filepath.Join(dir, "log"), Rules: logsink.FileRules{MaxSize: 16 << 20, Backups: 1}}
		}},
		{"json", func(dir string) logsink.Target {
			return logsink.Target{Kind: logsink.File, Path: filepath.Join(dir, "log"), JSON: true, Rules: logsink.FileRules{MaxSize: 16 << 20, Backups: 1}}
		}},
		{"emperor", func(string) logsink.Target { return logsink.Target{} }},
	} {
		b.Run(form.name, func(b *testing.B) {
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer null.Close()
			log := logsink.New(logsink.Options{Device: logsink.NewStream(null)})
			defer log.Close(time.Minute)
			var lost bytes.Buffer
			logs := logsink.NewSet(slog.New(slog.NewTextHandler(&lost, nil)), []logsink.Destination{{Sink: log, Format: func() logsink.Format { return logsink.NewText(true) }}})
			target := form.target(b.TempDir())
			target.Hand = rights.WriterAs(nil)
			out := NewOutput("site", logs, clock.System{})
			c, err := NewCapture(out, 1, target)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(piece)))
			before := processorTime()
			for b.Loop() {
				if n, err := unix.Write(c.Write, piece); err != nil || n != len(piece) {
					b.Fatal(n, err)
				}
			}
			c.Finish()
			logs.Close(time.Minute)
			b.ReportMetric(float64((processorTime()-before).Microseconds())/(float64(b.N)*float64(len(piece))/1e6), "cpu-µs/MB")
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.HeapInuse)/1e6, "heap-MB")
			if lost.Len() > 0 {
				b.Log(fmt.Sprint("lost: ", lost.String()))
			}
		})
	}
}

func processorTime() time.Duration {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
