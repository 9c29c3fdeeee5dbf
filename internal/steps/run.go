//go:build amd64 || arm64

package steps

import "unsafe"

// bounds gives where the code that executes a list begins and ends. It is copied from
// there into a file and never called: see run_*.s.
func bounds() (begin, end uintptr)

// code is what executes a list, as the assembler has made it.
func code() []byte {
	begin, end := bounds()
	if end <= begin || end-begin > dataAt {
		return nil // the linker has put something in between
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), begin)), end-begin)
}
