"""Peers made ready: prepared once, their bits checked, a timer for every way of calling them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import PEERS, Context, Native, Peer, Prepared
from qdeploy.benchmark.timing import PythonTimer, Timer
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent

if TYPE_CHECKING:
    from qdeploy.compiler.library_artifact import LibraryArtifact

__all__ = [
    "NATIVE",
    "PIPELINE",
    "POOL_SAMPLES",
    "PYTHON",
    "Key",
    "Subject",
    "make_context",
    "make_timers",
    "pool",
    "prepare",
]

POOL_SAMPLES = 256
"""Inputs that calls take in turn; larger batches take at least two of them."""

NATIVE, PYTHON, PIPELINE = "native", "python", "pipeline"

Number = TypeVar("Number", bound=np.generic)

Key = tuple[str, str, int]
"""Implementation, how it is called, samples a call."""


@dataclass(frozen=True)
class Subject:
    """A peer that takes part.

    Attributes:
        peer: which one.
        prepared: it, ready to run.
        native: its native timers by batch size; empty where it has none.
    """

    peer: Peer
    prepared: Prepared
    native: dict[int, Native]


def make_context(artifact: "LibraryArtifact", dataset: tuple[Dataset, Dataset] | None) -> Context:
    """The rows that calls take in turn: of the test set, or random where there is none.

    Args:
        artifact: the compiled model.
        dataset: training and test rows.
    """
    model = artifact.model
    if dataset is None:
        generator = np.random.default_rng(0)
        shape = (POOL_SAMPLES, model.network.inputs)
        random = generator.integers(-128, 128, shape, dtype=np.int8)
        return Context(model, artifact, random)
    train, test = dataset
    rows = np.arange(POOL_SAMPLES) % len(test.features)
    features = np.ascontiguousarray(test.features[rows])
    inputs = np.ascontiguousarray(model.quantize(features))
    return Context(model, artifact, inputs, features, train, test)


def prepare(
    context: Context,
    batches: Sequence[int],
    names: Sequence[str],
    insist: bool,
    stack: ExitStack,
    progress: Progress,
) -> tuple[list[Subject], dict[str, str]]:
    """Peers that can take part, checked and with their timers; and why others cannot.

    Args:
        context: model, artifact and rows.
        batches: batch sizes.
        names: peers, in order.
        insist: whether a peer that cannot take part is an error.
        stack: closes them.
        progress: told about each peer.

    Raises:
        QDeployError: a peer gives other scores than the model, or cannot take part and should.
    """
    subjects, skipped = [], {}
    for done, name in enumerate(names):
        progress(ProgressEvent(f"preparing {name}", done, len(names)))
        peer = PEERS[name]
        obstacle = peer.obstacle(context)
        if obstacle is not None:
            if insist:
                raise QDeployError(f"{name} cannot be benchmarked here: {obstacle}")
            skipped[name] = obstacle
            continue
        prepared = stack.enter_context(peer.prepare(context))
        native = {}
        for batch in batches:
            inputs = pool(context.inputs, batch)
            timer = prepared.native(inputs)
            if timer is not None:
                native[batch] = timer
            if peer.exact:
                _check(name, prepared.run(inputs[0]), context, inputs[0])
            if timer is not None and timer.scores is not None:
                timer.timer.measure(calls=1, groups=1)
                _check(name, timer.scores, context, inputs[0])
        subjects.append(Subject(peer, prepared, native))
    return subjects, skipped


def pool(inputs: NDArray[Number], batch: int) -> NDArray[Number]:
    """Batches (p, batch, d) with p ≥ 2 of rows (n, d), repeated where they run out."""
    count = max(2, len(inputs) // batch)
    rows = np.arange(count * batch) % len(inputs)
    return np.ascontiguousarray(inputs[rows].reshape(count, batch, -1))


def _check(name: str, scores: NDArray[Any], context: Context, x: NDArray[np.int8]) -> None:
    wrong = (np.asarray(scores) != context.model.network.forward(x)).any(axis=1)
    if wrong.any():
        raise QDeployError(
            f"{name} gives other scores than the model for {int(wrong.sum())} of {len(x)} inputs, "
            "so its figures would mean nothing; please report this"
        )


def make_timers(context: Context, subjects: Sequence[Subject]) -> dict[Key, Timer]:
    """Every way of calling every subject.

    Float models have no integer scores, so they are timed from raw features alone.
    """
    timers: dict[Key, Timer] = {}
    for subject in subjects:
        name, prepared = subject.peer.name, subject.prepared
        for batch, native in subject.native.items():
            timers[name, NATIVE, batch] = native.timer
        if subject.peer.exact:
            timers[name, PYTHON, 1] = PythonTimer(prepared.run, context.inputs[:, None])
        if context.features is not None:
            timers[name, PIPELINE, 1] = PythonTimer(prepared.predict, context.features[:, None])
    return timers
