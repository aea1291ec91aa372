"""Every registered loss: gradient, intercept, dual value and the exact integer side of it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.training.losses import losses

every_loss = pytest.mark.parametrize("loss", losses.values(), ids=losses.names())


def sample(seed, rows=25, spread=1.5):
    generator = np.random.default_rng(seed)
    targets = np.where(generator.random(rows) < 0.4, 1.0, -1.0)
    targets[:2] = 1.0, -1.0
    return spread * generator.standard_normal(rows), targets, generator


@every_loss
def test_residual_is_the_negative_gradient(loss):
    predictions, targets, _ = sample(0)
    residual = loss.residual(predictions, targets)
    for i in range(len(targets)):
        moved = np.zeros(len(targets))
        moved[i] = 1e-6
        slope = (
            loss.value(predictions + moved, targets) - loss.value(predictions - moved, targets)
        ) / 2e-6
        assert residual[i] == pytest.approx(-slope, abs=1e-6)


@every_loss
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.0, 0.1, 1.0, 30.0]))
def test_best_intercept_is_a_minimum(loss, seed, spread):
    predictions, targets, _ = sample(seed, spread=spread)
    best = loss.best_intercept(predictions, targets)
    value = loss.value(predictions + best, targets)
    for step in (1e-4, 0.1, 3.0):
        assert value <= loss.value(predictions + best + step, targets) + 1e-12
        assert value <= loss.value(predictions + best - step, targets) + 1e-12


@every_loss
def test_intercept_of_a_single_class_fits_it(loss):
    targets = np.ones(4)
    predictions = np.array([0.0, 1.0, -2.0, 0.5])
    best = loss.best_intercept(predictions, targets)
    further = loss.value(predictions + best + 1, targets)
    assert loss.value(predictions + best, targets) <= further + 1e-12


@every_loss
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_weak_duality(loss, seed):
    """L(f) ≥ -L*(-r) + <f, -r>, with equality where r is the residual at f."""
    predictions, targets, generator = sample(seed)
    residual = loss.residual(predictions, targets)
    own = loss.dual_value(residual, targets) - residual @ predictions
    assert loss.value(predictions, targets) == pytest.approx(own, abs=1e-9)
    other = loss.residual(generator.standard_normal(len(targets)), targets)
    for scale in (1.0, 0.3, 0.0):
        bound = loss.dual_value(scale * other, targets) - scale * other @ predictions
        assert loss.value(predictions, targets) >= bound - 1e-9


@every_loss
@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 60),
    spread=st.sampled_from([1e-6, 0.5, 2.0, 1e4]),
)
def test_rounded_residual_is_feasible(loss, seed, rows, spread):
    predictions, targets, _ = sample(seed, rows, spread)
    predictions += loss.best_intercept(predictions, targets)
    rounded = loss.round_residual(loss.residual(predictions, targets), targets)
    assert rounded.dtype == np.int32
    assert int(rounded.astype(np.int64).sum()) == 0
    if loss.name != "squared":
        assert (rounded * targets >= 0).all()


@every_loss
def test_rounding_keeps_the_direction(loss):
    predictions, targets, _ = sample(3, rows=400)
    predictions += loss.best_intercept(predictions, targets)
    residual = loss.residual(predictions, targets)
    rounded = loss.round_residual(residual, targets).astype(float)
    cosine = residual @ rounded / np.linalg.norm(residual) / np.linalg.norm(rounded)
    assert 1 - cosine < 1e-8


@every_loss
def test_exact_values_agree_with_floating_point(loss):
    predictions, targets, generator = sample(4)
    scores = generator.integers(-1000, 1000, len(targets))
    exact = loss.exact_value(scores, Fraction(1, 512), targets)
    assert float(exact) == pytest.approx(loss.value(scores / 512, targets), rel=1e-12)

    predictions += loss.best_intercept(predictions, targets)
    rounded = loss.round_residual(loss.residual(predictions, targets), targets)
    reach = Fraction(1.5 * loss.best_step(rounded.astype(float), targets))
    steps = np.linspace(0, float(reach), 2001)
    best = max(loss.dual_value(step * rounded, targets) for step in steps)
    found = float(loss.exact_dual(rounded, targets, reach))
    assert found >= best - 1e-9
    assert found == pytest.approx(best, rel=1e-3)


@every_loss
def test_dual_of_a_zero_residual_is_zero(loss):
    targets = np.array([1.0, -1.0, 1.0])
    nothing = np.zeros(3, dtype=np.int32)
    assert loss.exact_dual(nothing, targets, Fraction(1)) == 0
