"""What benchmark definitions of the family ``arm`` may say."""

from pydantic import Field

from qdeploy.targets.tables import Batches, BenchmarkDefinition, Percentages, Positive

__all__ = ["ArmBenchmark"]


class ArmBenchmark(BenchmarkDefinition):
    """How 64-bit ARM boards are measured.

    Attributes:
        toolchain: the C compiler of all peers, by name.
        batches: batch sizes of the throughput, 1 among them.
        seconds: time for each implementation and batch size on a board.
        rounds: turns that implementations take, so that disturbances meet all of them alike.
        percentiles: of the latency at batch 1.
        emulated_rows: test rows that each implementation runs without a board, at most.
        counted_rows: rows among these whose instructions are counted.
    """

    toolchain: str = Field(min_length=1, description="the name of a C compiler")
    batches: Batches
    seconds: Positive = Field(description="a positive number of seconds")
    rounds: int = Field(ge=6, description="a whole number of at least 6")
    percentiles: Percentages
    emulated_rows: int = Field(ge=1, description="a positive whole number of rows")
    counted_rows: int = Field(ge=1, description="a positive whole number of rows")
