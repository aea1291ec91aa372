"""Dense int8 layers: their exact meaning in numpy, their quantisation, and their C.

Quantisation is the usual one after training (Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018): int8 weights that are
symmetric about zero, int32 biases, activations brought back to int8 by a fixed-point multiplication
and a shift. Here a scale is a whole layer's, so that scores can be compared as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWEST", "DenseLayer", "Requantize", "dense_sources", "forward", "quantize_weights"]

LOWEST, HIGHEST = -128, 127


@dataclass(frozen=True)
class Requantize:
    """q = saturate(round_half_up(sum · multiplier / 2^(32 + shift)) + zero_point).

    With the zero point at the lowest integer, the saturation is also the rectifier.

    Attributes:
        multiplier: int32 of 31 bits.
        shift: 1 or more.
        zero_point: the integer that stands for 0.
    """

    multiplier: int
    shift: int
    zero_point: int = LOWEST

    LARGEST_FACTOR: ClassVar[float] = 0.25

    @classmethod
    def by(cls, factor: float) -> "Requantize":
        """Multiplication by a positive factor, `LARGEST_FACTOR` at most."""
        fraction, exponent = math.frexp(min(factor, cls.LARGEST_FACTOR * (1 - 2.0**-31)))
        multiplier = min(round(fraction * 2**31), 2**31 - 1)
        return cls(multiplier, -1 - exponent)

    def __call__(self, sums: NDArray[np.int64]) -> NDArray[np.int8]:
        """Int8 activations of sums."""
        shift = 32 + self.shift
        scaled = (sums * self.multiplier + (1 << (shift - 1))) >> shift
        return np.clip(scaled + self.zero_point, LOWEST, HIGHEST).astype(np.int8)


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """Sums of an int8 vector with the rows of a matrix, requantised unless they are scores.

    Attributes:
        weights: int8 (rows, columns).
        bias: int32 (rows,).
        requantize: back to int8, or None for int32 scores.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantize: Requantize | None = None

    def __call__(self, x: NDArray[np.int8]) -> NDArray[Any]:
        """Int8 activations or int32 scores (n, rows) of int8 inputs (n, columns)."""
        sums = x.astype(np.int64) @ self.weights.T.astype(np.int64) + self.bias
        return sums.astype(np.int32) if self.requantize is None else self.requantize(sums)


def forward(layers: Sequence[DenseLayer], x: NDArray[np.int8]) -> NDArray[np.int32]:
    """Scores (n, K) of int8 inputs (n, d)."""
    activations: NDArray[Any] = x
    for layer in layers:
        activations = layer(activations)
    return activations


def quantize_weights(
    weights: NDArray[np.float64], axis: int | None = None
) -> tuple[NDArray[np.int8], Any]:
    """Symmetric int8 weights, and the scale that gives them back.

    Args:
        weights: (rows, columns).
        axis: None for one scale, 1 for one a row.
    """
    largest = np.abs(weights).max(axis=axis, keepdims=axis is not None)
    scale = np.where(largest > 0, largest, 1.0) / HIGHEST
    quantized = np.rint(weights / scale).astype(np.int8)
    return quantized, float(scale) if axis is None else scale[:, 0]


def dense_sources(layers: Sequence[DenseLayer], entry: str) -> dict[str, str]:
    """C of a network: `void ENTRY(const int8_t *x, int32_t *scores)`.

    Args:
        layers: all but the last requantise.
        entry: name of the function, which also begins the names of its constants.
    """
    inputs = layers[0].weights.shape[1]
    constants = [_constants(layer, f"{entry}_{i}") for i, layer in enumerate(layers)]
    lines = [f"void {entry}(const int8_t *x, int32_t *scores)", "{"]
    lines += [
        f"#if DENSE_PADDED({inputs}) != {inputs}",
        f"    int8_t padded[DENSE_PADDED({inputs})] __attribute__((aligned(4)));",
        f"    dense_pad(x, padded, {inputs});",
        "    x = padded;",
        "#endif",
    ]
    source = "x"
    for i, layer in enumerate(layers):
        rows = layer.weights.shape[0]
        if layer.requantize is not None:
            padding = f"DENSE_PADDED({rows})"
            lines += [f"    int8_t a{i}[{padding}] __attribute__((aligned(4)));"]
            if rows % 4:
                lines += [f"    for (int i = {rows}; i < {padding}; i++) {{"]
                lines += [f"        a{i}[i] = 0;", "    }"]
        lines += _layer(layer, f"{entry}_{i}", source, f"a{i}" if layer.requantize else "scores")
        source = f"a{i}"
    text = ['#include "dense_int8.h"', "", *constants, "\n".join([*lines, "}", ""])]
    header = files(__package__).joinpath("dense_int8.h").read_text(encoding="utf-8")
    prototype = f"void {entry}(const int8_t *x, int32_t *scores);\n"
    text.insert(1, prototype)
    return {f"{entry}.c": "\n".join(text), "dense_int8.h": header}


def _layer(layer: DenseLayer, name: str, source: str, target: str) -> list[str]:
    """Statements that fill the target: blocks of four rows, then the rows that are left."""
    rows, columns = layer.weights.shape
    blocked = rows // 4 * 4
    width = f"DENSE_PADDED({columns})"
    block = f"{source}, {name}_weights + b * {width}, {width}"

    def activation(total: str) -> str:
        if layer.requantize is None:
            return total
        again = layer.requantize
        return f"dense_requantize({total}, {again.multiplier}, {again.shift}, {again.zero_point})"

    lines = [f"    const int32_t excess_{source} = dense_excess({source}, {width});"]
    if blocked:
        bias = ", ".join(f"{name}_bias[b + {r}] - excess_{source}" for r in range(4))
        lines += [
            f"    for (int b = 0; b < {blocked}; b += 4) {{",
            f"        int32_t sums[4] = {{{bias}}};",
            f"        dense_rows4({block}, sums);",
            "        for (int r = 0; r < 4; r++) {",
            f"            {target}[b + r] = {activation('sums[r]')};",
            "        }",
            "    }",
        ]
    if rows > blocked:
        row = f"dense_row({block}, {name}_bias[b] - excess_{source})"
        lines += [
            f"    for (int b = {blocked}; b < {rows}; b++) {{",
            f"        {target}[b] = {activation(row)};",
            "    }",
        ]
    return lines


def _constants(layer: DenseLayer, name: str) -> str:
    weights = f"static const dense_weight {name}_weights[] __attribute__((aligned(4)))"
    by_bytes = _interleave(layer.weights, 2, by=1)
    return "\n".join(
        [
            "#if DENSE_WIDE",
            f"{weights} = {_braces(_interleave(layer.weights, 4))};",
            "#elif DENSE_OFFSET",
            f"{weights} = {_braces(by_bytes.astype(np.int16) + 128)};",
            "#else",
            f"{weights} = {_braces(by_bytes)};",
            "#endif",
            f"static const int32_t {name}_bias[] = {_braces(layer.bias)};",
            "",
        ]
    )


def _interleave(weights: NDArray[np.int8], group: int, by: int | None = None) -> NDArray[np.int8]:
    """Weights in the order in which the kernels read them.

    Args:
        weights: int8 (rows, columns).
        group: columns are padded with zeros to a multiple of it.
        by: columns that a row of a block gives in turn, `group` unless stated.
    """
    rows, columns = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -columns % group)))
    by = by or group
    shape = (rows // 4, 4, padded.shape[1] // by, by)
    blocks = padded[: rows // 4 * 4].reshape(shape).transpose(0, 2, 1, 3)
    return np.concatenate([blocks.ravel(), padded[rows // 4 * 4 :].ravel()])


def _braces(values: NDArray[Any]) -> str:
    texts = [str(value) for value in np.asarray(values).tolist()]
    lines = [", ".join(texts[i : i + 24]) for i in range(0, len(texts), 24)]
    return "{\n    " + ",\n    ".join(lines) + "}"
