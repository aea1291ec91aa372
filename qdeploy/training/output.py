"""Training one output: relaxation, rounding, column generation, proof, until the gap is closed."""

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds import SignMatrix, exact_bound
from qdeploy.training.checkpoint import Slot
from qdeploy.training.columns import ColumnGeneration, Neurons
from qdeploy.training.first_neurons import from_real_weights, from_relaxation
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint
from qdeploy.training.proving import Prover
from qdeploy.training.result import HistoryPoint
from qdeploy.training.threads import single_threaded

__all__ = ["Effort", "TrainedOutput", "exact_bound", "train_output"]

ROUNDS = 400
LARGE_ROUNDS, LARGE_PROGRESS = 5, 1e-3
"""A large problem ends when so many rounds of columns lower the objective by less than this share:
the tail takes as long as all that went before, and gains a small part of the gap."""
LARGE_WIDTH = 1000
"""A large problem ends at so many neurons in use, which then take most of time and memory."""
Stage = Literal["start", "columns", "proof"]
"""What comes next."""
STATE = (
    "_generator",
    "_columns",
    "_kept",
    "_objectives",
    "_best",
    "_proofs",
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
        cores: that the proof of one output may use.
    """

    relaxation: str = "low-rank"
    gap: float | None = None
    seconds: float = math.inf
    cores: int = 1


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
        self._prover = Prover(problem, effort.gap, effort.cores, progress, self._tell, slot)
        self._proofs = 0
        self._objectives: list[float] = []
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
        dual = self._prover.best
        if dual is None:
            quick = "spectral" if self._problem.family.by_size else "sdp"
            dual = self._prover.by(quick, self._kept.residual)
        return TrainedOutput(self._kept, dual, self._history, complete, interrupted)

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
            violated = self._prover.violated(proven, self._columns.residual)
            added = 0 if violated is None else self._add_corners(*violated)
            complete = converged and not added
            self._remember("columns")
        self._columns.solve()
        self._note()
        return complete

    def _run_by_size(self) -> bool:
        """Under the size penalty: the optimum over real weights, for its bound; then columns."""
        if self._stage == "start":
            self._tell("optimum over real weights")
            seconds = self._effort.seconds / 2
            first = from_real_weights(self._problem, seconds, self._generator)
            self._prover.by("spectral", first.residual)
            self._columns.add(first.left, first.right)
            self._columns.solve(1e-7)
            self._note()
            self._remember("columns")
        return self._generate()

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
        self._tell("semidefinite relaxation")
        first = from_relaxation(
            self._problem,
            self._effort.relaxation,
            self._effort.seconds / 2,
            self._generator,
            self._progress,
        )
        self._prover.by("sdp", first.residual)
        self._add_corners(first.left, first.right)
        self._columns.solve(1e-7)
        self._columns.forget_unused()
        self._note()

    def _prove(self) -> DualPoint | None:
        """Prove the bound of the present residual; None when time ran out over it."""
        solution = self._columns.solution
        proven = self._prover.prove(
            self._columns.residual, solution.objective, self._deadline, str(self._proofs)
        )
        self._proofs += 1
        self._note()
        return proven

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
        bound = estimate if self._prover.exact else self._prover.bound
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
        return self._prover.good_enough(self._columns.solution.objective)

    def _expired(self) -> bool:
        return time.monotonic() > self._deadline

    @property
    def _best(self) -> DualPoint | None:
        """The best bound, which a checkpoint keeps."""
        return self._prover.best

    @_best.setter
    def _best(self, point: DualPoint | None) -> None:
        self._prover.best = point

    def _note(self) -> None:
        self._kept = self._columns.neurons
        self._history.append(
            HistoryPoint(
                time.monotonic() - self._began,
                self._columns.solution.objective,
                self._prover.bound,
                int(np.count_nonzero(self._columns.solution.weights)),
            )
        )

    def _tell(self, stage: str, objective: float | None = None) -> None:
        value = self._columns.solution.objective if objective is None else objective
        gap = 1 - self._prover.bound / value if value > 0 else 0.0
        elapsed = time.monotonic() - self._began
        self._progress(
            ProgressEvent(
                stage, elapsed, None, {"objective": f"{value:.5g}", "gap so far": f"{gap:.2%}"}
            )
        )
