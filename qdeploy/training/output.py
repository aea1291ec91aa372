"""Training one output: relaxation, rounding, column generation, proof, until the gap is closed."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds import SignMatrix, TimeLimitReached, norm_bounds
from qdeploy.training.checkpoint import Slot
from qdeploy.training.columns import VIOLATION, ColumnGeneration, Neurons
from qdeploy.training.level_oracle import best_levels
from qdeploy.training.losses import FloatArray
from qdeploy.training.nuclear_norm import solve_real
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, prove_dual
from qdeploy.training.relaxations import relaxations
from qdeploy.training.result import HistoryPoint
from qdeploy.training.rounding import distinct, hyperplane_signs, krivine_signs, signs
from qdeploy.training.threads import single_threaded
from qdeploy.training.tightened import Tightened, tightened_residual

__all__ = ["Effort", "TrainedOutput", "exact_bound", "train_output"]

SAMPLES = 150
"""Neurons drawn from the relaxation by each of the two roundings."""
ROUNDS = 400
SMOOTHING = 0.1
"""Width to which kinks of a loss are smoothed in the relaxation; its proof is for the kinks."""
EXACT_SHARE = 1e-4
"""Enumeration stops adding neurons once the norm exceeds λ by less than this share."""
GOOD_ENOUGH = 0.9
"""Share of the wanted gap at which training ends: the rest is for the integer readout."""
RELAXATION_GAP = 1e-6
LARGE_RELAXATION_GAP = 1e-3
"""Gap of the relaxation of a large problem; its bound is off by more than that anyway."""
LARGE_ROUNDS, LARGE_PROGRESS = 5, 1e-3
"""A large problem ends when so many rounds of columns lower the objective by less than this share:
the tail takes as long as all that went before, and gains a small part of the gap."""
LARGE_WIDTH = 1000
"""A large problem ends at so many neurons in use, which then take most of time and memory."""
LARGEST_CUT = 160
"""Up to this dimension cutting planes take seconds to minutes an output."""
TIGHTENING = 0.5
"""Share of the time left that they may take before branching."""

Stage = Literal["start", "columns", "proof"]
"""What comes next."""
STATE = (
    "_generator",
    "_columns",
    "_kept",
    "_objectives",
    "_dual",
    "_history",
    "_stage",
    "_rounds",
    "_converged",
)
"""What a checkpoint keeps of the training of an output."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        relaxation: name of the solver of the semidefinite relaxation.
        gap: proven gap that is good enough, or None for all that is possible.
        seconds: time for one output, or infinity.
    """

    relaxation: str = "low-rank"
    gap: float | None = None
    seconds: float = math.inf


@dataclass(frozen=True, eq=False)
class TrainedOutput:
    """Neurons of one output with a real readout, the best proven bound, and the way there.

    Attributes:
        neurons: neurons in use.
        dual: the best bound.
        history: objective and bound over time.
        complete: no neuron was left that would help (exactly, or as far as the oracle can see).
        interrupted: training was ended by Ctrl-C.
    """

    neurons: Neurons
    dual: DualPoint
    history: list[HistoryPoint]
    complete: bool
    interrupted: bool = False


def exact_bound(dimension: int) -> str | None:
    """Name of a norm bound that is exact in this dimension, if there is one."""
    exact = (
        bound.name
        for bound in norm_bounds.values()
        if bound.capability.exact and bound.capability.covers(dimension)
    )
    return next(exact, None)


def train_output(
    problem: TrainingProblem,
    effort: Effort,
    seed: list[int],
    progress: Progress = silent,
    began: float | None = None,
    slot: Slot | None = None,
) -> TrainedOutput:
    """Train one output as far as `effort` allows.

    Args:
        problem: the problem.
        effort: when to stop.
        seed: entropy for the random choices.
        progress: told of the stages.
        began: `time.monotonic()` when training as a whole began, for the history.
        slot: where the state is kept after each step, and taken up from.
    """
    slot = Slot() if slot is None else slot
    found = slot.load()
    if isinstance(found, TrainedOutput):
        return found
    with single_threaded():
        training = _Training(problem, effort, seed, progress, began, slot)
        if found is not None:
            training.take_up(found)
        output = training.run()
    if not output.interrupted:
        slot.save(output)
    return output


class _Training:
    """One run of `train_output`."""

    def __init__(
        self,
        problem: TrainingProblem,
        effort: Effort,
        seed: list[int],
        progress: Progress,
        began: float | None,
        slot: Slot,
    ) -> None:
        now = time.monotonic()
        self._problem = problem
        self._effort = effort
        self._generator = np.random.default_rng(seed)
        self._progress = progress
        self._began = now if began is None else began
        self._slot = slot
        self._started = now
        self._stage: Stage = "start"
        self._rounds = 0
        self._converged = False
        self._columns = ColumnGeneration(problem, self._generator)
        # What an interruption leaves: never what is half done.
        self._kept = self._columns.neurons
        self._exact = exact_bound(problem.form_size)
        self._objectives: list[float] = []
        self._dual: DualPoint | None = None
        self._history: list[HistoryPoint] = []

    def run(self) -> TrainedOutput:
        """Relaxation first, for its bound and its neurons, then columns and proofs in turn.

        An interruption (Ctrl-C) ends it with the best neurons and the best bound so far.
        """
        complete = interrupted = False
        try:
            if self._stage == "start":
                self._note()
            complete = self._run_by_size() if self._problem.family.by_size else self._run()
        except KeyboardInterrupt:
            interrupted = True
            self._tell("interrupted; the best so far is kept", self._kept.solution.objective)
        if self._dual is None:
            quick = "spectral" if self._problem.family.by_size else "sdp"
            self._dual = prove_dual(self._problem, self._kept.residual, quick)
        return TrainedOutput(self._kept, self._dual, self._history, complete, interrupted)

    def _run(self) -> bool:
        """Whether no neuron is left that would help."""
        if self._stage == "start":
            if self._problem.activation is None:
                self._relax()
            self._remember("columns")
        complete = False
        while not complete:
            converged = self._generate()
            proven = self._prove()
            if self._good_enough() or self._expired() or self._slow() or proven is None:
                break
            violated = self._violated(proven)
            complete = converged and not violated
            self._remember("columns")
        self._columns.solve()
        self._note()
        return complete

    def _run_by_size(self) -> bool:
        """Under the size penalty: the optimum over real weights, for its bound; then columns."""
        if self._stage == "start":
            self._relax_by_size()
            self._remember("columns")
        return self._generate()

    def _relax_by_size(self) -> None:
        problem = self._problem
        self._tell("optimum over real weights")
        deadline = time.monotonic() + self._effort.seconds / 2
        real = solve_real(problem, self._generator, deadline=deadline)
        self._dual = self._better(self._prove_by("spectral", None, real.residual))
        left = best_levels(real.vectors, problem.family.levels)
        self._columns.add(*distinct(left, left)[:2])
        self._columns.solve(1e-7)
        self._note()

    def _generate(self) -> bool:
        """Column generation from where it is; whether it found nothing more that matters."""
        if self._stage == "columns":
            self._converged = self._columns.run(
                ROUNDS,
                self._deadline,
                self._promising,
                first=self._rounds,
                kept=lambda rounds: self._remember("columns", rounds),
            )
            self._note()
            self._remember("proof")
        return self._converged

    def _remember(self, stage: Stage, rounds: int = 0) -> None:
        """Keep the state, from which `take_up` gives the same bits."""
        self._stage, self._rounds = stage, rounds
        if self._slot.path is not None:
            state = {name: getattr(self, name) for name in STATE}
            self._slot.save({**state, "elapsed": time.monotonic() - self._started})

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a state that was kept; its time counts."""
        for name in STATE:
            setattr(self, name, state[name])
        self._columns.attach(self._problem)
        self._started -= state["elapsed"]
        self._began -= state["elapsed"]

    @property
    def _deadline(self) -> float:
        return self._started + self._effort.seconds

    def _relax(self) -> None:
        problem = self._problem
        self._tell("semidefinite relaxation")
        relaxed = relaxations[self._effort.relaxation].solve(
            replace(problem, loss=problem.loss.smoothed(SMOOTHING)),
            seed=int(self._generator.integers(2**31)),
            time_limit=None if math.isinf(self._effort.seconds) else self._effort.seconds / 2,
            tolerance=LARGE_RELAXATION_GAP if problem.is_large else RELAXATION_GAP,
            progress=self._progress,
        )
        self._dual = self._better(prove_dual(problem, relaxed.residual, "sdp"))
        drawn = [
            sample(relaxed.left, relaxed.right, SAMPLES, self._generator)
            for sample in (hyperplane_signs, krivine_signs)
        ]
        left, right, _ = distinct(*(np.vstack(side) for side in zip(*drawn, strict=True)))
        self._add_corners(left, right)
        self._columns.solve(1e-7)
        self._columns.forget_unused()
        self._note()

    def _prove(self) -> DualPoint | None:
        """Prove the bound of the present residual; None when time ran out over it."""
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            return None
        limit = None if math.isinf(remaining) else remaining
        try:
            point = self._prove_by(self._exact or "sdp", limit)
            self._dual = self._better(point)
            self._note()
            if self._cuts_wanted():
                self._cut(remaining)
        except TimeLimitReached:
            return None
        return point

    def _cuts_wanted(self) -> bool:
        """Whether a gap is asked for that only the slower bounds may show: minutes an output."""
        wanted = self._effort.gap is not None and not self._good_enough()
        return wanted and self._exact is None and self._problem.dimension <= LARGEST_CUT

    def _cut(self, remaining: float) -> None:
        """Prove a residual that cutting planes say much of; branch where that is not enough."""
        tightened = self._tightened(remaining)
        if tightened is None:
            limit = None if math.isinf(remaining) else self._deadline - time.monotonic()
            self._dual = self._better(self._prove_by("cutting-planes", limit))
        else:
            self._dual = self._better(tightened.dual)
        self._note()
        if not self._good_enough():
            self._branch(None if tightened is None else tightened.residual)

    @property
    def _wanted(self) -> float:
        """The bound that shows the gap that is asked for, with room for the integer readout."""
        if self._effort.gap is None:
            return math.inf
        return (1 - GOOD_ENOUGH * self._effort.gap) * self._columns.solution.objective

    def _branch(self, tightened: FloatArray | None) -> None:
        """Branch and bound towards the gap that is wanted, if one is."""
        remaining = self._deadline - time.monotonic()
        if self._effort.gap is None or remaining <= 0:
            return
        # A tree proves more of a residual than cuts alone do: one nearer to the optimum is better.
        optimal = self._columns.residual
        residual = optimal if tightened is None else (optimal + tightened) / 2
        limit = None if math.isinf(remaining) else remaining
        self._dual = self._better(self._prove_by("branch-and-bound", limit, residual, self._wanted))
        self._note()

    def _tightened(self, remaining: float) -> Tightened | None:
        """A residual that cutting planes prove more of than of the present one."""
        if self._problem.activation is not None:
            return None
        return tightened_residual(
            self._problem,
            self._columns.residual,
            self._columns.solution.objective,
            wanted=self._wanted,
            deadline=time.monotonic() + TIGHTENING * remaining,
            progress=self._progress,
        )

    def _prove_by(
        self,
        method: str,
        time_limit: float | None,
        residual: FloatArray | None = None,
        wanted: float = math.inf,
    ) -> DualPoint:
        self._tell(f"proof by {method}")
        return prove_dual(
            self._problem,
            self._columns.residual if residual is None else residual,
            method,
            progress=self._progress,
            time_limit=time_limit,
            wanted=wanted,
        )

    def _better(self, point: DualPoint) -> DualPoint:
        return point if self._dual is None or point.value > self._dual.value else self._dual

    def _violated(self, proven: DualPoint) -> bool:
        """Whether the proof met neurons that still help; they are added."""
        if self._exact is None or not proven.candidates.size:
            return False
        problem = self._problem
        matrix = problem.matrix(self._columns.residual)
        left = proven.candidates
        if problem.activation is None:
            left, right, _ = distinct(left, signs(left.astype(np.float64) @ matrix))
        else:
            right = left
        values = np.abs(np.einsum("kd,kd->k", left @ matrix, right.astype(np.float64)))
        if values.max() <= problem.penalty * (1 + EXACT_SHARE):
            return False
        useful = values > problem.penalty * (1 + VIOLATION)
        inputs = slice(problem.dimension)
        return bool(self._add_corners(left[useful, inputs], right[useful, inputs]))

    def _add_corners(self, left: SignMatrix, right: SignMatrix) -> int:
        """Add signs, at the largest level where there are several; returns how many were new."""
        corners = self._problem.family.corners
        return self._columns.add(corners(left), corners(right))

    def _promising(self, objective: float, estimate: float) -> bool:
        """Whether a proof would now probably show the gap that is wanted."""
        wanted = self._effort.gap
        self._kept = self._columns.neurons
        self._tell("column generation", objective)
        self._objectives.append(objective)
        if self._slow():
            return True
        if wanted is None:
            return False
        bound = estimate if self._exact else self._bound
        return objective - bound <= 0.8 * wanted * objective

    def _slow(self) -> bool:
        """Whether a large problem gains too little by more columns."""
        if not self._problem.is_large:
            return False
        if len(self._kept.left) >= LARGE_WIDTH:
            return True
        recent = self._objectives[-LARGE_ROUNDS - 1 :]
        fallen = recent[0] - recent[-1] if recent else 0.0
        return len(recent) > LARGE_ROUNDS and fallen <= LARGE_PROGRESS * recent[0]

    def _good_enough(self) -> bool:
        wanted = self._effort.gap
        objective = self._columns.solution.objective
        return wanted is not None and objective - self._bound <= GOOD_ENOUGH * wanted * objective

    def _expired(self) -> bool:
        return time.monotonic() > self._deadline

    @property
    def _bound(self) -> float:
        return float(self._dual.value) if self._dual else 0.0

    def _note(self) -> None:
        self._kept = self._columns.neurons
        self._history.append(
            HistoryPoint(
                time.monotonic() - self._began,
                self._columns.solution.objective,
                self._bound,
                int(np.count_nonzero(self._columns.solution.weights)),
            )
        )

    def _tell(self, stage: str, objective: float | None = None) -> None:
        value = self._columns.solution.objective if objective is None else objective
        gap = 1 - self._bound / value if value > 0 else 0.0
        elapsed = time.monotonic() - self._began
        self._progress(
            ProgressEvent(
                stage, elapsed, None, {"objective": f"{value:.5g}", "gap so far": f"{gap:.2%}"}
            )
        )
