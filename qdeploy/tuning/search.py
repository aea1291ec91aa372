"""The search: every kernel in every block size, weighed; then the best races the default."""

from collections.abc import Sequence
from datetime import UTC, datetime

from qdeploy import onnx
from qdeploy.benchmark.timing import Estimate
from qdeploy.compiler.families import FAMILIES, KernelSetting
from qdeploy.compiler.graph import import_graph, match_network
from qdeploy.compiler.lowering import versions
from qdeploy.compiler.plan import Candidate, candidates, make_plan, worth_trying
from qdeploy.compiler.selection import Use
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, silent
from qdeploy.targets import Target
from qdeploy.tuning.log import Race, Trial, TuningLog, network_digest
from qdeploy.tuning.measures import NO_BOARD, Access, Subject, Weighing, choose_measure

__all__ = ["tune"]

_SECONDS = 0.3
"""For each candidate, where a clock measures."""


def tune(
    model: Model,
    target: Target,
    *,
    access: Access = NO_BOARD,
    toolchain: str | None = None,
    seconds: float = _SECONDS,
    progress: Progress = silent,
) -> TuningLog:
    """Find the fastest kernels for a model on a target.

    Args:
        model: what will be compiled.
        target: a target whose family has kernels to choose from.
        access: how a board is reached; without it, this machine or the pipeline model decides.
        toolchain: C compiler of a board.
        seconds: for each candidate, where a clock measures.
        progress: told of every step.

    Returns:
        The log; `TuningLog.selection` is what `qdeploy.compiler.compile_model` takes.

    Raises:
        QDeployError: there is nothing to tune for the target, or the board cannot be used.
    """
    setting = FAMILIES[target.family].setting(target, toolchain)
    if setting is None:
        raise QDeployError(
            f"there is nothing to tune for target {target.name!r}: every kernel is compiled and "
            "counted anyway; leave --tune out"
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    network = match_network(import_graph(onnx.export(model))).network
    subject = Subject(network, setting, target, access, toolchain, seconds, progress)
    measure = choose_measure(subject)
    found, _ = candidates(network, setting.isa, every_block=True)
    defaults = _defaults(network, setting, found)
    tried = worth_trying(setting.isa, found)
    tried += [default for default in defaults if default not in tried]
    with measure.open(subject, tried) as weighing:
        costs = weighing.costs()
        races = tuple(_race(weighing, tried, costs, default) for default in defaults)
        where = weighing.where
    return TuningLog(
        network=network_digest(model.network),
        target=target.name,
        triple=setting.processor.triple,
        processor=setting.processor.cpu,
        features=tuple(sorted(setting.processor.features)),
        measure=measure.name,
        obtained=measure.obtained,
        where=where,
        unit=measure.unit,
        versions=versions(),
        started=started,
        trials=tuple(
            Trial(use=each.use, pick=each.pick, cost=cost.value, low=cost.low, high=cost.high)
            for each, cost in zip(tried, costs, strict=True)
        ),
        races=races,
    )


def _defaults(
    network: QuantizedNetwork, setting: KernelSetting, found: Sequence[Candidate]
) -> tuple[Candidate, Candidate]:
    """What the compiler takes by itself, for one sample and for many."""
    plan = make_plan(network, setting.isa, evaluate=setting.evaluate).plan

    def candidate(use: Use) -> Candidate:
        pick = getattr(plan, use).pick
        return next(each for each in found if (each.use, each.pick) == (use, pick))

    return candidate("single"), candidate("batch")


def _race(
    weighing: Weighing, tried: Sequence[Candidate], costs: Sequence[Estimate], default: Candidate
) -> Race:
    """The fastest of the search against the default, which stays unless it is beaten for sure."""
    entrants = [number for number, each in enumerate(tried) if each.use == default.use]
    fastest = min(entrants, key=lambda number: costs[number].value)
    own = tried.index(default)
    ratio = Estimate(1.0, 1.0, 1.0) if fastest == own else weighing.ratio(fastest, own)
    return Race(
        use=default.use,
        default=default.pick,
        fastest=tried[fastest].pick,
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        taken=ratio.high < 1,
    )
