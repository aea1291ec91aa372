/* USART and LPUART of STM32 since the F0 series (RM0432, RM0455, RM0456): the registers are the
   same, the divisors differ. Included by uart_stm32-usart.c and uart_stm32-lpuart.c, which define
   DIVISOR. */

#include "board.h"

#define CR1 REGISTER(UART_BASE + 0x00u)
#define BRR REGISTER(UART_BASE + 0x0Cu)
#define ISR REGISTER(UART_BASE + 0x1Cu)
#define ICR REGISTER(UART_BASE + 0x20u)
#define RDR REGISTER(UART_BASE + 0x24u)
#define TDR REGISTER(UART_BASE + 0x28u)

#define CR1_ENABLE (1u << 0)
#define CR1_RX (1u << 2)
#define CR1_TX (1u << 3)
/* Parity, framing, noise and overrun: the same bits in ISR and ICR. */
#define ERRORS 0xFu
#define ISR_RECEIVED (1u << 5)
#define ISR_ROOM (1u << 7)

void uart_start(void)
{
    CR1 = 0;
    BRR = (uint32_t)(DIVISOR);
    CR1 = CR1_TX | CR1_RX;
    CR1 = CR1_TX | CR1_RX | CR1_ENABLE;
}

void uart_write(char character)
{
    while (!(ISR & ISR_ROOM)) {
    }
    TDR = (unsigned char)character;
}

char uart_read(void)
{
    for (;;) {
        const uint32_t status = ISR;
        if (status & ERRORS) {
            /* An overrun would stop the receiver. A damaged command is refused later on. */
            ICR = ERRORS;
        }
        if (status & ISR_RECEIVED) {
            return (char)RDR;
        }
    }
}
