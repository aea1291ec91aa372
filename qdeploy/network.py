"""The integer network and its one exact meaning.

Every other implementation (ONNX, TVM, C) must give these bits for every int8 input. The meaning is
written in int64 numpy; `QuantizedNetwork` proves by interval analysis that int64 cannot overflow,
and which stages fit int32, for any input and in any order of summation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError

__all__ = [
    "INPUT_MAGNITUDE",
    "Accumulator",
    "Layer",
    "QuadraticLayer",
    "QuantizedNetwork",
    "ReadoutLayer",
    "weighted_magnitudes",
]

Accumulator = Literal["int32", "int64"]
Int8Array = NDArray[np.int8]
IntArray = NDArray[np.int64]

BLOCK_ROWS = 8192
"""Rows taken through the layers at a time: what lies between them can be wide."""

INPUT_MAGNITUDE = 128
"""Largest magnitude of an int8 input."""


def _narrowest(magnitude: int, what: str) -> Accumulator:
    if magnitude < 2**31:
        return "int32"
    if magnitude < 2**63:
        return "int64"
    raise QDeployError(
        f"{what} can reach {magnitude:.3e}, which does not fit a 64-bit integer; "
        "use fewer inputs, fewer neurons or narrower readout weights"
    )


def _exact(array: NDArray[np.integer]) -> NDArray[np.object_]:
    """Python integers: the interval analysis itself must not overflow."""
    return np.asarray(array).astype(object)


def weighted_magnitudes(
    weights: NDArray[np.integer], magnitudes: NDArray[np.object_]
) -> NDArray[np.object_]:
    """Largest |Σ_i w_ji x_i|, Python integers (m,), of weights (m, d) and largest |x_i| (d,)."""
    absolute = np.abs(weights.astype(np.int64))
    if int(absolute.sum(axis=1).max()) * int(magnitudes.max()) < 2**63:
        return (absolute @ magnitudes.astype(np.int64)).astype(object)
    return _exact(absolute) @ magnitudes


def _integers(
    array: NDArray[np.integer], dtype: type[np.integer], shape: str
) -> NDArray[np.integer]:
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        raise QDeployError(f"{shape} must hold integers, not {given.dtype}")
    info = np.iinfo(dtype)
    if given.size and (given.min() < info.min or given.max() > info.max):
        raise QDeployError(f"{shape} holds values outside {dtype.__name__}")
    frozen = np.array(given, dtype=dtype, order="C")
    frozen.setflags(write=False)
    return frozen


def _dot_products(x: IntArray, weights: NDArray[np.integer]) -> IntArray:
    """The integers x @ weights.T, int64 (n, m), of inputs (n, d) and weights (m, d).

    In float64, which is many times faster, where it holds every partial sum exactly.
    """
    largest = max(int(x.max(initial=0)), -int(x.min(initial=0)))
    if largest * int(np.abs(weights.astype(np.int64)).sum(axis=1).max()) < 2**53:
        exact = x.astype(np.float64) @ weights.T.astype(np.float64)
        return exact.astype(np.int64)
    return x @ weights.T.astype(np.int64)


@dataclass(frozen=True, eq=False)
class QuadraticLayer:
    """Dense layer of m bilinear neurons: y_j = (u_jᵀx + b_j)(v_jᵀx + c_j).

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        left_bias: b, int32 (m,); the weight of the constant input times that constant.
        right_bias: c, int32 (m,).
    """

    kind: ClassVar[str] = "quadratic"

    left: Int8Array
    right: Int8Array
    left_bias: NDArray[np.int32]
    right_bias: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name, dtype in (
            ("left", np.int8),
            ("right", np.int8),
            ("left_bias", np.int32),
            ("right_bias", np.int32),
        ):
            object.__setattr__(self, name, _integers(getattr(self, name), dtype, name))
        if self.left.ndim != 2 or self.left.shape != self.right.shape or not self.left.size:
            raise QDeployError(
                f"quadratic layer: left {self.left.shape} and right {self.right.shape} must be "
                "equal, non-empty matrices (neurons, inputs)"
            )
        if self.left_bias.shape != (self.width,) or self.right_bias.shape != (self.width,):
            raise QDeployError("quadratic layer: one bias a neuron and side is needed")

    @property
    def inputs(self) -> int:
        """Number of inputs d."""
        return self.left.shape[1]

    @property
    def width(self) -> int:
        """Number of neurons m."""
        return self.left.shape[0]

    def forward(self, x: IntArray) -> IntArray:
        """Outputs, int64 (n, m), of inputs int64 (n, d)."""
        left = _dot_products(x, self.left) + self.left_bias
        right = _dot_products(x, self.right) + self.right_bias
        return left * right

    def accumulators(self, magnitudes: NDArray[np.object_]) -> dict[str, Accumulator]:
        """Widths that cannot overflow: of a dot product (`dot`) and of the product (`product`).

        Args:
            magnitudes: largest |x_i| of each input, Python integers (d,).
        """
        sides = [
            weighted_magnitudes(weights, magnitudes) + abs(_exact(bias))
            for weights, bias in (
                (self.left, self.left_bias),
                (self.right, self.right_bias),
            )
        ]
        return {
            "dot": _narrowest(max(int(side.max()) for side in sides), "a dot product"),
            "product": _narrowest(int(self.magnitudes(magnitudes).max()), "a neuron"),
        }

    def magnitudes(self, magnitudes: NDArray[np.object_]) -> NDArray[np.object_]:
        """Upper bound on |y_j|, Python integers (m,), from largest |x_i| (d,).

        With p = s + t, q = s - t:  pq = s² - t², so |pq| ≤ max(s², t²), up to four times tighter
        than |p||q|; it also covers the pair-sum form, which computes s² and t² themselves.
        """
        left, right = self.left.astype(np.int64), self.right.astype(np.int64)
        left_bias, right_bias = _exact(self.left_bias), _exact(self.right_bias)
        twice_sum = weighted_magnitudes(left + right, magnitudes) + abs(left_bias + right_bias)
        twice_difference = weighted_magnitudes(left - right, magnitudes) + abs(
            left_bias - right_bias
        )
        largest = np.maximum(twice_sum, twice_difference)
        return (largest * largest + 3) // 4


@dataclass(frozen=True, eq=False)
class ReadoutLayer:
    """Linear readout: y_k = Σ_j A_jk x_j + b_k.

    Attributes:
        weights: A, int32 (m, K).
        bias: b, int64 (K,).
    """

    kind: ClassVar[str] = "readout"

    weights: NDArray[np.int32]
    bias: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _integers(self.weights, np.int32, "readout weights"))
        object.__setattr__(self, "bias", _integers(self.bias, np.int64, "readout bias"))
        if self.weights.ndim != 2 or not self.weights.size:
            raise QDeployError(
                f"readout layer: weights {self.weights.shape} must be a non-empty matrix "
                "(neurons, outputs)"
            )
        if self.bias.shape != (self.width,):
            raise QDeployError("readout layer: one bias an output is needed")

    @property
    def inputs(self) -> int:
        """Number of inputs m."""
        return self.weights.shape[0]

    @property
    def width(self) -> int:
        """Number of outputs K."""
        return self.weights.shape[1]

    @property
    def weight_bits(self) -> int:
        """Bits of the narrowest standard integer that holds every weight: 8, 16 or 32."""
        largest = int(np.maximum(self.weights, -1 - self.weights.astype(np.int64)).max())
        return 8 if largest < 2**7 else 16 if largest < 2**15 else 32

    def forward(self, x: IntArray) -> IntArray:
        """Outputs, int64 (n, K), of inputs int64 (n, m)."""
        return _dot_products(x, self.weights.T) + self.bias

    def accumulators(self, magnitudes: NDArray[np.object_]) -> dict[str, Accumulator]:
        """Width of the sum (`sum`) that cannot overflow in any order of summation."""
        return {"sum": _narrowest(int(self.magnitudes(magnitudes).max()), "an output")}

    def magnitudes(self, magnitudes: NDArray[np.object_]) -> NDArray[np.object_]:
        """Upper bound on |y_k| and on every partial sum, Python integers (K,)."""
        return weighted_magnitudes(self.weights.T, magnitudes) + abs(_exact(self.bias))


Layer = QuadraticLayer | ReadoutLayer


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A sequence of integer layers: int8 inputs to integer scores.

    Raises:
        QDeployError: widths do not chain, or some sum does not fit 64 bits for some input.
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Sequence[Layer]) -> None:
        object.__setattr__(self, "layers", tuple(layers))
        if not self.layers:
            raise QDeployError("a network needs at least one layer")
        for number, (before, after) in enumerate(
            zip(self.layers, self.layers[1:], strict=False), start=1
        ):
            if before.width != after.inputs:
                raise QDeployError(
                    f"layer {number} ({before.kind}) gives {before.width} values but layer "
                    f"{number + 1} ({after.kind}) takes {after.inputs}"
                )
        _ = self.accumulators

    @property
    def inputs(self) -> int:
        """Number of int8 inputs d."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of scores K."""
        return self.layers[-1].width

    @cached_property
    def accumulators(self) -> tuple[dict[str, Accumulator], ...]:
        """For each layer, the proven accumulator width of each of its stages.

        Widths never shrink along the network: a stage that reads int64 values computes in int64,
        even where zero weights would keep its results small.
        """
        magnitudes = np.full(self.inputs, INPUT_MAGNITUDE, dtype=object)
        widths: list[dict[str, Accumulator]] = []
        for layer in self.layers:
            stages = layer.accumulators(magnitudes)
            if widths and "int64" in widths[-1].values():
                stages = dict.fromkeys(stages, "int64")
            widths.append(stages)
            magnitudes = layer.magnitudes(magnitudes)
        return tuple(widths)

    @property
    def score_dtype(self) -> Accumulator:
        """Integer type of the scores."""
        return list(self.accumulators[-1].values())[-1]

    def forward(self, x: Int8Array) -> NDArray[np.integer]:
        """Scores of quantised inputs: the meaning of the network.

        Args:
            x: int8 (n, d).

        Returns:
            Scores (n, K) in `score_dtype`.

        Raises:
            QDeployError: x is not an int8 matrix with d columns.
        """
        x = np.asarray(x)
        if x.dtype != np.int8 or x.ndim != 2 or x.shape[1] != self.inputs:
            raise QDeployError(
                f"the network takes an int8 array of shape (n, {self.inputs}), "
                f"not {x.dtype} of shape {x.shape}"
            )
        scores = np.empty((len(x), self.outputs), dtype=self.score_dtype)
        for first in range(0, len(x), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            values = x[rows].astype(np.int64)
            for layer in self.layers:
                values = layer.forward(values)
            scores[rows] = values
        return scores
