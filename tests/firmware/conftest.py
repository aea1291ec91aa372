"""A small model in C, and the targets that firmware is built for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qdeploy.firmware import ModelInterface, build_firmware
from qdeploy.targets import load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

INTERFACE = ModelInterface("toy", 40, 3, "int64")

HEADER = """
#include <stdint.h>
#define toy_INPUTS 40
#define toy_OUTPUTS 3
int toy_predict(const int8_t *x, int64_t *scores);
"""

# A variable with an initial value and one without: the start-up code must have set up both.
SOURCE = """
#include "toy.h"
static volatile int scale = 1000003;
static volatile int calls;
int toy_predict(const int8_t *x, int64_t *scores)
{
    int64_t sum = 0;
    int64_t squares = 0;
    for (int i = 0; i < toy_INPUTS; i++) {
        sum += x[i];
        squares += (int64_t)x[i] * x[i] * (i + 1);
    }
    scores[0] = sum;
    scores[1] = -squares * scale;
    scores[2] = calls++ < 0 ? 0 : INT64_MIN;
    return 0;
}
"""


@dataclass(frozen=True)
class Toy:
    """The model: its C files, and what it computes."""

    folder: Path
    interface = INTERFACE

    @property
    def source(self):
        return self.folder / "toy.c"

    def scores(self, x):
        wide = np.asarray(x, dtype=np.int64)
        squares = (wide * wide * np.arange(1, 41)).sum()
        return [int(wide.sum()), -1000003 * int(squares), -(2**63)]


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "toy.h").write_text(HEADER)
    (folder / "toy.c").write_text(SOURCE)
    return Toy(folder)


@pytest.fixture(scope="session")
def build(toy, tmp_path_factory):
    """Builds each firmware once; skips where the toolchain is not there."""
    built = {}

    def build_once(target, toolchain="zig", *, energy=False):
        key = (target, toolchain, energy)
        if key not in built:
            board, tools = load_target(target), TOOLCHAINS[toolchain]
            core = load_core(board.core)
            if obstacle := tools.obstacle(core):
                pytest.skip(obstacle)
            folder = tmp_path_factory.mktemp(target)
            objects = tools.compile(core, [toy.source], folder, flags=["-Werror"])
            built[key] = build_firmware(
                board, core, objects, INTERFACE, folder, tools, energy=energy
            )
        return built[key]

    return build_once
