import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qdeploy.errors import QDeployError
from qdeploy.targets import Core, list_cores, load_core

SOURCE = """\
#include <stdint.h>
int32_t work(const int8_t *x, const int8_t *w, int32_t n) {
  int32_t sum = 0;
  for (int32_t i = 0; i < n; ++i) sum += x[i] * w[i];
  return sum;
}
float scaled(float value, float by) { return value * by + 1.0f; }
"""
FLAGS = ("-O2", "-ffreestanding", "-std=c99", "-c")
NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7")
cores = pytest.mark.parametrize("core", [*map(load_core, list_cores())], ids=list_cores())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "work.c"
    path.write_text(SOURCE)
    return path


def machine_and_abi(path: Path) -> tuple[str, str]:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        elf = ELFFile(stream)
        section = elf.get_section_by_name(".ARM.attributes")
        abi = ""
        if section is not None:
            attributes = [
                a
                for part in section.iter_subsections()
                for a in next(iter(part.iter_subsubsections())).iter_attributes()
            ]
            hard = any(a.tag == "TAG_ABI_VFP_ARGS" and a.value == 1 for a in attributes)
            abi = "hard" if hard else "soft"
        return elf["e_machine"], abi


def test_the_cores_that_ship() -> None:
    assert list_cores() == (*NAMES, "rv32imc")


def test_extensions() -> None:
    known = {name: set(load_core(name).extensions) for name in list_cores()}
    assert known["cortex-m0plus"] == set()
    assert known["cortex-m3"] == {"unaligned", "long-multiply", "divide"}
    for name in ("cortex-m4", "cortex-m7", "cortex-m33"):
        assert known[name] == known["cortex-m3"] | {"dsp"}
    assert known["cortex-m55"] == known["cortex-m4"] | {"mve"}
    assert known["rv32imc"] == {"long-multiply", "divide", "many-registers"}


@cores
def test_tvm_knows_the_processor(core: Core) -> None:
    tvm = pytest.importorskip("tvm")
    assert tvm.target.codegen.llvm_is_valid_cpu(core.cpu, core.triple)
    description = {"kind": "llvm", "mtriple": core.triple, "mcpu": core.cpu}
    target = tvm.target.Target(description | {"mattr": list(core.features)})
    known = {str(name) for name in tvm.target.codegen.llvm_get_cpu_features(target)}
    assert {name[1:] for name in core.features if name[0] == "+"} <= known
    assert ("dsp" in known) == ("dsp" in core.extensions)
    assert not known & {"mve", "mve.fp"}
    assert "soft-float" in known or not known & {"vfp2sp", "fpregs"}
    if core.architecture == "arm":
        assert ("hwdiv" in known) == ("divide" in core.extensions)


@cores
def test_zig_compiles_for_it(core: Core, source: Path) -> None:
    pytest.importorskip("ziglang")
    output = source.with_suffix(".o")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target]
    command += [f"-mcpu={core.zig_cpu}", *FLAGS, str(source), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = ("EM_ARM", "soft") if core.architecture == "arm" else ("EM_RISCV", "")
    assert machine_and_abi(output) == expected


@cores
def test_gcc_compiles_for_it(core: Core, source: Path) -> None:
    name, *expected = {
        "arm": ("arm-none-eabi-gcc", "EM_ARM", "soft"),
        "riscv32": ("riscv64-unknown-elf-gcc", "EM_RISCV", ""),
    }[core.architecture]
    compiler = shutil.which(name)
    if core.gcc is None or compiler is None:
        pytest.skip(f"{name} is not there or has no such core")
    output = source.with_suffix(".o")
    command = [compiler, *core.gcc, *FLAGS, str(source), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert machine_and_abi(output) == tuple(expected)


def test_unknown_cores() -> None:
    with pytest.raises(QDeployError, match=r"no core 'cortex-m5'; perhaps 'cortex-m.*known are"):
        load_core("cortex-m5")
