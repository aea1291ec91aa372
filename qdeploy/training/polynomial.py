"""Neurons of one sum: σ(t) = a·t² + b·t on T = t/step, as unit·T·(square·T + linear).

For residuals that sum to zero, Σ_i r_i σ(x̂ᵢᵀu) is a quadratic form of the signs q = (u, 1):

    qᵀMq,   M = unit · [[square·G, linear/2·h], [linear/2·hᵀ, 0]]     G = Xᵀdiag(r)X,  h = Xᵀr

and of u alone where the linear part is zero. q and -q give the same value, so that the last sign
needs no fixing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.activation import Activation

__all__ = ["activated", "integer_form", "real_form"]

FloatArray = NDArray[np.float64]
IntegerMatrix = NDArray[np.int64]


def activated(sums: FloatArray, activation: Activation) -> FloatArray:
    """σ of integer sums T, float64 (n, m)."""
    values: FloatArray = activation.unit * (
        sums * (activation.square * sums + float(activation.linear))
    )
    return values


def real_form(
    gram: FloatArray, edge: FloatArray, activation: Activation, step: float
) -> FloatArray:
    """M, float64 (D, D), in the units of the objective.

    Args:
        gram: x̂ᵀdiag(r)x̂, float64 (d, d).
        edge: x̂ᵀr, float64 (d,).
        activation: σ.
        step: value of one integer input step.
    """
    square = activation.unit * activation.square / (step * step) * gram
    return _bordered(square, activation.unit * activation.linear / (2 * step) * edge, activation)


def integer_form(gram: IntegerMatrix, edge: IntegerMatrix, activation: Activation) -> IntegerMatrix:
    """2M/unit, int64 (D, D), exact.

    Args:
        gram: G, int64 (d, d), entries below 2⁵³.
        edge: h, int64 (d,), entries below 2⁴⁷, which |linear| < 2¹⁵ takes to less than 2⁶².
        activation: σ.
    """
    return _bordered(2 * activation.square * gram, activation.linear * edge, activation)


def _bordered(square: NDArray[Any], edge: NDArray[Any], activation: Activation) -> NDArray[Any]:
    """The matrix with the edge as its last row and column, where there is a linear part."""
    if not activation.linear:
        return square
    return np.block([[square, edge[:, None]], [edge[None, :], np.zeros((1, 1), square.dtype)]])
