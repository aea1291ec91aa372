"""Which form computes what on a microcontroller: counted, in the emulator, and chosen.

Every form that can compute the network is written out. Those that a first look shows far behind are
left out; the others are compiled for the core, linked, and their instructions counted exactly.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qdeploy.compiler.families import Goal, Options
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel, kernel_functions
from qdeploy.compiler.mcu.steps import predict
from qdeploy.compiler.mcu.variant import WRITINGS, Variant, Writing
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork

__all__ = ["McuPlan", "choose", "shortlist"]

_FAR_BEHIND = {"speed": 2.5, "size": 2.5, "balanced": 4.0}
"""How many times the best predicted cost a form may have to be compiled at all."""

_FIRST: Mapping[Goal, tuple[Writing, ...]] = {
    "speed": (Writing("llvm", "-O2"),),
    "size": (Writing("c", "-Os"),),
    "balanced": (Writing("llvm", "-O2"), Writing("c", "-Os")),
}
"""How every form is written before one is chosen."""

_NEAR = 1.05
"""How much more than the best cost is as good as the best: the cycle model's band is wider."""

_CODE_BYTES = 600
"""About what entry, loops and readout of a form take beside what is predicted."""


@dataclass(frozen=True)
class McuPlan:
    """What was counted and what was chosen.

    Attributes:
        chosen: the variant to deploy.
        variants: all that were counted, the chosen one first.
        rejected: forms that were not, and why.
    """

    chosen: Variant
    variants: tuple[Variant, ...]
    rejected: Mapping[str, str]


def shortlist(
    network: QuantizedNetwork, extensions: frozenset[str], goal: Goal, room: int, *, limited: bool
) -> tuple[dict[str, McuKernel], dict[str, str]]:
    """Forms worth compiling, with their kernels, and the others with the reason.

    Args:
        network: what to compute.
        extensions: of the core.
        goal: what counts.
        room: bytes of flash that there are; a form that needs more puts no other far behind.
        limited: whether there are limits of memory, for which a form far behind may be needed.
    """
    kernels: dict[str, McuKernel] = {}
    rejected: dict[str, str] = {}
    costs: dict[str, float] = {}
    fitting: list[float] = []
    for form in FORMS.values():
        kernel = form.kernel(network, extensions)
        if isinstance(kernel, str):
            rejected[form.name] = kernel
            continue
        prediction = predict(kernel_functions(kernel, "candidate").values())
        constants = sum(constant.values.nbytes for constant in kernel.constants)
        flash = prediction.code_bytes + constants + _CODE_BYTES
        kernels[form.name] = kernel
        costs[form.name] = _cost(goal, prediction.instructions, flash)
        if flash <= room:
            fitting.append(costs[form.name])
    # Where none seems to fit, none is far behind: one of them might.
    best = min(fitting, default=math.inf)
    for name, cost in costs.items():
        if not limited and cost > _FAR_BEHIND[goal] * best:
            rejected[name] = f"about {cost / best:.1f} times the cost of the best by a first count"
            del kernels[name]
    return kernels, rejected


def _cost(goal: Goal, time: float, flash: float) -> float:
    if goal == "balanced":
        return time * flash
    return time if goal == "speed" else flash


def choose(
    kernels: Mapping[str, McuKernel],
    rejected: Mapping[str, str],
    build: Callable[[str, McuKernel, Writing], Variant],
    goal: Goal,
    options: Options,
) -> McuPlan:
    """Compile and count, then take the best variant within the limits.

    Args:
        kernels: forms to try.
        rejected: forms that were left out before.
        build: compiles and counts a form by one generator.
        goal: what counts.
        options: limits of flash and RAM.

    Raises:
        QDeployError: nothing fits.
    """
    reasons = dict(rejected)
    counted: list[Variant] = []
    first = WRITINGS if options.limited else _FIRST[goal]
    rest = tuple(each for each in WRITINGS if each not in first)

    def attempt(form: str, kernel: McuKernel, writings: Sequence[Writing]) -> None:
        for writing in writings:
            try:
                counted.append(build(form, kernel, writing))
            except QDeployError as error:
                reasons[form] = str(error)

    for name, kernel in kernels.items():
        attempt(name, kernel, first)
    if not counted:
        # The other writings may be smaller.
        for name, kernel in kernels.items():
            attempt(name, kernel, rest)
        rest = ()
    if not counted:
        raise QDeployError(f"no kernel form can be built for this target ({_told(reasons)})")

    def cost(variant: Variant) -> float:
        return _cost(goal, variant.cycles, variant.memory.flash)

    speed = goal == "speed"
    fitting = [variant for variant in counted if _fits(variant, options)]
    best = _smallest_near_best(fitting or counted, cost)
    # Every generator writes the best form; the best code of it is deployed.
    attempt(best.form, best.kernel, rest)
    same = [variant for variant in counted if variant.form == best.form]
    if all(variant.writing.generator != "c" for variant in same):
        raise QDeployError(reasons[best.form])
    allowed = [variant for variant in same if _fits(variant, options)]
    if not allowed:
        raise QDeployError(_too_large([*counted, *same], options))
    # Of one form, instructions tell which code is faster, without a model's error.
    chosen = min(allowed, key=lambda each: each.counts.instructions if speed else cost(each))
    others = dict.fromkeys(each for each in (*same, *counted) if each is not chosen)
    built = {variant.form for variant in counted}
    left = {form: reason for form, reason in reasons.items() if form not in built}
    return McuPlan(chosen, (chosen, *others), left)


def _told(reasons: Mapping[str, str]) -> str:
    """Reasons in one sentence, each once with all its forms."""
    forms: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        forms.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in forms.items())


def _smallest_near_best(variants: Sequence[Variant], cost: Callable[[Variant], float]) -> Variant:
    """Of those that the estimate cannot tell from the best, the one with the least flash."""
    limit = _NEAR * min(cost(variant) for variant in variants)
    near = [variant for variant in variants if cost(variant) <= limit]
    return min(near, key=lambda variant: (variant.memory.flash, cost(variant)))


def _fits(variant: Variant, options: Options) -> bool:
    limits = ((variant.memory.flash, options.max_flash), (variant.memory.ram, options.max_ram))
    return all(limit is None or value <= limit for value, limit in limits)


def _too_large(variants: Sequence[Variant], options: Options) -> str:
    """What the nearest variant takes, and what would have to shrink."""

    def excess(variant: Variant) -> float:
        pairs = ((variant.memory.flash, options.max_flash), (variant.memory.ram, options.max_ram))
        return max(value / limit for value, limit in pairs if limit is not None)

    nearest = min(variants, key=excess)
    memory, network = nearest.memory, nearest.kernel.network
    neurons = network.layers[0].width
    parts = []
    if options.max_flash is not None and memory.flash > options.max_flash:
        room, each = options.max_flash - memory.code, memory.constants / neurons
        hint = "no network of this kind can be smaller in this form"
        if each and room > each:
            hint = f"about {int(room / each)} instead of {neurons} neurons would fit"
        elif nearest.form in ("straight-line",):
            hint = f"fewer than {neurons} neurons would fit"
        parts.append(
            f"flash: {memory.flash} bytes (code {memory.code}, weights {memory.constants}) are "
            f"more than the {options.max_flash} allowed; {hint}"
        )
    if options.max_ram is not None and memory.ram > options.max_ram:
        parts.append(
            f"RAM: {memory.ram} bytes (variables {memory.writable}, stack {memory.stack}, input "
            f"{memory.input}, output {memory.output}) are more than the {options.max_ram} allowed; "
            f"fewer inputs than {network.inputs} or fewer neurons than {neurons} would shrink them"
        )
    return f"the model does not fit in its smallest form here, {nearest.form}: {'; '.join(parts)}"
