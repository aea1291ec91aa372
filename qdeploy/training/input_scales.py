"""A learned scale for every input: ±1 weights cannot weigh inputs, the quantiser can, for nothing.

The device divides by a scale anyway when it makes integers of its readings. For fixed neurons the
loss with its best readout is smooth in the logarithms of the scales; L-BFGS lowers it.
"""

import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from qdeploy.training.losses import FloatArray
from qdeploy.training.shared import SharedProblem, inverse_gram

__all__ = ["LARGEST", "SMALLEST", "learn_scales"]

SMALLEST, LARGEST = 0.125, 4.0
"""Range of the scales: wider ones lose an input's resolution or saturate most of its values."""
ITERATIONS = 20


def learn_scales(
    problem: SharedProblem,
    left: NDArray[np.int8],
    right: NDArray[np.int8],
    response: FloatArray,
    start: FloatArray,
    *,
    deadline: float = np.inf,
) -> FloatArray:
    """Scales (d,) that lower the squared distance to the working response, and so the loss.

    Args:
        problem: inputs before scaling, the constant one last; it keeps its scale.
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        response: working response of the neurons at `start`, (n, K).
        start: scales to start from, (d,); the last is 1.
        deadline: `time.monotonic()` at which to stop.
    """
    first, second = left.astype(np.float64), right.astype(np.float64)
    wanted = problem.centred(response)
    root = problem.unweighted(np.ones((len(response), 1)))

    def slope_at(logarithms: FloatArray) -> tuple[float, FloatArray]:
        scaled = problem.inputs * np.exp(logarithms)
        one, two = scaled @ first.T, scaled @ second.T
        centred = problem.centred(one * two)
        weights = inverse_gram(centred, problem.ridge) @ (centred.T @ wanted)
        short = wanted - centred @ weights
        value = 0.5 * float((short**2).sum() + problem.ridge * (weights**2).sum())
        pull = -(short / root) @ weights.T
        by_input = (pull * two) @ first + (pull * one) @ second
        return value, (by_input * scaled).sum(axis=0)

    def stop_in_time(_: FloatArray) -> None:
        if time.monotonic() > deadline:
            raise StopIteration

    ends = (np.log(SMALLEST), np.log(LARGEST))
    found = minimize(
        slope_at,
        np.log(start),
        jac=True,
        method="L-BFGS-B",
        bounds=[ends] * (len(start) - 1) + [(0.0, 0.0)],
        options={"maxiter": ITERATIONS},
        callback=stop_in_time,
    )
    scales: FloatArray = np.exp(found.x)
    return scales
