"""A toy model in C, and a stand-in for the cross-compilers: this machine's own, with sanitizers."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.firmware import ModelInterface
from qdeploy.native import compiler_command, run_compiler

HEADER = """
#ifndef TOY_H
#define TOY_H
#include <stddef.h>
#include <stdint.h>
typedef int64_t toy_score_t;
int toy_predict(const int8_t *x, toy_score_t *scores);
int toy_predict_batch(const int8_t *x, size_t n, toy_score_t *scores);
#endif
"""

SOURCE = """
#include "toy.h"
/* Status 7 for a row of -128s, as no kernel of qdeploy gives it. */
int toy_predict(const int8_t *x, toy_score_t *scores) {
    int64_t sum = 0, squares = 0;
    for (int i = 0; i < 5; i++) {
        sum += x[i];
        squares += (int64_t)x[i] * x[i];
    }
    scores[0] = sum;
    scores[1] = -squares * (1ll << 40);
    return sum == -640 ? 7 : 0;
}
int toy_predict_batch(const int8_t *x, size_t n, toy_score_t *scores) {
    int failed = 0;
    for (size_t i = 0; i < n; i++) failed |= toy_predict(x + 5 * i, scores + 2 * i);
    return failed;
}
/* A peer: four rows at a time, sums alone. */
void four_rows(const int8_t *x, int32_t *scores) {
    for (int row = 0; row < 4; row++) {
        scores[row] = 0;
        for (int i = 0; i < 5; i++) scores[row] += x[5 * row + i];
    }
}
"""

INTERFACE = ModelInterface("toy", 5, 2, "int64")


def toy_scores(x):
    """Scores (n, 2) of int8 inputs (n, 5)."""
    wide = x.astype(np.int64)
    return np.stack([wide.sum(axis=1), -(wide**2).sum(axis=1) * 2**40], axis=1)


class NativeToolchain:
    """The interface of a Linux toolchain, on the compiler of this machine.

    Args:
        flags: of every compilation and link.
    """

    def __init__(self, flags=()):
        self.flags = flags

    def compile(self, core, sources, folder, *, include=(), defines=None, optimize="-O2", flags=()):
        objects = []
        for source in sources:
            output = folder / f"{source.stem}.o"
            run_compiler(
                [
                    *("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", optimize),
                    *self.flags,
                    *(f"-I{path}" for path in include),
                    *(f"-D{name}={text}" for name, text in (defines or {}).items()),
                    *(*flags, "-c", source, "-o", output),
                ]
            )
            objects.append(output)
        return objects

    def program(self, core, objects, output, *, static=True):
        run_compiler([*self.flags, *objects, "-o", output])


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory):
    """This machine's compiler with address and undefined-behaviour sanitizers, if it has them."""
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    flags = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    try:
        run_compiler([*flags, folder / "main.c", "-o", folder / "main"])
        subprocess.run([folder / "main"], check=True)
    except (QDeployError, subprocess.CalledProcessError):
        pytest.skip(f"{compiler_command()[0]} has no sanitizers here")
    return NativeToolchain(flags)


@pytest.fixture(scope="session")
def plain():
    """This machine's compiler."""
    return NativeToolchain()


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Compiles the toy model with a toolchain: its folder, header and object."""

    def build(toolchain, core=None):
        folder = tmp_path_factory.mktemp("toy")
        (folder / "toy.h").write_text(HEADER)
        (folder / "toy.c").write_text(SOURCE)
        objects = toolchain.compile(core, [folder / "toy.c"], folder, include=[folder])
        return SimpleNamespace(folder=folder, objects=objects, interface=INTERFACE)

    return build


@pytest.fixture(scope="session")
def scores_of():
    return toy_scores
