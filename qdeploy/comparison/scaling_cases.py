"""One case of the scaling benchmark, in a process of its own: a solver, d inputs, n rows.

    python -m qdeploy.comparison.scaling_cases low-rank 64 400

prints one line of JSON. The plain formulation is the one with the 2d × 2d matrix:

    min L(f, y) + λρ,   f_i = x̂ᵢᵀZx̂ᵢ + b,   [[V, Z], [Zᵀ, W]] ⪰ 0 with diagonal ρ
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np

from qdeploy.training.losses import FloatArray, losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import prove_dual
from qdeploy.training.relaxations import relaxations
from qdeploy.training.threads import single_threaded

__all__ = ["SOLVERS", "planted", "solve"]

SOLVERS = ("low-rank", "clarabel", "scs")
SHARE = 0.05
"""λ as a share of d·‖G‖₂ at the empty network, at or above which everything is zero."""
HIDDEN = 8
TOLERANCE = 1e-4
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


def solve(solver: str, problem: TrainingProblem) -> dict[str, Any]:
    """Value of the relaxation, and what is proven of it, by one solver.

    Args:
        solver: one of `SOLVERS`.
        problem: the problem.
    """
    if solver == "low-rank":
        found = relaxations["low-rank"].solve(problem, tolerance=TOLERANCE)
        proven = prove_dual(problem, found.residual, "sdp")
        return {"value": found.value, "bound": float(proven.value)}
    return {"value": _plain(problem, solver), "bound": None}


def _plain(problem: TrainingProblem, solver: str) -> float:
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
    options: dict[str, Any] = {"eps": TOLERANCE} if solver == "scs" else {}
    task.solve(solver=solver.upper(), **options)
    return float(task.value)


def main(solver: str, dimension: int, rows: int) -> None:
    """Run one case and print its figures."""
    with single_threaded():
        problem = planted(dimension, rows)
        if solver != "low-rank":
            import cvxpy  # noqa: F401
        wall, busy = time.monotonic(), time.process_time()
        found = solve(solver, problem)
        found["seconds"] = time.monotonic() - wall
        found["cpu"] = time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**found, "mebibytes": peak / MEBI}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
