"""The libraries of the emulator, imported on first use: they load tens of megabytes."""

import importlib
from typing import Any

from qdeploy.errors import QDeployError

__all__ = ["check_libraries", "library"]

_NAMES = ("unicorn", "capstone")


def library(name: str) -> Any:
    """A module of the emulator.

    Raises:
        QDeployError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise QDeployError(
            f"the emulator is not installed; add it with: pip install {' '.join(_NAMES)}"
        ) from None


def check_libraries() -> None:
    """See that the emulator can be used.

    Raises:
        QDeployError: a library of it is not installed.
    """
    for name in _NAMES:
        library(name)
