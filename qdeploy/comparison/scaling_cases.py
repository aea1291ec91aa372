"""One case of the scaling benchmark, in a process of its own: a solver, d inputs, n rows, accuracy.

    python -m qdeploy.comparison.scaling_cases low-rank 64 400 1e-6

prints one line of JSON. The plain formulation is the one with the 2d × 2d matrix:

    min L(f, y) + λρ,   f_i = x̂ᵢᵀZx̂ᵢ + b,   Q = [[V, Z], [Zᵀ, W]] ⪰ 0 with diagonal ρ

Solvers of cones meet constraints nearly: beside the objective that they report stands that of the
nearby point with a semidefinite Q of equal diagonal, which can be compared with any other.
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np

from qdeploy.training.bounds import norm_bounds
from qdeploy.training.losses import FloatArray, losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import prove_dual
from qdeploy.training.relaxations import relaxations
from qdeploy.training.relaxations.scale import best_scale
from qdeploy.training.threads import single_threaded

__all__ = ["SOLVERS", "planted", "solve"]

SOLVERS = ("low-rank", "clarabel", "scs")
SHARE = 0.05
"""λ as a share of d·‖G‖₂ at the empty network, at or above which everything is zero."""
HIDDEN = 8
MOST_STEPS = 100_000
"""Of SCS, so that the accuracy and not its own limit ends it."""
MEBI = 2**20


def planted(dimension: int, rows: int) -> TrainingProblem:
    """Random inputs whose targets are those of a network of ±1 weights with noise.

    Args:
        dimension: d, the constant input included.
        rows: n.
    """
    generator = np.random.default_rng([dimension, rows])
    inputs = np.clip(np.rint(32 * generator.standard_normal((rows, dimension - 1))), -128, 127)
    integers = lift(inputs.astype(np.int8))
    weights = generator.choice([-1.0, 1.0], (2, dimension, HIDDEN))
    images = [(integers @ side) / 32 for side in weights]
    clean = (images[0] * images[1]) @ generator.standard_normal(HIDDEN)
    targets = (clean - clean.mean()) / clean.std() + 0.5 * generator.standard_normal(rows)
    problem = TrainingProblem(integers, targets, 1.0, losses["squared"])
    matrix = problem.matrix(targets - targets.mean())
    penalty = SHARE * dimension * float(np.linalg.norm(matrix, 2))
    return TrainingProblem(integers, targets, penalty, losses["squared"])


def solve(solver: str, problem: TrainingProblem, tolerance: float) -> dict[str, Any]:
    """What one solver makes of the relaxation.

    Args:
        solver: one of `SOLVERS`.
        problem: the problem.
        tolerance: relative gap of the low-rank solver, eps of SCS; Clarabel keeps its own.

    Returns:
        `reported`, the objective by the solver's word; `value`, that of a feasible point; `bound`,
        what is proven (low rank only); `violation`, the largest of the constraints, over ρ.
    """
    if solver == "low-rank":
        found = relaxations["low-rank"].solve(problem, tolerance=tolerance)
        proven = prove_dual(problem, found.residual, "sdp")
        value, bound = found.value, float(proven.value)
        return {"reported": value, "value": value, "bound": bound, "violation": 0.0}
    return _plain(problem, solver, tolerance)


def _plain(problem: TrainingProblem, solver: str, tolerance: float) -> dict[str, Any]:
    # Imported by `main` before the clock starts.
    import cvxpy as cp

    size, rows = problem.dimension, problem.samples
    whole = cp.Variable((2 * size, 2 * size), PSD=True)
    rho, intercept = cp.Variable(), cp.Variable()
    products: FloatArray = (problem.inputs[:, :, None] * problem.inputs[:, None, :]).reshape(
        rows, -1
    )
    outputs = products @ cp.vec(whole[:size, size:], order="C") + intercept
    objective = problem.loss.expression(outputs, problem.targets) + problem.penalty * rho
    task = cp.Problem(cp.Minimize(objective), [cp.diag(whole) == rho])
    limits: dict[str, Any] = {"eps": tolerance, "max_iters": MOST_STEPS} if solver == "scs" else {}
    task.solve(solver=solver.upper(), **limits)
    return {"reported": float(task.value), **_feasible(problem, whole.value, float(rho.value))}


def _feasible(problem: TrainingProblem, matrix: FloatArray, rho: float) -> dict[str, Any]:
    """The objective of a feasible point near Q, and how far Q is from the constraints."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    factors = vectors * np.sqrt(np.maximum(values, 0.0))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    images = [problem.inputs @ half for half in np.split(factors, 2)]
    point = best_scale(problem, (images[0] * images[1]).sum(axis=1))
    violations = (-float(values[0]), float(np.abs(np.diag(matrix) - rho).max()))
    return {"value": point.value, "bound": None, "violation": max(violations) / abs(rho)}


def main(solver: str, dimension: int, rows: int, tolerance: float) -> None:
    """Run one case and print its figures."""
    with single_threaded():
        problem = planted(dimension, rows)
        # What is loaded once is no part of solving.
        if solver == "low-rank":
            relaxations["low-rank"], norm_bounds["sdp"]
        else:
            import cvxpy  # noqa: F401
        wall, busy = time.monotonic(), time.process_time()
        found = solve(solver, problem, tolerance)
        found["seconds"] = time.monotonic() - wall
        found["cpu"] = time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**found, "mebibytes": peak / MEBI}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
