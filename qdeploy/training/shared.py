"""One dictionary of neurons for all outputs: problem, features and the best real readout.

    min over α, b   Σ_k L(Φα_k + b_k, y_k) + ½ ρ Σ α²

Losses of curvature at most one are majorised by a squared loss against a working response, so that
one factorisation serves every step and the objective never rises.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray, Loss

__all__ = ["SharedProblem", "SharedReadout", "inverse_gram", "solve_readout"]

SignMatrix = NDArray[np.int8]

STEPS = 200
ROUNDING = 1e-9
"""Working responses that differ by no more than this share of the largest target are the same."""
ENOUGH = 1e-7
"""Relative decrease of the objective at which solving the readout ends."""


@dataclass(frozen=True, eq=False)
class SharedProblem:
    """All outputs of one network at once.

    Attributes:
        inputs: x̂ / √d, float64 (n, d), so that neuron outputs have the size of their inputs.
        targets: float64 (n, K).
        loss: the loss of every output, of curvature at most the weight of each sample.
        ridge: ρ > 0, for α in units of these inputs.
    """

    inputs: FloatArray
    targets: FloatArray
    loss: Loss
    ridge: float

    def features(self, left: SignMatrix, right: SignMatrix) -> FloatArray:
        """Neuron outputs, float64 (n, m), for sign matrices (m, d)."""
        product: FloatArray = (self.inputs @ left.T.astype(np.float64)) * (
            self.inputs @ right.T.astype(np.float64)
        )
        return product

    def response(self, predictions: FloatArray) -> FloatArray:
        """Working response, (n, K): half the squared distance to it majorises the loss."""
        return predictions + self.loss.over(self.loss.residual(predictions, self.targets))

    def centred(self, values: FloatArray) -> FloatArray:
        """√w times the values (n, m) less their weighted means, so that plain products count."""
        centred: FloatArray = values - np.average(values, axis=0, weights=self.loss.weights)
        return centred if self.loss.weights is None else centred * self._root

    def unweighted(self, values: FloatArray) -> FloatArray:
        """Values (n, m) over √w: back from what `centred` gives."""
        return values if self.loss.weights is None else values / self._root

    @property
    def _root(self) -> FloatArray:
        return np.sqrt(self.loss.times(np.ones((len(self.inputs), 1))))

    def same(self, response: FloatArray, other: FloatArray) -> bool:
        """Whether two working responses (n, K) agree but for rounding; always, if squared."""
        difference = np.abs(response - other).max()
        return bool(difference <= ROUNDING * np.abs(self.targets).max())

    def objective(self, predictions: FloatArray, weights: FloatArray) -> float:
        """Loss of predictions (n, K) plus the ridge of the readout (m, K)."""
        loss = self.loss.value(predictions, self.targets)
        return loss + 0.5 * self.ridge * float((weights**2).sum())


@dataclass(frozen=True, eq=False)
class SharedReadout:
    """A real readout of shared neurons.

    Attributes:
        weights: α, float64 (m, K).
        intercepts: b, float64 (K,).
        predictions: Φα + b, float64 (n, K).
        response: working response at the predictions, float64 (n, K).
        objective: loss plus ridge.
    """

    weights: FloatArray
    intercepts: FloatArray
    predictions: FloatArray
    response: FloatArray
    objective: float


def inverse_gram(centred: FloatArray, ridge: float) -> FloatArray:
    """(ΦᵀΦ + ρ)⁻¹, float64 (m, m), of centred features (n, m) of either precision."""
    gram: FloatArray = (centred.T @ centred).astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    symmetric: FloatArray = (inverse + inverse.T) / 2
    return symmetric


def solve_readout(
    problem: SharedProblem,
    features: FloatArray,
    response: FloatArray | None = None,
    steps: int = STEPS,
) -> SharedReadout:
    """Best real readout for fixed neurons.

    Args:
        problem: targets, loss and ridge.
        features: Φ, float64 (n, m), not centred.
        response: working response to start from, (n, K); by default the targets.
        steps: most steps; a squared loss takes one.
    """
    mean = np.average(features, axis=0, weights=problem.loss.weights)
    centred = problem.centred(features)
    inverse = inverse_gram(centred, problem.ridge)
    wanted: FloatArray = problem.targets if response is None else response
    before = np.inf
    while True:
        level = np.average(wanted, axis=0, weights=problem.loss.weights)
        weights: FloatArray = inverse @ (centred.T @ problem.centred(wanted))
        predictions: FloatArray = problem.unweighted(centred @ weights) + level
        moved = problem.response(predictions)
        objective = problem.objective(predictions, weights)
        steps -= 1
        settled = problem.same(moved, wanted) or objective >= before * (1 - ENOUGH)
        if settled or steps <= 0:
            return SharedReadout(weights, level - mean @ weights, predictions, moved, objective)
        wanted, before = moved, objective
