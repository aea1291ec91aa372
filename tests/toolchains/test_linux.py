"""Compilers for 64-bit ARM with Linux: libraries that need nothing, programs that run."""

import re
import shutil
import subprocess

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from qdeploy.errors import QDeployError
from qdeploy.targets import list_arm_cores, load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS

LIBRARY = """
#include <stdint.h>
#include <string.h>
struct block { int words[400]; };
static int table[3] = {1, 2, 3};
int *pointer = &table[1];
void copied(struct block *to, const struct block *from) { *to = *from; }
void cleared(char *to, long n) { memset(to, 0, n); }
__int128 quotient(__int128 a, __int128 b) { return a / b; }
int inner(int i) { return i + table[i]; }
int model_predict(const int8_t *x, int32_t *s) { *s = inner(x[0]) + *pointer; return 0; }
"""
EXPORTS = ("model_predict", "copied", "cleared", "quotient")
PROGRAM = """
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
int main(int count, char **words)
{
    struct timespec now;
    struct rusage used;
    if (clock_gettime(CLOCK_MONOTONIC, &now) || getrusage(RUSAGE_SELF, &used)) return 1;
    double x = count > 1 ? strtod(words[1], NULL) : 0;
    printf("%.6f %d\\n", exp(x), isalpha((unsigned char)words[1][0]) != 0);
    return 7;
}
"""


@pytest.fixture(params=LINUX_TOOLCHAINS.names())
def toolchain(request):
    found = LINUX_TOOLCHAINS[request.param]
    if obstacle := found.obstacle(load_arm_core("cortex-a72")):
        pytest.skip(obstacle)
    return found


def write(folder, text, name="source.c"):
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / name
    source.write_text(text)
    return source


def symbols(path, section):
    """Names that are defined and names that are not."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(section)
        found = [(s.name, s["st_shndx"] == "SHN_UNDEF") for s in table.iter_symbols() if s.name]
    return {name for name, lacks in found if not lacks}, {name for name, lacks in found if lacks}


def needed(path):
    with path.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        tags = [] if dynamic is None else list(dynamic.iter_tags())
        return [tag.needed for tag in tags if tag["d_tag"] == "DT_NEEDED"]


def qemu(core, program, *arguments):
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not there")
    command = [emulator, "-cpu", core.qemu_cpu, str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_compilers_that_there_are():
    assert LINUX_TOOLCHAINS.names() == ("gcc", "zig")
    assert LINUX_TOOLCHAINS["zig"].obstacle(load_arm_core("generic")) is None


def test_versions(toolchain):
    assert re.fullmatch(r"(zig|aarch64-linux-gnu-gcc) \d+\.\d+\.\d+\S*", toolchain.version())


@pytest.mark.parametrize("name", list_arm_cores())
def test_libraries_need_nothing_and_show_their_exports_alone(toolchain, name, tmp_path):
    core = load_arm_core(name)
    objects = toolchain.compile(core, [write(tmp_path, LIBRARY)], tmp_path / "objects")
    library = tmp_path / "libmodel.so"
    toolchain.shared(core, objects, library, EXPORTS)
    defined, undefined = symbols(library, ".dynsym")
    assert {each for each in defined if not each.startswith(".")} == set(EXPORTS)
    assert undefined == set()
    assert needed(library) == []
    with library.open("rb") as file:
        elf = ELFFile(file)
        assert (elf["e_machine"], elf["e_type"]) == ("EM_AARCH64", "ET_DYN")
        dynamic = {tag["d_tag"]: tag for tag in elf.get_section_by_name(".dynamic").iter_tags()}
        assert dynamic["DT_SONAME"].soname == "libmodel.so"
        assert "DT_TEXTREL" not in dynamic
        # ADR, LDR and relative words alone: no table of functions that a loader must look up.
        kinds = {
            relocation["r_info_type"]
            for section in elf.iter_sections("SHT_RELA")
            for relocation in section.iter_relocations()
        }
        assert kinds == {1027}  # R_AARCH64_RELATIVE
    assert library.stat().st_size < 100_000  # no debug information of the helpers


@pytest.mark.parametrize("name", ["generic", "neoverse-v1"])
def test_equal_sources_give_equal_bytes(toolchain, name, tmp_path):
    core = load_arm_core(name)
    made = []
    for folder in (tmp_path / "a", tmp_path / "with blanks, and commas" / "b"):
        sources = [write(folder, LIBRARY, "one.c"), write(folder, "int f;\n", "two.c")]
        objects = toolchain.compile(core, sources, folder / "objects")
        assert [path.name for path in objects] == ["one.o", "two.o"]
        program = toolchain.compile(core, [write(folder, PROGRAM, "main.c")], folder / "objects")
        toolchain.archive(objects, folder / "libmodel.a")
        toolchain.archive(objects, folder / "libmodel.a")  # again: nothing is added twice
        toolchain.shared(core, [folder / "libmodel.a"], folder / "libmodel.so", EXPORTS)
        toolchain.program(core, [*program, *objects], folder / "run")
        files = [*objects, *(folder / each for each in ("libmodel.a", "libmodel.so", "run"))]
        made.append([path.read_bytes() for path in files])
    assert made[0] == made[1]


def test_static_programs_run(toolchain, tmp_path):
    core = load_arm_core("cortex-a72")
    objects = toolchain.compile(core, [write(tmp_path, PROGRAM)], tmp_path)
    toolchain.program(core, objects, tmp_path / "run")
    assert needed(tmp_path / "run") == []
    with (tmp_path / "run").open("rb") as file:
        kinds = {segment["p_type"] for segment in ELFFile(file).iter_segments()}
    assert "PT_INTERP" not in kinds
    done = qemu(core, tmp_path / "run", "1")
    assert (done.returncode, done.stdout) == (7, "2.718282 0\n")


def test_dynamic_programs_run_with_the_glibc_of_2018(tmp_path):
    zig, core = LINUX_TOOLCHAINS["zig"], load_arm_core("cortex-a72")
    objects = zig.compile(core, [write(tmp_path, PROGRAM)], tmp_path, static=False)
    zig.program(core, objects, tmp_path / "run", static=False)
    assert {"libc.so.6", "libm.so.6"} == set(needed(tmp_path / "run"))
    with (tmp_path / "run").open("rb") as file:
        section = ELFFile(file).get_section_by_name(".gnu.version_r")
        assert isinstance(section, GNUVerNeedSection)
        names = [each.name for _, versions in section.iter_versions() for each in versions]
    versions = {tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names}
    assert versions
    assert max(versions) <= (2, 28)


def test_dynamic_and_static_headers_differ_only_for_zig(tmp_path):
    """isalpha is a table in glibc's headers and arithmetic in musl's."""
    zig, core = LINUX_TOOLCHAINS["zig"], load_arm_core("generic")
    source = write(tmp_path, PROGRAM)
    for static in (True, False):
        (made,) = zig.compile(core, [source], tmp_path / str(static), static=static)
        assert ("__ctype_b_loc" in symbols(made, ".symtab")[1]) == (not static)


def test_modules_leave_to_their_loader_what_they_lack(toolchain, tmp_path):
    core = load_arm_core("cortex-a76")
    text = "int TVMFFIOther(int);\nint entry(int a) { return TVMFFIOther(a); }\n"
    objects = toolchain.compile(core, [write(tmp_path, text)], tmp_path)
    toolchain.module(core, objects, tmp_path / "module.so")
    defined, undefined = symbols(tmp_path / "module.so", ".dynsym")
    assert "entry" in defined
    assert "TVMFFIOther" in undefined


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a76", "neoverse-v1"])
def test_objects_of_both_compilers_make_one_program(core, tmp_path):
    core = load_arm_core(core)
    gcc, zig = LINUX_TOOLCHAINS["gcc"], LINUX_TOOLCHAINS["zig"]
    if obstacle := gcc.obstacle(core):
        pytest.skip(obstacle)
    text = '#include <stdio.h>\nint f(int);\nint main(void) { return printf("%d", f(3)) != 1; }\n'
    used = gcc.compile(core, [write(tmp_path, "int f(int a) { return a * 3; }\n", "f.c")], tmp_path)
    main = zig.compile(core, [write(tmp_path, text, "main.c")], tmp_path)
    zig.program(core, [*main, *used], tmp_path / "run")
    done = qemu(core, tmp_path / "run")
    assert (done.returncode, done.stdout) == (0, "9")


def test_vectors_of_unknown_width_are_left_out(toolchain, tmp_path):
    """Kernels and their checks know NEON; a Neoverse V1 would be given SVE."""
    core = load_arm_core("neoverse-v1")
    source = write(
        tmp_path,
        "#ifdef __ARM_FEATURE_SVE\n#error SVE\n#endif\n"
        "#if !defined __ARM_FEATURE_DOTPROD || !defined __ARM_FEATURE_MATMUL_INT8\n"
        "#error no products\n#endif\nint f;\n",
    )
    toolchain.compile(core, [source], tmp_path)


def test_missing_symbols_are_named(toolchain, tmp_path):
    core = load_arm_core("cortex-a72")
    source = write(tmp_path, "int nowhere(void);\nint f(void) { return nowhere(); }\n")
    objects = toolchain.compile(core, [source], tmp_path)
    with pytest.raises(QDeployError, match=r"could not link liba.so for .* 'nowhere'$"):
        toolchain.shared(core, objects, tmp_path / "liba.so", ["f"])
    good = toolchain.compile(core, [write(tmp_path, "int g;\n", "good.c")], tmp_path)
    with pytest.raises(QDeployError, match=r"could not link liba.so for .* 'absent'$"):
        toolchain.shared(core, good, tmp_path / "liba.so", ["g", "absent"])


def test_refusals_name_the_first_error(toolchain, tmp_path):
    core = load_arm_core("cortex-a72")
    source = write(tmp_path, "int f(void) { return missing_name; }\nint g(void) { return x; }\n")
    with pytest.raises(QDeployError, match=r"could not compile source.c.*missing_name") as caught:
        toolchain.compile(core, [source], tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    gcc, core = LINUX_TOOLCHAINS["gcc"], load_arm_core("cortex-a72")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(QDeployError, match=r"aarch64-linux-gnu-gcc on the path .* or use zig"):
        gcc.compile(core, [write(tmp_path, "int f;\n")], tmp_path)
    with pytest.raises(QDeployError, match="gcc for 64-bit ARM is not installed"):
        gcc.version()
    without = core.model_copy(update={"gcc": None})
    assert "no flags for the core cortex-a72; use zig" in (gcc.obstacle(without) or "")
