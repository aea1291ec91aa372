import numpy as np
import pytest

from qdeploy.data import Dataset, dataset_from_arrays, split
from qdeploy.errors import QDeployError


def classes(counts: list[int]) -> Dataset:
    target = np.repeat(np.arange(len(counts)), counts)
    features = np.arange(2.0 * len(target)).reshape(-1, 2)
    return dataset_from_arrays(features, target, task="classify")


def test_parts_are_disjoint_complete_and_stratified() -> None:
    data = classes([60, 30, 10])
    train, test = split(data, 0.2, seed=3)
    together = np.concatenate([train.features, test.features])
    np.testing.assert_array_equal(np.sort(together[:, 0]), data.features[:, 0])
    assert np.bincount(test.target).tolist() == [12, 6, 2]
    assert train.feature_names == data.feature_names
    # Every target still belongs to its row.
    np.testing.assert_array_equal(train.target, data.target[(train.features[:, 0] / 2).astype(int)])


def test_the_seed_decides() -> None:
    data = classes([50, 50])
    first, again, other = (split(data, 0.25, seed)[1].features for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_numbers_are_not_stratified() -> None:
    data = dataset_from_arrays(np.arange(20.0).reshape(10, 2), np.linspace(0, 1, 10))
    train, test = split(data, 0.3, seed=0)
    assert (len(train.features), len(test.features)) == (7, 3)


@pytest.mark.parametrize(
    ("counts", "size", "seed", "part"),
    [
        ([5, 5], 0, 0, "must lie between 0 and 1"),
        ([5, 5], 1.0, 0, "must lie between 0 and 1"),
        ([5, 5], float("nan"), 0, "must lie between 0 and 1"),
        ([5, 5], 0.2, -1, "the seed is -1"),
        ([5, 1, 5], 0.3, 0, r"the class 1 has a single row \(row 6\)"),
        ([4, 4, 4], 0.1, 0, "2 test rows, fewer than the 3 classes"),
        ([4, 4, 4], 0.9, 0, "1 training rows"),
    ],
)
def test_impossible_splits(counts: list[int], size: float, seed: int, part: str) -> None:
    with pytest.raises(QDeployError, match=part):
        split(classes(counts), size, seed)
