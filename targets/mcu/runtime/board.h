/* What the protocol needs of a board, and what the files of a board need of each other.

   configuration.h and tables.c are made by qdeploy from the board's TOML file and the model:
     BOARD_NAME            text
     BOARD_CLOCK_HERTZ     clock of the timer that time stamps are taken from
     BOARD_ENERGY          1 in the energy build, else 0
     BOARD_SEMIHOSTING     1 where an emulator listens, else 0
     BOARD_VECTORS         there where the core has Helium
     BOARD_CACHES          there where the core has caches to switch on
     UART_BASE, UART_CLOCK_HERTZ, UART_BAUD
     MODEL_NAME, MODEL_INPUTS, MODEL_OUTPUTS, model_score, MODEL_PREDICT()
   To port to a new board, write its TOML file; to a new kind of serial port, one uart_*.c. */

#ifndef QDEPLOY_BOARD_H
#define QDEPLOY_BOARD_H

#include <stdint.h>

#include "configuration.h"

/* A register of 32 bits. */
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* One step of bringing hardware up: set the bits of `mask` to `value`, or wait until they have
   it. */
struct step {
    uint32_t address;
    uint32_t mask;
    uint32_t value;
    uint32_t wait;
};

/* tables.c, from the TOML file. */
extern const struct step board_steps[];
extern const unsigned board_step_count;
struct pulse_pin {
    uint32_t low_address;
    uint32_t low_value;
    uint32_t high_address;
    uint32_t high_value;
};
extern const struct pulse_pin board_pulse_pin;

/* board.c */
void board_start(void); /* clocks, pins, serial port, timer; once */
void board_pulse(void); /* the pin falls and rises again: a time stamp for an energy meter */

/* uart_*.c */
void uart_start(void);
void uart_write(char character); /* waits until there is room */
char uart_read(void);            /* waits until there is one */

/* timer_*.c */
void timer_start(void);
uint64_t timer_microseconds(void); /* since timer_start */

/* semihosting.c: ends the emulator with an exit status; only where BOARD_SEMIHOSTING is 1. */
void semihosting_exit(uint32_t status);

#endif
