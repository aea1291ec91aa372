"""From signs and a real readout to the integer model that would be deployed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.comparison.baselines import READOUT_BITS, Setting
from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.model import Model
from qdeploy.training.assembly import build_network, drop_silent, merge
from qdeploy.training.losses import FloatArray
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.readout import IntegerReadout, integer_readout

__all__ = ["RealNetwork", "in_integers", "problems_of"]

SignMatrix = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class RealNetwork:
    """A ±1 network whose readout is real still.

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        weights: α for inputs x̂, float64 (m, K).
        intercepts: b, float64 (K,).
    """

    left: SignMatrix
    right: SignMatrix
    weights: FloatArray
    intercepts: FloatArray

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Scores, float64 (n, K), of inputs x̂ (n, d)."""
        left, right = (inputs @ side.T.astype(np.float64) for side in (self.left, self.right))
        scores: FloatArray = (left * right) @ self.weights + self.intercepts
        return scores


def problems_of(setting: Setting, penalty: float = 0.0) -> list[TrainingProblem]:
    """The problem of each output on the quantised inputs."""
    rows = setting.rows
    integers = rows.integers(np.ones(rows.dimension))
    return [TrainingProblem(integers, column, penalty, rows.loss) for column in rows.targets.T]


def in_integers(
    setting: Setting, network: RealNetwork, how: Literal["solved", "rounded"], ridge: float = 0.0
) -> Model:
    """The model with an integer readout.

    Args:
        setting: for the inputs and the meaning of the scores.
        network: signs and real readout.
        how: whether the integers of the readout are solved for, as ours are, or rounded to.
        ridge: ρ of a further penalty ½ ρ Σ α², for inputs x̂.
    """
    problems = problems_of(setting)
    shared = merge(SharedNeurons(network.left, network.right, network.weights))
    if how == "solved":
        features = problems[0].features(shared.left, shared.right)
        readout = integer_readout(problems, features, shared.weights, READOUT_BITS, ridge=ridge)
    else:
        readout = _rounded(shared.weights, network.intercepts)
    shared, readout = drop_silent(shared, readout)
    return Model(
        name="network",
        network=build_network(shared, readout),
        scale=readout.scale,
        head=setting.encoded[0],
        quantizer=setting.quantizer,
    )


def _rounded(weights: FloatArray, intercepts: FloatArray) -> IntegerReadout:
    """The nearest integers, the largest standing for the largest weight."""
    peak = float(np.abs(weights).max(initial=0.0)) or 1.0
    unit = peak / (2 ** (READOUT_BITS - 1) - 1)
    scale = unit * INPUT_STEP**2
    return IntegerReadout(
        np.rint(weights / unit).astype(np.int64),
        np.rint(intercepts / scale).astype(np.int64),
        scale,
    )
