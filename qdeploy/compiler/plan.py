"""Which form computes what, chosen by cost: one choice for single samples, one for batches.

Every form that can compute the network is written out. By default its operations are counted and
nothing is run, so the plan of a model for a target is the same on every machine; a family that can
count instructions exactly, or measure, brings its own way of evaluating candidates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, get_args

from qdeploy.compiler.cost import count_operations
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Form, Kernel, batch_function, block_function
from qdeploy.compiler.selection import Pick, Selection, Use
from qdeploy.errors import QDeployError
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = [
    "Candidate",
    "Choice",
    "Evaluate",
    "Evaluated",
    "Plan",
    "PlannedKernels",
    "candidates",
    "check_supported",
    "choose",
    "count_costs",
    "make_choice",
    "make_plan",
    "worth_trying",
]

_LARGEST_SCRATCH = 32 * 1024
"""Bytes of working memory that blocks of several samples may take: it lies on the stack."""

_FAR_BEHIND = 4.0
"""How many times the least counted cost a candidate may have to be worth building at all."""

_TOLERANCE = 1.15
"""How much slower one form for both uses may be before two forms, and both weights, are taken."""


@dataclass(frozen=True)
class Choice:
    """One form for one use.

    Attributes:
        form: name of the form.
        tile: samples computed together.
        vectors: vectors of neurons in a block of its loop.
        accumulators: proven integer width of each sum.
        operations: instructions a sample by class.
        cycles: cycles a sample, which ranked the candidates: estimated, or measured by a tuner.
        weight_bytes: bytes of the read-only arrays.
        scratch_bytes: bytes of working memory.
    """

    form: str
    tile: int
    vectors: int
    accumulators: dict[str, str]
    operations: dict[str, float]
    cycles: float
    weight_bytes: int
    scratch_bytes: int

    @property
    def pick(self) -> Pick:
        """Which candidate it is."""
        return Pick(self.form, self.tile, self.vectors)


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


@dataclass(frozen=True, eq=False)
class Candidate:
    """One form for one use, written out and not yet weighed.

    Attributes:
        form: name of the form.
        kernel: it, bound to the network; one object for all candidates that share its constants.
        use: what for.
        tile: samples computed together.
        vectors: vectors of neurons in a block of its loop.
    """

    form: str
    kernel: Kernel
    use: Use
    tile: int
    vectors: int

    @property
    def pick(self) -> Pick:
        """Which one it is."""
        return Pick(self.form, self.tile, self.vectors)

    def function(self, symbol: str) -> Any:
        """TVM function of that name, for one sample or for any number of them."""
        if self.use == "single":
            return block_function(self.kernel, symbol)
        return batch_function(self.kernel, symbol, self.tile)


Evaluated = tuple[Choice, Candidate]
Evaluate = Callable[[Sequence[Candidate]], Sequence[Evaluated]]
"""Weighs candidates; those that are out of the question may be left out."""


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
    network: QuantizedNetwork,
    isa: InstructionSet,
    forms: Sequence[str] | None = None,
    evaluate: Evaluate | None = None,
    selection: Selection | None = None,
) -> PlannedKernels:
    """Choose forms and tiles.

    Args:
        network: what to compute.
        isa: instruction set of the target.
        forms: names of the forms to choose from; all of them when None.
        evaluate: weighs the candidates; by their counted operations when None.
        selection: what a tuner chose; None for the best by `evaluate`.

    Raises:
        QDeployError: no form can compute the network, or a selection is not for it.
    """
    found, rejected = candidates(network, isa, forms, every_block=selection is not None)
    if selection is not None:
        found = selection.among(found)
    weigh = partial(count_costs, isa) if evaluate is None else evaluate
    return choose(isa, weigh(found), rejected)


def candidates(
    network: QuantizedNetwork,
    isa: InstructionSet,
    forms: Sequence[str] | None = None,
    *,
    every_block: bool = False,
) -> tuple[list[Candidate], dict[str, str]]:
    """Everything that can compute the network; and forms that cannot, with the reason.

    Args:
        network: what to compute.
        isa: instruction set of the target.
        forms: names of the forms to choose from; all of them when None.
        every_block: whether to write out every size of block that a form has, which a tuner wants.

    Raises:
        QDeployError: no form can compute the network.
    """
    check_supported(network)
    entries: Iterable[Form] = FORMS.values() if forms is None else [FORMS[name] for name in forms]
    rejected: dict[str, str] = {}
    found: list[Candidate] = []
    for form in entries:
        for vectors in form.block_vectors if every_block else form.block_vectors[:1]:
            kernel = form.kernel(network, isa, vectors)
            if isinstance(kernel, str):
                rejected[form.name] = kernel
                continue
            if form.single:
                found.append(Candidate(form.name, kernel, "single", 1, vectors))
            if form.batch:
                found += [
                    Candidate(form.name, kernel, "batch", tile, vectors)
                    for tile in form.tiles
                    if tile == 1 or _fits(kernel, isa, tile)
                ]
    for use in get_args(Use):
        if not any(candidate.use == use for candidate in found):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items())
            raise QDeployError(f"no kernel form computes this network for {use} use ({reasons})")
    return found, rejected


def choose(
    isa: InstructionSet, evaluated: Sequence[Evaluated], rejected: dict[str, str]
) -> PlannedKernels:
    """The cheapest candidate of each use, or one form for both where that costs little.

    Args:
        isa: instruction set of the target.
        evaluated: at least one candidate of each use, weighed.
        rejected: forms that cannot compute the network, with the reason.
    """
    single, batch = _together(
        [entry for entry in evaluated if entry[1].use == "single"],
        [entry for entry in evaluated if entry[1].use == "batch"],
    )
    plan = Plan(isa.name, single[0], batch[0], rejected)
    return PlannedKernels(plan, single[1].kernel, batch[1].kernel)


def _fits(kernel: Kernel, isa: InstructionSet, tile: int) -> bool:
    """Whether a block of samples stays in registers, and its scratch memory on any stack."""
    scratch = sum(item.bytes for item in kernel.scratch(tile))
    return kernel.registers(tile) <= isa.registers and scratch <= _LARGEST_SCRATCH


def count_costs(isa: InstructionSet, found: Sequence[Candidate]) -> list[Evaluated]:
    """Candidates weighed by their counted operations."""
    return [(_count(isa, candidate), candidate) for candidate in found]


def _count(isa: InstructionSet, candidate: Candidate) -> Choice:
    kernel, tile = candidate.kernel, candidate.tile
    names = frozenset(constant.name for constant in kernel.constants)
    cost = count_operations(block_function(kernel, "candidate", tile), isa, names)
    operations = {name: count / tile for name, count in asdict(cost).items()}
    return make_choice(candidate, operations, cost.cycles / tile)


def worth_trying(isa: InstructionSet, found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates whose counted operations are not far behind the best of their use."""
    counted = count_costs(isa, found)
    best: dict[Use, float] = {}
    for choice, candidate in counted:
        best[candidate.use] = min(choice.cycles, best.get(candidate.use, choice.cycles))
    return [
        candidate
        for choice, candidate in counted
        if choice.cycles <= _FAR_BEHIND * best[candidate.use]
    ]


def make_choice(candidate: Candidate, operations: Mapping[str, float], cycles: float) -> Choice:
    """A candidate with its cost.

    Args:
        candidate: which one.
        operations: instructions a sample by class.
        cycles: cycles a sample.
    """
    kernel, tile = candidate.kernel, candidate.tile
    return Choice(
        form=candidate.form,
        tile=tile,
        vectors=candidate.vectors,
        accumulators=dict(kernel.accumulators),
        operations={name: round(count, 2) for name, count in operations.items()},
        cycles=round(cycles, 2),
        weight_bytes=sum(constant.values.nbytes for constant in kernel.constants),
        scratch_bytes=sum(scratch.bytes for scratch in kernel.scratch(tile)),
    )


def _together(
    single: Sequence[Evaluated], batch: Sequence[Evaluated]
) -> tuple[Evaluated, Evaluated]:
    """The cheapest of each, or one form for both where that costs little and saves weights."""
    best_single = min(single, key=lambda entry: entry[0].cycles)
    best_batch = min(batch, key=lambda entry: entry[0].cycles)
    pairs = [
        (one, many)
        for one in single
        for many in batch
        if one[1].kernel is many[1].kernel
        and one[0].cycles <= _TOLERANCE * best_single[0].cycles
        and many[0].cycles <= _TOLERANCE * best_batch[0].cycles
    ]
    if not pairs:
        return best_single, best_batch
    return min(pairs, key=lambda pair: pair[0][0].cycles + pair[1][0].cycles)
