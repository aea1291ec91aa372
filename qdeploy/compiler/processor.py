"""From a target's description to the processor that LLVM compiles for."""

from functools import cache
from pathlib import Path

from tvm.target import codegen

from qdeploy.compiler.lowering import Processor
from qdeploy.errors import QDeployError
from qdeploy.targets import CpuTarget

__all__ = ["native_processor", "processor_for", "runs_here"]

_VECTOR_FEATURES = ("sse", "ssse", "avx", "fma", "f16c", "gfni", "vaes", "vpclmulqdq", "bmi")
"""Beginnings of the x86 feature names that matter: those whose instructions LLVM may choose."""

_KERNEL_NAMES = {"sse3": "pni", "bmi": "bmi1"}
"""Features that the Linux kernel calls something else, apart from dots and underscores."""


def _vector_features(processor: Processor) -> frozenset[str]:
    return frozenset(name for name in processor.features if name.startswith(_VECTOR_FEATURES))


@cache
def native_processor() -> Processor:
    """This machine, less the features that its kernel or hypervisor hides."""
    triple = str(codegen.llvm_get_system_triple())
    processor = Processor(triple, str(codegen.llvm_get_system_cpu()))
    present = _kernel_features()
    if processor.architecture != "x86_64" or present is None:
        return processor
    hidden = tuple(
        f"-{name}"
        for name in sorted(_vector_features(processor))
        if _KERNEL_NAMES.get(name, name.replace(".", "")) not in present
    )
    return Processor(triple, processor.cpu, hidden)


def _kernel_features() -> frozenset[str] | None:
    """Processor flags as Linux tells them, without underscores; None elsewhere."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return None
    for line in information.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.replace("_", "").split())
    return None


def processor_for(target: CpuTarget) -> Processor:
    """The processor that a target's codegen table describes.

    Raises:
        QDeployError: a native processor with another machine's triple, or one LLVM does not know.
    """
    native = native_processor()
    table = target.codegen
    triple = native.triple if table.triple == "native" else table.triple
    foreign = triple.split("-")[0] != native.architecture
    if foreign and "native" in (table.cpu, table.features):
        raise QDeployError(
            f"target {target.name!r} asks for this machine's processor but compiles for {triple}; "
            "name the processor in its codegen table"
        )
    if table.cpu == "native":
        cpu, attributes = native.cpu, native.attributes
    else:
        cpu, attributes = table.cpu, ()
    if table.features != "native":
        attributes = (*attributes, *table.features)
    elif table.cpu != "native":
        attributes = (*attributes, *(f"+{name}" for name in sorted(native.features)))
    processor = Processor(triple, cpu, attributes)
    _ = processor.features
    return processor


def runs_here(processor: Processor) -> bool:
    """Whether this machine can run code for the processor."""
    native = native_processor()
    if processor.architecture != native.architecture:
        return False
    return processor.architecture != "x86_64" or _vector_features(processor) <= native.features
