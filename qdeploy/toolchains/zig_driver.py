"""The Clang in the ziglang wheel, for every family: the command, its version and its cache.

Its helpers (compiler-rt) and C libraries are built on the first link for a core and kept.
"""

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

from qdeploy.errors import QDeployError
from qdeploy.toolchains.driver import CoreT, Driver

__all__ = ["ZigDriver"]

_MISSING = "zig is not installed; add it with: pip install ziglang"


class ZigDriver(Driver[CoreT]):
    """``python -m ziglang cc``. A kind adds the target that it is called for."""

    name = "zig"
    title = "zig cc"

    def obstacle(self, core: CoreT) -> str | None:
        """None when the wheel is installed: it has every core."""
        return None if importlib.util.find_spec("ziglang") else _MISSING

    def version(self) -> str:
        """Version of zig.

        Raises:
            QDeployError: the wheel is not installed.
        """
        if not importlib.util.find_spec("ziglang"):
            raise QDeployError(_MISSING)
        return f"zig {_version()}"

    def _for(self, target: str, cpu: str) -> list[str]:
        """The command for a target and a processor, both in zig's spelling."""
        return [
            *_zig(),
            "cc",
            "-target",
            target,
            f"-mcpu={cpu}",
            # zig adds checks of its own to what it takes for a debug build.
            "-fno-sanitize=all",
            "-fno-stack-protector",
        ]

    def _archiver(self) -> list[str]:
        return [*_zig(), "ar"]

    def _helpers(self) -> list[str]:
        return ["-lcompiler_rt"]

    def _environment(self) -> dict[str, str]:
        folder = str(_cache())
        return {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, **os.environ}


def _zig() -> list[str]:
    return [sys.executable, "-m", "ziglang"]


@cache
def _version() -> str:
    done = subprocess.run([*_zig(), "version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@cache
def _cache() -> Path:
    """Where zig keeps what it built: beside qdeploy's own cache, or for this process alone.

    zig locks what it writes, so processes may share it.
    """
    folder = Path(platformdirs.user_cache_dir("qdeploy")) / "zig"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        private = tempfile.mkdtemp(prefix="qdeploy-zig-")
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        return Path(private)
