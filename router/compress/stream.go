package compress

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Pool lends Streams, so that a warm one costs no allocation, and no more than a
// number at a time, so that ten thousand event streams do not cost ten thousand
// compressors.
//
// A Stream holds about 1 MiB for gzip, 2 MiB for zstd and 2 MiB for brotli at the
// default levels, at most 6 MiB at any level, however long its body is: the
// windows are limited to 256 KiB for zstd and 64 KiB for brotli. The garbage
// collector takes the ones that nobody borrows.
type Pool struct {
	free  atomic.Int64 // streams that may still be lent
	idle  [len(names)][mostLevel + 1]sync.Pool
	total int64
}

const (
	mostLevel    = 9
	zstdWindow   = 256 << 10
	brotliWindow = 16 // as a power of two
)

// defaultLevel is where another step costs more time than it saves bytes: on
// pages of 64 KiB all three reach 18 to 20 % there.
var defaultLevel = [len(names)]int{Gzip: 5, Zstd: 3, Brotli: 4}

// NewPool makes a pool of which at most streams are lent at the same time.
func NewPool(streams int) *Pool {
	p := &Pool{total: int64(streams)}
	p.free.Store(p.total)
	return p
}

// Lent is how many streams are in use.
func (p *Pool) Lent() int { return int(p.total - p.free.Load()) }

// Get lends a stream. It is nil when all are in use, and for Identity: the
// response is sent as it is then, so ask before its head is rewritten. Level 1 is
// the fastest and 9 the densest; 0 is the default: 5 for gzip, 3 for zstd and 4
// for brotli.
func (p *Pool) Get(e Encoding, level int) *Stream {
	if e == Identity {
		return nil
	}
	if p.free.Add(-1) < 0 {
		p.free.Add(1)
		return nil
	}
	if level <= 0 {
		level = defaultLevel[e]
	}
	level = min(level, mostLevel)
	idle := &p.idle[e][level]
	s, _ := idle.Get().(*Stream)
	if s == nil {
		s = &Stream{pool: p, idle: idle, encoder: newEncoder(e, level)}
	}
	s.encoder.Reset(&s.out)
	return s
}

// encoder is what the three libraries have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

func newEncoder(e Encoding, level int) encoder {
	var made encoder
	var err error
	switch e {
	case Gzip:
		made, err = gzip.NewWriterLevel(nil, level)
	case Zstd:
		made, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderConcurrency(1)) // more would start goroutines
	case Brotli:
		made = brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: level, LGWin: brotliWindow})
	}
	if err != nil {
		panic(fmt.Sprintf("compress: %s at level %d: %v", e, level, err)) // the levels above are the libraries'
	}
	return made
}

// Stream compresses one body. It is for one goroutine.
type Stream struct {
	pool    *Pool
	idle    *sync.Pool
	encoder encoder
	out     output
	pending bool // something was put in since the last flush
	err     error
}

// output is where an encoder writes: the end of a buffer that belongs to the
// caller of Append.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p...)
	return len(p), nil
}

// Append compresses src and appends to dst what is ready of it. With flush
// everything put in so far is appended, and the client can decode it: to be said
// when the vassal has nothing more to give at the moment. It costs a few bytes
// each time. After an error the response can't be completed.
func (s *Stream) Append(dst, src []byte, flush bool) ([]byte, error) {
	s.out.b = dst
	if len(src) > 0 {
		_, err := s.encoder.Write(src)
		s.note(err)
		s.pending = true
	}
	if flush && s.pending {
		s.note(s.encoder.Flush())
		s.pending = false
	}
	return s.taken()
}

// Finish appends the end of the body. A body that broke off is not finished, so
// that the client can tell.
func (s *Stream) Finish(dst []byte) ([]byte, error) {
	s.out.b = dst
	s.note(s.encoder.Close())
	return s.taken()
}

func (s *Stream) note(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("compress: %w", err)
	}
}

func (s *Stream) taken() ([]byte, error) {
	dst := s.out.b
	s.out.b = nil
	return dst, s.err
}

// Release gives the stream back, finished or not. It must not be used after.
func (s *Stream) Release() {
	if s.err == nil {
		s.pending = false
		s.idle.Put(s)
	}
	s.pool.free.Add(1)
}
