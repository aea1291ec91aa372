"""Programs as processes of this machine: by its own processor, or by QEMU's emulation of one."""

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from qdeploy.errors import QDeployError
from qdeploy.remote.place import Place, failure, overtime
from qdeploy.targets import ArmCore, host_core

__all__ = ["LocalPlace", "QemuPlace", "local_place"]

_QEMU = "qemu-aarch64"


class _Processes:
    """A place on this machine.

    Args:
        prefix: command that runs a program, without the program.
    """

    title: str

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = tuple(prefix)

    def run(
        self,
        program: Path,
        arguments: Sequence[str] = (),
        data: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """Run a program to its end, see `qdeploy.remote.Place.run`."""
        words = [*self._prefix, str(program.absolute()), *arguments]
        return self._process(words, program.name, data, timeout)

    def put(self, file: Path) -> str:
        """The file's own path."""
        if not file.is_file():
            raise QDeployError(f"there is no file {file}; name one that exists")
        return str(file.absolute())

    def close(self) -> None:
        """Nothing is left behind."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _process(
        self, words: Sequence[str], name: str, data: bytes, timeout: float | None
    ) -> bytes:
        # In a folder of its own: what a program may leave in it goes with it.
        with tempfile.TemporaryDirectory(prefix="qdeploy-") as folder:
            try:
                done = subprocess.run(
                    words, input=data, capture_output=True, cwd=folder, timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise overtime(name, self.title, error.timeout) from None
            except OSError as error:
                raise QDeployError(
                    f"{words[0]} cannot be started ({error.strerror or error}); "
                    "look whether it is there, executable and made for this machine"
                ) from None
        if done.returncode:
            complaints = done.stderr.decode("utf-8", "replace")
            raise failure(name, self.title, done.returncode, complaints)
        return done.stdout


class LocalPlace(_Processes):
    """This machine itself.

    Args:
        machine: what ``uname -m`` must tell.

    Raises:
        QDeployError: it is another kind of machine.
    """

    name = "local"
    title = "this machine"
    native = True

    def __init__(self, machine: str = "aarch64") -> None:
        if platform.machine() != machine:
            raise QDeployError(
                f"this machine is {platform.machine()} and programs for {machine} do not run "
                f"natively on it; name a board, or take {_QEMU}"
            )
        super().__init__()

    def read(self, path: str) -> str | None:
        """A text file, see `qdeploy.remote.Place.read`."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def command(self, words: Sequence[str], timeout: float | None = None) -> str:
        """Run a command, see `qdeploy.remote.Place.command`."""
        return self._process(words, words[0], b"", timeout).decode("utf-8", "replace")


class QemuPlace(_Processes):
    """QEMU's user-mode emulation of a core: every instruction as on it, and no time at all.

    Args:
        core: which core.

    Raises:
        QDeployError: QEMU is not installed.
    """

    name = "qemu-aarch64"
    native = False

    def __init__(self, core: ArmCore) -> None:
        found = shutil.which(_QEMU)
        if found is None:
            raise QDeployError(
                f"{_QEMU} is not installed; install Debian's qemu-user, or take the runner "
                "'library-emulator'"
            )
        self.title = f"{_QEMU} ({core.qemu_cpu})"
        super().__init__([found, "-cpu", core.qemu_cpu])

    def read(self, path: str) -> str | None:
        """None: an emulated core has no system around it whose files would tell anything."""
        return None

    def command(self, words: Sequence[str], timeout: float | None = None) -> str:
        """Refused.

        Raises:
            QDeployError: always.
        """
        raise QDeployError(
            f"{_QEMU} runs single programs and has no command {words[0]!r}; name a board"
        )


def local_place(core: ArmCore) -> Place | None:
    """Where this machine runs programs for a core: itself, QEMU, or None for nowhere."""
    try:
        here = host_core()
    except QDeployError:
        pass
    else:
        # Programs for a core may use all that it has; the generic ones run on each.
        if core.name in (here.name, "generic") and set(core.extensions) <= set(here.extensions):
            return LocalPlace()
    return QemuPlace(core) if shutil.which(_QEMU) else None
