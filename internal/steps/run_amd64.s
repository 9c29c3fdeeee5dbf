#include "textflag.h"

// The first instruction of the new program is the first here. The first word of its data
// is the address of a step, and a step is eight words: the number of the call, four
// arguments, the lowest result that is a success, how far above it the highest is, and
// the address of the step that comes after a failure. The next step is behind it.
TEXT list<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $0x10011000, R12 // dataAddress
	MOVQ (R12), R12
step:
	MOVQ 0(R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	XORL R8, R8
	XORL R9, R9
	SYSCALL
	SUBQ 40(R12), AX
	CMPQ AX, 48(R12)
	JHI  failed
	ADDQ $64, R12
	JMP  step
failed:
	MOVQ 56(R12), R12
	JMP  step

TEXT listEnd<>(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func bounds() (begin, end uintptr)
TEXT ·bounds(SB), NOSPLIT, $0-16
	LEAQ list<>(SB), AX
	MOVQ AX, begin+0(FP)
	LEAQ listEnd<>(SB), AX
	MOVQ AX, end+8(FP)
	RET
