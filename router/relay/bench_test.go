package relay

import (
	"io"
	"runtime"
	"testing"
)

// BenchmarkMessages is a small message there and back, as over a websocket.
func BenchmarkMessages(b *testing.B) {
	for _, k := range kinds[:3] {
		b.Run(k.name, func(b *testing.B) {
			r := newMachine(b).connect(b, k)
			r.run(b, Options{})
			go func() { _, _ = io.Copy(r.server, r.server) }()
			message := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.visitor.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r.visitor, message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBulk is a large transfer in one direction.
func BenchmarkBulk(b *testing.B) {
	for _, k := range kinds[:3] {
		b.Run(k.name, func(b *testing.B) {
			r := newMachine(b).connect(b, k)
			r.run(b, Options{})
			go func() {
				for piece := make([]byte, 256<<10); ; {
					if _, err := r.server.Write(piece); err != nil {
						return
					}
				}
			}()
			taken := make([]byte, 256<<10)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				for left := 1 << 20; left > 0; {
					n, err := r.visitor.Read(taken[:min(left, len(taken))])
					if err != nil {
						b.Fatal(err)
					}
					left -= n
				}
			}
		})
	}
}

// BenchmarkIdle is the memory that a stream needs on which nothing moves, after a
// message, without the connections and what the test keeps of them.
func BenchmarkIdle(b *testing.B) {
	for _, k := range kinds[:3] {
		b.Run(k.name, func(b *testing.B) {
			const streams = 200
			m := newMachine(b)
			routes := make([]*route, streams)
			for i := range routes {
				routes[i] = m.connect(b, k)
			}
			before := memory()
			for _, r := range routes {
				r.run(b, Options{})
				if _, err := r.visitor.Write([]byte("x")); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r.server, make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
			}
			each := float64(int64(memory()-before)) / streams
			for b.Loop() {
			}
			b.ReportMetric(each, "B/stream")
		})
	}
}

// memory is what is in use after everything that can be given back is.
func memory() uint64 {
	for range 4 { // pools keep what they have through two collections, stacks shrink with each
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
