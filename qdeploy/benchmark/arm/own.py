"""The compiled model as one implementation among the others."""

from typing import TYPE_CHECKING

import numpy as np

from qdeploy.benchmark.peers_arm import ArmSubject
from qdeploy.benchmark.suites import OWN

if TYPE_CHECKING:
    from qdeploy.compiler.arm.artifact import LinuxArtifact

__all__ = ["own_subject"]


def own_subject(artifact: "LinuxArtifact") -> ArmSubject:
    """The artifact's own libraries and program, whoever compiled them, on the others' terms."""
    model, interface = artifact.model, artifact.interface
    return ArmSubject(
        name=OWN,
        title=f"qdeploy, {artifact.form}",
        note=f"the library of the artifact: {artifact.form}",
        entry=f"{interface.name}_predict",
        prefix=interface.name,
        input_dtype=np.dtype(np.int8),
        output_dtype=np.dtype(interface.score_type),
        inputs=interface.inputs,
        outputs=interface.outputs,
        encode=model.quantize,
        decode=model.interpret,
        reference=model.predict,
        objects=(artifact.archive,),
        expected=model.network.forward,
        library=artifact.library,
        bench_program=artifact.bench_program,
    )
