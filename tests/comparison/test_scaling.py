"""The benchmark of scaling: solvers agree on its problems, and its page says what was measured."""

import pytest

from qdeploy.comparison.scaling import (
    CASES,
    COARSE,
    FINE,
    Case,
    Outcome,
    fitted_exponent,
    page,
    run_case,
)
from qdeploy.comparison.scaling_cases import SOLVERS, planted, solve


def test_every_solver_finds_the_same_optimum():
    problem = planted(6, 60)
    found = {solver: solve(solver, problem, FINE) for solver in SOLVERS}
    best = found["low-rank"]["value"]
    for kind in ("reported", "value"):
        assert [f[kind] for f in found.values()] == pytest.approx([best] * 3, rel=1e-5)
    assert best * (1 - 1e-5) < found["low-rank"]["bound"] <= best


def test_points_are_feasible_whatever_a_solver_misses():
    """The value of a point is that of the relaxation there: never below what is proven of it."""
    problem = planted(6, 60)
    bound = solve("low-rank", problem, FINE)["bound"]
    rough, fine = (solve("scs", problem, accuracy) for accuracy in (1e-1, FINE))
    assert rough["violation"] > 100 * fine["violation"] > 0
    assert rough["value"] > fine["value"] >= bound


def test_a_case_runs_in_its_process_and_within_its_limits():
    outcome = run_case(Case("low-rank", 6, 60), 60, 8)
    assert outcome.stopped is None
    assert outcome.bound <= outcome.value
    assert run_case(Case("clarabel", 64, 400), 1, 8).stopped == "time"


def test_the_page_tells_measured_from_stopped():
    found = {
        case: Outcome(None, 0.01 * case.dimension**2, 90.0, 5.0, 5.0, 4.9, 0.0) for case in CASES
    }
    found[Case("clarabel", 96, 400, FINE)] = Outcome("memory", 100.0)
    found[Case("scs", 96, 400, COARSE)] = Outcome(None, 1000.0, 90.0, 4.8, 5.39, None, 0.02)
    del found[Case("scs", 96, 400, FINE)]
    text = page(found, 100, 4, "scaling.svg")
    times, reached = (line for line in text.splitlines() if line.startswith("| 96 |"))
    own = "92.2 s, 90 MiB"
    cells = [own, own, "1e+03 s, 90 MiB", "not run, stopped before", "stopped (memory)", "11 ×", ""]
    assert times == f"| 96 | {' | '.join(cells)} |"
    assert reached == "| 96 | 2.0e-02, 0 | 2.0e-02, 0 | 1.0e-01, 0.02 |  |  |"
    assert "Time grows like d^2.00" in text
    assert "| 60000 | 6.16e+03 s | 90 MiB | 2.0e-02 |" in text
    assert "--seconds 100 --gibibytes 4" in text


def test_exponents_are_slopes():
    assert fitted_exponent([1, 2, 4], [3, 24, 192]) == pytest.approx(3)
