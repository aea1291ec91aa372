"""The benchmark of scaling: solvers agree on its problems, and its page says what was measured."""

import pytest

from qdeploy.comparison.scaling import CASES, Case, Outcome, fitted_exponent, page, run_case
from qdeploy.comparison.scaling_cases import SOLVERS, planted, solve


def test_every_solver_finds_the_same_optimum():
    problem = planted(6, 60)
    found = {solver: solve(solver, problem) for solver in SOLVERS}
    best = found["low-rank"]["value"]
    assert [f["value"] for f in found.values()] == pytest.approx([best] * 3, rel=1e-3)
    assert best * (1 - 1e-3) < found["low-rank"]["bound"] <= best


def test_a_case_runs_in_its_process_and_within_its_limits():
    outcome = run_case(Case("low-rank", 6, 60), 60, 8)
    assert outcome.stopped is None
    assert outcome.bound <= outcome.value
    assert run_case(Case("clarabel", 64, 400), 1, 8).stopped == "time"


def test_the_page_tells_measured_from_stopped():
    found = {case: Outcome(None, 0.01 * case.dimension**2, 90.0, 5.0, 4.9) for case in CASES}
    found[Case("clarabel", 96, 400)] = Outcome("memory", 100.0)
    del found[Case("scs", 96, 400)]
    text = page(found, 100, 4, "scaling.svg")
    assert "| stopped (memory) | not run, stopped before |" in text
    assert "Time grows like d^2.00" in text
    assert "--seconds 100 --gibibytes 4" in text


def test_exponents_are_slopes():
    assert fitted_exponent([1, 2, 4], [3, 24, 192]) == pytest.approx(3)
