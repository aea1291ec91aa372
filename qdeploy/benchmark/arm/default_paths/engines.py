"""Libraries of onnxruntime and TVM for AArch64, from wheels of the versions installed here."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qdeploy.compiler.lowering import Processor
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["ONNXRUNTIME", "TVM", "TVM_FFI", "Engine", "build_module", "fetch"]

_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
_VECTOR_BITS = 128


@dataclass(frozen=True)
class Engine:
    """One shared library of a wheel.

    Attributes:
        package: on the package index.
        member: the beginning of the file's path in the wheel.
    """

    package: str
    member: str

    @property
    def version(self) -> str:
        """Of the package that is installed here, and of the wheel."""
        return version(self.package)


ONNXRUNTIME = Engine("onnxruntime", "onnxruntime/capi/libonnxruntime.so.")
TVM = Engine("apache-tvm", "tvm/lib/libtvm_runtime.so")
TVM_FFI = Engine("apache-tvm-ffi", "tvm_ffi/lib/libtvm_ffi.so")


def fetch(engine: Engine, wheels: Path, folder: Path) -> Path:
    """The library, from a wheel in `wheels`, which pip downloads when it is not there yet.

    Args:
        engine: whose.
        wheels: where wheels are kept.
        folder: where the library goes.

    Raises:
        QDeployError: there is no such wheel, or it holds no such library.
    """
    stem = f"{engine.package.replace('-', '_')}-{engine.version}-"
    found = sorted(wheels.glob(f"{stem}*aarch64.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", *(f"--platform={name}" for name in _PLATFORMS)]
        command += [f"{engine.package}=={engine.version}", "--dest", str(wheels)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = sorted(wheels.glob(f"{stem}*aarch64.whl"))
        if done.returncode or not found:
            told = [line for line in done.stderr.splitlines() if "ERROR" in line] or [
                "nothing came"
            ]
            raise QDeployError(
                f"pip could not download {engine.package} {engine.version} for AArch64: "
                f"{told[-1]}; put its wheel into a folder and name that with --wheels"
            )
    with zipfile.ZipFile(found[0]) as wheel:
        names = [name for name in wheel.namelist() if name.startswith(engine.member)]
        if len(names) != 1:
            raise QDeployError(f"{found[0].name}: holds no library {engine.member}")
        return Path(wheel.extract(names[0], folder))


def build_module(
    model: Model, core: ArmCore, toolchain: LinuxToolchain, output: Path, *, processors_own: bool
) -> None:
    """The model's ONNX graph for one row through TVM's importer and `tvm.compile`.

    Args:
        model: what is exported.
        core: what LLVM generates for.
        toolchain: links.
        output: the shared library.
        processors_own: whether the passes are those that TVM has for processors (fusion, constants
            folded) in place of those that `tvm.compile` takes when told nothing.
    """
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    from qdeploy.onnx import export

    def link(output: str, objects: list[str], **_: Any) -> None:
        toolchain.module(core, [Path(item) for item in objects], Path(output))

    proto = export(model)
    name = proto.graph.input[0].name
    shape = [1, model.network.inputs]
    module = from_onnx(proto, shape_dict={name: shape}, dtype_dict={name: "int8"})
    processor = Processor(core.triple, core.cpu, core.features, vector_bits=_VECTOR_BITS)
    target = processor.target
    passes = relax.get_default_pipeline(target) if processors_own else "default"
    executable = tvm.compile(module, target=target, relax_pipeline=passes)
    executable.export_library(str(output), fcompile=link)
