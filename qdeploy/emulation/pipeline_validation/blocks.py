"""Loops of our own kernels: the model's cycles a turn beside those of llvm-mca."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from qdeploy.emulation.aarch64 import Aarch64Decoder
from qdeploy.emulation.scheduling import Scheduler
from qdeploy.targets import load_arm_core
from qdeploy.targets.tables import Positive, Table, read_table

__all__ = ["BlockComparison", "compare_blocks"]

_TURNS, _SETTLED = 80, 40
"""Turns of a loop that are scheduled, and those of them that may still differ."""


class _Block(Table):
    """A loop.

    Attributes:
        core: what it was compiled for.
        kernel: which one it is of.
        code: its instructions, four bytes each, in hexadecimal digits.
        mca: cycles a turn by llvm-mca.
        note: what to know of the comparison; empty for nothing.
    """

    core: str
    kernel: str
    code: str
    mca: Positive
    note: str = ""


class _File(Table):
    version: str
    block: Annotated[tuple[_Block, ...], Field(strict=False)]


@dataclass(frozen=True)
class BlockComparison:
    """A loop by both models.

    Attributes:
        core: the core.
        kernel: what the loop is of.
        instructions: of a turn.
        model: cycles a turn by the pipeline model.
        mca: the same by llvm-mca.
        note: what to know of the comparison.
    """

    core: str
    kernel: str
    instructions: int
    model: float
    mca: float
    note: str

    @property
    def ratio(self) -> float:
        """llvm-mca's cycles over the model's."""
        return self.mca / self.model


@cache
def compare_blocks() -> tuple[str, tuple[BlockComparison, ...]]:
    """Version of llvm-mca, and every loop, in the order of the file."""
    file = read_table(Path(__file__).with_name("blocks.toml"), _File)
    return file.version, tuple(_compare(block) for block in file.block)


def _compare(block: _Block) -> BlockComparison:
    core = load_arm_core(block.core)
    operations = Aarch64Decoder(core).block(bytes.fromhex(block.code), 0)
    scheduler = Scheduler(core, core.pipeline)
    ends = scheduler.finish([(scheduler.prepare(operations), True)] * _TURNS)
    model = (ends[-1] - ends[_SETTLED - 1]) / (_TURNS - _SETTLED)
    return BlockComparison(block.core, block.kernel, len(operations), model, block.mca, block.note)
