"""The rule of one standard error, and folds."""

import numpy as np
import pytest

from qdeploy.training.selection import fold_numbers, one_standard_error


class TestOneStandardError:
    def test_the_first_place_near_the_least_is_taken(self):
        # Means 4, 2.2, 2, 2.4; the standard error of the third is 1.87/√5 = 0.84: the second ties.
        errors = np.array([[4, 4, 4, 4, 4], [1, 2, 2, 3, 3], [0, 1, 2, 2, 5], [2, 2, 2, 3, 3.0]])
        place, mean = one_standard_error(errors, None)
        assert place == 1
        assert mean == pytest.approx([4, 2.2, 2, 2.4])

    def test_weights_count_in_the_mean(self):
        errors = np.array([[1.0, 0.0], [0.0, 9.0]])
        assert one_standard_error(errors, np.array([9.0, 1.0]))[1] == pytest.approx([0.9, 0.9])

    def test_without_spread_only_the_best_will_do(self):
        errors = np.array([[1.0, 1.0], [0.5, 0.5], [0.6, 0.6]])
        assert one_standard_error(errors, None)[0] == 1


def test_folds_are_of_one_size_and_spread_the_classes():
    targets = np.where(np.arange(40) % 4 == 0, 1.0, -1.0)[:, None]
    folds = fold_numbers(targets, "classify", np.random.default_rng(0))
    assert np.bincount(folds).tolist() == [10] * 4
    positive = np.bincount(folds[targets[:, 0] > 0], minlength=4)
    assert positive.max() - positive.min() <= 1
