import numpy as np
import pytest

from qdeploy.data import guess_task
from qdeploy.data.tasks import target_for_task
from qdeploy.errors import QDeployError


@pytest.mark.parametrize(
    ("target", "task", "reason"),
    [
        (np.array(["a", "b"]), "classify", "text"),
        (np.array([True, False]), "classify", "true or false"),
        (np.array([3, 7, 3]), "classify", "two values"),
        (np.array([0.0, 1.0, 1.0]), "classify", "two values"),
        (np.arange(100) % 20, "classify", "20 values"),
        (np.arange(99) % 20, "regress", "fewer than 5 rows a value"),
        (np.arange(210) % 21, "regress", "more than 20"),
        (np.array([0.5, 1.0, 0.5]), "regress", "fractions"),
        (np.zeros((4, 2)), "regress", "several columns"),
    ],
)
def test_guess(target: np.ndarray, task: str, reason: str) -> None:
    guessed, told = guess_task(target)
    assert guessed == task
    assert reason in told


def test_target_takes_the_form_of_its_task() -> None:
    whole = np.array([1.0, 2.0])
    assert target_for_task(whole, ("y",), "classify").dtype == np.int64
    assert target_for_task(np.array([1, 2]), ("y",), "regress").dtype == np.float64
    assert target_for_task(np.array([True, False]), ("y",), "regress").tolist() == [1, 0]
    assert target_for_task(np.array([True, False]), ("y",), "classify").dtype == np.bool_


def test_text_is_no_number() -> None:
    with pytest.raises(QDeployError, match="label 'y', row 1: 'a' is not a number"):
        target_for_task(np.array(["a", "b"]), ("y",), "regress")


def test_classes_must_fit_64_bits() -> None:
    with pytest.raises(QDeployError, match="64 bits"):
        target_for_task(np.array([1e19, 0.0]), ("y",), "classify")
