import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qdeploy.benchmark.figures import Figure
from qdeploy.benchmark.wording import (
    certificate_sentences,
    estimate_sentences,
    percent_up,
    quantity,
    span,
    times,
)
from qdeploy.certificate import Certificate, OutputCertificate


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (9.73e-8, "s", "97.3 ns"),
        (1e-6, "s", "1.00 µs"),
        (9.999e-7, "s", "1.00 µs"),
        (0.0, "J", "0 J"),
        (1.2e-7, "J", "120 nJ"),
        (2100, "B", "2100 B"),
        (123456, "B", "123 kB"),
        (0.98249, "fraction", "98.2 %"),
        (0.5, "1", "0.500"),
        (-0.25, "1", "-0.250"),
        (1.234e7, "samples/s", "12.3 M samples/s"),
        (999.0, "samples/s", "999 samples/s"),
        (26068.0, "cycles", "26068 cycles"),
        (84.38, "instructions", "84 instructions"),
        (2.478e6, "instructions", "2.48 M instructions"),
        (3 * 3600.0, "s", "3.00 h"),
        (10 * 86400.0, "s", "10.0 days"),
        (6.518e7, "s", "2.07 years"),
    ],
)
def test_quantities_read_well(value, unit, text):
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (5.54e-7, 1.22e-6, "J", "0.554 to 1.22 µJ"),
        (1e-9, 1e-3, "J", "1.00 nJ to 1.00 mJ"),
        (0.94, 0.9761, "fraction", "94.0 to 97.6 %"),
        (203, 262, "instructions", "203 to 262 instructions"),
        (5.9e7, 2.6e8, "s", "1.87 to 8.24 years"),
        (12, 12, "B", "12 B"),
    ],
)
def test_bands_say_their_unit_once(low, high, unit, text):
    assert span(low, high, unit) == text


@given(st.floats(1e-11, 7000))
def test_three_digits_are_kept(value):
    figure, unit = quantity(value, "s").split()
    prefix = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
    assert float(figure) * prefix[unit[:-1]] == pytest.approx(value, rel=0.006)
    assert len(figure.replace(".", "")) <= 4


@given(st.floats(1e-9, 1.0))
def test_a_gap_is_never_made_smaller(share):
    shown = float(percent_up(share).removesuffix("\u00a0%")) / 100
    assert share <= shown * (1 + 1e-15)
    assert shown - share <= max(1.01e-4, 0.11 * share)


def test_ratios():
    assert (times(38.4), times(1.23), times(0.0456)) == ("38×", "1.2×", "0.046×")


def test_a_certificate_says_what_it_proves_and_how():
    output = OutputCertificate(2.0, 1.9, 5, np.zeros(2, np.int32), None)
    certificate = Certificate("enumeration", "squared", 0.1, 0.7, 0.03125, 32, "0" * 64, (output,))
    text = " ".join(certificate_sentences(certificate))
    assert "by more than 5.01\u00a0%" in text
    assert "every sign pattern" in text
    several = dataclasses.replace(certificate, method="sdp", outputs=(output, output))
    text = " ".join(certificate_sentences(several))
    assert "output by output (2 of them)" in text
    assert "semidefinite" in text


def test_no_certificate_claims_nothing():
    assert "nothing is known" in certificate_sentences(None)[0]


def test_estimates_are_shown_with_band_and_source():
    values = {"target": "cpu", "batch": 1, "metric": "energy", "unit": "J", "note": "2 W busy"}
    figures = [
        Figure(implementation=name, value=2e-6, low=1e-6, high=9e-6, obtained="estimated", **values)
        for name in ("qdeploy", "onnxruntime")
    ]
    assert estimate_sentences(figures) == (
        "energy: estimated, 1.00 to 9.00 µJ for qdeploy (2 W busy)",
    )
    batch = figures[0].model_copy(update={"metric": "throughput", "batch": 8})
    assert "for qdeploy in batches of 8 (" in estimate_sentences([batch])[0]
    measured = figures[0].model_copy(update={"obtained": "measured"})
    assert estimate_sentences([measured]) == ()
    with pytest.raises(ValidationError, match="error band"):
        Figure(implementation="qdeploy", value=2e-6, obtained="estimated", **values)
