/* Arm PrimeCell UART PL011 (DDI 0183), in RP2040 and RP2350. */

#include "board.h"

#define DR REGISTER(UART_BASE + 0x00u)
#define FR REGISTER(UART_BASE + 0x18u)
#define IBRD REGISTER(UART_BASE + 0x24u)
#define FBRD REGISTER(UART_BASE + 0x28u)
#define LCR_H REGISTER(UART_BASE + 0x2Cu)
#define CR REGISTER(UART_BASE + 0x30u)

#define FR_RX_EMPTY (1u << 4)
#define FR_TX_FULL (1u << 5)
#define LCR_H_FIFO (1u << 4)
#define LCR_H_8_BITS (3u << 5)
#define CR_ENABLE (1u << 0)
#define CR_TX (1u << 8)
#define CR_RX (1u << 9)

/* Divisor in 64ths: clock / (16 baud). */
#define DIVISOR ((4u * (uint64_t)UART_CLOCK_HERTZ + UART_BAUD / 2) / UART_BAUD)

void uart_start(void)
{
    CR = 0;
    IBRD = (uint32_t)(DIVISOR >> 6);
    FBRD = (uint32_t)(DIVISOR & 63u);
    /* Writing LCR_H puts the divisor in force. */
    LCR_H = LCR_H_8_BITS | LCR_H_FIFO;
    CR = CR_ENABLE | CR_TX | CR_RX;
}

void uart_write(char character)
{
    while (FR & FR_TX_FULL) {
    }
    DR = (unsigned char)character;
}

char uart_read(void)
{
    while (FR & FR_RX_EMPTY) {
    }
    return (char)DR;
}
