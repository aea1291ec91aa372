/* The serial protocol of MLPerf Tiny (EEMBC), apart from hardware: see protocol.c. */

#ifndef QDEPLOY_PROTOCOL_H
#define QDEPLOY_PROTOCOL_H

/* Say that the device is there; once, after board_start. */
void protocol_start(void);

/* Take one character from the host; the one that ends a command runs it and answers. */
void protocol_receive(char character);

#endif
