"""One model by every path in one emulated process, and what each executed for an inference."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.arm.default_paths.counting import count_marks, make_root
from qdeploy.benchmark.arm.default_paths.engines import (
    ONNXRUNTIME,
    TVM,
    TVM_FFI,
    build_module,
    fetch,
)
from qdeploy.compiler import compile_model
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.onnx import export
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["OWN", "PATHS", "Measurement", "measure", "per_call"]

OWN = "qdeploy"
PATHS = {
    OWN: "`NAME_predict` of the artifact's shared library",
    "onnxruntime": "`OrtApi::Run`",
    "TVM": "`main` of its virtual machine, from `tvm.compile` as it stands",
    "TVM, fused": "the same, from `tvm.compile` with `relax.get_default_pipeline`",
}
"""Names, and what is called."""

_ROWS = 64
_CALLS = 64
_MARKS = 3


@dataclass(frozen=True)
class Measurement:
    """What the paths of one model took.

    Attributes:
        function: instructions of our function alone, by the in-process emulator.
        paths: instructions an inference, by name of the path, without the loop around it.
    """

    function: int
    paths: dict[str, float]


def measure(
    model: Model,
    target: str,
    toolchain: LinuxToolchain,
    wheels: Path,
    libraries: Path,
    *,
    seed: int = 0,
) -> Measurement:
    """Build everything, run it, compare all scores, and give the counts.

    Args:
        model: the model.
        target: an ARM board.
        toolchain: builds the program and TVM's modules; its C library has `dlopen`.
        wheels: where wheels for AArch64 are, or are downloaded to.
        libraries: the folder of the C and C++ libraries for AArch64.
        seed: of the int8 inputs, which are uniform.

    Raises:
        QDeployError: something is missing, or an implementation gives other scores.
    """
    from qdeploy.compiler.arm.artifact import LinuxArtifact

    artifact = cast("LinuxArtifact", compile_model(model, target))
    core, network, proto = artifact.core, model.network, export(model)
    x = np.random.default_rng(seed).integers(-128, 128, (_ROWS, network.inputs), dtype=np.int8)
    expected = network.forward(x)
    with tempfile.TemporaryDirectory(prefix="qdeploy-paths-") as temporary:
        folder = Path(temporary)
        root = make_root(core, libraries, folder / "root")
        files = {name: folder / name for name in ("inputs", "scores", "model.onnx")}
        files["inputs"].write_bytes(x.tobytes())
        files["model.onnx"].write_bytes(proto.SerializeToString())
        runtime = [fetch(engine, wheels, folder) for engine in (TVM_FFI, TVM)]
        modules = [folder / "default.so", folder / "processors.so"]
        for module, processors_own in zip(modules, (False, True), strict=True):
            build_module(model, core, toolchain, module, processors_own=processors_own)
        source = Path(__file__).with_name("paths.c")
        objects = toolchain.compile(core, [source], folder / "objects", static=False)
        program = folder / "paths"
        toolchain.program(core, objects, program, static=False)
        sizes = (_CALLS, _ROWS, network.inputs, expected.shape[1], 8 * expected.itemsize)
        words: list[str | Path] = [
            *map(str, sizes),
            *(files["inputs"], files["scores"]),
            "empty",
            *("own", artifact.library, f"{artifact.interface.name}_predict"),
            *("onnxruntime", fetch(ONNXRUNTIME, wheels, folder), files["model.onnx"]),
            *(proto.graph.input[0].name, proto.graph.output[0].name),
        ]
        for module in modules:
            words += ["tvm", *runtime, module]
        marks = count_marks(core, program, words, root)
        scores = np.frombuffer(files["scores"].read_bytes(), expected.dtype)
    _compare(scores.reshape(-1, *expected.shape)[1:], expected)
    loop, *counts = per_call(marks, _CALLS)
    return Measurement(
        artifact.manifest.counted.instructions,
        {name: count - loop for name, count in zip(PATHS, counts, strict=True)},
    )


def per_call(marks: Sequence[int], calls: int) -> list[float]:
    """Instructions a call of each path, whose start and marks themselves drop out.

    Args:
        marks: three a path: before, between and behind `calls` and twice as many calls.
        calls: how many.
    """
    starts, middles, ends = (marks[place::_MARKS] for place in range(_MARKS))
    return [
        ((end - middle) - (middle - start)) / calls
        for start, middle, end in zip(starts, middles, ends, strict=True)
    ]


def _compare(scores: NDArray[Any], expected: NDArray[Any]) -> None:
    for name, each in zip(PATHS, scores, strict=True):
        if not np.array_equal(each, expected):
            raise QDeployError(f"{name} gives other scores than the network; please report this")
