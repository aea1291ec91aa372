/* The 16550 of PCs, with registers of one byte, in QEMU's RISC-V virt machine. */

#include "board.h"

#define BYTE(offset) (*(volatile uint8_t *)(uintptr_t)(UART_BASE + (offset)))
#define DATA BYTE(0)
#define DIVISOR_LOW BYTE(0)
#define DIVISOR_HIGH BYTE(1)
#define INTERRUPTS BYTE(1)
#define FIFO_CONTROL BYTE(2)
#define LINE_CONTROL BYTE(3)
#define LINE_STATUS BYTE(5)

#define FIFO_ON_AND_EMPTY 0x07u
#define LINE_8_BITS 0x03u
#define LINE_DIVISOR 0x80u
#define STATUS_RECEIVED 0x01u
#define STATUS_ROOM 0x20u

#define DIVISOR ((UART_CLOCK_HERTZ + 8u * UART_BAUD) / (16u * UART_BAUD))

void uart_start(void)
{
    INTERRUPTS = 0;
    LINE_CONTROL = LINE_DIVISOR;
    DIVISOR_LOW = DIVISOR & 0xFFu;
    DIVISOR_HIGH = DIVISOR >> 8;
    LINE_CONTROL = LINE_8_BITS;
    FIFO_CONTROL = FIFO_ON_AND_EMPTY;
}

void uart_write(char character)
{
    while (!(LINE_STATUS & STATUS_ROOM)) {
    }
    DATA = (uint8_t)character;
}

char uart_read(void)
{
    while (!(LINE_STATUS & STATUS_RECEIVED)) {
    }
    return (char)DATA;
}
