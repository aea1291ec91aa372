"""What the parts of a microcontroller board are: memory, registers, serial port, flashing.

What hardware needs to be told is data (`Step`), so that a new board needs no new C.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from qdeploy.targets.tables import NonNegative, Positive, Table

__all__ = [
    "STEPS",
    "Emulator",
    "FlashRead",
    "Flashing",
    "Pulse",
    "Region",
    "Step",
    "Steps",
    "Uart",
    "Write",
]

WORD = 2**32
Address = Annotated[int, Field(ge=0, lt=WORD)]
Register = Annotated[int, Field(ge=0, lt=WORD, multiple_of=4)]

STEPS = "a list of tables with address, value, what, and mask or wait where they are needed"
"""What messages say of a list of `Step`."""


class Region(Table):
    """A range of addresses that is memory.

    Attributes:
        origin: its first address.
        kibibytes: its size.
    """

    origin: Address = Field(description="an address of 32 bits")
    kibibytes: Positive = Field(description="a positive number of units of 1024 bytes")

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return int(self.kibibytes * 1024)

    @property
    def end(self) -> int:
        """The address behind the last one."""
        return self.origin + self.bytes

    @model_validator(mode="after")
    def _fits(self) -> "Region":
        if self.kibibytes * 1024 % 4:
            raise ValueError("the size is not a whole number of words of 4 bytes")
        if self.end > WORD:
            raise ValueError("the end lies beyond 32-bit addresses")
        return self


class Write(Table):
    """One write of a whole register of 32 bits."""

    address: Register = Field(description="an address divisible by 4")
    value: Address = Field(description="a number of 32 bits")


class Step(Table):
    """One step of bringing hardware up: change bits of a register, or wait for them.

    Attributes:
        address: of a register of 32 bits.
        mask: the bits that are changed or looked at; all where it is not stated.
        value: what they become or are waited for.
        wait: read the register until the bits have the value, instead of writing them.
        what: the registers and bits by the names of the manual.
    """

    address: Register = Field(description="an address divisible by 4")
    mask: Annotated[int, Field(gt=0, lt=WORD)] = Field(
        default=WORD - 1, description="a positive number of 32 bits"
    )
    value: Address = Field(description="a number of 32 bits")
    wait: bool = Field(default=False, description="true or false")
    what: str = Field(min_length=1, description="the register and bits by their names, in words")

    @model_validator(mode="after")
    def _within(self) -> "Step":
        if self.value & ~self.mask:
            raise ValueError(f"value {self.value:#x} has bits outside mask {self.mask:#x}")
        return self


Steps = Annotated[tuple[Step, ...], Field(strict=False)]


class FlashRead(Table):
    """Cycles that reading the flash costs beyond those of memory without wait states.

    Attributes:
        data_cycles_per_byte: for constants that are read in order and not in the cache.
        code_cycles_per_byte: for instructions that are fetched in order and not in the cache.
        branch_cycles: for a taken branch whose goal is not in the cache.
        data_cache_bytes: what the flash's or the core's cache holds of constants.
        code_cache_bytes: what the flash's or the core's cache holds of instructions.
        source: where the figures come from.
    """

    data_cycles_per_byte: NonNegative = Field(description="a number of cycles, 0 or more")
    code_cycles_per_byte: NonNegative = Field(
        default=0.0, description="a number of cycles, 0 or more"
    )
    branch_cycles: NonNegative = Field(default=0.0, description="a number of cycles, 0 or more")
    data_cache_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0, description="a whole number of bytes, 0 or more"
    )
    code_cache_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0, description="a whole number of bytes, 0 or more"
    )
    source: str = Field(min_length=1, description="the document or measurement, in words")


_DIVISORS = {
    "cmsdk": (16, 2**20 - 1),
    "pl011": (16, 16 * (2**16 - 1)),
    "ns16550": (16, 16 * (2**16 - 1)),
    "stm32-usart": (16, 2**16 - 1),
    "stm32-lpuart": (3, 2**12),
    "stm32f4-usart": (16, 2**16 - 1),
}
"""Cycles of the input clock that a bit can take, from the manuals of the drivers' hardware."""


class Uart(Table):
    """The serial port that the firmware speaks through.

    Attributes:
        driver: the programming model of its registers.
        instance: its name and pins in the manuals.
        base: address of its registers.
        clock_hertz: input clock, from which the baud rate is divided, after the setup steps.
        baud: bits a second of the performance build.
        energy_baud: bits a second of the energy build.
        setup: steps before the driver starts: clocks, resets, pins.
        source: the documents of these facts.
    """

    driver: Literal[
        "cmsdk", "pl011", "ns16550", "nrf", "stm32-usart", "stm32-lpuart", "stm32f4-usart"
    ] = Field(
        description='"cmsdk", "pl011", "ns16550", "nrf", "stm32-usart", "stm32-lpuart" or '
        '"stm32f4-usart"'
    )
    instance: str = Field(min_length=1, description="the port and its pins, in words")
    base: Register = Field(description="an address divisible by 4")
    clock_hertz: Annotated[int, Field(gt=0)] = Field(description="a positive number of hertz")
    baud: Annotated[int, Field(gt=0)] = Field(
        default=115200, description="a positive number of bits a second"
    )
    energy_baud: Annotated[int, Field(gt=0)] = Field(
        default=9600, description="a positive number of bits a second"
    )
    setup: Steps = Field(default=(), description=STEPS)
    source: str = Field(min_length=1, description="the documents, in words")

    @model_validator(mode="after")
    def _divides(self) -> "Uart":
        if self.driver in _DIVISORS:
            least, most = _DIVISORS[self.driver]
            for baud in (self.baud, self.energy_baud):
                if not least <= self.clock_hertz / baud <= most:
                    raise ValueError(
                        f"{baud} bits a second cannot be divided from {self.clock_hertz} Hz by "
                        f"{self.driver}, where a bit takes {least} to {most} cycles"
                    )
        return self


class Pulse(Table):
    """The pin that falls and rises again in place of a time stamp in the energy build.

    Attributes:
        pin: its name, and where the board brings it out.
        setup: steps that make it an output.
        high: the write that drives it high.
        low: the write that drives it low.
        source: the documents of these facts.
    """

    pin: str = Field(min_length=1, description="the pin and its place on the board, in words")
    setup: Steps = Field(description=STEPS)
    high: Write = Field(description="a table with address and value")
    low: Write = Field(description="a table with address and value")
    source: str = Field(min_length=1, description="the documents, in words")


class Flashing(Table):
    """How firmware gets onto the board.

    Attributes:
        pyocd_target: name of the device in pyocd.
        pyocd_pack: the CMSIS pack that pyocd needs for it (``pyocd pack install``); None where it
            knows the device.
        command: another program and its arguments, with {elf}, {bin} and {hex} for the files.
    """

    pyocd_target: str | None = Field(default=None, description="a target of pyocd")
    pyocd_pack: str | None = Field(default=None, description="the name of a CMSIS pack")
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description='a list such as ["picotool", "load", "{elf}"]'
    )

    @field_validator("command")
    @classmethod
    def _names_a_file(cls, command: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if command is not None and not any(
            file in word for word in command[1:] for file in ("{elf}", "{bin}", "{hex}")
        ):
            raise ValueError("names no file")
        return command

    @model_validator(mode="after")
    def _some_way(self) -> "Flashing":
        if self.pyocd_target is None and self.command is None:
            raise ValueError("pyocd_target or command must be there")
        return self


class Emulator(Table):
    """How QEMU emulates the machine.

    Attributes:
        program: the emulator.
        machine: its name of the machine.
        arguments: more arguments.
    """

    program: Literal["qemu-system-arm", "qemu-system-riscv32"] = Field(
        description='"qemu-system-arm" or "qemu-system-riscv32"'
    )
    machine: str = Field(min_length=1, description="a machine of the program")
    arguments: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="a list of arguments"
    )
