/* Serial port of Arm's Cortex-M System Design Kit (DDI 0479), in the MPS2 and MPS3 images. */

#include "board.h"

#define DATA REGISTER(UART_BASE + 0x00u)
#define STATE REGISTER(UART_BASE + 0x04u)
#define CTRL REGISTER(UART_BASE + 0x08u)
#define BAUDDIV REGISTER(UART_BASE + 0x10u)

#define STATE_TX_FULL (1u << 0)
#define STATE_RX_FULL (1u << 1)
#define CTRL_TX (1u << 0)
#define CTRL_RX (1u << 1)

void uart_start(void)
{
    BAUDDIV = (UART_CLOCK_HERTZ + UART_BAUD / 2) / UART_BAUD;
    CTRL = CTRL_TX | CTRL_RX;
}

void uart_write(char character)
{
    while (STATE & STATE_TX_FULL) {
    }
    DATA = (unsigned char)character;
}

char uart_read(void)
{
    while (!(STATE & STATE_RX_FULL)) {
    }
    return (char)DATA;
}
