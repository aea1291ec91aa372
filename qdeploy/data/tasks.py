"""Whether a target is a class or a number, and the target in the form of its task."""

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.data.validation import Place, check_numbers, plain_row
from qdeploy.errors import QDeployError

__all__ = ["guess_task", "target_for_task"]

FEW_CLASSES = 20
ROWS_PER_CLASS = 5


def _whole(target: NDArray[np.generic]) -> bool:
    if target.dtype.kind in "iu":
        return True
    return target.dtype.kind == "f" and bool((np.rint(target) == target).all())


def guess_task(target: NDArray[np.generic]) -> tuple[Task, str]:
    """Task that a target calls for, and the reason in words.

    Text and booleans are classes. Whole numbers are classes when they take two values, or at most
    20 values with 5 rows or more each on average. Everything else is a number.

    Args:
        target: (n,) or (n, K), finite.
    """
    target = np.asarray(target)
    if target.ndim > 1:
        return "regress", "the label has several columns"
    if target.dtype.kind in "US":
        return "classify", "the label is text"
    if target.dtype.kind == "b":
        return "classify", "the label is true or false"
    if not _whole(target):
        return "regress", "the label holds numbers with fractions"
    count = len(np.unique(target))
    if count <= 2:
        return "classify", "the label holds whole numbers with no more than two values"
    if count > FEW_CLASSES:
        return (
            "regress",
            f"the label holds whole numbers with {count} values, more than {FEW_CLASSES}",
        )
    if count * ROWS_PER_CLASS > len(target):
        return (
            "regress",
            f"the label holds whole numbers with {count} values, and fewer than "
            f"{ROWS_PER_CLASS} rows a value",
        )
    return (
        "classify",
        f"the label holds whole numbers with {count} values, no more than {FEW_CLASSES}",
    )


def target_for_task(
    target: NDArray[np.generic],
    names: tuple[str, ...],
    task: Task,
    place: Place = plain_row,
) -> NDArray[np.generic]:
    """The target as its task wants it.

    Args:
        target: (n,) or (n, K) bool, integers, floats or text.
        names: one name, or K.
        task: "classify" or "regress".
        place: how to tell a row.

    Returns:
        Classes (n,), where whole floats have become integers, or float64 (n,) or (n, K).

    Raises:
        QDeployError: a value is missing or infinite, or the task does not suit the target.
    """
    if target.dtype.kind == "f":
        check_numbers(
            target.astype(np.float64).reshape(len(target), -1), names, place, what="label"
        )
    if task == "regress":
        if target.dtype.kind in "US":
            raise QDeployError(
                f"label {names[0]!r}, {place(0)}: {str(target.flat[0])!r} is not a number; "
                "pass --task classify, or choose a numeric label"
            )
        return target.astype(np.float64)
    if target.ndim > 1:
        raise QDeployError(
            f"a label of {target.shape[1]} columns cannot be a class; "
            "give one column, or pass --task regress"
        )
    if target.dtype.kind in "fiu" and _whole(target):
        if np.abs(target.astype(np.float64)).max(initial=0.0) >= 2.0**63:
            raise QDeployError(f"label {names[0]!r}: a class number does not fit 64 bits")
        return target.astype(np.int64)
    return target
