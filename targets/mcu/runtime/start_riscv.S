# Start of RISC-V cores in machine mode: stack, variables, main. Nothing interrupts.

    .section .start, "ax"
    .globl reset_handler
    .type reset_handler, @function
reset_handler:
    la sp, __stack_top
    la t0, trap_handler
    .insn i 0x73, 1, x0, t0, 0x305      # csrw mtvec, t0: assemblers disagree on whose it is

    la t0, __data_load
    la t1, __data_start
    la t2, __data_end
1:  bgeu t1, t2, 2f
    lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    j 1b

2:  la t1, __bss_start
    la t2, __bss_end
3:  bgeu t1, t2, 4f
    sw zero, 0(t1)
    addi t1, t1, 4
    j 3b

4:  call main

    .balign 4
trap_handler:
    li a0, 1
    call semihosting_exit
5:  j 5b
    .size reset_handler, . - reset_handler
