"""The collapsed quadratic form as integers: coefficients, digits and proven bounds.

score_k = Σ_{i≤j} C_k[i,j]·xᵢ·xⱼ + c_k, with a constant input appended where there are linear
terms. Pairs are ordered by their cyclic distance: the products xᵢ·x_{(i+s) mod D} over i, for
s = 0 … D/2, are every pair once, and a shift of the doubled input vector gives them in lanes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import INPUT_MAGNITUDE, QuantizedNetwork

__all__ = ["CollapsedForm", "Digits", "collapse", "split_digits"]

_LARGEST_CONSTANT = 128
_INT16 = 2**15
_INT32_MAXIMUM = 2**31 - 1
_INT64_MAXIMUM = 2**63 - 1
_DIGIT_BITS = (16, 15, 13, 11, 9)


@dataclass(frozen=True, eq=False)
class CollapsedForm:
    """A network as quadratic forms.

    Attributes:
        constant: the appended constant input, or None without linear terms.
        size: D, number of inputs including that one.
        coefficients: int64 (K, shifts, D): of xᵢ·x_{(i+s) mod D}, without the common factor.
        factor: 1 or 2, multiplies every coefficient of s > 0.
        bias: c, int64 (K,).
        products: largest |xᵢ·x_{(i+s) mod D}|, int64 (shifts, D).
    """

    constant: int | None
    size: int
    coefficients: NDArray[np.int64]
    factor: int
    bias: NDArray[np.int64]
    products: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Digits:
    """Coefficients as sums of int16 digits: Σ_p digits[p]·2^(p·bits).

    Attributes:
        bits: distance of two digits.
        values: int16 (K, planes, shifts, lanes) with D padded to whole vectors.
        segments: stretches of shifts, s > 0 in order and s = 0 last, whose int32 lane sums
            cannot overflow: (first, last + 1).
        merged: whether s = 0 fits the lanes of the only other stretch, doubled where factor = 2.
    """

    bits: int
    values: NDArray[np.int16]
    segments: tuple[tuple[int, int], ...]
    merged: bool


def collapse(network: QuantizedNetwork) -> CollapsedForm | str:
    """The quadratic forms of a network, or why 64 bits do not hold them."""
    layer, readout = quadratic_and_readout(network)
    left, right = layer.left.astype(object), layer.right.astype(object)
    left_bias, right_bias = layer.left_bias.astype(object), layer.right_bias.astype(object)
    weights = readout.weights.astype(object)
    magnitudes = (abs(left).sum(axis=1) * INPUT_MAGNITUDE + abs(left_bias)) * (
        abs(right).sum(axis=1) * INPUT_MAGNITUDE + abs(right_bias)
    )
    if int((abs(weights).T @ magnitudes + abs(readout.bias.astype(object))).max()) > (
        _INT64_MAXIMUM // 4
    ):
        return "its collapsed sums may not fit 64 bits"

    narrow = [array.astype(np.int64) for array in (layer.left, layer.right, readout.weights)]
    matrices = np.stack([_weighted_product(narrow[0], narrow[1], column) for column in narrow[2].T])
    matrices = matrices + matrices.transpose(0, 2, 1)
    linear = narrow[2].T @ (narrow[0] * layer.right_bias[:, None]) + narrow[2].T @ (
        narrow[1] * layer.left_bias[:, None]
    )
    bias = narrow[2].T @ (layer.left_bias.astype(np.int64) * layer.right_bias) + readout.bias

    outside = ~np.eye(network.inputs, dtype=bool)
    factor = 2 if not (matrices[:, outside] % 2).any() and not (linear % 2).any() else 1
    constant = None
    if linear.any():
        constant = _LARGEST_CONSTANT
        while (linear % (constant * factor)).any():
            constant //= 2
    size = network.inputs + (constant is not None)
    full = np.zeros((network.outputs, size, size), dtype=np.int64)
    full[:, : network.inputs, : network.inputs] = matrices // factor
    if constant is not None:
        full[:, : network.inputs, -1] = linear // (constant * factor)
        full[:, -1, : network.inputs] = full[:, : network.inputs, -1]

    shifts = np.arange(size // 2 + 1)[:, None]
    first = np.arange(size)[None, :]
    coefficients = full[:, first, (first + shifts) % size]
    coefficients[:, 0, : network.inputs] = np.diagonal(matrices, axis1=1, axis2=2) // 2
    if size % 2 == 0:
        coefficients[:, size // 2, size // 2 :] = 0
    largest = np.full(size, INPUT_MAGNITUDE, dtype=np.int64)
    if constant is not None:
        largest[-1] = constant
    products = largest[first] * largest[(first + shifts) % size]
    return CollapsedForm(constant, size, coefficients, factor, bias, products)


def _weighted_product(
    left: NDArray[np.int64], right: NDArray[np.int64], weights: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Σ_j weights_j · left_j right_jᵀ, (d, d), exactly; in floating point where that is exact."""
    used = np.flatnonzero(weights)
    weighted, right = (left[used] * weights[used, None]).T, right[used]
    if int(np.abs(weights).sum()) << 14 < 2**53:
        return (weighted.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    return weighted @ right


def split_digits(form: CollapsedForm, lanes: int, group: int) -> Digits | str:
    """The fewest int16 digits, and the longest stretches, whose int32 lanes cannot overflow.

    Args:
        form: the quadratic forms.
        lanes: int32 lanes of a vector.
        group: products that an instruction sums into a lane.
    """
    width = lanes * group
    padding = -form.size % width
    coefficients = np.pad(form.coefficients, ((0, 0), (0, 0), (0, padding)))
    products = np.pad(form.products, ((0, 0), (0, padding)))
    for bits in _DIGIT_BITS:
        planes = _digits(coefficients, bits)
        reach = (np.abs(planes) * products).reshape(*planes.shape[:3], -1, lanes, group)
        lane_sums = reach.sum(axis=(3, 5)).transpose(2, 0, 1, 3).reshape(planes.shape[2], -1)
        segments = _segments(lane_sums)
        if segments:
            together = form.factor * lane_sums[1:].sum(axis=0) + lane_sums[0]
            merged = len(segments) == 2 and int(together.max()) <= _INT32_MAXIMUM
            return Digits(bits, planes.astype(np.int16), segments, merged)
    return "a lane may overflow 32 bits within one shift"


def _digits(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Balanced digits of int64 (K, shifts, lanes): (K, planes, shifts, lanes)."""
    half = 1 << (bits - 1)
    planes = []
    rest = values
    while True:
        digit = ((rest + half) & ((1 << bits) - 1)) - half
        planes.append(digit)
        rest = (rest - digit) >> bits
        if not rest.any():
            return np.stack(planes, axis=1)


def _segments(lane_sums: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Greedy stretches of shifts; empty when a single shift does not fit.

    Args:
        lane_sums: bound on what each shift adds to each accumulator lane, (shifts, all lanes).
    """
    if int(lane_sums.max()) > _INT32_MAXIMUM:
        return ()
    segments = []
    begin, total = 1, np.zeros(lane_sums.shape[1], dtype=np.int64)
    for shift in range(1, len(lane_sums)):
        if int((total + lane_sums[shift]).max()) > _INT32_MAXIMUM:
            segments.append((begin, shift))
            begin, total = shift, np.zeros_like(total)
        total = total + lane_sums[shift]
    if begin < len(lane_sums):
        segments.append((begin, len(lane_sums)))
    return (*segments, (0, 1))
