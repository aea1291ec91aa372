"""Firmware of the real boards, run from reset in unicorn against models of their registers.

The serial port's registers behave as its manual says, every other register keeps what is written,
and what a set-up step waits for comes true. Nothing here replaces a trial on the board.
"""

import pytest

from qdeploy.firmware import symbols
from qdeploy.targets import list_targets, load_core, load_target

BOARDS = [
    each.name for each in list_targets() if getattr(each, "uart", None) and each.emulator is None
]
PERIPHERALS = (
    (0x1800_0000, 0x0010_0000),  # flash interface of RP2040
    (0x4000_0000, 0x2000_0000),
    (0xD000_0000, 0x0010_0000),  # single-cycle pins of RP2040 and RP2350
    (0xE000_0000, 0x0010_0000),  # of the core
)
SYST_CVR, VTOR = 0xE000_E018, 0xE000_ED08

# Registers of each driver: status, its value without and with a character; data in and out.
PORTS = {
    "stm32-usart": (0x1C, 0x80, 0xA0, 0x24, 0x28),
    "stm32-lpuart": (0x1C, 0x80, 0xA0, 0x24, 0x28),
    "stm32f4-usart": (0x00, 0x80, 0xA0, 0x04, 0x04),
    "pl011": (0x18, 0x10, 0x00, 0x00, 0x00),
    "nrf": (0x108, 0, 1, 0x518, 0x51C),
}


def actual_baud(driver, clock, register):
    match driver:
        case "stm32-usart":
            return clock / register(0x0C)
        case "stm32-lpuart":
            return 256 * clock / register(0x0C)
        case "stm32f4-usart":
            return clock / register(0x08)
        case "pl011":
            return clock / (16 * (register(0x24) + register(0x28) / 64))
        case "nrf":
            return register(0x524) * 16e6 / 2**32


class Board:
    """Memory and registers of a board, with a host that sends characters."""

    def __init__(self, target, binary, host=b""):
        unicorn = pytest.importorskip("unicorn")
        self.target = target
        self.registers = {}
        self.writes = []
        self.sent = b""
        self.host = host
        self.idle = 0
        self.overrun = False
        self.time = 0
        self.waits = [step for step in (*target.setup, *target.uart.setup) if step.wait]
        self.waits += [step for step in (target.pulse.setup if target.pulse else ()) if step.wait]
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.mem_map(target.flash.origin, target.flash.bytes)
        self.uc.mem_map(target.ram.origin, target.ram.bytes + 0x2000)
        self.uc.mem_write(target.flash.origin, binary)
        for base, size in PERIPHERALS:
            self.uc.mmio_map(base, size, self.read, base, self.write, base)

    def port(self, offset):
        return self.target.uart.base + offset

    def read(self, uc, offset, size, base):
        address = base + offset
        status, empty, full, received, _ = PORTS[self.target.uart.driver]
        if address == self.port(status):
            return self.status(empty, full)
        if address == self.port(received):
            if self.overrun:
                self.overrun = self.target.uart.driver != "stm32f4-usart"
                return 0
            first, self.host = self.host[:1], self.host[1:]
            return first[0] if first else 0
        if self.target.uart.driver == "nrf" and address == self.port(0x11C):
            return 1
        if address == SYST_CVR:
            self.time += 1000
            return -self.time % 2**24
        value = self.registers.get(address, 0)
        for step in self.waits:
            if step.address == address:
                value = (value & ~step.mask) | step.value
        return value

    def status(self, empty, full):
        self.idle += 1
        if self.idle > 100:
            self.uc.emu_stop()  # it waits for a host that has no more to say
        if self.overrun:
            return empty | 0x8
        return full if self.host else empty

    def write(self, uc, offset, size, value, base):
        address = base + offset
        if address == self.port(PORTS[self.target.uart.driver][4]):
            self.sent += bytes([value])
            self.idle = 0
            return
        if self.target.uart.driver.startswith("stm32-") and address == self.port(0x20):
            self.overrun = self.overrun and not value & 0x8
        self.registers[address] = value
        self.writes.append((address, value))

    def run(self, vectors):
        from unicorn.arm_const import UC_ARM_REG_SP

        stack, reset = (
            int.from_bytes(self.uc.mem_read(vectors + place, 4), "little") for place in (0, 4)
        )
        self.uc.reg_write(UC_ARM_REG_SP, stack)
        self.uc.emu_start(reset | 1, 0xFFFF_FFFE, count=3_000_000)
        return self.sent.decode("ascii")


def vectors_of(target):
    return target.flash.origin + (0x100 if target.boot == "rp2040" else 0)


def session(build, name, host, *, energy=False, overrun=False):
    target = load_target(name)
    board = Board(target, build(name, energy=energy).bin.read_bytes(), host)
    board.overrun = overrun
    return board, board.run(vectors_of(target)).split("\r\n")


def test_boards_are_those_that_qemu_has_not():
    assert len(BOARDS) >= 7


@pytest.mark.parametrize("energy", [False, True])
@pytest.mark.parametrize("name", BOARDS)
def test_board_starts_and_answers(build, toy, name, energy):
    x = bytes(range(40))
    host = b"name%db load 40%db " + x[:31].hex().encode() + b"%db " + x[31:].hex().encode()
    board, lines = session(build, name, host + b"%infer 2 1%", energy=energy)
    scores = ",".join(map(str, toy.scores(list(x))))
    laps = [] if energy else ["m-lap-us"]
    told = [line.rsplit("-", 1)[0] if line.startswith("m-lap") else line for line in lines]
    assert told == [
        f"m-timestamp-mode-{'energy' if energy else 'performance'}",
        *(*laps, "m-init-done", "m-ready"),
        *(f"m-name-dut-[{name}]", "m-ready"),
        *("m-[Expecting 40 bytes]", "m-ready", "m-ready", "m-load-done", "m-ready"),
        *("m-warmup-start-1", "m-warmup-done", "m-infer-start-2", *laps, *laps, "m-infer-done"),
        *(f"m-results-[{scores}]", "m-ready", ""),
    ]
    assert board.registers[VTOR] == vectors_of(board.target)


@pytest.mark.parametrize("name", BOARDS)
def test_set_up_steps_are_written_in_their_order(build, name):
    board, _ = session(build, name, b"")
    target = board.target
    expected = [step for step in (*target.setup, *target.uart.setup) if not step.wait]
    # VTOR (and on some cores CPACR) comes before, the serial port and the timer after them.
    start = next(
        (i for i, (address, _) in enumerate(board.writes) if address == expected[0].address), 0
    )
    written = board.writes[start : start + len(expected)]
    for step, (address, value) in zip(expected, written, strict=True):
        assert address == step.address, step.what
        assert value & step.mask == step.value, step.what


@pytest.mark.parametrize("energy", [False, True])
@pytest.mark.parametrize("name", BOARDS)
def test_baud_rate(build, name, energy):
    board, _ = session(build, name, b"", energy=energy)
    uart = board.target.uart
    wanted = uart.energy_baud if energy else uart.baud
    assert wanted == (9600 if energy else 115200)
    actual = actual_baud(
        uart.driver, uart.clock_hertz, lambda offset: board.registers[board.port(offset)]
    )
    assert actual == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("name", BOARDS)
def test_pulse_falls_and_rises(build, name):
    """One pulse at the start, two around the inferences."""
    host = b"db load 40%db " + b"00" * 31 + b"%db " + b"00" * 9 + b"%infer 1 0%"
    board, _ = session(build, name, host, energy=True)
    pin = board.target.pulse
    low, high = (pin.low.address, pin.low.value), (pin.high.address, pin.high.value)
    edges = [write for write in board.writes if write in (low, high)]
    # Set-up raises the pin first.
    assert edges[-6:] == [low, high] * 3
    assert low not in edges[:-6]


@pytest.mark.parametrize(
    "name", [name for name in BOARDS if load_target(name).uart.driver.startswith("stm32")]
)
def test_an_overrun_does_not_stop_the_receiver(build, name):
    _, lines = session(build, name, b"name%", overrun=True)
    assert lines[-3:-1] == [f"m-name-dut-[{name}]", "m-ready"]


def test_rp2040s_boot_stage_enters_the_program(build):
    target = load_target("raspberry-pi-pico")
    firmware = build("raspberry-pi-pico")
    board = Board(target, firmware.bin.read_bytes())
    stage = 0x2004_1F00  # where the boot ROM copies it
    board.uc.mem_write(stage, firmware.bin.read_bytes()[:256])
    reset = symbols(firmware.elf)["reset_handler"]
    board.uc.emu_start(stage | 1, reset & ~1, count=100)

    from unicorn.arm_const import UC_ARM_REG_PC, UC_ARM_REG_SP

    assert board.uc.reg_read(UC_ARM_REG_PC) == reset & ~1
    assert board.uc.reg_read(UC_ARM_REG_SP) == target.ram.end
    flash_interface = 0x1800_0000
    assert board.writes == [
        (flash_interface + 0x08, 0),
        (flash_interface + 0x14, 4),
        (flash_interface + 0x00, 0x001F_0300),
        (flash_interface + 0x04, 0),
        (flash_interface + 0xF4, 0x0300_0218),
        (flash_interface + 0x08, 1),
        (VTOR, 0x1000_0100),
    ]


def test_every_board_driver_is_modelled():
    assert {load_target(name).uart.driver for name in BOARDS} == set(PORTS)
    assert all(load_core(load_target(name).core).architecture == "arm" for name in BOARDS)
