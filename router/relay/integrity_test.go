package relay

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// TestNothingIsLost: large amounts both ways at once, in pieces of any size, read in
// pieces of any size.
func TestNothingIsLost(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r := newMachine(t).connect(t, k)
			const amount = 2 << 20
			_, done := r.run(t, Options{Early: pattern(1, 1000)})
			var both sync.WaitGroup
			up, down := sha256.New(), sha256.New()
			sentUp, sentDown := make(chan [32]byte, 1), make(chan [32]byte, 1)
			both.Go(func() { sentUp <- pour(t, r.visitor, 2, amount) })
			both.Go(func() { sentDown <- pour(t, r.server, 3, amount) })
			both.Go(func() { drink(t, r.server, up) })
			drink(t, r.visitor, down)
			both.Wait()
			if got := result(t, done); got.FromClient != amount+1000 || got.FromUpstream != amount {
				t.Errorf("ended with %+v", got)
			}
			want := sha256.New()
			want.Write(pattern(1, 1000))
			want.Write(pattern(2, amount))
			if string(up.Sum(nil)) != string(want.Sum(nil)) {
				t.Error("what came up is not what was sent")
			}
			<-sentUp
			if sum := <-sentDown; string(down.Sum(nil)) != string(sum[:]) {
				t.Error("what came down is not what was sent")
			}
		})
	}
}

func pattern(seed uint64, size int) []byte {
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = random.Read(b)
	return b
}

// pour sends a pattern in pieces, and then ends its direction.
func pour(t *testing.T, to peer, seed uint64, size int) (sum [32]byte) {
	all := pattern(seed, size)
	sum = sha256.Sum256(all)
	random := rand.New(rand.NewPCG(seed, 1))
	for len(all) > 0 {
		n := min(len(all), 1<<random.IntN(20))
		if _, err := to.Write(all[:n]); err != nil {
			t.Error(err)
			return sum
		}
		all = all[n:]
	}
	if err := to.CloseWrite(); err != nil {
		t.Error(err)
	}
	return sum
}

// drink reads to the end.
func drink(t *testing.T, from net.Conn, into io.Writer) {
	random := rand.New(rand.NewPCG(5, 5))
	for b := make([]byte, 1<<18); ; {
		n, err := from.Read(b[:1+random.IntN(len(b))])
		_, _ = into.Write(b[:n])
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}
