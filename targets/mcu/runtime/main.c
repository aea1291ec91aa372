/* The benchmark firmware: characters go to the protocol as they come. */

#include "board.h"
#include "protocol.h"

int main(void)
{
    board_start();
    protocol_start();
    for (;;) {
        protocol_receive(uart_read());
    }
}
