import subprocess
from pathlib import Path

import numpy as np
import pytest

from qdeploy.compiler.c_source import Symbols
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import kernel_functions
from qdeploy.compiler.mcu.memory import plan_arena
from qdeploy.compiler.mcu.operations import llvm_definitions
from qdeploy.compiler.mcu.sources import entry_source, header_source, model_source
from qdeploy.firmware import ModelInterface, link_plain
from qdeploy.native import compiler_command
from qdeploy.runners.emulator import EmulatorSession
from qdeploy.targets import Region, load_core
from qdeploy.toolchains import TOOLCHAINS

FLASH = Region(origin=0x08000000, kibibytes=1024)
RAM = Region(origin=0x20000000, kibibytes=256)
ALL_EXTENSIONS = frozenset({"dsp", "unaligned", "long-multiply", "divide"})


@pytest.fixture(scope="session")
def make_kernel():
    """The kernel of a form for a core's extensions; skips where there is none."""

    def make(form, network, extensions=ALL_EXTENSIONS):
        kernel = FORMS[form].kernel(network, frozenset(extensions))
        if isinstance(kernel, str):
            pytest.skip(kernel)
        return kernel

    return make


def write_sources(model, kernel, folder: Path, *, llvm: bool = False) -> Path:
    """Header and C file of a kernel; the C file."""
    symbols, arena = Symbols(model.name), plan_arena(kernel.scratch)
    header = header_source(model, symbols, "A test.", arena, None)
    (folder / f"{model.name}.h").write_text(header)
    source = folder / (f"{model.name}_entry.c" if llvm else f"{model.name}.c")
    text = (entry_source if llvm else model_source)(kernel, symbols, arena, None)
    source.write_text(text)
    return source


@pytest.fixture(scope="session")
def sources():
    return write_sources


@pytest.fixture(scope="session")
def on_core():
    """A session of a kernel on a core, by a generator and a toolchain."""

    def build(model, kernel, core_name, generator, toolchain_name, folder):
        core, toolchain = load_core(core_name), TOOLCHAINS[toolchain_name]
        obstacle = toolchain.obstacle(core)
        if obstacle is not None:
            pytest.skip(obstacle)
        symbols, network = Symbols(model.name), model.network
        source = write_sources(model, kernel, folder, llvm=generator == "llvm")
        objects = toolchain.compile(core, [source], folder, include=[folder])
        if generator == "llvm":
            processor = Processor(core.triple, core.cpu, core.features)
            for name, function in kernel_functions(kernel, symbols.single_kernel).items():
                path = folder / f"{name}.o"
                lower_to_object({name: function}, processor, path, llvm_definitions(core))
                objects.append(path)
        elf = folder / "image.elf"
        link_plain(core, FLASH, RAM, objects, elf, toolchain, [symbols.predict])
        interface = ModelInterface(model.name, network.inputs, network.outputs, network.score_dtype)
        return EmulatorSession(elf, core, FLASH, RAM, interface, strict=4)

    return build


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory):
    """Scores of a kernel's C source on this machine, under sanitizers."""
    main = (Path(__file__).parent / "predict_stdin.c").read_text()

    def run(model, kernel, x):
        folder = tmp_path_factory.mktemp("sanitized")
        source = write_sources(model, kernel, folder)
        (folder / "main.c").write_text(
            main.replace("NAME", model.name.upper()).replace("name", model.name)
        )
        program = folder / "program"
        subprocess.run(
            [*compiler_command(), "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
             "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
             str(source), str(folder / "main.c"), "-o", str(program)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        done = subprocess.run(
            [program], input=np.ascontiguousarray(x).tobytes(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        network = model.network
        scores = np.frombuffer(done.stdout, dtype=network.score_dtype)
        return scores.reshape(-1, network.outputs)

    return run
