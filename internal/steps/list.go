package steps

import "encoding/binary"

// List is a list of system calls, and the memory that they point to. The zero value is
// empty.
type List struct {
	Steps []Step
	// Failed are done in place of all that is left when a step fails whose Otherwise is
	// Fail, and after the last step. Then the process exits, with status 127.
	Failed []Step

	data []byte
}

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
	address := l.address(len(l.data))
	l.data = append(l.data, b...)
	return address
}

// Text is Bytes for a text, with the NUL behind it that the kernel wants.
func (l *List) Text(text string) uint64 {
	address := l.address(len(l.data))
	l.data = append(append(l.data, text...), 0)
	return address
}

// Words puts words into the memory of the program and gives their address.
func (l *List) Words(words ...uint64) uint64 {
	for len(l.data)%wordSize != 0 {
		l.data = append(l.data, 0)
	}
	address := l.address(len(l.data))
	for _, word := range words {
		l.data = binary.LittleEndian.AppendUint64(l.data, word)
	}
	return address
}

// address is where a byte of data will be: behind the word that leads to the steps.
func (l *List) address(offset int) uint64 { return dataAddress + wordSize + uint64(offset) }

const wordSize = 8

// encode gives the memory of the program: the address of the first step, what the
// arguments point to, the steps. A step is what run_*.s says.
func (l *List) encode() []byte {
	const stepSize = 8 * wordSize
	steps := append(append([]Step{}, l.Steps...), l.Failed...)
	steps = append(steps, Step{Call: exitGroup, Arguments: [4]uint64{127}})
	first := l.Words()
	memory := make([]byte, 0, wordSize+len(l.data)+len(steps)*stepSize)
	memory = binary.LittleEndian.AppendUint64(memory, first)
	memory = append(memory, l.data...)
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
		for _, word := range []uint64{
			uint64(step.Call), step.Arguments[0], step.Arguments[1], step.Arguments[2], step.Arguments[3],
			lowest, span, first + uint64(next)*stepSize,
		} {
			memory = binary.LittleEndian.AppendUint64(memory, word)
		}
	}
	return memory
}
