"""The two programs for aarch64, by every toolchain that is here, under QEMU where it is."""

import shutil

import numpy as np
import pytest

from qdeploy.programs import Glue, build_bench, build_programs
from qdeploy.remote import ProgramSession, QemuPlace, checksum, run_bench
from qdeploy.targets import load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS

CORE = load_arm_core("cortex-a72")
QEMU = pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="no qemu-aarch64 here")


@pytest.fixture(scope="module", params=LINUX_TOOLCHAINS.names())
def built(request, toy):
    toolchain = LINUX_TOOLCHAINS[request.param]
    if told := toolchain.obstacle(CORE):
        pytest.skip(told)
    made = toy(toolchain, CORE)
    folder = made.folder
    made.toolchain = toolchain
    made.programs = build_programs(
        CORE, made.objects, made.interface, folder, toolchain, header_folder=folder
    )
    return made


def rows(count):
    return np.random.default_rng(count).integers(-127, 128, (count, 5)).astype(np.int8)


def test_equal_inputs_give_equal_programs(built, tmp_path):
    again = build_programs(
        CORE,
        built.objects,
        built.interface,
        tmp_path,
        built.toolchain,
        header_folder=built.folder,
    )
    assert again.run.read_bytes() == built.programs.run.read_bytes()
    assert again.bench.read_bytes() == built.programs.bench.read_bytes()


@QEMU
def test_rows_become_scores(built, scores_of):
    session = ProgramSession(QemuPlace(CORE), built.programs.run, built.interface)
    for count in (0, 1, 5000):
        x = rows(count)
        np.testing.assert_array_equal(session(x), scores_of(x))


@QEMU
def test_bench_gives_the_same_checksum(built, scores_of):
    x = rows(12)
    result = run_bench(
        QemuPlace(CORE), built.programs.bench, x.tobytes(), batch=3, calls=2, groups=4
    )
    assert (result.batch, result.inputs, result.calls) == (3, 4, 2)
    assert result.seconds.shape == (4,)
    assert result.checksum == checksum(scores_of(x))


@QEMU
def test_peers(built, tmp_path):
    glue = Glue("four_rows", "rows", 5, 4, rows=4, value_type="int8_t", score_type="int32_t")
    build_bench(CORE, built.objects, glue, tmp_path / "peer", built.toolchain)
    x = rows(8)
    result = run_bench(QemuPlace(CORE), tmp_path / "peer", x.tobytes(), batch=4)
    assert result.checksum == checksum(x.sum(axis=1, dtype=np.int32))
