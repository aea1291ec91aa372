"""Write ``docs/cycle-model.md`` anew: ``python -m qdeploy.emulation.validation [FILE]``."""

import sys
from pathlib import Path

from qdeploy.emulation.validation.kernels import KernelCounts, count_kernels
from qdeploy.emulation.validation.page import page
from qdeploy.errors import QDeployError
from qdeploy.files import write_text
from qdeploy.targets import list_cores, load_core
from qdeploy.toolchains import TOOLCHAINS


def main() -> None:
    """Build and count the kernels on every core that the emulator has, and write the page."""
    output = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/cycle-model.md")
    toolchain = TOOLCHAINS["zig"]
    kernels: list[KernelCounts] = []
    for name in list_cores():
        try:
            kernels += count_kernels(load_core(name), toolchain)
        except QDeployError as obstacle:
            print(f"{name}: {obstacle}", file=sys.stderr)
    write_text(output, page(kernels, toolchain.version()), overwrite=True)


main()
