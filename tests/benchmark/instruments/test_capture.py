import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.meters.capture import (
    Capture,
    Pulse,
    Stretch,
    Trace,
    Window,
    energy,
    find_window,
    median_of,
    power_of,
    pulses_of,
)
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError


def capture(watts, *, start=0.0, period=0.5, amperes=None, pulses=(), offset=100.0):
    trace = Trace(start, period, np.asarray(watts, dtype=float))
    current = trace if amperes is None else Trace(start, period, np.asarray(amperes, dtype=float))
    return Capture(trace, current, tuple(pulses), 0.01, offset, 0.05)


def window(start, end, uncertainty=0.0):
    return Window(start, end, uncertainty, "by hand")


def test_energy_counts_the_samples_at_the_ends_by_their_share():
    reading = energy(capture([1, 2, 4, 8]), window(0.25, 1.75), most_amperes=100)
    assert reading == Estimate(0.25 + 1 + 2 + 2, 0.25 + 1 + 2 + 2, 0.25 + 1 + 2 + 2)


def test_the_interval_moves_both_ends():
    reading = energy(capture([2] * 20), window(2.0, 4.0, 0.25), most_amperes=100)
    assert (reading.low, reading.value, reading.high) == pytest.approx((3.0, 4.0, 5.0))


def test_a_window_within_its_uncertainty_has_no_lower_end():
    reading = energy(capture([2] * 20), window(2.0, 2.2, 0.2), most_amperes=100)
    assert reading.low == 0
    assert reading.value == pytest.approx(0.4)


def test_lost_samples_get_the_mean_and_widen_the_interval():
    values = np.array([1.0, 3.0] * 200)
    values[100] = np.nan
    reading = energy(capture(values), window(0.0, 200.0), most_amperes=100)
    kept = (199 * 1 + 200 * 3) * 0.5
    assert reading.value == pytest.approx(kept + 0.5 * kept / 199.5)
    assert (reading.low, reading.high) == pytest.approx((kept + 0.5, kept + 1.5))


def test_too_many_lost_samples_are_refused():
    values = np.ones(100)
    values[10:15] = np.nan
    with pytest.raises(QDeployError, match="5% of the samples were lost"):
        energy(capture(values), window(0.0, 50.0), most_amperes=100)


def test_a_current_out_of_range_is_refused_within_the_window_alone():
    recording = capture([1] * 8, amperes=[0, 0, 0, 0, 0, 0, 0, 1.0])
    assert energy(recording, window(0.0, 3.5), most_amperes=1.0).value == pytest.approx(3.5)
    with pytest.raises(QDeployError, match="range of 1 A"):
        energy(recording, window(0.0, 3.6), most_amperes=1.0)


@pytest.mark.parametrize(("start", "end"), [(-1.0, 2.0), (1.0, 5.0)])
def test_what_was_not_recorded_is_not_reported(start, end):
    with pytest.raises(QDeployError, match="does not cover"):
        energy(capture([1] * 8), window(start, end), most_amperes=1)


def test_an_empty_window_is_refused():
    with pytest.raises(QDeployError, match="run more of them"):
        energy(capture([1] * 8), window(2.0, 2.0), most_amperes=1)


@given(
    values=st.lists(st.floats(0, 10), min_size=4, max_size=40),
    cut=st.floats(0.1, 0.9),
    margin=st.floats(0, 0.05),
)
def test_windows_add_up_and_lie_in_their_intervals(values, cut, margin):
    recording = capture(values, period=0.1)
    end = 0.1 * len(values)
    inner, outer = 0.06, end - 0.06
    middle = inner + cut * (outer - inner)
    whole, left, right = (
        energy(recording, window(a, b, margin), most_amperes=100)
        for a, b in ((inner, outer), (inner, middle), (middle, outer))
    )
    assert left.value + right.value == pytest.approx(whole.value, abs=1e-9)
    assert whole.low <= whole.value <= whole.high


def test_power_interpolates_the_slower_voltage():
    current = Trace(0.0, 1.0, np.array([1.0, 2.0, 3.0, 4.0]))
    voltage = Trace(0.0, 2.0, np.array([3.0, 5.0]))  # middles at 1 and 3
    np.testing.assert_allclose(power_of(current, voltage).values, [3.0, 7.0, 13.5, 20.0])
    gone = Trace(0.0, 2.0, np.array([np.nan, np.nan]))
    assert np.isnan(power_of(current, gone).values).all()


def test_pulses_lie_between_samples():
    levels = np.array([1, 1, 0, 0, 1, 1, 0, 1], dtype=bool)
    assert pulses_of(levels, 10.0, 2.0) == (Pulse(13.0, 17.0), Pulse(21.0, 23.0))


@pytest.mark.parametrize("levels", [[0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1], [0, 0], []])
def test_pulses_that_are_not_whole_do_not_count(levels):
    assert pulses_of(np.array(levels, dtype=bool), 0.0, 1.0) == ()


def test_a_pulse_after_a_low_start_counts():
    levels = np.array([0, 1, 1, 0, 1], dtype=bool)
    assert pulses_of(levels, 0.0, 1.0) == (Pulse(2.5, 3.5),)


SEEN = Stretch(101.0, 103.0, 0.1)


def test_the_window_lies_between_two_pulses():
    found = find_window(capture([1] * 8, pulses=[Pulse(1, 1.1), Pulse(3, 3.1)]), SEEN, "D0")
    assert (found.start, found.end, found.uncertainty) == (1.1, 3, 0.01)
    assert "pulses on D0" in found.how


def test_without_pulses_the_hosts_stamps_count_with_their_uncertainty():
    found = find_window(capture([1] * 8), SEEN, "D0")
    assert (found.start, found.end) == (1.0, 3.0)
    assert found.uncertainty == pytest.approx(0.15)
    assert "±150 ms" in found.how


@pytest.mark.parametrize("count", [1, 3, 7])
def test_another_number_of_pulses_is_a_wrong_wire(count):
    pulses = [Pulse(i, i + 0.1) for i in range(count)]
    with pytest.raises(QDeployError, match=f"{count} pulses were seen on D3"):
        find_window(capture([1] * 8, pulses=pulses), SEEN, "D3")


def test_a_recording_that_ends_early_is_an_error():
    with pytest.raises(QDeployError, match=r"ends 1\.00 s before the inferences did"):
        find_window(capture([1] * 4, pulses=[Pulse(1, 1.1)]), SEEN, "D0")


def test_the_median_keeps_every_interval():
    readings = [Estimate(2, 1, 3), Estimate(5, 4, 9), Estimate(3, 2, 4)]
    assert median_of(readings) == Estimate(3, 1, 9)
