"""The rows that all implementations of an emulated benchmark run on, and what they should give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError

if TYPE_CHECKING:
    from qdeploy.compiler import Artifact

__all__ = ["Rows", "check_outputs", "inputs_of", "make_context", "make_rows"]

RANDOM_ROWS = 64
"""Inputs where there are no data."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What implementations run on.

    Attributes:
        features: raw features (n, D), or None where inputs are random.
        inputs: the same as int8 inputs (n, d) of the model.
        counted: numbers of the rows whose instructions are counted.
    """

    features: NDArray[np.float64] | None
    inputs: NDArray[np.int8]
    counted: Sequence[int]


def make_context(
    artifact: "Artifact", dataset: tuple[Dataset, Dataset] | None, most: int
) -> Context:
    """What peers may learn from, and the test rows that all run on.

    Args:
        artifact: of any family.
        dataset: training and test rows.
        most: test rows to keep.
    """
    model = artifact.model
    # Peers that are compiled for a core learn from rows; what was compiled is no concern of theirs.
    anything = cast(Any, artifact)
    if dataset is None:
        shape = (RANDOM_ROWS, model.network.inputs)
        random = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)
        return Context(model, anything, random)
    train, test = dataset
    test = replace(test, features=test.features[:most], target=test.target[:most])
    inputs = np.ascontiguousarray(model.quantize(test.features))
    return Context(model, anything, inputs, test.features, train, test)


def make_rows(context: Context, counted: int) -> Rows:
    """The rows of a context, and so many of them to be counted, evenly spread."""
    count = len(context.inputs)
    places = np.linspace(0, count - 1, min(counted, count)).round().astype(int)
    return Rows(context.features, context.inputs, sorted(set(places.tolist())))


def inputs_of(subject: McuSubject, rows: Rows) -> NDArray[Any]:
    """The rows as an implementation takes them, contiguous (n, inputs).

    Raises:
        QDeployError: it needs features, and inputs are random.
    """
    if rows.features is not None:
        x = subject.encode(rows.features)
    elif subject.input_dtype == np.int8:
        x = rows.inputs
    else:
        raise QDeployError(f"{subject.name} needs rows of features")
    return np.ascontiguousarray(x, dtype=subject.input_dtype)


def check_outputs(subject: McuSubject, x: NDArray[Any], outputs: NDArray[Any], rows: Rows) -> None:
    """See that every output bit is right where the meaning is exact, else every prediction.

    Args:
        subject: what ran.
        x: its inputs (n, inputs).
        outputs: what it gave in the emulator (n, outputs).
        rows: where the inputs come from.

    Raises:
        QDeployError: something is not as it should be.
    """
    if subject.expected is not None:
        wrong = (outputs != subject.expected(x)).any(axis=1)
    elif subject.reference is not None and rows.features is not None:
        should, does = subject.reference(rows.features), subject.decode(outputs)
        if np.issubdtype(should.dtype, np.floating):
            wrong = ~np.isclose(does, should, rtol=1e-3, atol=1e-3 * float(np.std(should)))
        else:
            wrong = does != should
        wrong = wrong.reshape(len(x), -1).any(axis=1)
    else:
        return
    if wrong.any():
        raise QDeployError(
            f"{subject.name} computes something else than it should for {int(wrong.sum())} of "
            f"{len(x)} rows in the emulator, so its figures would mean nothing; please report this"
        )
