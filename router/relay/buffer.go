package relay

import (
	"sync"
	"sync/atomic"
)

// Sizes of buffers. Large ones save system calls and, on loopback, a third of the
// processor time of a large transfer: as much as splice(2) does, without its pipes.
// Small ones are kinder to the others: a turn takes as long as its bytes take to
// copy, and what a slow receiver does not take stays in one.
const (
	smallest = 16 << 10
	ordinary = 64 << 10
	largest  = 512 << 10
	sizes    = 6 // 16, 32, 64, 128, 256 and 512 KiB
)

// buffer holds bytes on their way. It is taken for as long as there are some.
type buffer struct {
	bytes []byte
	class int // of the pool that it is from
}

// foreign is the class of what is from no pool.
const foreign = -1

var buffers [sizes]sync.Pool

// borrow takes a buffer of at least that size, as far as there are such.
func borrow(size int) *buffer {
	class := 0
	for class < sizes-1 && smallest<<class < size {
		class++
	}
	if b, ok := buffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{bytes: make([]byte, smallest<<class), class: class}
}

func (b *buffer) giveBack() {
	if b.class != foreign {
		buffers[b.class].Put(b)
	}
}

// inBulk counts the Relays that move more than a buffer at a time.
var inBulk atomic.Int32

// leastShare is what everybody may move in a turn, which takes less than 100 µs. With half
// of it a large transfer costs twice the processor time (128 KiB, measured on loopback
// with eight at a time).
const leastShare = 256 << 10

// fairShare is the largest buffer for a turn, when so many want theirs: nobody
// should wait for all of the others for longer than has to be.
func fairShare() int {
	return max(leastShare, largest/max(1, int(inBulk.Load())))
}
