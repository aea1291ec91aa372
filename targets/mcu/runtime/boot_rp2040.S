@ Second stage of the RP2040's boot (RP2040 datasheet, 2.8.1 and 4.10): the boot ROM copies these
@ 252 bytes and their checksum from the start of flash to SRAM and calls them.
@
@ They set the flash interface up for the plain serial read command 03h, which every flash chip
@ understands, and go on with the vector table behind them. qdeploy adds the checksum.

    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .section .text
    .globl boot_rp2040
    .thumb_func
boot_rp2040:
    ldr r3, =0x18000000         @ XIP_SSI
    movs r1, #0
    str r1, [r3, #0x08]         @ SSIENR: off while it is set up
    movs r1, #4
    str r1, [r3, #0x14]         @ BAUDR: a quarter of the system clock
    ldr r1, =0x001F0300         @ CTRLR0: frames of 32 bits, EEPROM read, one data line
    str r1, [r3, #0x00]
    movs r1, #0
    str r1, [r3, #0x04]         @ CTRLR1: one frame a read
    ldr r1, =0x03000218         @ SPI_CTRLR0: command 03h of 8 bits, address of 24 bits
    ldr r0, =0x180000F4
    str r1, [r0]
    movs r1, #1
    str r1, [r3, #0x08]         @ SSIENR: on

    ldr r0, =0x10000100         @ the vector table
    ldr r1, =0xE000ED08         @ VTOR
    str r0, [r1]
    ldmia r0!, {r1, r2}
    msr msp, r1
    bx r2
    .ltorg
