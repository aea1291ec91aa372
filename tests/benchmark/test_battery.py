import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.battery import battery_life
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError


def exactly(value):
    return Estimate(value, value, value)


def test_a_life_by_hand():
    # 10 inferences a second of 1 mJ and 10 ms: 10 mW, and nine tenths of the time 1 mW asleep.
    life = battery_life(exactly(1e-3), exactly(1e-2), exactly(1e-3), 10, 1000, 3.0)
    assert life.average_watts.value == pytest.approx(10.9e-3)
    assert life.duty.value == pytest.approx(0.1)
    assert life.seconds.value == pytest.approx(1000 * 3.6 * 3.0 / 10.9e-3)


def test_without_sleep_power_energy_alone_counts():
    life = battery_life(exactly(2e-6), exactly(1e-3), exactly(0.0), 1, 225, 3.0)
    assert life.seconds.value == pytest.approx(225 * 3.6 * 3 / 2e-6)


def band(lowest, highest):
    return st.tuples(*[st.floats(lowest, highest)] * 3).map(
        lambda three: Estimate(sorted(three)[1], min(three), max(three))
    )


share = st.floats(0, 1)


@given(
    energy=band(1e-9, 1e-1),
    time=band(1e-6, 0.05),
    sleep=band(1e-9, 1e-1),
    rate=st.floats(1e-6, 15),
    at=st.tuples(share, share, share),
)
def test_the_band_holds_every_life_within_the_bands(energy, time, sleep, rate, at):
    life = battery_life(energy, time, sleep, rate, 100, 3.0)
    e, t, s = (
        each.low + part * (each.high - each.low)
        for each, part in zip((energy, time, sleep), at, strict=True)
    )
    inside = battery_life(exactly(e), exactly(t), exactly(s), rate, 100, 3.0)
    slack = 1 + 1e-9
    assert life.seconds.low <= life.seconds.value <= life.seconds.high
    assert life.seconds.low <= inside.seconds.value * slack
    assert inside.seconds.value <= life.seconds.high * slack


@given(rate=st.floats(0.1, 10), factor=st.floats(1.01, 5))
def test_a_higher_rate_or_a_smaller_battery_ends_sooner(rate, factor):
    # An inference draws more than sleep does.
    arguments = exactly(1e-3), exactly(1e-2), exactly(1e-5)
    life = battery_life(*arguments, rate, 100, 3.0).seconds.value
    assert battery_life(*arguments, rate * factor, 100, 3.0).seconds.value < life
    assert battery_life(*arguments, rate, 100 / factor, 3.0).seconds.value < life


def test_more_than_all_of_the_time_is_refused():
    with pytest.raises(QDeployError, match=r"take 200% of the time; ask for at most 100 a second"):
        battery_life(exactly(1e-3), exactly(1e-2), exactly(1e-3), 200, 100, 3.0)


def test_all_of_the_time_is_fine_and_sleep_is_never_negative():
    time = Estimate(1e-2, 0.9e-2, 1.5e-2)
    life = battery_life(exactly(1e-3), time, exactly(1e-3), 100, 100, 3.0)
    assert (life.duty.low, life.duty.value, life.duty.high) == pytest.approx((0.9, 1.0, 1.0))
    assert life.duty.high <= 1
    assert life.average_watts.low == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rate", "capacity", "volts", "what"),
    [(0, 1, 1, "rate"), (1, -5, 1, "capacity"), (1, 1, float("nan"), "voltage")],
)
def test_numbers_must_be_positive(rate, capacity, volts, what):
    with pytest.raises(QDeployError, match=f"positive {what}"):
        battery_life(exactly(1e-3), exactly(1e-2), exactly(1e-3), rate, capacity, volts)


@pytest.mark.parametrize("wrong", [Estimate(1, 2, 3), exactly(-1.0), exactly(float("inf"))])
def test_bands_must_hold_their_value(wrong):
    with pytest.raises(QDeployError, match="within its band"):
        battery_life(wrong, exactly(1e-2), exactly(1e-3), 1, 1, 1)


def test_no_power_at_all_gives_no_life():
    with pytest.raises(QDeployError, match="no power at all"):
        battery_life(Estimate(1e-6, 0, 1e-6), exactly(1e-2), exactly(0.0), 1, 1, 1)
