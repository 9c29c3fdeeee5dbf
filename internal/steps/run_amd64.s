#include "go_asm.h"
#include "textflag.h"

// The first instruction of the new program is the first here. The first word of its data
// is the address of a step, and the second is for what the last call has given.
TEXT list<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $0x10011000, R13 // dataAddress
	MOVQ (R13), R12
	ADDQ $8, R13
	JMP  loop<>(SB)

// A step is eight words: the number of the call, four arguments, the lowest result that is
// a success, how far above it the highest is, and the address of the step that comes after
// a failure. The next step is behind it. R12 is the step, R13 where results go. The stack
// is not touched.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0-0
step:
	MOVQ 0(R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	XORL R8, R8
	XORL R9, R9
	SYSCALL
	MOVQ AX, (R13)
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

#define rt_sigprocmask 14
#define clone 56
#define setMask 2

// func spawn(s *spawning)
//
// No signal is taken from before the clone: in the new process its handler would run on
// our stack, which this thread needs as it is when it goes on.
TEXT ·spawn(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), R13
	MOVQ $rt_sigprocmask, AX
	MOVQ $setMask, DI
	LEAQ spawning_all(R13), SI
	LEAQ spawning_before(R13), DX
	MOVQ $8, R10
	SYSCALL
	MOVQ $clone, AX
	MOVQ spawning_flags(R13), DI
	XORL SI, SI // the stack: this one
	LEAQ spawning_pidfd(R13), DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, spawning_pid(R13)
	MOVQ $rt_sigprocmask, AX
	MOVQ $setMask, DI
	LEAQ spawning_before(R13), SI
	XORL DX, DX
	MOVQ $8, R10
	SYSCALL
	RET
child:
	MOVQ spawning_first(R13), R12
	JMP  loop<>(SB)
