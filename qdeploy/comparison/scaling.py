"""Time and memory of the relaxation against d and n: docs/scaling.md and its drawing.

    python -m qdeploy.comparison.scaling --page docs/scaling.md --store scaling.json

Every case runs in a process of its own, under limits of processor time and memory. What is in the
store is not run again, so that a run that was ended goes on where it stopped.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from qdeploy.benchmark.charts.drawing import GRID, INK, OWN, SERIES, WIDE, canvas, style, svg
from qdeploy.comparison.charts import standing_alone
from qdeploy.comparison.scaling_cases import SOLVERS
from qdeploy.errors import QDeployError
from qdeploy.files import write_text

__all__ = ["CASES", "Case", "Outcome", "fitted_exponent", "page", "run_case"]

GIBI = 2**30
NAMES = {
    "low-rank": "qdeploy, low rank",
    "clarabel": "cvxpy + Clarabel, plain",
    "scs": "cvxpy + SCS, plain",
}
FEW, MANY, MOST = 400, 4000, 60000
"""Rows of the comparison of solvers, of the wide problems, and of the largest."""
SWEPT, LARGEST = 128, 785
"""Inputs of the problems with more and more rows, and of the largest: those of MNIST."""
COARSE, FINE = 1e-4, 1e-6
"""Accuracies; the low-rank solver is asked for the fine one in training, for the coarse one here
where problems are large."""


@dataclass(frozen=True)
class Case:
    """A solver with d inputs, the constant one included, n rows, and an accuracy.

    Clarabel keeps its own accuracy (1e-8) whatever stands here.
    """

    solver: str
    dimension: int
    rows: int
    accuracy: float = COARSE


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        stopped: what limit ended it ("time" or "memory"), or None.
        cpu: processor seconds; the limit, of one that was stopped.
        mebibytes: peak resident memory, with Python and its libraries.
        reported: the objective of the relaxation, by the solver's word.
        value: that of a feasible point.
        bound: proven in exact arithmetic, of the low-rank solver.
        violation: the largest of the constraints, over ρ.
    """

    stopped: str | None
    cpu: float
    mebibytes: float | None = None
    reported: float | None = None
    value: float | None = None
    bound: float | None = None
    violation: float | None = None


COLUMNS = (
    ("low-rank", COARSE, f"qdeploy to {COARSE:g}"),
    ("low-rank", FINE, f"qdeploy to {FINE:g}"),
    ("scs", COARSE, f"cvxpy + SCS, eps {COARSE:g}"),
    ("scs", FINE, f"cvxpy + SCS, eps {FINE:g}"),
    ("clarabel", FINE, "cvxpy + Clarabel"),
)
"""Solver, accuracy and name of what is compared."""
CASES = (
    *(Case(s, d, FEW, accuracy) for s, accuracy, _ in COLUMNS for d in (8, 16, 32, 48, 64, 96)),
    *(Case("low-rank", d, MANY) for d in (64, 128, 256)),
    *(Case("low-rank", SWEPT, n) for n in (1000, 15000, 60000)),
    *(Case("low-rank", d, MANY) for d in (512, 1000)),
    Case("low-rank", LARGEST, MOST),
)


def run_case(case: Case, seconds: float, gibibytes: float) -> Outcome:
    """Run one case in a process.

    Args:
        case: the case.
        seconds: of processor time after which it is stopped.
        gibibytes: of address space beyond which it is stopped.

    Raises:
        QDeployError: it failed for another reason.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (int(gibibytes * GIBI), int(gibibytes * GIBI)))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "qdeploy.comparison.scaling_cases"),
            *(case.solver, str(case.dimension), str(case.rows), str(case.accuracy)),
        ],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode == 0:
        found = json.loads(done.stdout.splitlines()[-1])
        figures = {name: found[name] for name in ("reported", "value", "bound", "violation")}
        return Outcome(None, found["cpu"], found["mebibytes"], **figures)
    if done.returncode in (-24, -9):
        return Outcome("time", seconds)
    # A library that gets no memory ends in its own way: by an exception, an abort, a fault.
    if "emory" in done.stderr or done.returncode in (-6, -11):
        return Outcome("memory", seconds)
    raise QDeployError(f"{case} failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")


def fitted_exponent(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """Slope of log(figure) over log(size) by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(figures), 1)[0])


def page(found: dict[Case, Outcome], seconds: float, gibibytes: float, drawing: str) -> str:
    """The page as Markdown.

    Args:
        found: what came of each case.
        seconds: the limit of time.
        gibibytes: the limit of memory.
        drawing: file name of the drawing.
    """
    lines = [
        "# How the relaxation scales",
        "",
        "Certified training begins with a semidefinite relaxation. qdeploy solves it in factored "
        "form (low rank) and proves a bound in exact arithmetic; the plain formulation, one "
        "semidefinite matrix of 2d × 2d, is what cvxpy is given beside it, its outputs as one "
        "product of a matrix (n, d²) with Z. Random inputs, targets of a hidden ±1 network with "
        "noise, one thread. Times are **measured** processor seconds, from the problem to the "
        "solution (with the proof of qdeploy, and the compilation by cvxpy), without imports; "
        "memory is the peak of the process, Python and libraries included (about 85 MiB). A case "
        f"is *stopped* after {seconds:g} s or beyond {gibibytes:g} GiB.",
        "",
        f"![processor time over inputs, by solver]({drawing})",
        "",
        f"## Solvers, {FEW} rows",
        "",
        *_compared(found, "d", lambda case: _cell(found.get(case)), _speed_up_cells(found)),
        "",
        "A speed-up is over the faster of the two others: at the coarse accuracy over SCS with "
        "its coarse eps, at the fine one over SCS with its fine eps, or over Clarabel.",
        "",
        "## What each of them reached",
        "",
        "How far a feasible point is above the best bound proven of the problem, relative; and, "
        "behind the comma, by how much the solver's own answer misses its constraints, over ρ "
        "(0: it meets them). The point of a solver that misses them is the nearest one with a "
        "semidefinite matrix of equal diagonal.",
        "",
        *_compared(found, "d", lambda case: _reached(found, case), {}),
        "",
        f"## Wider: {MANY} rows",
        "",
    ]
    lines += _growth(found, lambda case: case.rows == MANY, "d", lambda case: case.dimension)
    lines += ["", f"## More rows: {SWEPT} inputs", ""]
    lines += _growth(found, lambda case: case.dimension == SWEPT, "n", lambda case: case.rows)
    lines += ["", f"## The size of MNIST: {LARGEST} inputs, {MOST} rows", ""]
    lines += _growth(found, lambda case: case.dimension == LARGEST, "n", lambda case: case.rows)
    lines += [
        "",
        "The relaxed gap is between the value of the relaxation and what was proven of it. The "
        "exponents are fitted to all rows of a table; times are those of whole runs, whose number "
        "of steps varies from problem to problem.",
        "",
        "This page is written by",
        "",
        "    python -m qdeploy.comparison.scaling --page docs/scaling.md --store scaling.json "
        f"--seconds {seconds:g} --gibibytes {gibibytes:g}",
    ]
    return "\n".join(lines) + "\n"


def _compared(
    found: dict[Case, Outcome],
    name: str,
    cell: Callable[[Case], str],
    more: Mapping[str, Callable[[int], str]],
) -> list[str]:
    """A table with a row for each number of inputs and a column for each solver and accuracy."""
    headings = [*(column for _, _, column in COLUMNS), *more]
    lines = [f"| {name} | " + " | ".join(headings) + " |", "|---:|" + "---:|" * len(headings)]
    for dimension in sorted({case.dimension for case in found if case.rows == FEW}):
        cells = [cell(Case(solver, dimension, FEW, accuracy)) for solver, accuracy, _ in COLUMNS]
        cells += [figure(dimension) for figure in more.values()]
        lines.append(f"| {dimension} | " + " | ".join(cells) + " |")
    return lines


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run, stopped before"
    if outcome.stopped:
        return f"stopped ({outcome.stopped})"
    return f"{outcome.cpu:.3g} s, {outcome.mebibytes:.0f} MiB"


def _reached(found: dict[Case, Outcome], case: Case) -> str:
    outcome = found.get(case)
    bounds = [
        known.bound
        for other, known in found.items()
        if (other.dimension, other.rows) == (case.dimension, case.rows) and known.bound is not None
    ]
    if outcome is None or outcome.value is None or not bounds:
        return ""
    return f"{outcome.value / max(bounds) - 1:.1e}, {outcome.violation:.1g}"


def _speed_up_cells(found: dict[Case, Outcome]) -> dict[str, Callable[[int], str]]:
    """Of each accuracy, the speed-up over the faster of the other solvers."""

    def cells(accuracy: float) -> Callable[[int], str]:
        def cell(dimension: int) -> str:
            names = (("low-rank", accuracy), ("scs", accuracy), ("clarabel", FINE))
            return _speed_up([found.get(Case(s, dimension, FEW, a)) for s, a in names])

        return cell

    return {f"speed-up to {accuracy:g}": cells(accuracy) for accuracy in (COARSE, FINE)}


def _speed_up(outcomes: Sequence[Outcome | None]) -> str:
    own, *others = outcomes
    # Of what ran out of memory, the time that it would have taken is not known.
    known = [other for other in others if other is not None and other.stopped != "memory"]
    if own is None or own.stopped or not known:
        return ""
    fastest = min(known, key=lambda other: other.cpu)
    return f"{'above ' if fastest.stopped else ''}{fastest.cpu / own.cpu:.0f} ×"


def _growth(
    found: dict[Case, Outcome],
    belongs: Callable[[Case], bool],
    name: str,
    size: Callable[[Case], int],
) -> list[str]:
    """Table and exponents of the low-rank solver along one size."""
    cases = [
        case
        for case in found
        if case.solver == "low-rank" and case.accuracy == COARSE and belongs(case)
    ]
    cases.sort(key=size)
    lines = [f"| {name} | time | memory | relaxed gap, proven |", "|---:|---:|---:|---:|"]
    done = [(case, found[case]) for case in cases if not found[case].stopped]
    for case in cases:
        outcome = found[case]
        if outcome.stopped or outcome.value is None or outcome.bound is None:
            lines.append(f"| {size(case)} | stopped ({outcome.stopped}) | | |")
            continue
        gap = 1 - outcome.bound / outcome.value
        lines.append(
            f"| {size(case)} | {outcome.cpu:.3g} s | {outcome.mebibytes:.0f} MiB | {gap:.1e} |"
        )
    if len(done) > 2:
        sizes = [size(case) for case, _ in done]
        time = fitted_exponent(sizes, [outcome.cpu for _, outcome in done])
        memory = fitted_exponent(sizes, [outcome.mebibytes or 0.0 for _, outcome in done])
        lines += ["", f"Time grows like {name}^{time:.2f}, memory like {name}^{memory:.2f}."]
    return lines


def _chart(found: dict[Case, Outcome]) -> str:
    title = "Processor seconds of the relaxation over the number of inputs"
    with style(title):
        drawing = canvas(4.0, WIDE)
        axes = drawing.subplots()
        for solver, rows in ((s, n) for n in (FEW, MANY) for s in SOLVERS):
            accuracy = FINE if rows == FEW else COARSE
            line = sorted(
                (case.dimension, outcome.cpu)
                for case, outcome in found.items()
                if (case.solver, case.rows, case.accuracy) == (solver, rows, accuracy)
                and not outcome.stopped
            )
            if not line:
                continue
            axes.plot(
                *zip(*line, strict=True),
                color=OWN if solver == "low-rank" else SERIES[1 + SOLVERS.index(solver)],
                linestyle="-" if rows == FEW else "--",
                linewidth=2.2,
                marker="o",
                label=f"{NAMES[solver]}, {rows} rows, to {accuracy:g}",
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("inputs d")
        axes.set_ylabel("processor seconds")
        axes.grid(color=GRID, linewidth=0.8)
        axes.spines[:].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK)
        return standing_alone(svg(drawing, title))


def _read(store: Path) -> dict[Case, Outcome]:
    if not store.exists():
        return {}
    entries: list[dict[str, Any]] = json.loads(store.read_text(encoding="utf-8"))
    return {Case(**entry["case"]): Outcome(**entry["outcome"]) for entry in entries}


def main(
    target: Annotated[Path, typer.Option("--page", help="The page to write.")],
    store: Annotated[Path, typer.Option(help="Where figures are kept.")] = Path("scaling.json"),
    seconds: Annotated[float, typer.Option(help="Limit of processor time of a case.")] = 600,
    gibibytes: Annotated[float, typer.Option(help="Limit of memory of a case.")] = 8,
) -> None:
    """Run what the store lacks, then write the page and its drawing."""
    found = _read(store)
    for case in CASES:
        smaller = [
            other
            for other, outcome in found.items()
            if (other.solver, other.accuracy) == (case.solver, case.accuracy)
            and outcome.stopped
            and other.dimension <= case.dimension
            and other.rows <= case.rows
        ]
        if case in found or smaller:
            continue
        found[case] = run_case(case, seconds, gibibytes)
        typer.echo(f"{case}: {found[case]}")
        entries = [{"case": asdict(c), "outcome": asdict(o)} for c, o in found.items()]
        write_text(store, json.dumps(entries, indent=1), overwrite=True)
    drawing = target.with_suffix(".svg")
    write_text(drawing, _chart(found), overwrite=True)
    write_text(target, page(found, seconds, gibibytes, drawing.name), overwrite=True)


if __name__ == "__main__":
    typer.run(main)
