package sni

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const manyNames = 100_000

func manyFiles() []string {
	files := make([]string, 0, 2*manyNames)
	for i := range manyNames {
		name := fmt.Sprintf("site-%06d.customers.example.com", i)
		files = append(files, name+".crt", name+".key")
	}
	rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Start: names of a folder to a table that can be asked.
func BenchmarkIndex(b *testing.B) {
	files := manyFiles()
	var table *Table
	before := heap()
	b.ResetTimer()
	for b.Loop() {
		names, _ := ReadDirectory(files)
		table, _ = Compile(Config{Directories: []Directory{{Path: "/etc/customers", Names: names}}})
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
	runtime.KeepAlive(table)
	runtime.KeepAlive(files)
}

func BenchmarkFind(b *testing.B) {
	names, _ := ReadDirectory(manyFiles())
	table, _ := Compile(Config{Entries: []Entry{named("*.wild.example.org")}, Directories: []Directory{{Path: "/etc/customers", Names: names}}})
	for what, name := range map[string]string{"known": "site-054321.customers.example.com", "unknown": "site-654321.customers.example.com", "wildcard": "a.wild.example.org"} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Find(name)
			}
		})
	}
}

// farm serves a hundred thousand names, whose files all hold the same.
func farm(b *testing.B) (*world, *Listener) {
	w := newWorld(b)
	certificate, key := w.ca.issue(b, "*.customers.example.com")
	w.certs.options.Loader = LoaderFunc(func(context.Context, Request) (Material, error) {
		return Material{Certificate: certificate, Key: key}, nil
	})
	names, _ := ReadDirectory(manyFiles())
	w.certs.SetTable(compileOrFail(b, Config{Directories: []Directory{{Path: "/etc/customers", Names: names}}}))
	return w, w.listener(ListenerOptions{})
}

// processorTime is what this process has used, which a busy machine does not change
// as much as it does the clock.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// greet is a handshake that goes well, without the sockets that handshake makes.
func greet(b *testing.B, l *Listener, client *tls.Config) (resumed bool) {
	clientEnd, serverEnd := net.Pipe()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(serverEnd, l.TLSConfig())
		err := conn.HandshakeContext(&Handshake{Context: b.Context()})
		if err == nil {
			_, err = conn.Write([]byte{1}) // and with it the tickets
		}
		done <- err
	}()
	conn := tls.Client(clientEnd, client)
	_, err := conn.Read(make([]byte, 1))
	_ = clientEnd.Close()
	if err = errors.Join(err, <-done); err != nil {
		b.Fatal(err)
	}
	return conn.ConnectionState().DidResume
}

// Handshakes with a client in the same process, which costs as much again.
func BenchmarkHandshake(b *testing.B) {
	w, l := farm(b)
	name := func(i int) string { return fmt.Sprintf("site-%06d.customers.example.com", i%manyNames) }
	run := func(what string, l *Listener, next func(i int) string, sessions tls.ClientSessionCache) {
		b.Run(what, func(b *testing.B) {
			client := w.trusting("")
			client.ClientSessionCache = sessions
			i, before := 0, processorTime(b)
			for b.Loop() {
				client := client.Clone()
				client.ServerName = next(i)
				i++
				if resumed := greet(b, l, client); resumed != (sessions != nil && i > 1) {
					b.Fatal("resumed:", resumed)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
	plain := &Listener{config: &tls.Config{Certificates: []tls.Certificate{w.ca.client(b, name(0))}, NextProtos: []string{"h2", "http/1.1"}, Time: w.clock.now}}
	same := func(int) string { return name(0) }
	run("crypto-tls alone", plain, same, nil)
	run("loaded", l, same, nil)
	first := 0
	run("first of its name", l, func(int) string { first++; return name(first) }, nil)
	run("resumed", l, same, tls.NewLRUClientSessionCache(0))
	run("crypto-tls alone, resumed", plain, same, tls.NewLRUClientSessionCache(0))
}

// What the first handshake of a name costs on top of others: reading its pair.
func BenchmarkParsePair(b *testing.B) {
	certificate, key := newAuthority(b, "root").issue(b, "www.example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePair(certificate, key); err != nil {
			b.Fatal(err)
		}
	}
}

// Memory for pairs in use, table apart.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, DefaultCacheSize} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w, l := farm(b)
			before := heap()
			for range b.N {
				for _, i := range rand.Perm(manyNames)[:n] {
					h := Handshake{Context: b.Context()}
					pair := l.choose(&h, &h, fmt.Sprintf("site-%06d.customers.example.com", i))
					pair.configFor(&h.Choice, l.flavour, w.ring, w.certs.options.Now)
				}
			}
			b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
			runtime.KeepAlive(w)
		})
	}
}
