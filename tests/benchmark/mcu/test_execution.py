"""One hand-made implementation: built, run, compared, counted."""

import dataclasses

import numpy as np
import pytest

from qdeploy.benchmark.mcu.execution import LEVELS, execute
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.rows import Rows
from qdeploy.errors import QDeployError
from qdeploy.targets import Region, load_target
from qdeploy.toolchains import TOOLCHAINS

SOURCE = """
#include <stdint.h>
#include "toy.h"
void toy(const int8_t *x, int32_t *scores)
{
    int32_t sum = START;
    for (int i = 0; i < x[0]; i++)
        sum += x[1 + i % 3];
    scores[0] = sum;
    scores[1] = -sum;
}
"""
HEADER = "#include <stdint.h>\nvoid toy(const int8_t *x, int32_t *scores);\n#define START 7\n"


def meaning(x):
    wide = x.astype(np.int64)
    sums = [7 + sum(row[1 + i % 3] for i in range(row[0])) for row in wide]
    return np.array([[total, -total] for total in sums])


SUBJECT = McuSubject(
    name="toy",
    title="a toy",
    note="hand-made",
    entry="toy",
    input_dtype=np.dtype(np.int8),
    output_dtype=np.dtype(np.int32),
    inputs=4,
    outputs=2,
    encode=lambda features: features.astype(np.int8),
    decode=lambda scores: scores.argmax(axis=1),
    sources={"toy.c": SOURCE, "toy.h": HEADER},
    expected=meaning,
)
FEATURES = np.array([[3, 1, 2, 3], [0, 0, 0, 0], [40, -5, 4, -9], [1, -9, 0, 0]], dtype=float)
ROWS = Rows(FEATURES, FEATURES.astype(np.int8), (0, 1, 2))


@pytest.fixture(scope="module", params=["cortex-m0plus", "cortex-m4", "rv32imc"])
def target(request):
    return load_target(request.param)


def run(subject, target, folder, goal="balanced", rows=ROWS):
    return execute(subject, target, TOOLCHAINS["zig"], rows, goal, folder)


@pytest.fixture(scope="module")
def execution(target, tmp_path_factory):
    return run(SUBJECT, target, tmp_path_factory.mktemp("toy"))


def test_outputs_are_those_of_the_c(execution):
    np.testing.assert_array_equal(execution.outputs, meaning(FEATURES.astype(np.int8)))
    np.testing.assert_array_equal(execution.predictions, [0, 0, 1, 1])


def test_each_counted_row_has_counts_of_its_own(execution):
    three, none, forty = (counts.instructions for counts in execution.counts)
    assert none < three < forty
    assert forty > 40
    assert [estimate.low <= estimate.value <= estimate.high for estimate in execution.cycles]


def test_bytes_are_those_of_the_image_and_the_buffers(execution):
    assert execution.buffer_bytes == 4 + 8
    assert 0 < execution.image.flash_bytes < 400
    assert execution.image.ram_bytes == 0
    assert 0 <= execution.stack_bytes < 64


def test_the_level_is_the_better_one_for_the_goal(target, tmp_path):
    flash = {
        goal: run(SUBJECT, target, tmp_path / goal, goal).image.flash_bytes
        for goal in ("size", "speed")
    }
    assert flash["size"] <= flash["speed"]
    assert run(SUBJECT, target, tmp_path / "level", "speed").level in LEVELS


def test_wrong_bits_stop_it(target, tmp_path):
    wrong = dataclasses.replace(SUBJECT, expected=lambda x: meaning(x) + (x[:, :1] == 40))
    with pytest.raises(QDeployError, match=r"toy computes something else .* for 1 of 4 rows"):
        run(wrong, target, tmp_path)


def test_wrong_labels_stop_what_has_no_exact_meaning(target, tmp_path):
    subject = dataclasses.replace(
        SUBJECT, expected=None, reference=lambda features: np.array([0, 0, 1, 0])
    )
    with pytest.raises(QDeployError, match="for 1 of 4 rows"):
        run(subject, target, tmp_path)


def test_what_needs_features_says_so(target, tmp_path):
    subject = dataclasses.replace(SUBJECT, input_dtype=np.dtype(np.float32))
    with pytest.raises(QDeployError, match="toy needs rows of features"):
        run(subject, target, tmp_path, rows=dataclasses.replace(ROWS, features=None))


def test_what_does_not_fit_says_so(tmp_path):
    small = load_target("cortex-m4").model_copy(
        update={"flash": Region(origin=0, kibibytes=1 / 64)}
    )
    with pytest.raises(QDeployError):
        run(SUBJECT, small, tmp_path)
