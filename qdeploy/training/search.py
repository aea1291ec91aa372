"""Search for the best network of a given width: starts, their refinement, and what is compared.

A start is refined by polish and learned input scales in turn, then along a path of ridges. Which
ridge, and whether to scale, is told by rows held out of the training rows; the starts themselves
are exchangeable, and the one with the lowest training objective is kept.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.quantizer import INPUT_STEP, InputQuantizer
from qdeploy.training.bit_flips import Polished, polish_flips
from qdeploy.training.input_scales import learn_scales
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.problem import CONSTANT, lift
from qdeploy.training.shared import SharedProblem, solve_readout
from qdeploy.training.starts import eliminated
from qdeploy.training.straight_through import straight_through
from qdeploy.training.threads import single_threaded

__all__ = [
    "FIRST_RIDGE",
    "PATH_SWEEPS",
    "RIDGES",
    "Candidate",
    "Choice",
    "Effort",
    "Rows",
    "Start",
    "middle_ridge",
    "refine",
    "scale_in_turn",
]

SignMatrix = NDArray[np.int8]

RIDGES = (1e-3, 1e-2, 5e-2, 2e-1, 1.0)
"""Ridges that held-out rows choose from; the last holds networks that could fit every row."""
PATH_SWEEPS = 2
"""Sweeps for each of several ridges; a single one is polished as thoroughly as all else."""
FIRST_RIDGE = 1e-4
"""Ridge before the path; next to nothing."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows before they are integers.

    Attributes:
        features: raw features, float64 (n, D).
        quantizer: with no input scaled yet.
        targets: float64 (n, K).
        loss: the loss.
    """

    features: NDArray[np.float64]
    quantizer: InputQuantizer
    targets: FloatArray
    loss: Loss

    @property
    def dimension(self) -> int:
        """Number of inputs d, the constant one included."""
        return self.quantizer.kept.size + 1

    def part(self, chosen: NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        loss = self.loss.part(chosen)
        return Rows(self.features[chosen], self.quantizer, self.targets[chosen], loss)

    def seen_by(self, quantizer: InputQuantizer) -> "Rows":
        """The same rows, other inputs."""
        return Rows(self.features, quantizer, self.targets, self.loss)

    def integers(self, scales: FloatArray) -> NDArray[np.int16]:
        """Lifted inputs, int16 (n, d), as the device sees them under scales (d,)."""
        return lift(self.quantizer.rescaled(scales[:-1]).quantize(self.features))

    def problem(self, scales: FloatArray, ridge: float) -> SharedProblem:
        """The problem on the integers, with a ridge relative to the size of neuron outputs."""
        return self._problem(self.integers(scales).astype(np.float64), ridge)

    def unscaled(self, ridge: float) -> SharedProblem:
        """The problem on inputs that are neither scaled nor rounded, for learning scales."""
        return self._problem(self._steps(), ridge)

    def steps(self) -> NDArray[np.float32]:
        """Inputs in integer steps, neither scaled nor rounded, float32 (n, d)."""
        return self._steps().astype(np.float32)

    def _steps(self) -> FloatArray:
        kept = self.features[:, self.quantizer.kept] - self.quantizer.offset.astype(np.float64)
        steps = kept / self.quantizer.scale.astype(np.float64)
        return np.hstack([steps, np.full((len(steps), 1), float(CONSTANT))])

    def _problem(self, steps: FloatArray, ridge: float) -> SharedProblem:
        inputs = steps * (INPUT_STEP / np.sqrt(self.dimension))
        # Random signs give neurons whose squares have about this sum over the rows.
        weights = self.loss.times(np.ones(len(inputs)))
        size = float(np.average((inputs**2).sum(axis=1), weights=self.loss.weights))
        energy = size**2 * float(weights.sum())
        return SharedProblem(inputs, self.targets, self.loss.smoothed(), ridge * energy)


@dataclass(frozen=True)
class Start:
    """Where a search begins.

    Attributes:
        kind: "elimination" from the certified neurons, or "straight-through" training.
        seed: of its random choices.
        rate: learning rate of straight-through training.
        beta: penalty of the certified neurons.
    """

    kind: Literal["elimination", "straight-through"]
    seed: tuple[int, ...]
    rate: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True)
class Choice:
    """What held-out rows decide: whether inputs are scaled, and the ridge."""

    scaled: bool
    ridge: float


@dataclass(frozen=True)
class Effort:
    """How much is done for one start.

    Attributes:
        steps: of straight-through training.
        sweeps: of each polish, at most.
        rounds: of scaling and polish in turn.
    """

    steps: int
    sweeps: int
    rounds: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """Neurons with their input scales and readout.

    Attributes:
        choice: how they were trained.
        quantizer: the inputs that they see, not scaled yet.
        scales: of the inputs, float64 (d,), the constant one last.
        found: neurons and readout; its objective has the ridge of the choice.
        ridge: ρ of that objective, for inputs x̂ / √d.
    """

    choice: Choice
    quantizer: InputQuantizer
    scales: FloatArray
    found: Polished
    ridge: float

    def predict(self, rows: Rows) -> FloatArray:
        """Predictions, float64 (n, K), for other rows."""
        problem = rows.seen_by(self.quantizer).problem(self.scales, 1.0)
        features = problem.features(self.found.left, self.found.right)
        return features @ self.found.readout.weights + self.found.readout.intercepts


def middle_ridge(ridges: Sequence[float]) -> float:
    """The one to take where there are no rows, or there is no time, to hold any out."""
    return sorted(ridges)[len(ridges) // 2]


def refine(
    rows: Rows,
    start: Start,
    width: int,
    choices: Sequence[Choice],
    effort: Effort,
    deadline: float = np.inf,
) -> list[Candidate]:
    """One candidate for each choice, all from one start.

    Args:
        rows: the rows to train on.
        start: where to begin.
        width: number of neurons m.
        choices: ordered by ridge within each way of scaling, so that one warms up the next.
        effort: how much to do.
        deadline: `time.monotonic()` at which to stop with what there is.
    """
    with single_threaded():
        return _Refinement(rows, start, width, effort, deadline).along(choices)


def scale_in_turn(
    rows: Rows,
    scales: FloatArray,
    found: Polished,
    effort: Effort,
    generator: np.random.Generator,
    deadline: float,
    ridge: float = FIRST_RIDGE,
) -> tuple[FloatArray, Polished]:
    """Scales and polish in turn, as long as they help.

    Args:
        rows: the training rows.
        scales: of the inputs, (d,), the constant one last.
        found: neurons polished at this ridge under these scales.
        effort: how many rounds, and how thorough the polish.
        generator: source of randomness.
        deadline: `time.monotonic()` at which to stop.
        ridge: while scales are learned.
    """
    free = rows.unscaled(ridge)
    for _ in range(effort.rounds):
        if time.monotonic() > deadline:
            break
        response = found.readout.response
        learned = learn_scales(free, found.left, found.right, response, scales, deadline=deadline)
        problem = rows.problem(learned, ridge)
        trial = polish_flips(
            problem, found.left, found.right, generator, sweeps=effort.sweeps, deadline=deadline
        )
        if trial.readout.objective >= found.readout.objective:
            break
        scales, found = learned, trial
    return scales, found


class _Refinement:
    """One run of `refine`."""

    def __init__(
        self, rows: Rows, start: Start, width: int, effort: Effort, deadline: float
    ) -> None:
        self._rows, self._start, self._width = rows, start, width
        self._effort, self._deadline = effort, deadline
        self._generator = np.random.default_rng(start.seed)

    def along(self, choices: Sequence[Choice]) -> list[Candidate]:
        """Candidates of the choices, in their order."""
        plain = np.ones(self._rows.dimension)
        problem = self._rows.problem(plain, FIRST_RIDGE)
        begun = self._begin(problem)
        found = self._polished(problem, *begun, self._effort.sweeps)
        known = {False: (plain, found)}
        if any(choice.scaled for choice in choices):
            known[True] = scale_in_turn(
                self._rows, plain, found, self._effort, self._generator, self._deadline
            )
        sweeps = PATH_SWEEPS if len(choices) > 1 else self._effort.sweeps
        candidates = []
        for choice in choices:
            scales, found = known[choice.scaled]
            problem = self._rows.problem(scales, choice.ridge)
            found = self._polished(problem, found.left, found.right, sweeps)
            known[choice.scaled] = scales, found
            candidate = Candidate(choice, self._rows.quantizer, scales, found, problem.ridge)
            if self._start.kind == "elimination":
                candidate = self._at_least(candidate, plain, *begun)
            candidates.append(candidate)
        return candidates

    def _at_least(
        self, candidate: Candidate, scales: FloatArray, left: SignMatrix, right: SignMatrix
    ) -> Candidate:
        """The candidate, or the bare start if that is better with the same ridge."""
        problem = self._rows.problem(scales, candidate.choice.ridge)
        bare = Polished(left, right, solve_readout(problem, problem.features(left, right)))
        if bare.readout.objective < candidate.found.readout.objective:
            return Candidate(candidate.choice, self._rows.quantizer, scales, bare, problem.ridge)
        return candidate

    def _begin(self, problem: SharedProblem) -> tuple[SignMatrix, SignMatrix]:
        if self._start.kind == "elimination":
            scales = np.ones(self._rows.dimension)
            return eliminated(
                self._rows.integers(scales),
                problem.targets,
                problem.loss,
                self._start.beta,
                self._width,
                self._generator,
                self._deadline,
            )
        return straight_through(
            problem,
            self._width,
            self._generator,
            rate=self._start.rate,
            steps=self._effort.steps,
            deadline=self._deadline,
        )

    def _polished(
        self, problem: SharedProblem, left: SignMatrix, right: SignMatrix, sweeps: int
    ) -> Polished:
        return polish_flips(
            problem, left, right, self._generator, sweeps=sweeps, deadline=self._deadline
        )
