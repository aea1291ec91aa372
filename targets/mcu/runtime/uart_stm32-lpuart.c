/* LPUART of STM32: its divisor is in 256ths. */

#define DIVISOR ((256u * (uint64_t)UART_CLOCK_HERTZ + UART_BAUD / 2) / UART_BAUD)

#include "uart_stm32.h"
