"""Cycle model of a core: cycles by class of instruction, and how far to trust the sum.

The classes are those that `qdeploy.emulation` counts. What flash costs beyond memory without wait
states is a matter of the board (`qdeploy.targets.FlashRead`), not of the core.
"""

from typing import Annotated

from pydantic import Field, model_validator

from qdeploy.targets.tables import NonNegative, Positive, Table

__all__ = ["INSTRUCTION_CLASSES", "CycleBand", "CycleTable", "InstructionCycles"]

_CYCLES = "a positive number of cycles"
_ADDED = "a number of cycles, 0 or more"
_WHERE_IT_EXISTS = "a positive number of cycles, for cores that have such instructions"


class InstructionCycles(Table):
    """Cycles of one instruction of each class; None where the core has no such instruction.

    Attributes:
        alu: moves, additions, logic, shifts, bit fields, saturation, comparisons, IT, NOP.
        simd: the DSP extension but for its products of 64 bits (SADD16, USADA8, SMLAD, SMULBB …).
        multiply: products of 32 bits.
        multiply_add: 32-bit products that are added or subtracted (MLA, MLS).
        multiply_long: products of 64 bits or their high halves (UMULL, SMLAL, SMLALD, MULH …).
        divide: divisions and remainders.
        load: loads of one register.
        store: stores of one register.
        load_multiple: loads of several registers (LDM, POP, LDRD), without their registers.
        store_multiple: stores of several registers (STM, PUSH, STRD), without their registers.
        load_branch: loads into the program counter (POP {…, pc}), without registers and branch.
        branch: conditional branches, as if not taken.
        jump: direct branches that are always taken, without what a taken branch adds.
        call: direct branches that link, without what a taken branch adds.
        indirect: branches to an address in a register, without what a taken branch adds.
        table: table branches (TBB, TBH), without what a taken branch adds.
        loop: ends of low-overhead loops (LE), taken or not.
        system: barriers, hints and special registers.
    """

    alu: Positive = Field(description=_CYCLES)
    simd: Positive | None = Field(default=None, description=_WHERE_IT_EXISTS)
    multiply: Positive = Field(description=_CYCLES)
    multiply_add: Positive | None = Field(default=None, description=_WHERE_IT_EXISTS)
    multiply_long: Positive | None = Field(default=None, description=_WHERE_IT_EXISTS)
    divide: Positive | None = Field(default=None, description=_WHERE_IT_EXISTS)
    load: Positive = Field(description=_CYCLES)
    store: Positive = Field(description=_CYCLES)
    load_multiple: NonNegative | None = Field(default=None, description=_WHERE_IT_EXISTS)
    store_multiple: NonNegative | None = Field(default=None, description=_WHERE_IT_EXISTS)
    load_branch: NonNegative | None = Field(default=None, description=_WHERE_IT_EXISTS)
    branch: Positive = Field(description=_CYCLES)
    jump: NonNegative = Field(description=_ADDED)
    call: NonNegative = Field(description=_ADDED)
    indirect: NonNegative = Field(description=_ADDED)
    table: Positive | None = Field(default=None, description=_WHERE_IT_EXISTS)
    loop: NonNegative | None = Field(default=None, description=_WHERE_IT_EXISTS)
    system: Positive = Field(description=_CYCLES)


INSTRUCTION_CLASSES: tuple[str, ...] = tuple(InstructionCycles.model_fields)
"""Names of the classes, in the order of the table."""


class CycleBand(Table):
    """Where true cycles lie, as factors on what the model says.

    Attributes:
        low: lower end.
        high: upper end.
        basis: the comparisons that the ends rest on.
    """

    low: Positive = Field(description="a positive factor of at most 1")
    high: Positive = Field(description="a factor of at least 1")
    basis: str = Field(min_length=1, description="the comparisons behind the band, in words")

    @model_validator(mode="after")
    def _around_one(self) -> "CycleBand":
        if not self.low <= 1 <= self.high:
            raise ValueError("low must be at most 1 and high at least 1")
        return self


class CycleTable(Table):
    """What the instructions of a core cost in memory without wait states.

    cycles = scale · (Σ instructions of a class · cycles of the class + registers of loads and
    stores of several · register + taken branches · taken_branch + loads whose value the next
    instruction uses · load_use + loads and stores whose address the instruction before computes ·
    address_use − loads right after another whose value they do not use · pipelined_load).

    Attributes:
        instructions: cycles by class.
        register: for each register of a load or store of several.
        taken_branch: what a branch costs more when it is taken.
        load_use: what a load costs more when the next instruction uses its value.
        address_use: what a load or store costs more when the instruction before it computes its
            address.
        pipelined_load: what a load costs less right after another whose value it does not use.
        scale: on the whole sum: below 1 where two instructions can issue in one cycle.
        band: how far estimates may be off.
        source: the documents of the figures.
    """

    instructions: InstructionCycles = Field(description="a table of cycles by class")
    register_: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, alias="register", description=_WHERE_IT_EXISTS
    )
    taken_branch: NonNegative = Field(description="a number of cycles, 0 or more")
    load_use: NonNegative = Field(default=0.0, description="a number of cycles, 0 or more")
    address_use: NonNegative = Field(default=0.0, description="a number of cycles, 0 or more")
    pipelined_load: NonNegative = Field(default=0.0, description="a number of cycles, 0 or more")
    scale: Positive = Field(default=1.0, description="a positive factor")
    band: CycleBand = Field(description="a table with low, high and basis")
    source: str = Field(min_length=1, description="the documents, in words")
