/* The protocol on the host: commands from standard input, replies to standard output. */

#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "protocol.h"

void uart_write(char character)
{
    putchar(character);
}

uint64_t timer_microseconds(void)
{
    static uint64_t now = 4294967290u; /* soon beyond 32 bits */
    return now += 7;
}

void board_pulse(void)
{
    puts("pulse\r");
}

void semihosting_exit(uint32_t status)
{
    fflush(stdout);
    exit((int)status);
}

int main(void)
{
    protocol_start();
    for (int character; (character = getchar()) != EOF;) {
        protocol_receive((char)character);
    }
    return 0;
}
