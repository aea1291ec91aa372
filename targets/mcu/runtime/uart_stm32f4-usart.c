/* USART of STM32F1, F2 and F4 (RM0390), sampled 16 times a bit. */

#include "board.h"

#define SR REGISTER(UART_BASE + 0x00u)
#define DR REGISTER(UART_BASE + 0x04u)
#define BRR REGISTER(UART_BASE + 0x08u)
#define CR1 REGISTER(UART_BASE + 0x0Cu)

#define SR_ERRORS 0xFu
#define SR_RECEIVED (1u << 5)
#define SR_ROOM (1u << 7)
#define CR1_RX (1u << 2)
#define CR1_TX (1u << 3)
#define CR1_ENABLE (1u << 13)

void uart_start(void)
{
    CR1 = CR1_ENABLE;
    BRR = (UART_CLOCK_HERTZ + UART_BAUD / 2) / UART_BAUD;
    CR1 = CR1_ENABLE | CR1_TX | CR1_RX;
}

void uart_write(char character)
{
    while (!(SR & SR_ROOM)) {
    }
    DR = (unsigned char)character;
}

char uart_read(void)
{
    for (;;) {
        const uint32_t status = SR;
        if (status & SR_RECEIVED) {
            return (char)DR;
        }
        if (status & SR_ERRORS) {
            /* Reading the data register after the status clears an overrun. */
            (void)DR;
        }
    }
}
