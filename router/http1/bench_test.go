package http1

import (
	"runtime"
	"syscall"
	"testing"
)

// cpuTime reports the CPU time of the benchmark's own thread beside the wall
// time, which says little on a machine that is busy with other things.
func cpuTime(b *testing.B) func() {
	runtime.LockOSThread()
	now := func() int64 {
		var u syscall.Rusage
		const thread = 1 // RUSAGE_THREAD
		if err := syscall.Getrusage(thread, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	return func() {
		b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}

// browserHead is what a browser sends for a page: 10 fields.
const browserHead = "GET /blog/2024/05/a-title-of-some-length.html?page=2&sort=asc HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Referer: https://www.example.com/blog/\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
	"\r\n"

const replyHead = "HTTP/1.1 200 OK\r\n" +
	"Server: gunicorn\r\n" +
	"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n" +
	"Connection: keep-alive\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 12345\r\n" +
	"X-Frame-Options: DENY\r\n" +
	"Vary: Cookie\r\n" +
	"\r\n"

func BenchmarkRequestParse(b *testing.B) {
	head := []byte(browserHead)
	var r Request
	var limits Limits
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		if n, err := r.Parse(head, &limits); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkRequestParseSmall(b *testing.B) {
	head := []byte("GET / HTTP/1.1\r\nHost: hello.localhost:8080\r\n\r\n")
	var r Request
	var limits Limits
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		if n, err := r.Parse(head, &limits); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkResponseParse(b *testing.B) {
	head := []byte(replyHead)
	var r Response
	var limits Limits
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		if n, err := r.Parse(head, false, &limits); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkRequestAppend(b *testing.B) {
	var r Request
	r.Parse([]byte(browserHead), &Limits{})
	h := RequestHead{ContentLength: -1, Extra: []byte("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n")}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		dst = h.Append(dst[:0], &r)
	}
}

func BenchmarkResponseAppend(b *testing.B) {
	var r Response
	r.Parse([]byte(replyHead), false, &Limits{})
	h := ResponseHead{ContentLength: r.ContentLength}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		dst = h.Append(dst[:0], &r)
	}
}

func BenchmarkAppendPath(b *testing.B) {
	for _, path := range []string{"/blog/2024/05/a-title-of-some-length.html", "/a%20b/%c3%bc/../c"} {
		b.Run(path[:4], func(b *testing.B) {
			p := []byte(path)
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			defer cpuTime(b)()
			for b.Loop() {
				dst, _ = AppendPath(dst[:0], p)
			}
		})
	}
}

func BenchmarkChunked(b *testing.B) {
	var body []byte
	for range 16 {
		body = AppendChunkHeader(body, 4096)
		body = append(body, make([]byte, 4096)...)
		body = append(body, "\r\n"...)
	}
	body = append(body, LastChunk...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		var c Chunked
		for rest := body; !c.Done(); {
			_, n, err := c.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
