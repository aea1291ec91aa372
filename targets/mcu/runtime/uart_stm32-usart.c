/* USART of STM32 since the F0 series, sampled 16 times a bit. */

#define DIVISOR ((UART_CLOCK_HERTZ + UART_BAUD / 2) / UART_BAUD)

#include "uart_stm32.h"
