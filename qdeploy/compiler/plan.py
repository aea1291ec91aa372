"""Which form computes what, chosen by counted cost: one choice for single samples, one for batches.

Every form that can compute the network is written out and its operations are counted; nothing is
run or measured, so the plan of a model for a target is the same on every machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from qdeploy.compiler.cost import count_operations
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Form, Kernel, block_function
from qdeploy.errors import QDeployError
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = ["Choice", "Plan", "PlannedKernels", "check_supported", "make_plan"]

Use = Literal["single", "batch"]

_LARGEST_SCRATCH = 32 * 1024
"""Bytes of working memory that blocks of several samples may take: it lies on the stack."""

_TOLERANCE = 1.15
"""How much slower one form for both uses may be before two forms, and both weights, are taken."""


@dataclass(frozen=True)
class Choice:
    """One form for one use.

    Attributes:
        form: name of the form.
        tile: samples computed together.
        accumulators: proven integer width of each sum.
        operations: instructions a sample by class.
        cycles: estimated cycles a sample, which ranked the forms.
        weight_bytes: bytes of the read-only arrays.
        scratch_bytes: bytes of working memory.
    """

    form: str
    tile: int
    accumulators: dict[str, str]
    operations: dict[str, float]
    cycles: float
    weight_bytes: int
    scratch_bytes: int


@dataclass(frozen=True)
class Plan:
    """What will be generated.

    Attributes:
        instruction_set: name of the instruction set.
        single: choice for one sample.
        batch: choice for many.
        rejected: forms that cannot compute the network, with the reason.
    """

    instruction_set: str
    single: Choice
    batch: Choice
    rejected: dict[str, str]


@dataclass(frozen=True)
class PlannedKernels:
    """A plan with the kernels that carry it out; one object where both uses share a form."""

    plan: Plan
    single: Kernel
    batch: Kernel


def check_supported(network: QuantizedNetwork) -> None:
    """Refuse networks that no form computes.

    Raises:
        QDeployError: the network is not one quadratic layer followed by one readout.
    """
    kinds = [type(layer) for layer in network.layers]
    if kinds != [QuadraticLayer, ReadoutLayer]:
        names = ", ".join(layer.kind for layer in network.layers)
        raise QDeployError(
            f"the compiler takes one quadratic layer and one readout; this network has: {names}"
        )


def make_plan(
    network: QuantizedNetwork, isa: InstructionSet, forms: Sequence[str] | None = None
) -> PlannedKernels:
    """Choose forms and tiles.

    Args:
        network: what to compute.
        isa: instruction set of the target.
        forms: names of the forms to choose from; all of them when None.

    Raises:
        QDeployError: no form can compute the network.
    """
    check_supported(network)
    entries: Iterable[Form] = FORMS.values() if forms is None else [FORMS[name] for name in forms]
    rejected: dict[str, str] = {}
    candidates: dict[Use, list[tuple[Choice, Kernel]]] = {"single": [], "batch": []}
    for form in entries:
        kernel = form.kernel(network, isa)
        if isinstance(kernel, str):
            rejected[form.name] = kernel
            continue
        if form.single:
            candidates["single"].append((_evaluate(form, kernel, isa, 1), kernel))
        if form.batch:
            choices = [
                _evaluate(form, kernel, isa, tile)
                for tile in form.tiles
                if tile == 1 or _fits(kernel, isa, tile)
            ]
            candidates["batch"].append((min(choices, key=lambda c: c.cycles), kernel))
    for use, found in candidates.items():
        if not found:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items())
            raise QDeployError(f"no kernel form computes this network for {use} use ({reasons})")
    single, batch = _together(candidates["single"], candidates["batch"])
    plan = Plan(isa.name, single[0], batch[0], rejected)
    return PlannedKernels(plan, single[1], batch[1])


def _fits(kernel: Kernel, isa: InstructionSet, tile: int) -> bool:
    """Whether a block of samples stays in registers, and its scratch memory on any stack."""
    scratch = sum(item.bytes for item in kernel.scratch(tile))
    return kernel.registers(tile) <= isa.registers and scratch <= _LARGEST_SCRATCH


def _evaluate(form: Form, kernel: Kernel, isa: InstructionSet, tile: int) -> Choice:
    names = frozenset(constant.name for constant in kernel.constants)
    cost = count_operations(block_function(kernel, "candidate", tile), isa, names)
    return Choice(
        form=form.name,
        tile=tile,
        accumulators=dict(kernel.accumulators),
        operations={name: round(count / tile, 2) for name, count in asdict(cost).items()},
        cycles=round(cost.cycles / tile, 2),
        weight_bytes=sum(constant.values.nbytes for constant in kernel.constants),
        scratch_bytes=sum(scratch.bytes for scratch in kernel.scratch(tile)),
    )


def _together(
    single: list[tuple[Choice, Kernel]], batch: list[tuple[Choice, Kernel]]
) -> tuple[tuple[Choice, Kernel], tuple[Choice, Kernel]]:
    """The cheapest of each, or one form for both where that costs little and saves weights."""
    best_single = min(single, key=lambda entry: entry[0].cycles)
    best_batch = min(batch, key=lambda entry: entry[0].cycles)
    pairs = [
        (one, many)
        for one in single
        for many in batch
        if one[0].form == many[0].form
        and one[0].cycles <= _TOLERANCE * best_single[0].cycles
        and many[0].cycles <= _TOLERANCE * best_batch[0].cycles
    ]
    if not pairs:
        return best_single, best_batch
    return min(pairs, key=lambda pair: pair[0][0].cycles + pair[1][0].cycles)
