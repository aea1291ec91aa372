"""From a model to an artifact folder: the family builds it, verified, and it is put in place."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qdeploy.compiler.artifact import Artifact
from qdeploy.compiler.families import FAMILIES, Goal, Options
from qdeploy.compiler.manifest import MANIFEST
from qdeploy.compiler.plan import check_supported
from qdeploy.compiler.selection import Selection
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress, silent
from qdeploy.targets import Target, load_target

__all__ = ["compile_model"]


def compile_model(
    model: Model,
    target: str | Target = "cpu",
    output: str | Path | None = None,
    *,
    optimize: Goal | None = None,
    max_flash: int | None = None,
    max_ram: int | None = None,
    toolchain: str | None = None,
    front: bool = False,
    selection: Selection | None = None,
    overwrite: bool = False,
    samples: NDArray[Any] | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Compile a model, verify every implementation bit for bit, and write an artifact folder.

    Args:
        model: what to compile.
        target: a target, its name, or its TOML file.
        output: the folder to make; None for one that lives as long as this process.
        optimize: for microcontrollers, "speed", "size", or "balanced" (the default there).
        max_flash: for microcontrollers, bytes of flash that the model may take.
        max_ram: for microcontrollers, bytes of RAM that it may take, stack, input and output
            included.
        toolchain: for boards, the C compiler: "zig" (the default) or "gcc".
        front: for microcontrollers, whether raw features are taken too.
        selection: for targets with an operating system, the kernels that `qdeploy.tuning` chose;
            None for the compiler's own choice.
        overwrite: replace `output` where it is an artifact folder.
        samples: real inputs to verify on besides the made ones: int8 (n, d), or raw features
            (n, D) for a model with a quantiser.
        progress: told of every stage.

    Returns:
        The artifact, opened; its type is that of the target's family.

    Raises:
        QDeployError: the model, the target or an option is not supported, a limit cannot be kept,
            `output` is in the way, or an implementation differs from the network's exact meaning.
    """
    options = Options(optimize, max_flash, max_ram, toolchain, front, selection)
    if isinstance(target, str):
        target = load_target(target)
    family = FAMILIES[target.family]
    check_supported(model.network)
    real = None if samples is None else model.quantize(samples)
    folder = _temporary_output(model.name) if output is None else Path(output)
    with _replacing(folder, overwrite=overwrite) as building:
        manifest = family.build(model, target, building, options, real, progress)
        text = manifest.model_dump_json(indent=2)
        (building / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return Artifact.load(folder)


def _temporary_output(name: str) -> Path:
    parent = Path(tempfile.mkdtemp(prefix="qdeploy-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return parent / name


@contextmanager
def _replacing(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary sibling that takes the folder's place when the block ends well.

    Raises:
        QDeployError: the folder is in the way, or its parent cannot be written.
    """
    folder = folder.absolute()
    _check_replaceable(folder, overwrite=overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise QDeployError(
            f"{folder} cannot be made ({error.strerror}); choose another output folder"
        ) from None
    try:
        yield building
        building.chmod(0o755)
        _check_replaceable(folder, overwrite=overwrite)
        if folder.exists():
            # A folder cannot be renamed over a full one: set the old one aside first.
            aside = building.with_name(f"{building.name}-old")
            folder.rename(aside)
            building.rename(folder)
            shutil.rmtree(aside)
        else:
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check_replaceable(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise QDeployError(f"{folder} is a file; choose another output folder")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise QDeployError(
            f"{folder} exists and is not empty; choose another output folder or allow overwriting"
        )
    if not (folder / MANIFEST).is_file():
        raise QDeployError(
            f"{folder} is not an artifact folder, so it is not replaced; "
            "choose another output folder"
        )
