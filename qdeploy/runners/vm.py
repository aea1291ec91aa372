"""The Relax module of an artifact, run by TVM's virtual machine in this process."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.runners import RUNNERS, Compiled, Session, check_inputs

__all__ = ["MachineSession", "VirtualMachineRunner"]


class MachineSession:
    """A loaded module.

    Attributes:
        machine: tvm.relax.VirtualMachine; its function is `main`.
    """

    def __init__(self, module: Path, inputs: int) -> None:
        import tvm
        from tvm import relax

        self._inputs = inputs
        self._tensor = tvm.runtime.tensor
        # A private copy, for the reasons that the C library has one.
        with tempfile.TemporaryDirectory(prefix="qdeploy-") as folder:
            copy = Path(folder) / module.name
            shutil.copyfile(module, copy)
            try:
                loaded = tvm.runtime.load_module(str(copy))
            except RuntimeError as error:
                raise QDeployError(
                    f"{module} cannot be loaded by this TVM ({error}); compile it again"
                ) from None
        self.machine: Any = relax.VirtualMachine(loaded, tvm.cpu())
        self._main = self.machine["main"]

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d)."""
        return self._main(self._tensor(check_inputs(x, self._inputs))).numpy()


class VirtualMachineRunner:
    """Runs the module that TVM built."""

    name = "vm"
    title = "TVM virtual machine"
    family = "cpu"

    def open(self, artifact: Compiled) -> Session:
        """Load the artifact's module."""
        return MachineSession(artifact.module, artifact.manifest.inputs)


RUNNERS.register(VirtualMachineRunner.name)(VirtualMachineRunner())
