"""Every toolchain compiles for every core it claims to have, the same bytes each time."""

import subprocess
import sys

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from qdeploy.emulation import Machine
from qdeploy.errors import QDeployError
from qdeploy.firmware import link_plain, symbols
from qdeploy.targets import Region, list_cores, load_core
from qdeploy.toolchains import TOOLCHAINS, zig_driver

FLASH = Region(origin=0x0800_4000, kibibytes=64)
RAM = Region(origin=0x2000_0000, kibibytes=16)

HELPERS = """
#include <math.h>
#include <stdint.h>
struct block { int words[40]; };
int table[3] = {1, 2, 3};
int zeros[5];
int64_t product(int64_t a, int64_t b) { return a * b; }
int64_t quotient(int64_t a, int64_t b) { return a / b; }
uint32_t short_quotient(uint32_t a, uint32_t b) { return a / b; }
float real(float a, float b) { return a * b + a / b - b; }
double wide(double a, int b) { return a * b / 3 + (float)a; }
int64_t rounded(float x, double y) { return (int32_t)x + (int64_t)y; }
void copied(struct block *to, const struct block *from) { *to = *from; }
void cleared(int *to, int n) { for (int i = 0; i < n; i++) to[i] = 0; }
int looked_up(int i) { return table[i] + zeros[i]; }
int unused(int i) { return i + 77; }
"""
KEPT = (
    "product",
    "quotient",
    "short_quotient",
    "real",
    "wide",
    "rounded",
    "copied",
    "cleared",
    "looked_up",
)


@pytest.fixture(params=TOOLCHAINS.names())
def toolchain(request):
    return TOOLCHAINS[request.param]


def usable(toolchain, core):
    if obstacle := toolchain.obstacle(core):
        pytest.skip(obstacle)
    return toolchain


def write(folder, text, name="source.c"):
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / name
    source.write_text(text)
    return source


def undefined(path):
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}


@pytest.mark.parametrize("name", list_cores())
def test_helpers_of_the_compiler_are_linked(toolchain, name, tmp_path):
    core = load_core(name)
    usable(toolchain, core)
    objects = toolchain.compile(core, [write(tmp_path, HELPERS)], tmp_path / "objects")
    image = link_plain(core, FLASH, RAM, objects, tmp_path / "a.elf", toolchain, KEPT)
    assert undefined(image.elf) == set()
    found = symbols(image.elf)
    assert set(KEPT) <= set(found)
    assert "unused" not in found
    assert (image.data, image.bss) == (12, 20)
    assert found["__data_end"] - found["__data_start"] == 12
    assert found["__bss_end"] - found["__bss_start"] == 20
    assert found["__stack_top"] == RAM.end
    assert image.elf.stat().st_size < 200_000  # no debug information of the helpers


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4"])
def test_objects_and_archives_do_not_depend_on_their_folder(toolchain, name, tmp_path):
    core = load_core(name)
    usable(toolchain, core)
    made = []
    for folder in (tmp_path / "a", tmp_path / "with blanks, and commas" / "b"):
        sources = [write(folder, HELPERS, "one.c"), write(folder, "int f;\n", "two.c")]
        objects = toolchain.compile(core, sources, folder / "objects")
        assert [path.name for path in objects] == ["one.o", "two.o"]
        toolchain.archive(objects, folder / "libmodel.a")
        toolchain.archive(objects, folder / "libmodel.a")  # again: nothing is added twice
        made.append([path.read_bytes() for path in (*objects, folder / "libmodel.a")])
    assert made[0] == made[1]


def test_archives_link(toolchain, tmp_path, monkeypatch):
    tmp_path = tmp_path / "with blanks, and commas"
    tmp_path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    core = load_core("cortex-m3")
    usable(toolchain, core)
    objects = toolchain.compile(core, [write(tmp_path, HELPERS)], tmp_path)
    toolchain.archive(objects, tmp_path / "libmodel.a")
    image = link_plain(
        core, FLASH, RAM, [tmp_path / "libmodel.a"], tmp_path / "a.elf", toolchain, ["real"]
    )
    assert "real" in symbols(image.elf)


@pytest.mark.parametrize(("compiler", "linker"), [("zig", "gcc"), ("gcc", "zig")])
def test_objects_of_one_compiler_link_with_the_other(compiler, linker, tmp_path):
    core = load_core("cortex-m4")
    compiler, linker = (usable(TOOLCHAINS[each], core) for each in (compiler, linker))
    objects = compiler.compile(core, [write(tmp_path, HELPERS)], tmp_path)
    image = link_plain(core, FLASH, RAM, objects, tmp_path / "a.elf", linker, KEPT)
    assert undefined(image.elf) == set()


def test_defines_and_include_folders(toolchain, tmp_path):
    core = load_core("cortex-m4")
    usable(toolchain, core)
    write(tmp_path / "headers", "#define TWO 2\n", "two.h")
    source = write(tmp_path, '#include "two.h"\nint value = TWO + THREE;\n')
    toolchain.compile(
        core, [source], tmp_path, include=[tmp_path / "headers"], defines={"THREE": "3"}
    )


def test_refusal_names_the_first_error(toolchain, tmp_path):
    core = load_core("cortex-m4")
    usable(toolchain, core)
    source = write(tmp_path, "int f(void) { return missing_name; }\nint g(void) { return x; }\n")
    with pytest.raises(QDeployError, match=r"could not compile source.c.*missing_name") as caught:
        toolchain.compile(core, [source], tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_function_is_named(toolchain, tmp_path):
    core = load_core("cortex-m4")
    usable(toolchain, core)
    source = write(tmp_path, "int nowhere(void);\nint f(void) { return nowhere(); }\n")
    objects = toolchain.compile(core, [source], tmp_path)
    with pytest.raises(QDeployError, match=r"nothing defines .* 'nowhere'"):
        link_plain(core, FLASH, RAM, objects, tmp_path / "a.elf", toolchain, ["f"])


@pytest.mark.parametrize(
    ("text", "memory"),
    [("const char f[70000] = {1};", "flash"), ("char f[20000];", "RAM")],
)
def test_full_memory_is_told(toolchain, text, memory, tmp_path):
    core = load_core("cortex-m4")
    usable(toolchain, core)
    objects = toolchain.compile(core, [write(tmp_path, text)], tmp_path)
    with pytest.raises(QDeployError, match=rf"the {memory} is (\d+ bytes )?too small"):
        link_plain(core, FLASH, RAM, objects, tmp_path / "a.elf", toolchain, ["f"])


@pytest.mark.slow
def test_zig_shares_its_cache_between_processes(tmp_path):
    """Links at the same time, from an empty cache, all succeed."""
    core = load_core("cortex-m0plus")
    usable(TOOLCHAINS["zig"], core)
    source = write(tmp_path, HELPERS)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from qdeploy.firmware import link_plain\n"
        "from qdeploy.targets import Region, load_core\n"
        "from qdeploy.toolchains import TOOLCHAINS\n"
        "core, zig, out = load_core('cortex-m0plus'), TOOLCHAINS['zig'], Path(sys.argv[2])\n"
        "objects = zig.compile(core, [Path(sys.argv[1])], out)\n"
        "region = Region(origin=0, kibibytes=64), Region(origin=0x20000000, kibibytes=64)\n"
        "link_plain(core, *region, objects, out / 'a.elf', zig, ['wide'])\n"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "", "HOME": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(source), str(tmp_path / str(number))],
            env=environment,
            stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]
    for process in running:
        _, complaint = process.communicate()
        assert process.returncode == 0, complaint.decode()
    images = {(tmp_path / str(number) / "a.elf").read_bytes() for number in range(3)}
    assert len(images) == 1


def test_zig_works_where_nothing_can_be_kept(tmp_path, monkeypatch):
    core = load_core("cortex-m4")
    usable(TOOLCHAINS["zig"], core)
    (tmp_path / "file").touch()
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "file"))
    zig_driver._cache.cache_clear()
    try:
        TOOLCHAINS["zig"].compile(core, [write(tmp_path, "int f;\n")], tmp_path)
        assert "qdeploy-zig-" in str(zig_driver._cache())
    finally:
        zig_driver._cache.cache_clear()


ARITHMETIC = """
#include <stdint.h>
void integers(const int64_t *in, int64_t *out)
{
    out[0] = in[0] * in[1];
    out[1] = in[0] / in[1];
    out[2] = in[0] % in[1];
    out[3] = (int64_t)((uint64_t)in[0] / (uint64_t)in[1]);
    out[4] = (int32_t)in[0] / (int32_t)in[1];
    out[5] = in[0] >> (in[1] & 31);
}
void reals(const float *in, float *out)
{
    out[0] = in[0] + in[1];
    out[1] = in[0] - in[1];
    out[2] = in[0] * in[1];
    out[3] = in[0] / in[1];
    out[4] = (float)((double)in[0] * in[1] + 1.0);
    out[5] = (float)(int32_t)in[0];
}
"""


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m4", "rv32imc"])
def test_helpers_compute_as_the_host_does(toolchain, name, tmp_path):
    """64-bit integers and floating point, which these cores do in software."""
    core = load_core(name)
    usable(toolchain, core)
    objects = toolchain.compile(core, [write(tmp_path, ARITHMETIC)], tmp_path)
    kept = ("integers", "reals")
    image = link_plain(core, FLASH, RAM, objects, tmp_path / "a.elf", toolchain, kept)
    machine = Machine(image.elf, core, FLASH, RAM)
    source, target = machine.allocate(16), machine.allocate(48)

    def run(symbol, values):
        machine.write(source, values.tobytes())
        machine.call(symbol, source, target)
        return np.frombuffer(machine.read(target, 6 * values.itemsize), dtype=values.dtype)

    rng = np.random.default_rng(0)
    for a, b in rng.integers(-(2**62), 2**62, (20, 2)) >> rng.integers(0, 40, (20, 2)):
        a, b = int(a), int(b) or 3
        low = [(each + 2**31) % 2**32 - 2**31 for each in (a, b)]
        expected = [
            a * b,
            abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
            abs(a) % abs(b) * (1 if a >= 0 else -1),
            (a % 2**64) // (b % 2**64),
            int(low[0] / low[1]),
            a >> (b & 31),
        ]
        wrapped = [(each + 2**63) % 2**64 - 2**63 for each in expected]
        assert run("integers", np.array([a, b])).tolist() == wrapped
    for a, b in (rng.standard_normal((20, 2)) * 1000).astype(np.float32):
        single = np.float32
        expected = [a + b, a - b, a * b, a / b, single(float(a) * float(b) + 1), np.trunc(a)]
        assert run("reals", np.array([a, b])).tolist() == [float(each) for each in expected]
