"""Exact arithmetic of the proof: scores, Gram matrix, outward rounding."""

import math
import sys
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.network import QuadraticLayer, ReadoutLayer

__all__ = ["network_scores", "residual_gram", "round_down", "round_up"]

EXACT = 2**53
"""Up to this magnitude float64 holds every integer, so a float64 sum of integers is exact in any
order when the magnitudes of its terms add up to no more."""

BLOCK_ROWS = 8192


def network_scores(
    inputs: NDArray[np.int8], quadratic: QuadraticLayer, readout: ReadoutLayer
) -> NDArray[np.object_]:
    """Scores of the integer network, Python integers (n, K), computed apart from its own code.

    Args:
        inputs: int8 (n, d).
        quadratic: the neurons.
        readout: A and b.
    """
    # A dot product of int8 values and an int32 bias stays within 2⁵³ for any d below 2³⁸.
    sides = [
        (weights.astype(np.float64), bias.astype(np.float64))
        for weights, bias in (
            (quadratic.left, quadratic.left_bias),
            (quadratic.right, quadratic.right_bias),
        )
    ]
    # |Σ A_jk p_j q_j| ≤ Σ_j |A_jk| max|p_j q_j|; beyond int64 Python integers take over.
    reach = [
        int(np.abs(weights).sum(axis=1).max()) * 128 + int(np.abs(bias).max())
        for weights, bias in sides
    ]
    weights_sum = int(np.abs(readout.weights.astype(np.int64)).sum(axis=0).max())
    fits = weights_sum * reach[0] * reach[1] < 2**63
    kind = np.dtype(np.int64 if fits else object)
    amplitudes = readout.weights.astype(np.int64).astype(kind)
    scores = np.empty((len(inputs), readout.width), dtype=object)
    for first in range(0, len(inputs), BLOCK_ROWS):
        rows = inputs[first : first + BLOCK_ROWS].astype(np.float64)
        left, right = (
            (rows @ weights.T + bias).astype(np.int64).astype(kind) for weights, bias in sides
        )
        scores[first : first + BLOCK_ROWS] = (left * right) @ amplitudes
    return scores + readout.bias.astype(object)


def residual_gram(lifted: NDArray[np.int64], residual: NDArray[np.int64]) -> NDArray[np.int64]:
    """G = Xᵀ diag(r) X, exactly.

    Args:
        lifted: X, int64 (n, d), the constant input included.
        residual: r, int64 (n,).

    Raises:
        ValueError: an entry could exceed 2⁵³.
    """
    largest = int(np.abs(lifted).max())
    if sum(abs(value) for value in residual.tolist()) * largest**2 > EXACT:
        raise ValueError("an entry of the Gram matrix could exceed 2^53")
    gram = np.zeros((lifted.shape[1], lifted.shape[1]))
    for first in range(0, len(lifted), BLOCK_ROWS):
        rows = lifted[first : first + BLOCK_ROWS].astype(np.float64)
        gram += rows.T @ (residual[first : first + BLOCK_ROWS, None] * rows)
    return gram.astype(np.int64)


def round_up(value: Fraction) -> float:
    """Smallest float64 not below the value."""
    rounded = _nearest(value)
    covers = rounded == math.inf or Fraction(rounded) >= value
    return rounded if covers else math.nextafter(rounded, math.inf)


def round_down(value: Fraction) -> float:
    """Largest float64 not above the value."""
    return -round_up(-value)


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -sys.float_info.max
