/* Ends the emulator with an exit status: SYS_EXIT_EXTENDED of Arm's and RISC-V's semihosting.

   Without an emulator or debugger the instruction is a fault, so boards do without it. */

#include "board.h"

#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u

void semihosting_exit(uint32_t status)
{
#if BOARD_SEMIHOSTING
    const uint32_t block[2] = {APPLICATION_EXIT, status};
#ifdef __arm__
    register uint32_t operation __asm("r0") = SYS_EXIT_EXTENDED;
    register const uint32_t *argument __asm("r1") = block;
    __asm volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
#else
    register uint32_t operation __asm("a0") = SYS_EXIT_EXTENDED;
    register const uint32_t *argument __asm("a1") = block;
    /* The three instructions are the mark: 32 bits each and on one page. */
    __asm volatile(".option push\n\t"
                   ".option norvc\n\t"
                   ".balign 16\n\t"
                   "slli x0, x0, 0x1f\n\t"
                   "ebreak\n\t"
                   "srai x0, x0, 7\n\t"
                   ".option pop"
                   :
                   : "r"(operation), "r"(argument)
                   : "memory");
#endif
#else
    (void)status;
#endif
    for (;;) {
    }
}
