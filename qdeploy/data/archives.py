"""Numpy's .npz archives."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.sources import ArraySource, generic_names
from qdeploy.errors import QDeployError

__all__ = ["read_archive"]

READ_FAULTS = (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on damaged archives."""


def read_archive(path: Path, label: str | None, *, needs_target: bool = True) -> ArraySource:
    """Read X, the target and perhaps feature_names from an .npz file; nothing is unpickled.

    Args:
        path: the archive.
        label: name of the target array; None stands for y.
        needs_target: False leaves the target out.

    Raises:
        QDeployError: damaged, an array is missing, or one holds Python objects.
    """
    target_name = label or "y"
    wanted = ["X", *([target_name] if needs_target else [])]
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise QDeployError(f"{path.name}: holds a single array; save X and y with numpy.savez")
        with loaded as archive:
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                raise QDeployError(
                    f"{path.name}: there is no array {missing[0]!r}; "
                    f"it holds {', '.join(archive.files) or 'nothing'}"
                )
            arrays = {
                name: _array(path, archive, name)
                for name in (*wanted, "feature_names", "sample_weight")
                if name in archive.files
            }
    except READ_FAULTS as fault:
        reason = str(fault).split("\n")[0] or type(fault).__name__
        raise QDeployError(f"{path.name}: not a readable .npz archive ({reason})") from None
    names = arrays.get("feature_names")
    target = arrays.get(target_name) if needs_target else None
    width = target.shape[1] if target is not None and target.ndim == 2 else 1
    return ArraySource(
        path.name,
        arrays["X"],
        None if names is None else names.ravel().tolist(),
        target,
        (target_name,) if width == 1 else generic_names(target_name, width),
        {"sample_weight": arrays["sample_weight"]} if "sample_weight" in arrays else None,
    )


def _array(path: Path, archive: Any, name: str) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = archive[name]
    except ValueError as fault:
        if "allow_pickle" not in str(fault):
            raise
        raise QDeployError(
            f"{path.name}, array {name!r}: holds Python objects, which are never loaded; "
            "save numbers or text"
        ) from None
    return array
