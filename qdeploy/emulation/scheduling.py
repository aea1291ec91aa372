"""Instructions on the units of a core, cycle by cycle: when each starts, and when it is done.

In order, an instruction starts when all before it have started, its operands are there and a unit
is free. Out of order, it is dispatched in order and starts when operands and a unit are there; the
window bounds how far dispatch runs ahead of the oldest instruction that is not done. Loads hit the
first cache, stores and loads of one address do not wait for each other, branches go as predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qdeploy.emulation.aarch64 import Operation
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore
from qdeploy.targets.pipeline import Pipe, Pipeline

__all__ = ["Prepared", "Scheduler"]

_INTEGER = ("alu", "alu_scaled", "alu_shift")
"""Classes whose results reach an address later, on cores where that differs."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with what its core says of its class.

    Attributes:
        operation: the instruction.
        slots: of the dispatch width and the window.
        units: numbers of the kinds of units that can take it.
        also: of the kinds that it needs besides; empty for none.
        cycles: of occupation.
        latency: of the result.
        accumulate: of the result for the next one that adds to it.
        late_address: what its result takes longer to reach an address.
    """

    operation: Operation
    slots: int
    units: tuple[int, ...]
    also: tuple[int, ...]
    cycles: int
    latency: int
    accumulate: int
    late_address: int


class Scheduler:
    """Runs instructions on the tables of a core.

    Args:
        core: for messages.
        pipeline: its tables.
    """

    def __init__(self, core: ArmCore, pipeline: Pipeline) -> None:
        self._core = core
        self._pipeline = pipeline
        self._numbers = {kind: number for number, kind in enumerate(pipeline.units)}
        self._known: dict[Operation, Prepared] = {}

    def prepare(self, operations: Sequence[Operation]) -> tuple[Prepared, ...]:
        """Instructions with their figures.

        Raises:
            QDeployError: the core's table lacks a class.
        """
        return tuple(self._prepared(operation) for operation in operations)

    def finish(self, blocks: Sequence[tuple[Sequence[Prepared], bool]]) -> list[int]:
        """Cycles from the first instruction until everything up to a block is done.

        Args:
            blocks: the instructions of each block in the order of execution, and whether its last
                is a taken branch.

        Returns:
            One number a block.
        """
        state = _State(self._pipeline)
        ends = []
        for operations, taken in blocks:
            for prepared in operations:
                state.run(prepared)
            if taken:
                state.jump()
            ends.append(state.done)
        return ends

    def _prepared(self, operation: Operation) -> Prepared:
        known = self._known.get(operation)
        if known is None:
            pipe: Pipe | None = getattr(self._pipeline.classes, operation.kind)
            if pipe is None:
                raise QDeployError(
                    f"{self._core.name}.toml: the key 'pipeline.classes.{operation.kind}' is "
                    f"missing; the instruction {operation.text!r} was counted"
                )
            accumulate = pipe.latency if pipe.accumulate is None else pipe.accumulate
            cycles = pipe.narrow if operation.narrow and pipe.narrow else pipe.cycles
            known = Prepared(
                operation,
                pipe.slots * operation.weight,
                tuple(self._numbers[kind] for kind in pipe.units),
                tuple(self._numbers[kind] for kind in pipe.also),
                cycles * operation.weight,
                pipe.latency + operation.weight - 1,
                accumulate,
                self._pipeline.address_use if operation.kind in _INTEGER else 0,
            )
            self._known[operation] = known
        return known


class _State:
    """A core that is running."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.done = 0
        self._in_order = pipeline.order == "in-order"
        self._width = pipeline.dispatch
        self._window = pipeline.window or 0
        self._taken_branch = pipeline.taken_branch
        self._units = tuple(pipeline.units.values())
        self._used: tuple[dict[int, int], ...] = tuple({} for _ in self._units)
        self._ready: dict[int, tuple[int, Prepared]] = {}
        self._cycle = 0
        self._slots = 0
        self._retired: list[int] = []

    def run(self, prepared: Prepared) -> None:
        """Take one instruction."""
        operation = prepared.operation
        dispatched = self._dispatch(prepared.slots)
        start = self._free(prepared, max(dispatched, self._operands(operation)))
        if self._in_order and start > self._cycle:
            self._cycle, self._slots = start, prepared.slots
        finished = start + prepared.latency
        for register in operation.writes:
            self._ready[register] = finished, prepared
        if operation.base is not None:
            # The base of an address moves on as an addition does.
            self._ready[operation.base] = start + 1, prepared
        self.done = max(self.done, finished)
        self._retired.extend([self.done] * prepared.slots)

    def jump(self) -> None:
        """The last instruction was a branch that was taken."""
        if self._taken_branch:
            self._cycle += self._taken_branch
            self._slots = 0

    def _dispatch(self, slots: int) -> int:
        """The cycle of an instruction's dispatch."""
        while self._slots >= self._width:
            # What took more slots than were left goes on in the next cycle.
            self._cycle += 1
            self._slots -= self._width
        if self._window and len(self._retired) >= self._window:
            oldest = self._retired[-self._window]
            if oldest > self._cycle:
                self._cycle, self._slots = oldest, 0
        self._slots += slots
        return self._cycle

    def _operands(self, operation: Operation) -> int:
        """When all that an instruction reads is there."""
        ready = self._ready
        latest = 0
        for register in operation.reads:
            if register in ready:
                time, producer = ready[register]
                if register == operation.accumulator and producer.operation.kind == operation.kind:
                    time += producer.accumulate - producer.latency
                latest = max(latest, time)
        for register in operation.address:
            if register in ready:
                time, producer = ready[register]
                latest = max(latest, time + producer.late_address)
        return latest

    def _free(self, prepared: Prepared, start: int) -> int:
        """The first cycle from one on in which units are free; they are taken."""
        while True:
            unit = self._unit(prepared.units, start, prepared.cycles)
            if unit is not None and not prepared.also:
                break
            if unit is not None:
                self._take(unit, start, prepared.cycles)
                other = self._unit(prepared.also, start, prepared.cycles)
                if other is not None:
                    self._take(other, start, prepared.cycles)
                    return start
                self._take(unit, start, prepared.cycles, -1)
            start += 1
        self._take(unit, start, prepared.cycles)
        return start

    def _unit(self, kinds: tuple[int, ...], start: int, cycles: int) -> int | None:
        for kind in kinds:
            used, units = self._used[kind], self._units[kind]
            if all(used.get(cycle, 0) < units for cycle in range(start, start + cycles)):
                return kind
        return None

    def _take(self, kind: int, start: int, cycles: int, count: int = 1) -> None:
        used = self._used[kind]
        for cycle in range(start, start + cycles):
            used[cycle] = used.get(cycle, 0) + count
