package steps

import (
	"encoding/binary"
	"unsafe"
)

// List is a list of system calls, and the memory that they point to. The zero value is
// empty, and for Image; Here gives one for Spawn.
type List struct {
	Steps []Step
	// Failed are done in place of all that is left when a step fails whose Otherwise is
	// Fail, and after the last step. Then the process exits, with status 127.
	Failed []Step

	data []byte     // of an image
	here bool       // else
	kept [][]uint64 // what arguments point to in our own memory, which does not move
}

// Here gives an empty list whose arguments point to memory of this process.
func Here() *List { return &List{here: true} }

// Step is one system call.
type Step struct {
	Call      uintptr // its number
	Arguments [4]uint64
	// Exactly: only Result is success. Otherwise everything is that is no error.
	Exactly   bool
	Result    uint64
	Otherwise Otherwise
}

// Otherwise is what comes after a step that has failed.
type Otherwise int

const (
	Fail   Otherwise = iota // the steps of List.Failed
	GoOn                    // the next step, as if it had not
	GoOver                  // the step after the next
)

// Do adds a step that must not fail, and gives it to be changed. It is valid until the
// next is added.
func (l *List) Do(call uintptr, arguments ...uint64) *Step {
	step := Step{Call: call}
	copy(step.Arguments[:], arguments)
	l.Steps = append(l.Steps, step)
	return &l.Steps[len(l.Steps)-1]
}

// Bytes puts bytes into the memory of the program and gives their address.
func (l *List) Bytes(b []byte) uint64 {
	if l.here {
		words := make([]uint64, len(b)/wordSize+1)
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(b)), b)
		return l.keep(words)
	}
	address := l.address(len(l.data))
	l.data = append(l.data, b...)
	return address
}

// Text is Bytes for a text, with the NUL behind it that the kernel wants.
func (l *List) Text(text string) uint64 { return l.Bytes(append([]byte(text), 0)) }

// Words puts words into the memory of the program and gives their address.
func (l *List) Words(words ...uint64) uint64 {
	if l.here {
		return l.keep(append(words, 0))
	}
	for len(l.data)%wordSize != 0 {
		l.data = append(l.data, 0)
	}
	address := l.address(len(l.data))
	for _, word := range words {
		l.data = binary.LittleEndian.AppendUint64(l.data, word)
	}
	return address
}

// keep gives the address of memory of ours, which lives as long as the list.
func (l *List) keep(words []uint64) uint64 {
	l.kept = append(l.kept, words)
	return uint64(uintptr(unsafe.Pointer(&words[0])))
}

// address is where a byte of data will be: behind the words that run_*.s has for itself.
func (l *List) address(offset int) uint64 {
	return dataAddress + ownWords*wordSize + uint64(offset)
}

const (
	wordSize = 8
	ownWords = 2 // the address of the first step, and the last result
	stepSize = 8 * wordSize
)

// encode gives the memory of the program: two words for run_*.s, what the arguments point
// to, the steps.
func (l *List) encode() []byte {
	first := l.Words()
	memory := binary.LittleEndian.AppendUint64(nil, first)
	memory = binary.LittleEndian.AppendUint64(memory, 0)
	memory = append(memory, l.data...)
	for _, word := range l.program(first) {
		memory = binary.LittleEndian.AppendUint64(memory, word)
	}
	return memory
}

// program gives the steps as run_*.s says, for the address that they will be at.
func (l *List) program(first uint64) (words []uint64) {
	steps := append(append([]Step{}, l.Steps...), l.Failed...)
	steps = append(steps, Step{Call: exitGroup, Arguments: [4]uint64{127}})
	for i, step := range steps {
		// Errors are the 4095 highest values.
		lowest, span := uint64(0), ^uint64(4095)
		if step.Exactly {
			lowest, span = step.Result, 0
		}
		next := len(l.Steps)
		switch {
		case step.Otherwise == GoOn || i >= len(l.Steps):
			next = i + 1
		case step.Otherwise == GoOver:
			next = i + 2
		}
		words = append(words,
			uint64(step.Call), step.Arguments[0], step.Arguments[1], step.Arguments[2], step.Arguments[3],
			lowest, span, first+uint64(next)*stepSize)
	}
	return words
}
