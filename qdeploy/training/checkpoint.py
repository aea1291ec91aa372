"""What long training keeps on disk, so that the same command goes on after a kill.

A folder holds one file for each finished step, written whole or not at all, and the identity of the
run: data, options and versions. The files are Python pickles, for the program that wrote them: a
folder from somebody else must not be opened.
"""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from qdeploy.data import Dataset
from qdeploy.errors import QDeployError
from qdeploy.files import write_bytes, write_text

__all__ = ["Checkpoint", "Slot", "open_checkpoint", "run_identity"]

T = TypeVar("T")

IDENTITY = "identity.json"
SUFFIX = ".pickle"


@dataclass(frozen=True)
class Slot:
    """The place of one step; without a folder it keeps nothing.

    Attributes:
        path: the file, or None.
        lasting: whether what is saved is kept.
    """

    path: Path | None = None
    lasting: bool = True

    def within(self, name: str) -> "Slot":
        """The place of a step of this step."""
        path = None if self.path is None else self.path.with_suffix(f".{name}{SUFFIX}")
        return replace(self, path=path)

    def load(self) -> Any:
        """What was saved last, or None.

        Raises:
            QDeployError: the file is damaged.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            return pickle.loads(self.path.read_bytes())
        except Exception as error:
            raise QDeployError(
                f"checkpoint {self.path} cannot be read ({error}); remove its folder to begin anew"
            ) from error

    def save(self, value: Any) -> None:
        """Keep a value in place of the one before."""
        if self.path is not None and self.lasting:
            write_bytes(self.path, pickle.dumps(value), overwrite=True)


@dataclass(frozen=True)
class Checkpoint:
    """The folder of one run; without one it keeps nothing.

    Attributes:
        folder: the folder, or None.
    """

    folder: Path | None = None

    def slot(self, name: str) -> Slot:
        """The place of the step of this name."""
        return Slot(None if self.folder is None else self.folder / f"{name}{SUFFIX}")

    def once(self, name: str, make: Callable[[], T], worth: Callable[[], bool]) -> T:
        """What the step of this name gave, made if it is not there, and kept if it is worth it."""
        slot = self.slot(name)
        found: T | None = slot.load()
        if found is None:
            found = make()
            if worth():
                slot.save(found)
        return found

    def remove(self) -> None:
        """Remove what was kept, and the folder if nothing else is in it."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in _own_files(self.folder):
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def open_checkpoint(folder: Path | None, identity: Mapping[str, str]) -> Checkpoint:
    """The checkpoint in a folder, begun if there is none.

    Args:
        folder: where it is kept, or None for one that keeps nothing.
        identity: what must be the same for a run to go on, by the name that users know.

    Raises:
        QDeployError: the folder is of another run, or is none of a run.
    """
    if folder is None:
        return Checkpoint()
    path = folder / IDENTITY
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise QDeployError(
                f"checkpoint {folder} is not empty and holds no run; name a new folder"
            )
        write_text(path, json.dumps(dict(identity), indent=1))
        return Checkpoint(folder)
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise QDeployError(
            f"checkpoint {folder} cannot be read ({error}); remove it to begin anew"
        ) from error
    names = [*identity, *(name for name in found if name not in identity)]
    other = [name for name in names if identity.get(name) != found.get(name)]
    if other:
        raise QDeployError(
            f"checkpoint {folder} is of a run with another {' and another '.join(other)}; go on "
            "with the same command, or name another folder"
        )
    # A kill in the middle of a write leaves the file that was to become the new one.
    for left_over in folder.glob(f".*{SUFFIX}.*"):
        left_over.unlink(missing_ok=True)
    return Checkpoint(folder)


def run_identity(dataset: Dataset, options: Mapping[str, Any]) -> dict[str, str]:
    """What must be the same for a run to go on.

    Args:
        dataset: the training rows.
        options: those that change the result.
    """
    versions = [f"{name} {version(name)}" for name in ("qdeploy", "numpy", "scipy")]
    said = {name: json.dumps(value, sort_keys=True) for name, value in options.items()}
    return {"data set": _digest(dataset), **said, "version": ", ".join(versions)}


def _digest(dataset: Dataset) -> str:
    """SHA-256 of rows, targets, weights and names, in hexadecimal digits."""
    digest = hashlib.sha256(repr((dataset.feature_names, dataset.target_names)).encode())
    for values in (dataset.features, dataset.target, dataset.weights):
        array = np.asarray(values)
        if array.dtype == object:
            array = array.astype(str)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _own_files(folder: Path) -> list[Path]:
    return [*folder.glob(f"*{SUFFIX}"), *folder.glob(f".*{SUFFIX}.*"), folder / IDENTITY]
