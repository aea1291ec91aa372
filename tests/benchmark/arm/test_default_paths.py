"""Counts by QEMU's plugin are those of the in-process emulator, and what is missing is said."""

import runpy
import shutil
import sys

import numpy as np
import pytest

from qdeploy.benchmark.arm.default_paths.counting import count_marks, make_root, obstacle
from qdeploy.benchmark.arm.default_paths.measuring import per_call
from qdeploy.emulation import LibraryMachine
from qdeploy.errors import QDeployError
from qdeploy.targets import load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS

needs_qemu = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))

KERNEL = """
#include <stdint.h>
#define VISIBLE __attribute__((visibility("default"), noinline))
VISIBLE int32_t weigh(const int8_t *x)
{
    int32_t sum = 0;
    for (int i = 0; i < 75; i++) {
        sum += x[i] > 3 ? x[i] * x[i] : 7 - i % 5;
    }
    return sum;
}
VISIBLE int32_t nothing(const int8_t *x) { return (int32_t)(x != 0); }
"""
PROGRAM = """
#define _GNU_SOURCE
#include <stdint.h>
#include <unistd.h>
int32_t weigh(const int8_t *x), nothing(const int8_t *x);
static int8_t x[75];
static void calls(int32_t (*volatile function)(const int8_t *), int count)
{
    for (int i = 0; i < count; i++) {
        function(x);
    }
}
int main(void)
{
    for (int i = 0; i < 75; i++) {
        x[i] = (int8_t)(37 * i);
    }
    int32_t (*const functions[2])(const int8_t *) = {nothing, weigh};
    for (int k = 0; k < 2; k++) {
        syscall(0x5144);
        calls(functions[k], CALLS);
        syscall(0x5144);
        calls(functions[k], 2 * CALLS);
        syscall(0x5144);
    }
    return 0;
}
"""
CALLS = 10


@needs_qemu
def test_the_plugin_counts_what_the_emulator_counts(tmp_path):
    core, toolchain = load_arm_core("cortex-a76"), LINUX_TOOLCHAINS["zig"]
    sources = [tmp_path / "kernel.c", tmp_path / "program.c"]
    for source, text in zip(sources, (KERNEL, PROGRAM), strict=True):
        source.write_text(text)
    objects = toolchain.compile(core, sources, tmp_path, defines={"CALLS": str(CALLS)})
    toolchain.program(core, objects, tmp_path / "program")
    toolchain.shared(core, objects[:1], tmp_path / "kernel.so", ("weigh", "nothing"))

    machine = LibraryMachine(tmp_path / "kernel.so", core)
    x = machine.allocate(75)
    machine.write(x, (37 * np.arange(75)).astype(np.int8).tobytes())
    functions = ("nothing", "weigh")
    nothing, weigh = (machine.count(name, x).instructions for name in functions)
    by_plugin = per_call(count_marks(core, tmp_path / "program"), CALLS)

    # The loop around the calls is the same for both, and drops out.
    assert by_plugin[1] - by_plugin[0] == weigh - nothing > 100
    assert 0 < by_plugin[0] - nothing < 20


@needs_qemu
def test_a_program_that_fails_is_told(tmp_path):
    core, toolchain = load_arm_core("cortex-a53"), LINUX_TOOLCHAINS["zig"]
    source = tmp_path / "failing.c"
    source.write_text(
        '#include <stdio.h>\nint main(void) { fputs("no row\\n", stderr); return 3; }'
    )
    objects = toolchain.compile(core, [source], tmp_path)
    toolchain.program(core, objects, tmp_path / "failing")
    with pytest.raises(QDeployError, match=r"failing ended with status 3 under .*: no row"):
        count_marks(core, tmp_path / "failing")


def test_calls_without_the_start_and_the_marks():
    # 5 a mark, 100 before the first, 7 and 30 a call.
    marks = [100, 100 + 5 + 70, 100 + 10 + 70 + 140, 2000, 2000 + 5 + 300, 2000 + 10 + 300 + 600]
    assert per_call(marks, 10) == [7.0, 30.0]


def test_the_processor_that_programs_are_told_of(tmp_path):
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    root = make_root(load_arm_core("cortex-a76"), libraries, tmp_path / "root")
    told = (root / "proc" / "cpuinfo").read_text()
    assert "CPU implementer\t: 0x41\n" in told
    assert "CPU part\t: 0xd0b\n" in told
    assert "asimddp" in told
    assert (root / "lib").resolve() == libraries
    assert (root / "sys" / "devices" / "system" / "cpu" / "present").read_text() == "0\n"


@pytest.mark.parametrize(
    ("program", "options", "message"),
    [
        (None, [], "qemu-aarch64 is not installed; install"),
        ("", [], "was built without plugins"),
        ("-plugin", ["--target", "cpu"], "'cpu' is no ARM board"),
        ("-plugin", ["--libraries", "{folder}"], "has no ld-linux-aarch64.so.1; install"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    tmp_path, monkeypatch, capsys, program, options, message
):
    if program is None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    else:
        fake = tmp_path / "qemu-aarch64"
        fake.write_text(f"#!/bin/sh\necho ' {program} FILE'\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = [word.format(folder=tmp_path) for word in options]
    monkeypatch.setattr(sys, "argv", ["default_paths", "model.onnx", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("qdeploy.benchmark.arm.default_paths", run_name="__main__")
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("qdeploy: error: ")
    assert message in told
    assert told.count("\n") == 1
