"""Instructions of a program under ``qemu-aarch64``, read at the program's own marks.

QEMU's plugins count blocks as they run, in all threads. The program must mark places itself: by the
system call of number 0x5144, which Linux does not have, so that it does nothing.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qdeploy.errors import QDeployError
from qdeploy.native import build_shared
from qdeploy.targets import ArmCore

__all__ = ["PROGRAM", "count_marks", "make_root", "obstacle", "version"]

PROGRAM = "qemu-aarch64"
_SECONDS = 600
_FEATURES = {"dotprod": "asimddp", "i8mm": "i8mm"}
"""Names of extensions in /proc/cpuinfo."""


def obstacle() -> str | None:
    """Why nothing can be counted here, and what would mend that; None when it can."""
    program = shutil.which(PROGRAM)
    if program is None:
        return f"{PROGRAM} is not installed; install Debian's qemu-user"
    told = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    if "-plugin" not in told.stdout:
        return f"this {PROGRAM} was built without plugins; install one with them, such as Debian's"
    return None


def version() -> str:
    """QEMU's own words for its version.

    Raises:
        QDeployError: it is not installed.
    """
    if why := obstacle():
        raise QDeployError(why)
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()[0].removeprefix(f"{PROGRAM} version ")


def make_root(core: ArmCore, libraries: Path, folder: Path) -> Path:
    """Fill a folder that ``qemu-aarch64 -L`` shows to programs in place of the machine's files.

    Programs ask Linux which processor they run on. The machine's own answer is of another
    architecture, and onnxruntime does not survive it.

    Args:
        core: what the one processor is said to be.
        libraries: the folder of ld-linux-aarch64.so.1 and the C library.
        folder: what is filled.

    Returns:
        `folder`.
    """
    extensions = " ".join(_FEATURES[each] for each in core.extensions)
    lines = ["processor\t: 0", f"Features\t: fp asimd {extensions}".rstrip()]
    if core.parts:
        lines += [f"CPU implementer\t: {core.parts[0].implementer:#x}", "CPU architecture: 8"]
        lines += ["CPU variant\t: 0x0", f"CPU part\t: {core.parts[0].part:#x}"]
        lines += ["CPU revision\t: 0"]
    (folder / "proc").mkdir(parents=True)
    (folder / "proc" / "cpuinfo").write_text("\n".join(lines) + "\n\n", encoding="ascii")
    processors = folder / "sys" / "devices" / "system" / "cpu"
    processors.mkdir(parents=True)
    for name in ("possible", "present", "online"):
        (processors / name).write_text("0\n", encoding="ascii")
    (folder / "lib").symlink_to(libraries.resolve(), target_is_directory=True)
    return folder


def count_marks(
    core: ArmCore, program: Path, arguments: Sequence[str | Path] = (), root: Path | None = None
) -> list[int]:
    """Run a program to its end.

    Args:
        core: the processor to emulate.
        program: for AArch64 with Linux.
        arguments: of the program.
        root: what `make_root` made; None for a static program.

    Returns:
        Instructions from the start to each mark, all threads together, the mark's own included.

    Raises:
        QDeployError: QEMU or a C compiler is missing, or the program fails.
    """
    if why := obstacle():
        raise QDeployError(why)
    with tempfile.TemporaryDirectory(prefix="qdeploy-count-") as temporary:
        plugin, output = Path(temporary, "counter.so"), Path(temporary, "counts")
        build_shared([Path(__file__).with_name("counter.c")], plugin, ["-fvisibility=hidden"])
        command: list[str | Path] = [PROGRAM, "-cpu", core.qemu_cpu]
        command += [] if root is None else ["-L", root]
        command += ["-plugin", f"{plugin},out={output}", program, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise QDeployError(f"{program.name} ran for more than {_SECONDS} s") from None
        if done.returncode:
            lines = done.stderr.splitlines() or ["no message"]
            raise QDeployError(
                f"{program.name} ended with status {done.returncode} under {PROGRAM}: {lines[-1]}"
            )
        return [int(line) for line in output.read_text(encoding="ascii").splitlines()]
