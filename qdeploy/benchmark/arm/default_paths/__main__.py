"""Instructions of whole default paths on AArch64, counted under ``qemu-aarch64`` [emulated].

    python -m qdeploy.benchmark.arm.default_paths models/digits/digits.onnx …

Prints Markdown. It needs Debian's qemu-user, gcc-aarch64-linux-gnu and libstdc++6-arm64-cross, a C
compiler for this machine, and wheels that pip downloads.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from qdeploy import __version__
from qdeploy.benchmark.arm.default_paths import counting, engines
from qdeploy.benchmark.arm.default_paths.measuring import OWN, PATHS, Measurement, measure
from qdeploy.emulation.validation.page import markdown_table
from qdeploy.errors import QDeployError
from qdeploy.onnx import load
from qdeploy.targets import ArmTarget, load_target
from qdeploy.toolchains.linux import DEFAULT_TOOLCHAIN, LINUX_TOOLCHAINS

_TOOLCHAIN = "gcc"
"""Its C library is the one in the folder of libraries."""

_NEEDED = ("ld-linux-aarch64.so.1", "libc.so.6", "libstdc++.so.6", "libgcc_s.so.1")


def main(
    models: Annotated[list[Path], typer.Argument(help="ONNX files.")],
    target: Annotated[str, typer.Option(help="An ARM board.")] = "raspberry-pi-5",
    wheels: Annotated[Path | None, typer.Option(help="A folder that keeps the wheels.")] = None,
    libraries: Annotated[
        Path, typer.Option(help="The folder of libstdc++.so.6 and the C library for AArch64.")
    ] = Path("/usr/aarch64-linux-gnu/lib"),
) -> None:
    """Count every path of every model, and print a table."""
    try:
        _check(target, libraries)
        with tempfile.TemporaryDirectory(prefix="qdeploy-wheels-") as temporary:
            kept = wheels or Path(temporary)
            measured = {
                path.stem: measure(
                    load(path), target, LINUX_TOOLCHAINS[_TOOLCHAIN], kept, libraries
                )
                for path in models
            }
        print("\n".join(_page(measured, target)))
    except QDeployError as error:
        print(f"qdeploy: error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _check(target: str, libraries: Path) -> None:
    board = load_target(target)
    if not isinstance(board, ArmTarget):
        raise QDeployError(f"target {target!r} is no ARM board; take one such as raspberry-pi-5")
    if why := counting.obstacle():
        raise QDeployError(why)
    missing = [name for name in _NEEDED if not (libraries / name).is_file()]
    if missing:
        raise QDeployError(
            f"{libraries} has no {missing[0]}; install Debian's libstdc++6-arm64-cross, or name "
            "another folder with --libraries"
        )
    if why := LINUX_TOOLCHAINS[_TOOLCHAIN].obstacle(board.compiled_core):
        raise QDeployError(why)


def _page(measured: dict[str, Measurement], target: str) -> list[str]:
    """The versions, then one row a path and one column a model."""
    toolchains = LINUX_TOOLCHAINS[DEFAULT_TOOLCHAIN], LINUX_TOOLCHAINS[_TOOLCHAIN]
    versions = {
        "qdeploy": __version__,
        "onnxruntime": engines.ONNXRUNTIME.version,
        "TVM": engines.TVM.version,
        "QEMU": counting.version(),
    }
    told = ", ".join(
        [
            *(f"{name} {version}" for name, version in versions.items()),
            *(each.version() for each in toolchains),
        ]
    )
    rows = [
        [name, called, *(_cell(each, name) for each in measured.values())]
        for name, called in PATHS.items()
    ]
    alone = [_spaced(each.function) for each in measured.values()]
    return [
        f"Instructions of one inference at batch 1, {target} [emulated]; {told}.",
        "",
        *markdown_table(
            ["", "what is called", *measured],
            [*rows, ["", "our function alone, in the in-process emulator", *alone]],
        ),
    ]


def _cell(measurement: Measurement, name: str) -> str:
    count, own = measurement.paths[name], measurement.paths[OWN]
    return _spaced(count) if name == OWN else f"{_spaced(count)} ({count / own:.1f} ×)"


def _spaced(count: float) -> str:
    return f"{count:,.0f}".replace(",", " ")


typer.run(main)
