/* Time stamps from SysTick, which every Cortex-M of qdeploy's has, at the clock of the core.

   Its 24 bits last for a fraction of a second, so an interrupt counts the rounds: some tens of
   cycles in 16 777 216. */

#include "board.h"

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define ICSR REGISTER(0xE000ED04u)
#define ICSR_PENDSTSET (1u << 26)

#define ROUND 0x1000000u

static volatile uint32_t rounds;

void systick_handler(void);

void systick_handler(void)
{
    rounds++;
}

void timer_start(void)
{
    rounds = 0;
    SYST_RVR = ROUND - 1;
    SYST_CVR = 0;
    SYST_CSR = 7; /* clock of the core, interrupt, on */
}

static uint64_t ticks(void)
{
    __asm volatile("cpsid i" ::: "memory");
    uint32_t left = SYST_CVR;
    uint64_t complete = rounds;
    if (ICSR & ICSR_PENDSTSET) {
        /* A round ended while the interrupt was off; the counter may have been read before. */
        left = SYST_CVR;
        complete++;
    }
    __asm volatile("cpsie i" ::: "memory");
    /* A round begins when the counter reaches 0, and goes on from ROUND - 1 downwards. */
    return complete * ROUND + ((ROUND - left) & (ROUND - 1));
}

uint64_t timer_microseconds(void)
{
    const uint64_t now = ticks();
    const uint64_t seconds = now / BOARD_CLOCK_HERTZ;
    return seconds * 1000000u + now % BOARD_CLOCK_HERTZ * 1000000u / BOARD_CLOCK_HERTZ;
}
