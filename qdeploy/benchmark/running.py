"""The one way into every benchmark: find the target's family, let its suite measure, save."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdeploy.benchmark.metering import Metering
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.suites import OWN, SUITES, Duty, HostAccess, Request, Suite
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.files import check_writable
from qdeploy.model import Model
from qdeploy.progress import Progress, silent
from qdeploy.targets import Target, load_target

if TYPE_CHECKING:
    from qdeploy.compiler import Artifact
    from qdeploy.compiler.families import Goal

__all__ = ["FILE_NAME", "bench", "check_options"]

FILE_NAME = "benchmark.json"
"""What `bench` writes into its output folder."""

_DEFAULT_TARGET = "cpu"


def bench(
    model: "Model | Artifact",
    *,
    target: str | None = None,
    dataset: tuple[Dataset, Dataset] | None = None,
    output: Path | None = None,
    peers: Sequence[str] | None = None,
    seconds: float | None = None,
    duty: Duty | None = None,
    port: str | None = None,
    metering: Metering | None = None,
    optimize: "Goal | None" = None,
    host: HostAccess | None = None,
    rpc: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> BenchmarkReport:
    """What a model costs on a target, and how good it is, beside its alternatives.

    Args:
        model: a model, which is compiled first, or its artifact.
        target: name of the target or path of its file; by default that of the artifact, or this
            machine for a model.
        dataset: training and test rows; without them inputs are random, and no peer that learns
            and no accuracy is reported.
        output: folder to write `benchmark.json` into, besides returning the report.
        peers: implementations beside qdeploy's; by default those that the target names, as far as
            they apply here.
        seconds: for each measurement on a clock; by default the target's.
        duty: what a battery must last for, on targets of the family mcu.
        port: serial port of a board, which is then measured too, on targets of the family mcu.
        metering: what measures the energy of that board, and how it is wired; by default the
            first instrument that is connected, if any.
        optimize: what a model is compiled for ("speed", "size", "balanced"), on targets of the
            family mcu.
        host: a board that is reached by ssh, and measured too, on targets of the family arm.
        rpc: ``host:port`` of TVM's RPC server on such a board, or ``host:port/key`` of a tracker
            and the key of its boards; what TVM's virtual machine takes there is measured too.
        overwrite: whether `benchmark.json` may exist.
        progress: told about each step.

    Returns:
        The report. What did not take part, and why, is in `skipped`.

    Raises:
        QDeployError: the artifact is of another target, an option means nothing for the target, a
            peer named here cannot take part, the code gives other scores than the model, or the
            file exists.

    Example:
        >>> report = qdeploy.bench(model, dataset=(train, test))  # doctest: +SKIP
        >>> report.find("latency_median", implementation="qdeploy")[0].value  # doctest: +SKIP
        1.1e-07
    """
    file = None if output is None else output / FILE_NAME
    if file is not None:
        check_writable(file, overwrite=overwrite)
    described, suite = check_options(
        model,
        target=target,
        peers=peers,
        seconds=seconds,
        duty=duty,
        port=port,
        metering=metering,
        optimize=optimize,
        host=host,
        rpc=rpc,
    )
    report = suite.measure(
        Request(
            model=model,
            target=described,
            dataset=dataset,
            peers=None if peers is None else tuple(peers),
            seconds=seconds,
            duty=duty,
            port=port,
            metering=metering,
            optimize=optimize,
            host=host,
            rpc=rpc,
            progress=progress,
        )
    )
    if file is not None:
        report.save(file, overwrite=overwrite)
    return report


def check_options(
    model: "Model | Artifact",
    *,
    target: str | None = None,
    peers: Sequence[str] | None = None,
    **options: Any,
) -> tuple[Target, Suite]:
    """Refuse what `bench` cannot do, before anything long runs.

    Args:
        model: as for `bench`.
        target: likewise.
        peers: likewise.
        options: those of `bench` that not every target knows.

    Returns:
        The target, and the suite of its family.

    Raises:
        QDeployError: the artifact is of another target, an option means nothing for the target, or
            there is no such peer.
    """
    described = _target_of(model, target)
    suite = SUITES[described.family]
    for option, given in options.items():
        if given is not None and option not in suite.options:
            raise QDeployError(
                f"{_WORDS[option]} means nothing for target {described.name!r} of the family "
                f"{described.family!r}; leave it out"
            )
    if options.get("metering") is not None and options.get("port") is None:
        raise QDeployError(
            f"{_WORDS['metering']} means nothing without a board; name the serial port of the "
            "board, too, or leave it out"
        )
    if options.get("host") is not None and options.get("rpc") is not None:
        raise QDeployError("a board is reached by ssh or by TVM's RPC; name one of the two")
    for name in peers or ():
        if name != OWN:
            suite.peers[name]
    return described, suite


_WORDS = {
    "seconds": "a time for each measurement",
    "duty": "a battery",
    "port": "a serial port",
    "metering": "an instrument that measures energy",
    "optimize": "a goal of the compiler",
    "host": "a board that is reached by ssh",
    "rpc": "a board that TVM's RPC reaches",
}


def _target_of(model: "Model | Artifact", name: str | None) -> Target:
    """Where the model is measured; an artifact knows what it was compiled for."""
    if isinstance(model, Model):
        return load_target(name or _DEFAULT_TARGET)
    # A board of the user's own has no name that could be looked up: its artifact brings it along.
    own: Target | None = getattr(model, "board", None)
    described = own or load_target(model.target)
    if name is not None and load_target(name).name != described.name:
        raise QDeployError(
            f"{model.folder} was compiled for target {described.name!r}, not for {name!r}; "
            "compile the model for it, or give the model file"
        )
    return described
