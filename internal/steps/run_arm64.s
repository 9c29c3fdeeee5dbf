#include "go_asm.h"
#include "textflag.h"

// As in run_amd64.s, where it says what a step is.
TEXT list<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $0x10011000, R20 // dataAddress
	MOVD (R20), R19
	ADD  $8, R20, R20
	JMP  loop<>(SB)

// R19 is the step, R20 where results go.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0-0
step:
	MOVD 0(R19), R8
	MOVD 8(R19), R0
	MOVD 16(R19), R1
	MOVD 24(R19), R2
	MOVD 32(R19), R3
	MOVD $0, R4
	MOVD $0, R5
	SVC
	MOVD R0, (R20)
	MOVD 40(R19), R6
	SUB  R6, R0, R0
	MOVD 48(R19), R7
	CMP  R7, R0
	BHI  failed
	ADD  $64, R19, R19
	B    step
failed:
	MOVD 56(R19), R19
	B    step

TEXT listEnd<>(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func bounds() (begin, end uintptr)
TEXT ·bounds(SB), NOSPLIT, $0-16
	MOVD $list<>(SB), R0
	MOVD R0, begin+0(FP)
	MOVD $listEnd<>(SB), R0
	MOVD R0, end+8(FP)
	RET

#define rt_sigprocmask 135
#define clone 220
#define setMask 2

// func spawn(s *spawning)
TEXT ·spawn(SB), NOSPLIT, $0-8
	MOVD s+0(FP), R20
	MOVD $rt_sigprocmask, R8
	MOVD $setMask, R0
	ADD  $spawning_all, R20, R1
	ADD  $spawning_before, R20, R2
	MOVD $8, R3
	SVC
	MOVD $clone, R8
	MOVD spawning_flags(R20), R0
	MOVD $0, R1 // the stack: this one
	ADD  $spawning_pidfd, R20, R2
	MOVD $0, R3
	MOVD $0, R4
	SVC
	CBZ  R0, child
	MOVD R0, spawning_pid(R20)
	MOVD $rt_sigprocmask, R8
	MOVD $setMask, R0
	ADD  $spawning_before, R20, R1
	MOVD $0, R2
	MOVD $8, R3
	SVC
	RET
child:
	MOVD spawning_first(R20), R19
	JMP  loop<>(SB)
