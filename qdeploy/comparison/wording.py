"""Rows of a comparison in words, the same for the page and the terminal.

What is better than ours is listed by rule, not by choice: every row that beats ours in training
loss or in test accuracy.
"""

import math
from collections.abc import Iterator, Sequence

from qdeploy.comparison.baselines import BASELINES
from qdeploy.comparison.summary import OURS, Interval, Row

__all__ = ["HEADINGS", "cells", "percent", "sentences"]

HEADINGS = (
    "neurons",
    "method",
    "training loss",
    "to ours",
    "below ours",
    "objective",
    "proven gap",
    "training accuracy",
    "test accuracy",
    "to ours (points)",
    "bytes",
    "seconds",
)


_TIE = 1e-9
"""Mean differences of accuracy below this are rounding errors of a mean of zeros."""


def cells(row: Row, seeds: int) -> list[str]:
    """The texts of a row, one for each of `HEADINGS`."""
    ratio, ahead = row.loss_against_ours, row.against_ours
    return [
        str(row.neurons) if row.neurons else f"{row.width:.0f}" if row.width else "",
        BASELINES[row.method].label,
        "" if row.loss is None else f"{row.loss:.4f}",
        "" if ratio is None else f"{100 * ratio:+.1f} %",
        "" if ratio is None else f"{row.splits_below} of {seeds}",
        "" if row.objective is None else f"{row.objective:.4f}",
        _gap(row),
        percent(row.train_accuracy.mean),
        f"{_with_interval(row.test_accuracy)} %",
        "" if ahead is None else _with_interval(ahead, sign=True),
        f"{row.bytes:.0f}",
        f"{row.seconds:.1f}",
    ]


def _gap(row: Row) -> str:
    if row.loss is None:
        return ""
    proven = [gap for gap in row.gaps if gap is not None]
    if len(proven) < len(row.gaps):
        return "none proven"
    return _up(max(proven)) + (" (own λ)" if row.own_penalty else "")


def sentences(rows: Sequence[Row], seeds: int) -> Iterator[str]:
    """Every row that is ahead of ours, by training loss and by test accuracy."""
    if not any(row.method == OURS for row in rows):
        yield "The compact mode did not take part; nothing is held against it."
        return
    compared = [row for row in rows if row.loss_against_ours is not None]
    lower = [
        f"at {row.neurons} neurons {BASELINES[row.method].label} by "
        f"{_up(-(row.loss_against_ours or 0))} (on {row.splits_below} of {seeds})"
        for row in compared
        if (row.loss_against_ours or 0) < 0
    ]
    if compared and lower:
        yield f"Mean training loss below ours: {'; '.join(lower)}."
    elif compared:
        yield "Mean training loss below ours: none."
    ahead = [
        f"{BASELINES[row.method].label}{f' of {row.neurons}' if row.neurons else ''} by "
        f"{_with_interval(row.against_ours, sign=True)} points"
        for row in rows
        if row.against_ours is not None and row.against_ours.mean > _TIE
    ]
    yield f"Mean test accuracy above ours: {'; '.join(ahead) if ahead else 'none'}."


def _with_interval(value: Interval, *, sign: bool = False) -> str:
    """A share in hundredths with its interval; a difference has a sign."""
    mean = f"{100 * value.mean:{'+' if sign else ''}.1f}"
    return mean if value.half is None else f"{mean} ± {100 * value.half:.1f}"


def percent(share: float) -> str:
    """A share in percent with one digit behind the point."""
    return f"{100 * share:.1f} %"


def _up(share: float) -> str:
    """A share in percent, rounded up: two digits behind the point, more below 0.1 %."""
    if share <= 0:
        return "0 %"
    places = max(2, 1 - math.floor(math.log10(100 * share)))
    return f"{math.ceil(100 * share * 10**places) / 10**places:.{places}f} %"
