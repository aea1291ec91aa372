/* Time stamps from mtime of the core-local interruptor at 0x02000000, where QEMU's virt machine
   and SiFive's chips have it. BOARD_CLOCK_HERTZ is its rate. */

#include "board.h"

#define MTIME_LOW REGISTER(0x0200BFF8u)
#define MTIME_HIGH REGISTER(0x0200BFFCu)

static uint64_t origin;

static uint64_t ticks(void)
{
    uint32_t high;
    uint32_t low;
    do {
        high = MTIME_HIGH;
        low = MTIME_LOW;
    } while (high != MTIME_HIGH);
    return (uint64_t)high << 32 | low;
}

void timer_start(void)
{
    origin = ticks();
}

uint64_t timer_microseconds(void)
{
    const uint64_t now = ticks() - origin;
    const uint64_t seconds = now / BOARD_CLOCK_HERTZ;
    return seconds * 1000000u + now % BOARD_CLOCK_HERTZ * 1000000u / BOARD_CLOCK_HERTZ;
}
