package router

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"emperor/internal/link"
)

// TestFramesInPieces: frames are told apart however the bytes are cut, and of their
// payload comes what is counted.
func TestFramesInPieces(t *testing.T) {
	var text bytes.Buffer
	_, _ = text.Write(preface)
	w := http2.NewFramer(&text, nil)
	w.AllowIllegalWrites = true
	_ = w.WriteSettings()
	_ = w.WriteDataPadded(1, false, []byte("abc"), make([]byte, 5))
	_ = w.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{0})
	_ = w.WriteData(1, true, make([]byte, 3000))
	_ = w.WriteRSTStream(3, http2.ErrCodeProtocol)
	_ = w.WriteRawFrame(http2.FrameRSTStream, 0, 3, []byte{0, 8})
	_ = w.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 3, nil)
	_ = w.WritePing(false, [8]byte{})
	want := []string{"000000 04 00 ", "000009 00 08 05", "000001 00 08 00", "000bb8 00 01 ", "000004 03 00 00000001", "000002 03 00 0008", "000000 00 08 ", "000008 06 00 "}
	for _, size := range []int{1, 2, 3, 7, 9, 10, 13, 14, 100, 1 << 20} {
		f := frames{skip: len(preface)}
		var got []string
		for piece := range slices.Chunk(text.Bytes(), size) {
			f.follow(piece, func(head []byte) {
				got = append(got, fmt.Sprintf("%x %x %x %x", head[:3], head[3:4], head[4:5], head[frameHead:]))
			})
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %q\nwant %q", size, got, want)
		}
	}
}

// TestAllowance: what is left is spent first, then only what time has brought; a pause
// brings no more than the beginning did.
func TestAllowance(t *testing.T) {
	at := time.Unix(100, 0)
	now := func() time.Time { return at }
	a := allowance{left: 10, most: 10, perSecond: 2, filled: at}
	spent := func() (n int) {
		for a.spend(now) {
			n++
		}
		return n
	}
	for _, step := range []struct {
		pause        time.Duration
		refund, want int
	}{{0, 0, 10}, {0, 0, 0}, {time.Second, 0, 2}, {100 * time.Millisecond, 0, 0}, {400 * time.Millisecond, 0, 1}, {time.Hour, 0, 10}, {0, 3, 3}, {0, 1000, 10}} {
		at = at.Add(step.pause)
		a.refund(step.refund)
		if got := spent(); got != step.want {
			t.Errorf("after %v and %d back: %d, want %d", step.pause, step.refund, got, step.want)
		}
	}
}

// floods are what an attacker sends over and over. i counts from 0.
var floods = []struct {
	name string
	log  string // what the line says there was too much of; empty: the library ends it, or may
	send func(c *framer, i int) error
}{
	{"requests reset at once", "", func(c *framer, i int) error {
		_ = c.request(uint32(2*i+1), true, asking...)
		return c.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	}},
	{"requests that have us reset them", "", func(c *framer, i int) error {
		_ = c.request(uint32(2*i+1), false, asking...)
		return c.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
	}},
	{"malformed requests", "faulty requests", func(c *framer, i int) error {
		return c.request(uint32(2*i+1), true, append(slices.Clip(asking), field{"Upper", "x"})...)
	}},
	{"more requests than are allowed", "", func(c *framer, i int) error {
		return c.request(uint32(2*i+1), false, asking...)
	}},
	{"settings", "SETTINGS", func(c *framer, i int) error {
		return c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
	}},
	{"pings", "PING", func(c *framer, i int) error { return c.WritePing(false, [8]byte{}) }},
	{"answers to no ping", "PING", func(c *framer, i int) error { return c.WritePing(true, [8]byte{}) }},
	{"priorities", "other types", func(c *framer, i int) error {
		return c.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: uint8(i)})
	}},
	{"unknown frames", "other types", func(c *framer, i int) error { return c.WriteRawFrame(0xfa, 0, 0, nil) }},
	{"windows", "WINDOW_UPDATE", func(c *framer, i int) error { return c.WriteWindowUpdate(0, 1) }},
	{"goodbyes", "other types", func(c *framer, i int) error { return c.WriteGoAway(0, http2.ErrCodeNo, nil) }},
	{"empty data", "DATA", func(c *framer, i int) error {
		if i == 0 {
			_ = c.request(1, false, append(slices.Clip(asking), field{"content-length", "5"})...)
		}
		return c.WriteData(1, false, nil)
	}},
	{"data that are padding", "DATA", func(c *framer, i int) error {
		if i == 0 {
			_ = c.request(1, false, append(slices.Clip(asking), field{"content-length", "5"})...)
		}
		return c.WriteDataPadded(1, false, nil, make([]byte, 1))
	}},
	{"a head without end", "", func(c *framer, i int) error {
		if i == 0 {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(asking...)})
		}
		return c.WriteContinuation(1, false, c.fields(field{fmt.Sprint("x-", i), strings.Repeat("x", 1000)}))
	}},
	{"a head that goes on with nothing", "CONTINUATION", func(c *framer, i int) error {
		if i == 0 {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(asking...)})
		}
		return c.WriteContinuation(1, false, nil)
	}},
}

// TestFloods: a client that floods its connection loses it, having cost little; the
// requests of others go on meanwhile.
func TestFloods(t *testing.T) {
	const many = 100_000
	for i, flood := range floods {
		scheme := []string{"https", "http"}[i%2] // counting is the same in both
		t.Run(scheme+"/"+flood.name, func(t *testing.T) {
			v := uwsgiVassal(t, answering(okResponse))
			f := newFront(t, "http-to = "+v.address)
			if scheme == "https" {
				f.secured("http-to = " + v.address)
			}
			neighbour := secureClient(f, func(p *http.Protocols) { p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) })
			var asked, most, memory atomic.Int64
			heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			ask := func() {
				r, err := neighbour.Get(scheme + "://a/")
				if err != nil {
					t.Errorf("a neighbour's request: %v", err)
					return
				}
				text, err := io.ReadAll(r.Body)
				_ = r.Body.Close()
				if err != nil || r.StatusCode != 200 || string(text) != "ok" {
					t.Errorf("a neighbour's request: %d %q %v", r.StatusCode, text, err)
				}
				asked.Add(1)
				most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
				metrics.Read(heap)
				memory.Store(max(memory.Load(), int64(heap[0].Value.Uint64())))
			}
			ask()
			before, memoryBefore := int64(runtime.NumGoroutine()), memory.Load()
			stop := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() {
				for !t.Failed() {
					ask()
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			c := f.frames()
			others.Go(c.wantEnd)
			sent := 0
			for sent < many && flood.send(c, sent) == nil {
				sent++
			}
			eventually(t, "the connection to be over", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.clients) == 1
			})
			close(stop)
			others.Wait()
			if got := int64(len(v.calls())) - asked.Load(); got > 3*mostResets {
				t.Errorf("the vassal got %d requests of it", got)
			}
			// For each request the library's, its worker and one of the vassal's.
			if n := most.Load() - before; n > 5*mostStreams {
				t.Errorf("%d goroutines more than before", n)
			}
			// As of the last collection, and with what the test itself needs.
			if n := memory.Load() - memoryBefore; n > 50<<20 {
				t.Errorf("%d bytes more than before", n)
			}
			if log := f.log.String(); flood.log != "" && (strings.Count(log, "the client floods it") != 1 || !strings.Contains(log, flood.log)) {
				t.Errorf("no line says that there was too much of %q", flood.log)
			}
			t.Logf("%d sent, %d of others, %d goroutines and %d KB more", sent, asked.Load(), most.Load()-before, (memory.Load()-memoryBefore)>>10)
		})
	}
}

// TestResetsAreCounted: those of the client and those that it has us make, and not those
// that are a vassal's fault or the end of an upload that nobody wants.
func TestResetsAreCounted(t *testing.T) {
	head := func(kind http2.FrameType, code http2.ErrCode) []byte {
		return []byte{0, 0, 4, byte(kind), 0, 0, 0, 0, 1, 0, 0, 0, byte(code)}
	}
	f := newFront(t)
	at := time.Now()
	for _, test := range []struct {
		ours    bool
		code    http2.ErrCode
		counted bool
	}{
		{false, http2.ErrCodeCancel, true}, {false, http2.ErrCodeNo, true},
		{true, http2.ErrCodeProtocol, true}, {true, http2.ErrCodeFlowControl, true}, {true, http2.ErrCodeStreamClosed, true}, {true, http2.ErrCodeFrameSize, true}, {true, http2.ErrCodeRefusedStream, true},
		{true, http2.ErrCodeNo, false}, {true, http2.ErrCodeInternal, false}, {true, http2.ErrCodeCancel, false},
	} {
		m := newMetered(nil, &client{router: f.Router})
		m.now = func() time.Time { return at }
		m.resets.filled = at
		for range mostResets + 1 {
			if test.ours {
				m.sent(head(http2.FrameRSTStream, test.code))
			} else {
				m.received(head(http2.FrameRSTStream, test.code))
			}
		}
		if counted := m.excessive != ""; counted != test.counted {
			t.Errorf("of ours %t, %v: counted %t, %q", test.ours, test.code, counted, m.excessive)
		}
	}
}

// TestResetsOfRequestsThatWait: requests that are given up hold nothing, neither at a
// vassal that takes its time nor where they wait for one that starts.
func TestResetsOfRequestsThatWait(t *testing.T) {
	var working atomic.Int64
	v := uwsgiVassal(t, func(c *call) {
		working.Add(1)
		_, _ = io.Copy(io.Discard, c.Conn)
		working.Add(-1)
	})
	for _, state := range []link.State{link.Ready, link.Ready, link.Ready, link.Starting} {
		f := newFront(t, "route-run = vassal:v")
		f.vassals(row("v", 1, state, v))
		c := f.frames()
		var reading sync.WaitGroup
		reading.Go(c.wantEnd)
		var most int64
		for i := range 20_000 {
			if floods[0].send(c, i) != nil {
				break
			}
			most = max(most, int64(f.Count().InFlight), f.table.held.Load())
		}
		reading.Wait()
		if most > mostStreams {
			t.Errorf("%v: %d requests under way at a time", state, most)
		}
		eventually(t, "nothing to be held", func() bool {
			return working.Load() == 0 && f.table.held.Load() == 0 && f.Count().InFlight == 0
		})
	}
}

// FuzzFrames: whatever the bytes and however they are cut, the same frames are seen, and
// only as long as they are.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x02\x00\x08\x00\x00\x00\x01\x01x\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"), 3)
	f.Add([]byte("\x00\x00\x00\x03\x00\x00\x00\x00\x01\xff\xff\xff\x00\x08\x00\x00\x00\x01\x01x"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		seen := func(size int) (heads []string) {
			var in frames
			for piece := range slices.Chunk(text, size) {
				in.follow(piece, func(head []byte) { heads = append(heads, string(head)) })
			}
			return heads
		}
		heads := seen(max(len(text), 1))
		if cut := seen(min(max(size, 1), 1<<20)); !slices.Equal(cut, heads) {
			t.Errorf("in pieces %q, whole %q", cut, heads)
		}
		rest := text
		for _, head := range heads {
			if !strings.HasPrefix(string(rest), head) || len(head) < frameHead || len(head) > frameHead+frameLength([]byte(head)) {
				t.Fatalf("%q at %q", head, rest)
			}
			rest = rest[min(len(rest), frameHead+frameLength([]byte(head))):]
		}
	})
}
