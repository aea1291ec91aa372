"""L-BFGS in its compact form: the textbook's direction, and minima of known functions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.training.relaxations.descent import _Pairs, descend


def two_loops(pairs, slope):
    """The direction by the usual recursion (Nocedal and Wright, algorithm 7.4)."""
    rest, shares = slope.copy(), []
    for step, change in reversed(pairs):
        share = (step @ rest) / (step @ change)
        rest -= share * change
        shares.append(share)
    step, change = pairs[-1]
    rest *= (step @ change) / (change @ change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        rest += step * (share - (change @ rest) / (step @ change))
    return -rest


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_direction_is_that_of_the_two_loops(count, memory, seed):
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((7, 7))
    curvature = root @ root.T + np.eye(7)
    kept, told = _Pairs(memory, 7), []
    for _ in range(count):
        step = generator.standard_normal(7)
        kept.add(step, curvature @ step)
        told.append((step, curvature @ step))
    slope = generator.standard_normal(7)
    assert kept.direction(slope) == pytest.approx(two_loops(told[-memory:], slope), rel=1e-6)


def test_a_pair_that_curves_down_is_left_out():
    pairs = _Pairs(3, 2)
    pairs.add(np.array([1.0, 0.0]), np.array([-1.0, 0.0]))
    pairs.add(np.zeros(2), np.zeros(2))
    assert len(pairs) == 0
    assert pairs.direction(np.array([2.0, 3.0])) == pytest.approx([-2.0, -3.0])


def rosenbrock(point):
    x, y = point[:-1], point[1:]
    slope = np.zeros_like(point)
    slope[:-1] = -2 * (1 - x) - 400 * x * (y - x * x)
    slope[1:] += 200 * (y - x * x)
    return float(((1 - x) ** 2 + 100 * (y - x * x) ** 2).sum()), slope


@pytest.mark.parametrize("size", [2, 20])
def test_it_follows_a_curved_valley_to_its_end(size):
    start = np.full(size, -0.5)
    values = []

    def told(_point, value):
        values.append(value)
        return False

    found = descend(rosenbrock, start, steps=2000, memory=10, finished=told)
    assert found == pytest.approx(np.ones(size), abs=1e-6)
    assert values == sorted(values, reverse=True)


def test_it_ends_when_told_and_after_its_steps():
    start = np.full(4, -0.5)
    first = descend(rosenbrock, start, steps=1, memory=5, finished=lambda *_: False)
    assert np.array_equal(
        first, descend(rosenbrock, start, steps=50, memory=5, finished=lambda *_: True)
    )
    assert rosenbrock(first)[0] < rosenbrock(start)[0]


def test_a_point_where_nothing_falls_is_left_as_it_is():
    ones = np.ones(3)
    assert np.array_equal(
        descend(rosenbrock, ones, steps=9, memory=5, finished=lambda *_: False), ones
    )

    def wall(point):
        return (float(point @ point), -point) if point[0] == 1 else (np.inf, point)

    assert np.array_equal(descend(wall, ones, steps=9, memory=5, finished=lambda *_: False), ones)
