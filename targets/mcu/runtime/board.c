/* Bringing a board up, step by step from its table, and the pulse of the energy build. */

#include "board.h"

static void run_steps(const struct step *step, unsigned count)
{
    for (; count--; step++) {
        if (step->wait) {
            while ((REGISTER(step->address) & step->mask) != step->value) {
            }
            continue;
        }
        if (step->mask == UINT32_MAX) {
            /* Registers that set or clear on writing must not be read first. */
            REGISTER(step->address) = step->value;
        } else {
            REGISTER(step->address) = (REGISTER(step->address) & ~step->mask) | step->value;
        }
        /* Reading back gives a clock that was just switched on the time to arrive. */
        (void)REGISTER(step->address);
    }
}

void board_start(void)
{
    run_steps(board_steps, board_step_count);
    uart_start();
    timer_start();
}

#if BOARD_ENERGY
#define PULSE_MICROSECONDS 2000u

void board_pulse(void)
{
    /* The protocol wants it low for at least one microsecond; energy meters look at their inputs
       every 10 us to 1 ms. Inferences begin when it has risen. */
    REGISTER(board_pulse_pin.low_address) = board_pulse_pin.low_value;
    const uint64_t start = timer_microseconds();
    while (timer_microseconds() - start < PULSE_MICROSECONDS) {
    }
    REGISTER(board_pulse_pin.high_address) = board_pulse_pin.high_value;
}
#endif
