"""The compiled model as one implementation among the others, and the rows that all run on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from qdeploy.benchmark.mcu.execution import Rows
from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.suites import OWN
from qdeploy.data.dataset import Dataset

if TYPE_CHECKING:
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

__all__ = ["make_context", "make_rows", "own_subject"]

RANDOM_ROWS = 64
"""Inputs where there are no data."""


def make_context(
    artifact: "FirmwareArtifact", dataset: tuple[Dataset, Dataset] | None, most: int
) -> Context:
    """What peers may learn from, and the test rows that all run on.

    Args:
        artifact: of the family mcu.
        dataset: training and test rows.
        most: test rows to keep.
    """
    model = artifact.model
    # Peers of microcontrollers learn from rows; what was compiled is no concern of theirs.
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


def own_subject(artifact: "FirmwareArtifact") -> McuSubject:
    """The artifact's own library, whoever compiled it, on the terms of the others."""
    model, interface = artifact.model, artifact.interface
    return McuSubject(
        name=OWN,
        title=f"qdeploy, {artifact.form}",
        note=f"the library of the artifact: {artifact.form}",
        entry=f"{interface.name}_predict",
        input_dtype=np.dtype(np.int8),
        output_dtype=np.dtype(interface.score_type),
        inputs=interface.inputs,
        outputs=interface.outputs,
        encode=model.quantize,
        decode=model.interpret,
        reference=model.predict,
        objects=(artifact.library,),
        expected=model.network.forward,
    )
