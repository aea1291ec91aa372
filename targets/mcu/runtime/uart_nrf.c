/* Nordic's UART (not UARTE, which moves data by DMA): nRF52 product specifications, "UART".

   The steps of the board choose the pins. */

#include "board.h"

#define TASKS_STARTRX REGISTER(UART_BASE + 0x000u)
#define TASKS_STARTTX REGISTER(UART_BASE + 0x008u)
#define EVENTS_RXDRDY REGISTER(UART_BASE + 0x108u)
#define EVENTS_TXDRDY REGISTER(UART_BASE + 0x11Cu)
#define ENABLE REGISTER(UART_BASE + 0x500u)
#define RXD REGISTER(UART_BASE + 0x518u)
#define TXD REGISTER(UART_BASE + 0x51Cu)
#define BAUDRATE REGISTER(UART_BASE + 0x524u)
#define CONFIG REGISTER(UART_BASE + 0x56Cu)

#define ENABLE_UART 4u

/* The manual's values are baud * 2^32 / 16 MHz, rounded to the upper 20 bits. */
#define RATE ((((uint64_t)UART_BAUD << 32) / UART_CLOCK_HERTZ + 0x800u) & 0xFFFFF000u)

void uart_start(void)
{
    CONFIG = 0; /* 8 bits, no parity, no flow control */
    BAUDRATE = (uint32_t)RATE;
    ENABLE = ENABLE_UART;
    EVENTS_RXDRDY = 0;
    TASKS_STARTTX = 1;
    TASKS_STARTRX = 1;
}

void uart_write(char character)
{
    EVENTS_TXDRDY = 0;
    TXD = (unsigned char)character;
    while (!EVENTS_TXDRDY) {
    }
}

char uart_read(void)
{
    while (!EVENTS_RXDRDY) {
    }
    /* In this order: the next character of the buffer raises the event again. */
    EVENTS_RXDRDY = 0;
    return (char)RXD;
}
