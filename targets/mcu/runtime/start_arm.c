/* Start of Cortex-M cores: vector table, variables, main.

   The floating-point unit stays off: no code uses it. On cores with Helium the vector unit is
   switched on, since kernels may use it; on the Cortex-M7 both caches are. The table is that of the
   architecture's own exceptions; no device interrupt is used. */

#include <stdint.h>

#include "board.h"

/* Registers of the system control block (ARMv6-M, v7-M and v8-M reference manuals). */
#define VTOR REGISTER(0xE000ED08u)
#define CPACR REGISTER(0xE000ED88u)
#define CCR REGISTER(0xE000ED14u)
#define CCSIDR REGISTER(0xE000ED80u)
#define CSSELR REGISTER(0xE000ED84u)
#define ICIALLU REGISTER(0xE000EF50u)
#define DCISW REGISTER(0xE000EF60u)

#define CCR_DATA_CACHE (1u << 16)
#define CCR_INSTRUCTION_CACHE (1u << 17)

#define BARRIER() __asm volatile("dsb\n\tisb" ::: "memory")

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

#ifdef BOARD_CACHES
/* ARMv7-M reference manual, "Cache and branch predictor maintenance": what caches hold after reset
   is not defined, so they are emptied first. The data cache has 4 ways and lines of 32 bytes. */
static void switch_caches_on(void)
{
    BARRIER();
    ICIALLU = 0;
    BARRIER();
    CCR |= CCR_INSTRUCTION_CACHE;
    CSSELR = 0;
    BARRIER();
    const uint32_t last_set = CCSIDR >> 13 & 0x7FFFu;
    for (uint32_t set = 0; set <= last_set; set++) {
        for (uint32_t way = 0; way < 4; way++) {
            DCISW = way << 30 | set << 5;
        }
    }
    BARRIER();
    CCR |= CCR_DATA_CACHE;
    BARRIER();
}
#endif

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
    BARRIER();
#endif
#ifdef BOARD_CACHES
    switch_caches_on();
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
