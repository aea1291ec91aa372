"""The problem of one output: quantised inputs, targets, loss and penalty.

    min over m, u, v, α, b   L(f(X), y) + λ Σ|α_j|,   f(x) = Σ_j α_j (x̂ᵀu_j)(x̂ᵀv_j) / s_j + b

with x̂ = step · [x, κ]: the int8 inputs and a constant one, which gives every neuron linear terms.
The size s_j of a neuron is 1 for weights ±1; other families have their own.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qdeploy.activation import Activation
from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.errors import QDeployError
from qdeploy.training.blocks import is_large, row_blocks
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.neurons import NeuronFamily
from qdeploy.training.neurons.binary import BINARY
from qdeploy.training.polynomial import activated, integer_form, real_form

__all__ = ["CONSTANT", "TrainingProblem", "lift"]

CONSTANT = 32
"""κ: the constant input, one standard deviation at the standard input step."""


def lift(inputs: NDArray[np.int8], constant: int = CONSTANT) -> NDArray[np.int16]:
    """Append the constant input: int16 (n, d) of int8 (n, d - 1)."""
    column = np.full((inputs.shape[0], 1), constant, dtype=np.int16)
    return np.hstack([inputs.astype(np.int16), column])


@dataclass(frozen=True, eq=False)
class TrainingProblem:
    """One output to train.

    Attributes:
        integers: [x, κ], int16 (n, d), of magnitude at most 128.
        targets: float64 (n,); ±1 for a class.
        penalty: λ ≥ 0; bounds need it positive.
        loss: the loss.
        step: value of one integer input step, a power of two.
        family: what u and v may be, and what a neuron costs.
    """

    integers: NDArray[np.int16]
    targets: FloatArray
    penalty: float
    loss: Loss
    step: float = INPUT_STEP
    family: NeuronFamily = BINARY

    @property
    def samples(self) -> int:
        """Number of training rows n."""
        return self.integers.shape[0]

    @property
    def dimension(self) -> int:
        """Number of inputs d, the constant one included."""
        return self.integers.shape[1]

    @property
    def activation(self) -> Activation | None:
        """Of neurons of one sum, for which v is u; None for products of two sums."""
        return self.family.activation

    @property
    def unit(self) -> float:
        """Value of one unit of an integer neuron's output."""
        return self.step**2 if self.activation is None else self.activation.unit

    @property
    def norm_unit(self) -> float:
        """Value of one unit of a norm bound of `integer_matrix`."""
        return self.step**2 if self.activation is None else self.activation.unit / 2

    @property
    def form_size(self) -> int:
        """Rows of `matrix`: d, and one more for an activation with a linear part."""
        dimension = self.dimension
        return dimension if self.activation is None else self.activation.form_size(dimension)

    @cached_property
    def inputs(self) -> FloatArray:
        """x̂, float64 (n, d); exact, since the step is a power of two."""
        return self.integers.astype(np.float64) * self.step

    @property
    def is_large(self) -> bool:
        """Whether features and matrices are formed in blocks and in single precision."""
        return is_large(*self.integers.shape)

    @cached_property
    def single(self) -> NDArray[np.float32]:
        """x̂, float32 (n, d); exact as well."""
        return self.integers.astype(np.float32) * np.float32(self.step)

    def features(self, left: NDArray[np.int8], right: NDArray[np.int8]) -> FloatArray:
        """Neuron outputs (x̂ᵀu_j)(x̂ᵀv_j) / s_j, float64 (n, m), for weight matrices (m, d).

        Exact; those of a large problem are rounded to float32. With an activation, its values.
        """
        if self.activation is not None:
            sums = (self.inputs @ left.T.astype(np.float64)) / self.step
            return activated(sums, self.activation)
        if self.is_large:
            return self.family.normalised(self._single_features(left, right), left, right)
        inputs = self.inputs
        product: FloatArray = (inputs @ left.T.astype(np.float64)) * (
            inputs @ right.T.astype(np.float64)
        )
        return self.family.normalised(product, left, right)

    def _single_features(self, left: NDArray[np.int8], right: NDArray[np.int8]) -> FloatArray:
        """`features` of a large problem; the dot products are exact, their product is rounded."""
        result = np.empty((self.samples, len(left)), dtype=np.float32)
        first, second = left.T.astype(np.float32), right.T.astype(np.float32)
        for block in row_blocks(self.samples):
            rows = self.single[block]
            np.multiply(rows @ first, rows @ second, out=result[block])
        return result  # type: ignore[return-value]  # narrower, and taken as it is

    def matrix(self, residual: FloatArray) -> FloatArray:
        """G(r) = x̂ᵀ diag(r) x̂, float64 (d, d), symmetric; with an activation its form (D, D)."""
        gram = self._gram(residual)
        if self.activation is None:
            return gram
        return real_form(gram, residual @ self.inputs, self.activation, self.step)

    def _gram(self, residual: FloatArray) -> FloatArray:
        if self.is_large:
            factors = residual.astype(np.float32)
            total = np.zeros((self.dimension, self.dimension))
            for block in row_blocks(self.samples):
                rows = self.single[block]
                total += rows.T @ (factors[block, None] * rows)
            return (total + total.T) / 2
        product: FloatArray = self.inputs.T @ (residual[:, None] * self.inputs)
        symmetric: FloatArray = (product + product.T) / 2
        return symmetric

    def integer_matrix(self, residual: NDArray[np.int32]) -> NDArray[np.int64]:
        """G(r) for integer inputs and residual, int64 (d, d), exact.

        With an activation twice its form, int64 (D, D), for a residual that sums to zero.

        Every partial sum is an integer of at most 2⁷·2⁷·Σ|r| in magnitude, which floating point
        holds exactly below 2⁵³; the sum is checked.
        """
        bound = int(np.abs(self.integers).max()) ** 2 * int(np.abs(residual.astype(np.int64)).sum())
        if bound >= 2**53:
            raise QDeployError("the integer residual is too large for exact sums; scale it down")
        exact, edge = np.zeros((self.dimension, self.dimension)), np.zeros(self.dimension)
        for block in row_blocks(self.samples):
            rows = self.integers[block].astype(np.float64)
            weights = residual[block].astype(np.float64)
            exact += rows.T @ (weights[:, None] * rows)
            edge += weights @ rows
        if self.activation is None:
            return exact.astype(np.int64)
        return integer_form(exact.astype(np.int64), edge.astype(np.int64), self.activation)
