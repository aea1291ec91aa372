"""What benchmark definitions of the family ``mcu`` may say."""

from pydantic import Field

from qdeploy.targets.tables import BenchmarkDefinition, Positive, Table

__all__ = ["Battery", "McuBenchmark"]


class Battery(Table):
    """What battery life is stated for, unless the user says otherwise.

    Attributes:
        milliampere_hours: capacity.
        volts: mean voltage.
        rate: inferences a second.
        description: which battery that is.
    """

    milliampere_hours: Positive = Field(description="a positive number of milliampere hours")
    volts: Positive = Field(description="a positive number of volts")
    rate: Positive = Field(description="a positive number of inferences a second")
    description: str = Field(min_length=1, description="the battery in a few words")


class McuBenchmark(BenchmarkDefinition):
    """How microcontrollers are measured.

    Attributes:
        toolchain: the C compiler of all peers, by name.
        emulated_rows: test rows that each implementation runs in the emulator, at most.
        counted_rows: rows among these whose instructions are counted.
        seconds: time for each measurement on a board.
        battery: what battery life is stated for.
    """

    toolchain: str = Field(min_length=1, description="the name of a C compiler")
    emulated_rows: int = Field(ge=1, description="a positive whole number of rows")
    counted_rows: int = Field(ge=1, description="a positive whole number of rows")
    seconds: Positive = Field(description="a positive number of seconds")
    battery: Battery = Field(
        description="a table with milliampere_hours, volts, rate and description"
    )
