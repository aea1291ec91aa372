"""Pipeline model of an application core: which units its instructions take, and for how long.

Such cores run several instructions a cycle, so cycles are no sum over classes:
`qdeploy.emulation.pipeline` schedules the blocks that were counted on these tables. What the caches
beyond the first cost is here as one rate.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from qdeploy.targets.cycles import CycleBand
from qdeploy.targets.tables import Positive, Table

__all__ = ["PIPELINE_CLASSES", "Pipe", "Pipeline", "PipelineClasses"]

_PIPE = "a table with units and latency"
_WHERE_IT_EXISTS = "a table with units and latency, for cores that have such instructions"
_CYCLES = "a whole number of cycles, 0 or more"

Units = Annotated[tuple[str, ...], Field(strict=False)]
Count = Annotated[int, Field(gt=0)]
Cycles = Annotated[int, Field(ge=0)]


class Pipe(Table):
    """How instructions of one class run.

    Attributes:
        units: kinds of units, any of which takes the instruction; where several are free, the
            first.
        also: kinds of units, any of which it needs besides, as stores their data; empty for none.
        cycles: for which it occupies each of the two.
        narrow: the same for vectors of 64 bits and scalars; None where that is `cycles`.
        latency: cycles until an instruction that uses the result can start.
        accumulate: cycles until the next of its class can start that adds to the result; None where
            that is the latency.
        slots: of the dispatch width, and of the window, that it takes (its micro-operations).
    """

    units: Units = Field(min_length=1, description="a list of names of units")
    also: Units = Field(default=(), description="a list of names of units")
    cycles: Count = Field(default=1, description="a positive whole number of cycles")
    narrow: Count | None = Field(default=None, description="a positive whole number of cycles")
    latency: Cycles = Field(description=_CYCLES)
    accumulate: Cycles | None = Field(default=None, description=_CYCLES)
    slots: Count = Field(default=1, description="a positive whole number")


class PipelineClasses(Table):
    """The classes of AArch64 instructions that run alike; None where the core has none such.

    Vectors are of 64 or 128 bits, scalars in vector registers count as vectors. Figures of
    instructions of "several" are for each vector.

    Attributes:
        alu: additions, logic, moves, comparisons, selects, shifts, bit fields that are extracted.
        alu_scaled: additions of an operand that is shifted left by up to 4, logic with a shift.
        alu_shift: other additions of an operand that is shifted or extended; bit fields that are
            inserted.
        multiply: products of 32 bits, or 32 by 32 to 64, added to something or not.
        multiply_wide: products of 64 bits, and their high halves.
        divide: divisions.
        branch: branches with and without a condition, calls.
        indirect: branches to an address in a register, returns.
        load: loads of one integer register.
        load_pair: loads of two.
        store: stores of one integer register.
        store_pair: stores of two.
        system: barriers, hints, special registers, prefetches.
        vector_load: loads of one vector.
        vector_load_pair: LDP of two vectors.
        vector_load_many: LD1 to LD4 of several vectors or elements.
        vector_store: stores of one vector.
        vector_store_pair: STP of two vectors.
        vector_store_many: ST1 to ST4 of several vectors or elements.
        vector_alu: additions, logic, comparisons, minima, halving, saturation, bit counts.
        vector_shift: shifts, widening moves, narrowing.
        vector_accumulate: pairwise sums or differences that are added to something (SADALP, SABA).
        vector_reduce: sums and extremes over a whole vector.
        vector_multiply: integer products as wide as their operands.
        vector_multiply_long: integer products twice as wide.
        vector_multiply_add: integer products that are added.
        vector_multiply_add_long: integer products twice as wide that are added.
        vector_dot: dot products of four bytes (SDOT, UDOT, USDOT).
        vector_matrix: products of matrices of bytes (SMMLA, UMMLA, USMMLA).
        vector_permute: copies, EXT, ZIP, UZP, TRN, REV, elements moved between vectors.
        vector_table: TBL and TBX with one register as table.
        vector_tables: TBL and TBX with several.
        to_vector: integer registers to vectors.
        from_vector: vectors to integer registers.
        float_add: additions, comparisons, absolute values, minima of floating point.
        float_multiply: products of floating point.
        float_multiply_add: products that are added.
        float_divide: divisions and square roots.
        float_convert: conversions and roundings.
    """

    alu: Pipe = Field(description=_PIPE)
    alu_scaled: Pipe = Field(description=_PIPE)
    alu_shift: Pipe = Field(description=_PIPE)
    multiply: Pipe = Field(description=_PIPE)
    multiply_wide: Pipe = Field(description=_PIPE)
    divide: Pipe = Field(description=_PIPE)
    branch: Pipe = Field(description=_PIPE)
    indirect: Pipe = Field(description=_PIPE)
    load: Pipe = Field(description=_PIPE)
    load_pair: Pipe = Field(description=_PIPE)
    store: Pipe = Field(description=_PIPE)
    store_pair: Pipe = Field(description=_PIPE)
    system: Pipe = Field(description=_PIPE)
    vector_load: Pipe = Field(description=_PIPE)
    vector_load_pair: Pipe = Field(description=_PIPE)
    vector_load_many: Pipe = Field(description=_PIPE)
    vector_store: Pipe = Field(description=_PIPE)
    vector_store_pair: Pipe = Field(description=_PIPE)
    vector_store_many: Pipe = Field(description=_PIPE)
    vector_alu: Pipe = Field(description=_PIPE)
    vector_shift: Pipe = Field(description=_PIPE)
    vector_accumulate: Pipe = Field(description=_PIPE)
    vector_reduce: Pipe = Field(description=_PIPE)
    vector_multiply: Pipe = Field(description=_PIPE)
    vector_multiply_long: Pipe = Field(description=_PIPE)
    vector_multiply_add: Pipe = Field(description=_PIPE)
    vector_multiply_add_long: Pipe = Field(description=_PIPE)
    vector_dot: Pipe | None = Field(default=None, description=_WHERE_IT_EXISTS)
    vector_matrix: Pipe | None = Field(default=None, description=_WHERE_IT_EXISTS)
    vector_permute: Pipe = Field(description=_PIPE)
    vector_table: Pipe = Field(description=_PIPE)
    vector_tables: Pipe = Field(description=_PIPE)
    to_vector: Pipe = Field(description=_PIPE)
    from_vector: Pipe = Field(description=_PIPE)
    float_add: Pipe = Field(description=_PIPE)
    float_multiply: Pipe = Field(description=_PIPE)
    float_multiply_add: Pipe = Field(description=_PIPE)
    float_divide: Pipe = Field(description=_PIPE)
    float_convert: Pipe = Field(description=_PIPE)


PIPELINE_CLASSES: tuple[str, ...] = tuple(PipelineClasses.model_fields)
"""Names of the classes, in the order of the table."""


class Pipeline(Table):
    """How a core runs instructions.

    Attributes:
        order: whether an instruction waits for all before it to start ("in-order"), or only for
            what it uses ("out-of-order").
        dispatch: instructions that can start (in order) or be dispatched (out of order) a cycle.
        window: instructions between dispatch and retirement at most; None for cores in order.
        taken_branch: cycles from a taken branch to the instructions behind it, predicted or not.
        mispredict: cycles from a mispredicted branch's execution to the right instructions.
        history: blocks by whose order the predictor tells cases of a branch apart.
        address_use: what the result of integer arithmetic takes longer to reach an address.
        second_level_bytes: bytes a cycle from the second cache to the first.
        units: how many units there are of each kind.
        classes: what instructions of each class need.
        band: how far estimates may be off.
        source: the documents of the figures.
    """

    order: Literal["in-order", "out-of-order"] = Field(description='"in-order" or "out-of-order"')
    dispatch: Count = Field(description="a positive whole number of instructions a cycle")
    window: Count | None = Field(
        default=None, description="a positive whole number of instructions in flight"
    )
    taken_branch: Cycles = Field(description=_CYCLES)
    mispredict: Cycles = Field(description=_CYCLES)
    history: Count = Field(description="a positive whole number of blocks")
    address_use: Cycles = Field(default=0, description=_CYCLES)
    second_level_bytes: Positive = Field(description="a positive number of bytes a cycle")
    units: dict[str, Count] = Field(
        min_length=1, description="a table of positive whole numbers, by kind of unit"
    )
    classes: PipelineClasses = Field(description="a table of tables with units and latency")
    band: CycleBand = Field(description="a table with low, high and basis")
    source: str = Field(min_length=1, description="the documents, in words")

    @model_validator(mode="after")
    def _complete(self) -> "Pipeline":
        if (self.order == "out-of-order") != (self.window is not None):
            raise ValueError("cores out of order have a window, and others none")
        for name in PIPELINE_CLASSES:
            pipe: Pipe | None = getattr(self.classes, name)
            for kind in (*pipe.units, *pipe.also) if pipe else ():
                if kind not in self.units:
                    raise ValueError(
                        f"classes.{name} names the unit {kind!r}, of which units says nothing"
                    )
        return self
