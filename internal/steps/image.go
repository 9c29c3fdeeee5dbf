package steps

import (
	"encoding/binary"
	"errors"
	"syscall"
)

const exitGroup = syscall.SYS_EXIT_GROUP

// Where the parts are in the file and in memory. Code and data have pages of their own,
// because memory that is both written to and executed is refused on hardened systems; and
// since pages have up to 64 kB, their addresses are as far apart as that.
const (
	largestPage = 64 << 10

	dataAt      = 4 << 10
	codeAddress = 0x10000000
	dataAddress = codeAddress + largestPage + dataAt // run_*.s has this address, too
)

// The file's header and those of its segments, as elf(5) has them.
const (
	headerSize  = 64
	segmentSize = 56
	segments    = 3
	codeAt      = headerSize + segments*segmentSize

	class64, littleEndian, currentVersion = 2, 1, 1
	executable                            = 2
	load, stack                           = 1, 0x6474e551
	mayExecute, mayWrite, mayRead         = 1, 2, 4
)

// ErrUnsupported is returned where there is no run_*.s for the processor.
var ErrUnsupported = errors.New("this kind of processor executes no lists of system calls")

// Image gives the executable file.
func (l *List) Image() ([]byte, error) {
	code := code()
	if len(code) == 0 || codeAt+len(code) > dataAt {
		return nil, ErrUnsupported
	}
	data := l.encode()
	w := writer{text: make([]byte, 0, dataAt+len(data))}
	w.text = append(w.text, "\x7fELF"...)
	w.text = append(w.text, class64, littleEndian, currentVersion)
	w.text = append(w.text, make([]byte, 9)...)
	w.half(executable, machine)
	w.word(currentVersion)
	w.double(codeAddress+codeAt, headerSize, 0) // where it begins, the segments' headers, no sections
	w.word(0)
	w.half(headerSize, segmentSize, segments, 0, 0, 0)
	w.segment(load, mayRead|mayExecute, 0, codeAddress, codeAt+len(code))
	w.segment(load, mayRead|mayWrite, dataAt, dataAddress, len(data))
	w.segment(stack, mayRead|mayWrite, 0, 0, 0)
	w.text = append(w.text, code...)
	w.text = append(w.text, make([]byte, dataAt-len(w.text))...)
	return append(w.text, data...), nil
}

// writer writes numbers of two, four and eight bytes.
type writer struct{ text []byte }

func (w *writer) half(numbers ...uint16) {
	for _, n := range numbers {
		w.text = binary.LittleEndian.AppendUint16(w.text, n)
	}
}

func (w *writer) word(numbers ...uint32) {
	for _, n := range numbers {
		w.text = binary.LittleEndian.AppendUint32(w.text, n)
	}
}

func (w *writer) double(numbers ...uint64) {
	for _, n := range numbers {
		w.text = binary.LittleEndian.AppendUint64(w.text, n)
	}
}

func (w *writer) segment(kind, flags uint32, offset, address uint64, size int) {
	w.word(kind, flags)
	w.double(offset, address, address, uint64(size), uint64(size), largestPage)
}
