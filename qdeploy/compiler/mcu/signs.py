"""Weights of one bit: who has them, and the constant input that replaces equal biases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.network import INPUT_MAGNITUDE, QuadraticLayer

__all__ = [
    "SignRows",
    "biases_as_input",
    "has_only_signs",
    "sign_rows",
    "whole_blocks",
    "without_room",
]

_LARGEST_CONSTANT = 127


def has_only_signs(layer: QuadraticLayer) -> bool:
    """Whether every weight is +1 or -1."""
    return all(
        bool((np.abs(side.astype(np.int16)) == 1).all()) for side in (layer.left, layer.right)
    )


@dataclass(frozen=True, eq=False)
class SignRows:
    """The ±1 weight rows of a layer, u and v of a neuron side by side.

    Attributes:
        rows: ±1, int8 (2m, D): u_0, v_0, u_1, v_1, …; D is d, or d + 1 with a constant input.
        constant: the value of input d, or None where there is none.
        bias: int32 (2m,), what is still to be added to each row's sum.
    """

    rows: NDArray[np.int8]
    constant: int | None
    bias: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Inputs, the constant one included."""
        return self.rows.shape[1]


def biases_as_input(layer: QuadraticLayer) -> int | None:
    """κ where every bias is +κ or -κ and fits an int8 input, as networks trained here have it."""
    biases = np.abs(np.concatenate([layer.left_bias, layer.right_bias]).astype(np.int64))
    constant = int(biases[0])
    same = bool((biases == constant).all())
    return constant if same and 0 < constant <= _LARGEST_CONSTANT else None


def whole_blocks(rows: SignRows, block: int) -> SignRows:
    """The rows up to a multiple of an even number of them.

    The last neuron is repeated, so that what is proven of the products holds for all.
    """
    places = np.arange(-(-len(rows.rows) // block) * block)
    used = len(rows.rows)
    places = np.where(places < used, places, used - 2 + places % 2)
    return SignRows(rows.rows[places], rows.constant, rows.bias[places])


def without_room(layer: QuadraticLayer) -> str | None:
    """Why sums of a row, and what forms add to them on the way, may not fit 32 bits; else None.

    Inputs are at most 128, and no form has more than four times that on the way.
    """
    biases = np.abs(np.concatenate([layer.left_bias, layer.right_bias]).astype(np.int64))
    if int(biases.max()) + 4 * INPUT_MAGNITUDE * (layer.inputs + 1) < 2**31:
        return None
    return "its biases leave no room in sums of 32 bits"


def sign_rows(layer: QuadraticLayer) -> SignRows | str:
    """The rows of a layer of ±1 weights, or why there are none."""
    if not has_only_signs(layer):
        return "its weights are not all +1 or -1"
    if (reason := without_room(layer)) is not None:
        return reason
    rows = np.stack([layer.left, layer.right], axis=1).reshape(2 * layer.width, layer.inputs)
    bias = np.stack([layer.left_bias, layer.right_bias], axis=1).reshape(-1)
    constant = biases_as_input(layer)
    if constant is None:
        return SignRows(rows, None, bias)
    signs = np.sign(bias).astype(np.int8)
    return SignRows(np.concatenate([rows, signs[:, None]], axis=1), constant, np.zeros_like(bias))
