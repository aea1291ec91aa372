/* Start of Cortex-M cores: vector table, variables, main.

   The floating-point unit stays off: no code uses it. On cores with Helium the vector unit is
   switched on, since kernels may use it. The table is that of the architecture's own exceptions;
   no device interrupt is used. */

#include <stdint.h>

#include "board.h"

/* Registers of the system control block (ARMv6-M, v7-M and v8-M reference manuals). */
#define VTOR REGISTER(0xE000ED08u)
#define CPACR REGISTER(0xE000ED88u)

extern uint32_t __stack_top[];
extern const uint32_t __data_load[];
extern uint32_t __data_start[];
extern uint32_t __data_end[];
extern uint32_t __bss_start[];
extern uint32_t __bss_end[];

int main(void);
void reset_handler(void);
void systick_handler(void);

static void fault_handler(void)
{
#if BOARD_SEMIHOSTING
    semihosting_exit(1);
#endif
    for (;;) {
    }
}

struct vectors {
    void *stack;
    void (*handlers[15])(void);
};

__attribute__((section(".vectors"), used)) const struct vectors vector_table = {
    __stack_top,
    {
        reset_handler,
        fault_handler, /* NMI */
        fault_handler, /* HardFault */
        fault_handler, /* MemManage */
        fault_handler, /* BusFault */
        fault_handler, /* UsageFault */
        fault_handler, /* SecureFault */
        0,
        0,
        0,
        fault_handler, /* SVCall */
        fault_handler, /* DebugMonitor */
        0,
        fault_handler, /* PendSV */
        systick_handler,
    },
};

void reset_handler(void)
{
    VTOR = (uint32_t)(uintptr_t)&vector_table;
#ifdef BOARD_VECTORS
    /* First of all: compilers may use vectors for the loops below. */
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = __bss_start; to < __bss_end;) {
        *to++ = 0;
    }
    main();
    fault_handler();
}
