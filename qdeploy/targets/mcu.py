"""Family ``mcu``: microcontroller boards, bare cores and emulated machines.

A file states what firmware, emulators and estimates need to know of a board: its core, memory,
clock, serial port, how it is flashed, and what power it draws.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from qdeploy.targets.board import STEPS, Emulator, Flashing, FlashRead, Pulse, Region, Steps, Uart
from qdeploy.targets.cores import list_cores, load_core
from qdeploy.targets.facts import facts
from qdeploy.targets.mcu_benchmark import McuBenchmark
from qdeploy.targets.power import BoardPower, SleepPower
from qdeploy.targets.tables import FAMILIES, BenchmarkDefinition, Name, Positive, Power, Target
from qdeploy.wording import did_you_mean

__all__ = ["McuTarget"]


@FAMILIES.register("mcu")
class McuTarget(Target):
    """A microcontroller board, a bare core with nominal memory, or an emulated machine.

    Attributes:
        core: name of its core (`load_core`).
        flash: memory that is only read; code and weights.
        ram: memory that is written.
        clock_megahertz: clock of the core that latency and power are stated for.
        reset_clock_megahertz: clock after reset and the setup steps, at which the firmware runs.
        boot: the chip whose boot ROM wants a header before the program; None for most.
        setup: steps of the firmware before anything else, such as a crystal for the serial port.
        flash_wait_states: of the flash at `clock_megahertz`.
        flash_read: what they cost; None where memory has no wait states.
        uart, flashing, pulse, emulator: None where there is none.
        board_power: power at `clock_megahertz`; None where no figure is known.
        sleep_power: power between inferences; None where no figure is known.
        notes: what a user must know of the figures, such as why one is not there.
    """

    power_table: ClassVar[str] = "board_power"
    definition: ClassVar[type[BenchmarkDefinition]] = McuBenchmark

    family: Literal["mcu"] = Field(description='"mcu"')
    core: Name = Field(description="the name of a core")
    flash: Region = Field(description="a table with origin and kibibytes")
    ram: Region = Field(description="a table with origin and kibibytes")
    clock_megahertz: Positive = Field(description="a positive number of megahertz")
    reset_clock_megahertz: Positive | None = Field(
        default=None, description="a positive number of megahertz"
    )
    boot: Literal["rp2040", "rp2350"] | None = Field(
        default=None, description='"rp2040" or "rp2350"'
    )
    setup: Steps = Field(default=(), description=STEPS)
    flash_wait_states: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="a whole number of cycles from 0 to 64"
    )
    flash_read: FlashRead | None = Field(
        default=None, description="a table with data_cycles_per_byte, branch_cycles and source"
    )
    uart: Uart | None = Field(
        default=None, description="a table with driver, instance, base, clock_hertz and source"
    )
    flashing: Flashing | None = Field(
        default=None, description="a table with pyocd_target or command"
    )
    pulse: Pulse | None = Field(
        default=None, description="a table with pin, setup, high, low and source"
    )
    emulator: Emulator | None = Field(
        default=None, description="a table with program, machine and arguments"
    )
    board_power: BoardPower | None = Field(
        default=None,
        description="a table with milliwatts or microamps_per_megahertz, kind and source",
    )
    sleep_power: SleepPower | None = Field(
        default=None, description="a table with milliwatts or microamps, kind and source"
    )
    notes: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="a list of sentences"
    )

    @property
    def firmware_megahertz(self) -> float:
        """Clock at which the firmware runs: that after reset where no steps change it."""
        if self.setup or self.reset_clock_megahertz is None:
            return self.clock_megahertz
        return self.reset_clock_megahertz

    @property
    def stated_power(self) -> Power | None:
        """Power of the busy board in watts at `clock_megahertz`."""
        return None if self.board_power is None else self.board_power.at(self.clock_megahertz)

    @property
    def stated_sleep_power(self) -> Power | None:
        """Power of the board in watts while it waits for the next inference."""
        return None if self.sleep_power is None else self.sleep_power.power

    def facts(self) -> list[tuple[str, str]]:
        """The board, its core and its figures in words."""
        return facts(self, load_core(self.core))

    def details(self) -> dict[str, Any]:
        """The file, with its core's file and the powers in watts."""
        powers = {"busy": self.stated_power, "asleep": self.stated_sleep_power}
        return super().details() | {
            "core_details": load_core(self.core).model_dump(mode="json", by_alias=True),
            "watts": {name: power and power.model_dump() for name, power in powers.items()},
        }

    @model_validator(mode="after")
    def _plausible(self) -> "McuTarget":
        known = list_cores()
        if self.core not in known:
            told = did_you_mean(self.core, known) or f"; known are {', '.join(known)}"
            raise ValueError(f"there is no core {self.core!r}{told}")
        if self.flash.origin < self.ram.end and self.ram.origin < self.flash.end:
            raise ValueError(
                f"flash ({self.flash.origin:#010x} to {self.flash.end:#010x}) and RAM "
                f"({self.ram.origin:#010x} to {self.ram.end:#010x}) overlap"
            )
        for name, region, step in (("flash", self.flash, 128), ("RAM", self.ram, 8)):
            # A vector table begins flash, and the stack ends RAM.
            if region.origin % step or region.end % 8:
                raise ValueError(
                    f"{name} ({region.origin:#010x} to {region.end:#010x}) must begin at a "
                    f"multiple of {step} and end at one of 8"
                )
        if self.emulator is not None:
            own = {"arm": "qemu-system-arm", "riscv32": "qemu-system-riscv32"}
            needed = own[load_core(self.core).architecture]
            if self.emulator.program != needed:
                raise ValueError(
                    f"{self.emulator.program} does not emulate {self.core}; take {needed}"
                )
        return self
