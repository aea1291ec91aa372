"""Write ``docs/pipeline-model.md`` anew, or count CoreMark for `coremark.toml`.

``python -m qdeploy.emulation.pipeline_validation [FILE]`` writes the page;
``… coremark LIBRARY CORE COMPILER LEVEL`` prints the entry for a library that exports ``init`` and
``iterate``, one iteration of CoreMark, which is not part of qdeploy.
"""

import sys
from pathlib import Path

from qdeploy.emulation.pipeline_validation.coremark import coremark_entry
from qdeploy.emulation.pipeline_validation.page import page
from qdeploy.emulation.pipeline_validation.programs import program_cycles
from qdeploy.errors import QDeployError
from qdeploy.files import write_text
from qdeploy.targets import list_arm_cores, load_arm_core
from qdeploy.toolchains.linux import DEFAULT_TOOLCHAIN, LINUX_TOOLCHAINS


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    match arguments:
        case ["coremark", library, core, compiler, level]:
            print(coremark_entry(Path(library), load_arm_core(core), compiler, level))
        case [] | [_]:
            output = Path(arguments[0] if arguments else "docs/pipeline-model.md")
            toolchain = LINUX_TOOLCHAINS[DEFAULT_TOOLCHAIN]
            cores = map(load_arm_core, list_arm_cores())
            programs = [each for core in cores for each in program_cycles(core, toolchain)]
            write_text(output, page(programs, toolchain.version()), overwrite=True)
        case _:
            raise QDeployError("give a file, or: coremark LIBRARY CORE COMPILER LEVEL")


main(sys.argv[1:])
