"""What the runs say together: means with confidence, proven gaps, and who is better than ours.

Splits of one data set overlap in their training rows, so that a plain t interval over them is too
narrow; its variance is taken (1/s + test rows/training rows) times, s splits (Nadeau & Bengio,
Machine Learning 52, 2003).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from qdeploy.comparison.baselines import BASELINES
from qdeploy.comparison.runs import Plan, Result

__all__ = ["CLOSEST", "OURS", "Interval", "Row", "interval", "proven_gap", "rows_of"]

OURS = "compact"
"""What the others of a width are held against."""
CLOSEST = "closest"
"""What their training losses are held against, where it took part."""
CONFIDENCE = 0.95
ROUNDING = 1e-9
"""Relative error of an objective in floating point, far above the real one."""


@dataclass(frozen=True)
class Interval:
    """A mean over the splits with its interval of 95 %.

    Attributes:
        mean: the mean.
        half: half the width of the interval, None for a single split.
    """

    mean: float
    half: float | None


@dataclass(frozen=True)
class Row:
    """One method at one width on one data set, over all splits.

    Attributes:
        data: source of the data.
        method: name of the method.
        neurons: m that was asked for, or None.
        width: mean number of neurons, or None.
        loss: mean training loss a row, or None for a float reference.
        objective: mean objective a row at the penalties of the proofs, or None where a split has
            none.
        gaps: proven gap of each split, None where nothing was proven of it.
        own_penalty: whether the gaps are at the network's own λ and inputs.
        train_accuracy: on the training rows.
        test_accuracy: on the held-out rows.
        bytes: mean bytes as deployed.
        seconds: mean time of training.
        against_ours: test accuracy less that of our network of the same width on the same split
            (the widest where a method has no width), or None.
        loss_against_ours: mean training loss over that of our networks of the same width, of the
            closest fit where it took part, less one, or None.
        splits_below: splits on which its training loss is below ours.
    """

    data: str
    method: str
    neurons: int | None
    width: float | None
    loss: float | None
    objective: float | None
    gaps: tuple[float | None, ...]
    own_penalty: bool
    train_accuracy: Interval
    test_accuracy: Interval
    bytes: float
    seconds: float
    against_ours: Interval | None = None
    loss_against_ours: float | None = None
    splits_below: int = 0


def interval(values: Sequence[float], test_rows: int, train_rows: int) -> Interval:
    """Mean and corrected t interval of one figure over splits.

    Args:
        values: one a split.
        test_rows: held-out rows of a split.
        train_rows: training rows of a split.
    """
    from scipy.stats import t

    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return Interval(mean, None)
    variance = float(np.var(values, ddof=1)) * (1 / count + test_rows / train_rows)
    return Interval(mean, float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * math.sqrt(variance))


def proven_gap(result: Result, reference: Result | None) -> float | None:
    """Gap that is proven of one network, or None.

    The certified run proves a bound, at its λ, for every network on the same inputs and targets;
    a network on other inputs has only what its own certificate says.

    Args:
        result: the network.
        reference: the certified run on the same split.
    """
    proof = _proof_of(result, reference)
    if proof is None or proof.bound is None:
        return None
    objective = _objective(result, proof) * (1 + ROUNDING)
    return max(1 - proof.bound / objective, 0.0) if objective > 0 else 0.0


def _proof_of(result: Result, reference: Result | None) -> Result | None:
    """The run whose bound and penalty hold for a network, or None."""
    proof = result if result.bound is not None else reference
    if result.loss is None or result.size is None or proof is None:
        return None
    if proof.bound is None or proof.penalty is None or proof.digest != result.digest:
        return None
    return proof


def _objective(result: Result, proof: Result) -> float:
    """Loss + λ Σ|α| at the λ of a proof."""
    return (result.loss or 0.0) + (proof.penalty or 0.0) * (result.size or 0.0)


def rows_of(data: str, plan: Plan, results: Sequence[Result]) -> list[Row]:
    """One row for each width and method, in the order of the plan; none is left out.

    Args:
        data: source of the data.
        plan: the options.
        results: all runs on these data.
    """
    by_place = {(r.method, r.neurons, r.seed): r for r in results}
    bound = [name for name in plan.methods if BASELINES[name].width_bound]
    free = [name for name in plan.methods if not BASELINES[name].width_bound]
    places: list[tuple[str, int | None]] = [(name, None) for name in free]
    places = [(name, m) for m in plan.neurons for name in bound] + places
    return [_row(data, place, plan, by_place) for place in places]


def _row(
    data: str,
    place: tuple[str, int | None],
    plan: Plan,
    by_place: dict[tuple[str, int | None, int], Result],
) -> Row:
    method, neurons = place
    seeds = range(plan.seeds)
    runs = [by_place[method, neurons, seed] for seed in seeds]
    references = [by_place.get(("certified", None, seed)) for seed in seeds]
    sizes = [runs[0].test_rows, runs[0].train_rows]
    proofs = [_proof_of(run, known) for run, known in zip(runs, references, strict=True)]
    objectives = [
        _objective(run, proof) for run, proof in zip(runs, proofs, strict=True) if proof is not None
    ]
    objective = float(np.mean(objectives)) if len(objectives) == len(runs) else None
    width, loss = (_mean(runs, figure) for figure in ("width", "loss"))
    row = Row(
        data=data,
        method=method,
        neurons=neurons,
        width=width,
        loss=None if loss is None else loss / runs[0].train_rows,
        objective=None if objective is None else objective / runs[0].train_rows,
        gaps=tuple(proven_gap(run, known) for run, known in zip(runs, references, strict=True)),
        own_penalty=method != "certified" and all(run.bound is not None for run in runs),
        train_accuracy=interval([run.train_accuracy for run in runs], *sizes),
        test_accuracy=interval([run.test_accuracy for run in runs], *sizes),
        bytes=float(np.mean([run.bytes for run in runs])),
        seconds=float(np.mean([run.seconds for run in runs])),
    )
    widest = max(plan.neurons, default=0)
    ours = [by_place.get((OURS, neurons or widest, seed)) for seed in seeds]
    pairs = [(run, own) for run, own in zip(runs, ours, strict=True) if own is not None]
    if method == OURS or not pairs:
        return row
    ahead = interval([run.test_accuracy - own.test_accuracy for run, own in pairs], *sizes)
    fits = [by_place.get((CLOSEST, neurons, seed), own) for seed, own in enumerate(ours)]
    close = [(run, own) for run, own in zip(runs, fits, strict=True) if own is not None]
    our_loss = _mean([own for _, own in close], "loss")
    if BASELINES[method].family == "ours" or neurons is None or not loss or not our_loss:
        return replace(row, against_ours=ahead)
    below = sum((run.loss or 0.0) < (own.loss or 0.0) for run, own in close)
    return replace(
        row, against_ours=ahead, loss_against_ours=loss / our_loss - 1, splits_below=below
    )


def _mean(runs: Sequence[Result], figure: Literal["width", "loss"]) -> float | None:
    """Mean of a figure that a float reference lacks."""
    values = [getattr(run, figure) for run in runs]
    return None if None in values else float(np.mean(values))
