"""Proof by trial that every implementation gives the bits of the network's numpy meaning.

Implementations are compared on random inputs, extreme ones, the worst cases of every neuron, and
given real ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.runners import Functions

__all__ = [
    "Implementation",
    "compare",
    "library_batch",
    "library_single",
    "onnxruntime_implementation",
    "onnxruntime_session",
    "trial_inputs",
    "verify",
]

Int8Array = NDArray[np.int8]
Integer = TypeVar("Integer", bound=np.integer)

_RANDOM = 256
_NEURONS = 64
_REAL = 2048
_SIZES = (1, 2, 3, 5, 8, 13, 31)

FUSED = "the quadratic layer and its readout"
"""What one fused kernel computes, in error messages."""


@dataclass(frozen=True)
class Implementation:
    """One way to compute the scores.

    Attributes:
        name: for messages.
        run: scores (n, K) of int8 inputs (n, d).
        layers: names what differs for one sample (1, d); None for a fused kernel.
    """

    name: str
    run: Callable[[Int8Array], NDArray[np.integer]]
    layers: Callable[[Int8Array], str] | None = None


def trial_inputs(
    network: QuantizedNetwork, real: Int8Array | None = None, seed: int = 0
) -> Int8Array:
    """Inputs that reach the limits of a network, int8 (n, d).

    Args:
        network: the network.
        real: inputs from data; at most the first 2048 are used.
        seed: of the random ones.
    """
    width = network.inputs
    rng = np.random.default_rng(seed)
    alternating = np.where(np.arange(width) % 2, 127, -128)
    rows = [
        np.full((1, width), -128),
        np.full((1, width), 127),
        np.zeros((1, width)),
        alternating[None],
        -1 - alternating[None],
        np.diag(np.full(width, -128)),
        np.diag(np.full(width, 127)),
        rng.integers(-128, 128, (_RANDOM, width)),
        rng.choice([-128, 127], (_RANDOM // 4, width)),
    ]
    layer, readout = quadratic_and_readout(network)
    # The neurons with the largest readout weights reach furthest.
    strongest = np.argsort(-np.abs(readout.weights.astype(np.int64)).sum(axis=1), kind="stable")
    left = layer.left[strongest[:_NEURONS]].astype(np.int64)
    right = layer.right[strongest[:_NEURONS]].astype(np.int64)
    for weights in (left, right, left + right, left - right):
        rows += [np.where(weights > 0, 127, -128), np.where(weights > 0, -128, 127)]
    if real is not None:
        rows.append(real[:_REAL])
    return np.ascontiguousarray(np.concatenate(rows).astype(np.int8))


def onnxruntime_session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def onnxruntime_implementation(network: QuantizedNetwork, path: Path) -> Implementation:
    """Onnxruntime on the model file of an artifact."""
    proto = onnx.load(path)
    session = onnxruntime_session(proto)

    def layers(x: Int8Array) -> str:
        """The first layer whose named output differs."""
        values = x.astype(np.int64)
        produced = {name for node in proto.graph.node for name in node.output}
        for number, layer in enumerate(network.layers, start=1):
            values = layer.forward(values)
            name = f"layer{number}"
            if name not in produced or number == len(network.layers):
                continue
            watched = onnx.ModelProto()
            watched.CopyFrom(proto)
            watched.graph.output.append(onnx.ValueInfoProto(name=name))
            (found,) = onnxruntime_session(watched).run([name], {"x": x})
            if not np.array_equal(found, values):
                return f"layer {number} ({layer.kind})"
        return f"layer {len(network.layers)} ({network.layers[-1].kind})"

    return Implementation("onnxruntime", lambda x: session.run(None, {"x": x})[0], layers)


def _unaligned(array: NDArray[Integer], offset: int) -> NDArray[Integer]:
    """A copy that starts `offset` bytes behind a 64-byte boundary."""
    memory = np.empty(array.nbytes + 128, dtype=np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def library_batch(library: Functions, network: QuantizedNetwork) -> Implementation:
    """The batch function in pieces of odd sizes, from addresses without alignment."""

    def run(x: Int8Array) -> NDArray[np.integer]:
        pieces = []
        start = number = 0
        while start < len(x):
            size = _SIZES[number % len(_SIZES)]
            part = _unaligned(x[start : start + size], 1 + number % 63)
            scores = _empty_scores(network, len(part), number)
            library.batch(part, scores)
            pieces.append(scores)
            start += size
            number += 1
        return np.concatenate(pieces)

    return Implementation("the C library's batch function", run)


def _empty_scores(network: QuantizedNetwork, rows: int, number: int) -> NDArray[np.integer]:
    """Zeros (rows, K) that are aligned as their type needs and no better."""
    empty = np.zeros((rows, network.outputs), dtype=network.score_dtype)
    return _unaligned(empty, empty.itemsize * (1 + number % 7))


def library_single(library: Functions, network: QuantizedNetwork) -> Implementation:
    """The single-sample function, from addresses without alignment."""

    def run(x: Int8Array) -> NDArray[np.integer]:
        pieces = []
        for number in range(len(x)):
            scores = _empty_scores(network, 1, number)
            library.single(_unaligned(x[number : number + 1], 1 + number % 63), scores)
            pieces.append(scores)
        return np.concatenate(pieces)

    return Implementation("the C library's single-sample function", run)


def verify(
    network: QuantizedNetwork,
    implementations: Sequence[Implementation],
    real: Int8Array | None = None,
    progress: Progress = silent,
) -> int:
    """Compare every implementation with the numpy meaning.

    Args:
        network: the meaning.
        implementations: what to compare.
        real: int8 inputs from data (n, d).
        progress: told of every implementation.

    Returns:
        Number of samples compared.

    Raises:
        QDeployError: an implementation differs; it and the layer are named.
    """
    x = trial_inputs(network, real)
    expected = network.forward(x)
    for number, implementation in enumerate(implementations):
        progress(ProgressEvent(f"verify {implementation.name}", number, len(implementations)))
        compare(implementation, x, expected)
    progress(ProgressEvent("verify", len(implementations), len(implementations)))
    return len(x)


def compare(implementation: Implementation, x: Int8Array, expected: NDArray[np.integer]) -> None:
    """Compare one implementation.

    Args:
        implementation: what to run.
        x: inputs, int8 (n, d).
        expected: scores (n, K) of the network.

    Raises:
        QDeployError: the first difference.
    """
    scores = implementation.run(x)
    if scores.shape == expected.shape and scores.dtype == expected.dtype:
        different = np.argwhere(scores != expected)
        if not len(different):
            return
        sample, output = (int(k) for k in different[0])
        layers = implementation.layers
        layer = FUSED if layers is None else layers(x[sample : sample + 1])
        detail = (
            f"score {output} of sample {sample} is {scores[sample, output]}, "
            f"not {expected[sample, output]}"
        )
    else:
        layer = FUSED
        detail = (
            f"its scores are {scores.dtype} {scores.shape}, not {expected.dtype} {expected.shape}"
        )
    raise QDeployError(
        f"verification failed in {layer}: {implementation.name} differs from the network's exact "
        f"meaning: {detail}; nothing was written"
    )
