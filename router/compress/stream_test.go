package compress

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

var encodings = []Encoding{Gzip, Zstd, Brotli}

// decoder reads what is there; the end of its input is not yet an error of the
// format, as more may come.
func decoder(t testing.TB, e Encoding, r io.Reader) io.Reader {
	t.Helper()
	switch e {
	case Gzip:
		d, err := stdgzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d
	}
	return brotli.NewReader(r)
}

func page(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the quick brown fox jumps over a lazy dog <div class=\"row\"> </div> <p> </p> and then some more words of text")
	var b []byte
	for len(b) < size {
		b = append(append(b, words[random.IntN(len(words))]...), ' ')
	}
	return b[:size]
}

func append1(t testing.TB, s *Stream, dst, src []byte, flush bool) []byte {
	t.Helper()
	dst, err := s.Append(dst, src, flush)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

func finish(t testing.TB, s *Stream, dst []byte) []byte {
	t.Helper()
	dst, err := s.Finish(dst)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// What comes out after a flush is decodable up to the last byte put in, and the
// whole is well-formed to its end; also with a stream that another body was left
// unfinished in.
func TestWhatIsFlushedCanBeDecoded(t *testing.T) {
	text := page(100 << 10) // more than brotli's window
	for _, e := range encodings {
		for _, level := range []int{0, 1, 6, mostLevel} {
			t.Run(fmt.Sprint(e, " at ", level), func(t *testing.T) {
				pool := NewPool(1)
				for round := range 3 {
					s := pool.Get(e, level)
					if round == 1 { // the client went away
						append1(t, s, nil, text[:50_000], false)
						s.Release()
						continue
					}
					var out []byte
					for at, size := 0, 1; at < len(text); size = size*7 + 1 {
						piece := text[at:min(at+size, len(text))]
						at += len(piece)
						out = append1(t, s, out, piece, true)
						got := make([]byte, at)
						if _, err := io.ReadFull(decoder(t, e, bytes.NewReader(out)), got); err != nil {
							t.Fatalf("after %d bytes: %v", at, err)
						}
						if !bytes.Equal(got, text[:at]) {
							t.Fatalf("after %d bytes: other bytes than were put in", at)
						}
						again := append1(t, s, nil, nil, true)
						if len(again) > 0 {
							t.Fatalf("a flush of nothing appends %d bytes", len(again))
						}
					}
					out = finish(t, s, out)
					s.Release()
					got, err := io.ReadAll(decoder(t, e, bytes.NewReader(out)))
					if err != nil || !bytes.Equal(got, text) {
						t.Fatalf("whole: %v, equal %v", err, bytes.Equal(got, text))
					}
					if pool.Lent() != 0 {
						t.Fatalf("%d streams still lent", pool.Lent())
					}
				}
			})
		}
	}
}

func TestABodyThatBrokeOffIsNotWhole(t *testing.T) {
	for _, e := range encodings {
		s := NewPool(1).Get(e, 0)
		out := append1(t, s, nil, page(10_000), true)
		s.Release()
		if _, err := io.ReadAll(decoder(t, e, bytes.NewReader(out))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want %v", e, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestEmptyBody(t *testing.T) {
	for _, e := range encodings {
		s := NewPool(1).Get(e, 0)
		out := finish(t, s, nil)
		if got, err := io.ReadAll(decoder(t, e, bytes.NewReader(out))); err != nil || len(got) > 0 {
			t.Errorf("%s: %q, %v", e, got, err)
		}
	}
}

func TestNoMoreStreamsThanAllowed(t *testing.T) {
	pool := NewPool(2)
	a, b := pool.Get(Gzip, 0), pool.Get(Zstd, 1)
	if a == nil || b == nil {
		t.Fatal("two are allowed")
	}
	if pool.Get(Brotli, 0) != nil {
		t.Fatal("a third one was lent")
	}
	if pool.Get(Identity, 0) != nil {
		t.Fatal("a stream for identity")
	}
	a.Release()
	if pool.Lent() != 1 || pool.Get(Brotli, 99) == nil {
		t.Fatal("what was given back is not lent again")
	}
}

func FuzzStream(f *testing.F) {
	f.Add(uint8(1), []byte("\x05hello\x86world!\x00"))
	pool := NewPool(1)
	f.Fuzz(func(t *testing.T, kind uint8, script []byte) {
		e := encodings[int(kind)%len(encodings)]
		s := pool.Get(e, int(kind/4)%4)
		defer s.Release()
		var out, put []byte
		for len(script) > 0 { // a byte: flush or not, length; then so many bytes
			flush, n := script[0]&0x80 != 0, min(int(script[0]&0x7f), len(script)-1)
			piece := script[1 : 1+n]
			script = script[1+n:]
			put = append(put, piece...)
			out = append1(t, s, out, piece, flush)
			if flush {
				got := make([]byte, len(put))
				if len(out) > 0 {
					if _, err := io.ReadFull(decoder(t, e, bytes.NewReader(out)), got); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(got, put) {
					t.Fatalf("%s: %q, put in %q", e, got, put)
				}
			}
		}
		out = finish(t, s, out)
		if got, err := io.ReadAll(decoder(t, e, bytes.NewReader(out))); err != nil || !bytes.Equal(got, put) {
			t.Fatalf("%s: %q, %v; put in %q", e, got, err, put)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10} {
		text := page(size)
		for _, e := range encodings {
			b.Run(fmt.Sprint(e, "/", size), func(b *testing.B) {
				pool := NewPool(1)
				out := make([]byte, 0, 128<<10)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					s := pool.Get(e, 0)
					out, _ = s.Append(out[:0], text, false)
					out, _ = s.Finish(out)
					s.Release()
				}
				b.ReportMetric(float64(len(out))/float64(size), "ratio")
			})
		}
	}
}

// What the comment on Pool promises.
func TestMemoryOfAStreamIsBounded(t *testing.T) {
	const promised, n = 6 << 20, 2
	text := page(512 << 10)
	for _, e := range encodings {
		for _, level := range []int{0, 1, 6, mostLevel} {
			pool := NewPool(n)
			var streams [n]*Stream
			before := heap()
			for i := range streams {
				streams[i] = pool.Get(e, level)
				out := make([]byte, 0, 256<<10)
				for at := 0; at < len(text); at += 32 << 10 {
					out = append1(t, streams[i], out[:0], text[at:at+32<<10], at == 0)
				}
			}
			if each := (int64(heap()) - int64(before)) / n; each > promised {
				t.Errorf("%s at level %d holds %d KiB", e, level, each>>10)
			}
			runtime.KeepAlive(streams)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
