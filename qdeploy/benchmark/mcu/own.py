"""The compiled model as one implementation among the others."""

from typing import TYPE_CHECKING

import numpy as np

from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.suites import OWN

if TYPE_CHECKING:
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

__all__ = ["own_subject"]


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
