"""The restricted master of the hinge loss, a linear programme, with its dual solution (HiGHS).

min over α, b, ξ ≥ 0   Σ w_i ξ_i + λ Σ|α_j|   subject to   ξ_i ≥ 1 - y_i (g + Φα + b)_i
"""

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack

from qdeploy.errors import QDeployError
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["solve_linear"]

FEASIBILITY = 1e-9


def solve_linear(
    problem: TrainingProblem,
    features: FloatArray,
    *,
    given: FloatArray | None = None,
    largest: float = np.inf,
) -> tuple[FloatArray, FloatArray]:
    """Best readout of fixed neurons under the hinge loss.

    Args:
        problem: targets, penalty, and a hinge loss.
        features: Φ, float64 (n, m).
        given: g, what other neurons of a fixed readout give, float64 (n,); None for nothing.
        largest: upper bound of every |α_j|.

    Returns:
        α, float64 (m,), and the dual solution r, float64 (n,), with 0 ≤ y_i r_i ≤ w_i and Σr = 0.

    Raises:
        QDeployError: the solver stopped without a solution.
    """
    rows, width = features.shape
    targets = problem.targets
    # The mean size of a neuron output is the unit, so that the solver's tolerances mean something.
    size = float(np.sqrt((features**2).mean())) if features.size else 1.0
    signed = targets[:, None] * features / (size or 1.0)
    weights = problem.loss.times(np.ones(rows))
    price = np.full(2 * width, problem.penalty / (size or 1.0))
    most = None if np.isinf(largest) else largest * (size or 1.0)
    short = -np.ones(rows)
    found = linprog(
        np.concatenate([price, [0.0], weights]),
        A_ub=hstack(
            [csr_array(np.hstack([-signed, signed, -targets[:, None]])), -eye_array(rows)],
            format="csr",
        ),
        b_ub=short if given is None else short + targets * given,
        bounds=[(0, most)] * (2 * width) + [(None, None)] + [(0, None)] * rows,
        method="highs",
        options={
            "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
        },
    )
    if found.x is None:
        raise QDeployError(
            f"the linear programme of the readout was not solved ({found.message}); choose a "
            "smooth loss, such as squared-hinge"
        )
    chosen = (found.x[:width] - found.x[width : 2 * width]) / (size or 1.0)
    share = np.clip(-found.ineqlin.marginals, 0, weights)
    return chosen, targets * share
