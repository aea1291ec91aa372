"""Figures as words for people: units with prefixes, and the certificate in two sentences."""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from qdeploy.benchmark.figures import Figure
from qdeploy.certificate import Certificate

__all__ = [
    "COUNTS",
    "certificate_sentences",
    "estimate_sentences",
    "number",
    "percent_up",
    "quantity",
    "span",
    "times",
]

_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)

_METHODS = {
    "enumeration": "by going through every sign pattern in exact integer arithmetic",
    "branch-and-bound": (
        "by a tree of semidefinite bounds with cutting planes, checked in exact integer arithmetic"
    ),
    "cutting-planes": (
        "by a semidefinite bound with cutting planes that was checked in exact integer arithmetic"
    ),
    "sdp": "by a semidefinite bound that was checked in exact integer arithmetic",
}


COUNTS = ("instructions", "cycles")
"""Units that are counted: whole numbers up to five digits."""

_EXACT = {"B": 1e4, **dict.fromkeys(COUNTS, 1e5)}
"""Below what a quantity is shown as a whole number."""

_PREFIXED = ("s", "J", "B", "1/s")
"""Units that a prefix becomes a part of."""

_SPANS = (
    (2 * 365.25 * 86400, 365.25 * 86400, "years"),
    (2 * 86400, 86400, "days"),
    (7200, 3600, "h"),
)
"""Long times: from how many seconds on, seconds of the unit, and its name."""


def quantity(value: float, unit: str, *, like: float | None = None) -> str:
    """A value with its unit at three significant digits: "97.3 ns", "1.20 kB", "98.2 %".

    Bytes and counts are exact as long as they are short; long times are in hours, days or years.

    Args:
        value: the value.
        unit: its unit.
        like: a larger value whose prefix it takes, to stand beside it.
    """
    if unit == "fraction":
        # Down, as everywhere: no more correct answers are claimed than there were.
        return f"{math.floor(round(1000 * value, 9)) / 10:.1f} %"
    if unit == "1":
        return f"{value:.3f}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    scale = value if like is None or value < like / 1000 else like
    if abs(scale) < _EXACT.get(unit, 0.0):
        return f"{value:.0f} {unit}"
    if unit == "s":
        for least, seconds, name in _SPANS:
            if scale >= least:
                return f"{number(value / seconds)} {name}"
    factor, prefix = _prefix(scale)
    # A prefix belongs to its unit, but not to a word.
    joined = f" {prefix} {unit}" if prefix and unit not in _PREFIXED else f" {prefix}{unit}"
    return f"{number(float(f'{value:.3g}') / factor)}{joined}"


def span(low: float, high: float, unit: str) -> str:
    """Two ends of a band, with the unit once: "17.5 to 39.6 µJ", "94.0 to 97.6 %"."""
    first, last = quantity(low, unit, like=high), quantity(high, unit)
    if first == last:
        return last
    figure, _, rest = first.partition(" ")
    return f"{figure if last.endswith(f' {rest}') else first} to {last}"


def _prefix(value: float) -> tuple[float, str]:
    """The prefix that leaves one to three digits before the point, after rounding to three."""
    rounded = abs(float(f"{value:.3g}"))
    return next((entry for entry in _PREFIXES if rounded >= entry[0]), _PREFIXES[-1])


def number(value: float) -> str:
    """Three significant digits, never in exponent form between 0.001 and 100 000."""
    if value == 0 or not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def times(ratio: float) -> str:
    """A ratio: "38×", "1.2×", "0.046×"."""
    if ratio >= 9.95:
        return f"{ratio:.0f}×"
    return f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2g}×"


def percent_up(share: float) -> str:
    """A share in percent, rounded up: two decimals, more where it is below 0.1 %.

    The space does not break.
    """
    exact = Decimal(share) * 100
    places = max(2, 1 - exact.adjusted()) if exact else 2
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING):f}\u00a0%"


def certificate_sentences(certificate: Certificate | None) -> tuple[str, ...]:
    """What is proven, how, and what it does not say."""
    if certificate is None:
        return (
            "This model came without a certificate: nothing is known of its distance to the best.",
        )
    outputs = len(certificate.outputs)
    penalty = f"{certificate.penalty:.4g}"
    loss = certificate.loss.replace("-", " ")
    if certificate.gap > 1:
        claim = "The bound found here is too weak to say how far from the best it is."
    else:
        claim = (
            f"No network of this kind, however wide, can lower the training objective of this one "
            f"({certificate.objective:.6g}) by more than {percent_up(certificate.gap)}."
        )
    parts = f", output by output ({outputs} of them)" if outputs > 1 else ""
    return (
        claim,
        f"The lower bound on all of them, {certificate.bound:.6g}, was proven "
        f"{_METHODS[certificate.method]}{parts}.",
        f"The objective is the {loss} loss plus {penalty} times the sum of the absolute readout "
        "weights. The proof is about training, not about rows that the network has not seen.",
    )


def estimate_sentences(figures: Iterable[Figure]) -> tuple[str, ...]:
    """For each estimated metric, the band and the source of its first figure."""
    first: dict[str, Figure] = {}
    for figure in figures:
        if figure.obtained == "estimated":
            first.setdefault(figure.metric, figure)
    sentences = []
    for metric, figure in first.items():
        # An estimate has both ends.
        whose = figure.implementation
        if metric == "throughput" and figure.batch not in (None, 1):
            whose += f" in batches of {figure.batch}"
        ends = span(figure.low or 0.0, figure.high or figure.value, figure.unit)
        sentences.append(f"{metric}: estimated, {ends} for {whose} ({figure.note.rstrip('.')})")
    return tuple(sentences)
