"""The C sources: strict C99 and C++, clean under sanitizers, and nothing in them can be escaped."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from qdeploy.compiler.c_source import symbols_of
from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.library import entry_source, header_source
from qdeploy.compiler.lowering import lower_to_c
from qdeploy.compiler.plan import make_plan
from qdeploy.compiler.verify import trial_inputs
from qdeploy.errors import QDeployError
from qdeploy.model import Classes
from qdeploy.native import compiler_command

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
SCALAR = next(entry for entry in INSTRUCTION_SETS if entry.name == "scalar")


def compile_c(*arguments, check=True):
    return subprocess.run(
        [*compiler_command(), *map(str, arguments)], capture_output=True, text=True, check=check
    )


def write_sources(subject, folder, forms=None):
    """Header, entry file and C kernels of a model; the plan."""
    planned = make_plan(subject.network, SCALAR, forms)
    symbols = symbols_of(subject)
    (folder / f"{subject.name}.h").write_text(header_source(subject, planned, symbols))
    (folder / "entry.c").write_text(entry_source(planned, symbols))
    tile = planned.plan.batch.tile
    kernels = {
        symbols.single_kernel: block_function(planned.single, symbols.single_kernel),
        symbols.batch_kernel: batch_function(planned.batch, symbols.batch_kernel, tile),
    }
    (folder / "kernels.c").write_text(lower_to_c(kernels))
    return planned


@pytest.mark.parametrize("options", [("-x", "c", "-std=c99"), ("-x", "c++", "-std=c++11")])
def test_the_header_is_strict_c99_and_cpp(model, tmp_path, options):
    write_sources(model(5, 4, 3), tmp_path)
    (tmp_path / "user.c").write_text(
        '#include "toy.h"\n#include "toy.h"\n'
        "static toy_score_t scores[2 * TOY_OUTPUTS];\n"
        "int use(const int8_t *x);\n"
        "int use(const int8_t *x)\n{\n"
        "    return toy_predict(x, scores) + toy_predict_batch(x, 2, scores)\n"
        "        + (TOY_SCALE > 0.0) + TOY_INPUTS + TOY_SCRATCH_BYTES;\n}\n"
    )
    compile_c(*options, *STRICT, "-c", tmp_path / "user.c", "-o", tmp_path / "user.o")


def test_the_entry_file_is_strict_c99(model, tmp_path):
    write_sources(model(5, 4, 3), tmp_path)
    compile_c("-std=c99", *STRICT, "-c", tmp_path / "entry.c", "-o", tmp_path / "entry.o")


def test_labels_cannot_leave_the_comment(model, tmp_path):
    labels = ("*/ int bad; /*", "naïve \n #error", 'a"b\\')
    subject = replace(model(5, 4, 3), head=Classes(labels))
    write_sources(subject, tmp_path)
    text = (tmp_path / "toy.h").read_text(encoding="ascii")
    assert text.count("*/") == text.count("/*")
    (tmp_path / "user.c").write_text('#include "toy.h"\nint x = TOY_INPUTS;\n')
    compile_c("-std=c99", *STRICT, "-c", tmp_path / "user.c", "-o", tmp_path / "user.o")


@pytest.mark.parametrize("name", ["math", "String", "stdint", "m"])
def test_names_that_hide_the_systems_files_are_refused(model, name):
    with pytest.raises(QDeployError, match="hides the system's own"):
        symbols_of(model(1, 1, 1, name=name))


def test_the_smallest_integers_are_written_as_c_has_them(model):
    subject = model(2, 2, 1)
    planned = make_plan(subject.network, SCALAR, ("matrix",))
    bias = next(c for c in planned.single.constants if c.name == "readout_bias")
    extreme = replace(bias, values=np.array([np.iinfo(np.int64).min], dtype=np.int64))
    planned.single.constants = (extreme,)
    assert "{\n    INT64_MIN,\n}" in entry_source(planned, symbols_of(subject))


HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toy.h"

/* Reads n and n samples, writes their scores: one by one, then in a batch, from exact memory. */
int main(int argc, char **argv)
{
    size_t n = (size_t)strtoul(argv[argc - 1], NULL, 10);
    int8_t *x = malloc(n * TOY_INPUTS);
    toy_score_t *scores = malloc(n * TOY_OUTPUTS * sizeof *scores);
    if (fread(x, TOY_INPUTS, n, stdin) != n)
        return 1;
    for (size_t i = 0; i < n; ++i) {
        int8_t *sample = malloc(TOY_INPUTS);
        toy_score_t *score = malloc(TOY_OUTPUTS * sizeof *score);
        memcpy(sample, x + i * TOY_INPUTS, TOY_INPUTS);
        if (toy_predict(sample, score))
            return 2;
        memcpy(scores + i * TOY_OUTPUTS, score, TOY_OUTPUTS * sizeof *score);
        free(sample);
        free(score);
    }
    fwrite(scores, sizeof *scores * TOY_OUTPUTS, n, stdout);
    memset(scores, 0, sizeof *scores * TOY_OUTPUTS * n);
    if (toy_predict_batch(x, n, scores))
        return 3;
    fwrite(scores, sizeof *scores * TOY_OUTPUTS, n, stdout);
    if (!toy_predict(NULL, scores) || !toy_predict(x, NULL) || !toy_predict_batch(NULL, 1, scores))
        return 4;
    if (toy_predict_batch(NULL, 0, NULL))
        return 5;
    free(x);
    free(scores);
    return 0;
}
"""


@pytest.mark.parametrize("form", ["collapsed", "matrix", "pair-sums"])
def test_generated_c_is_clean_under_sanitizers(model, tmp_path, form):
    subject = model(19, 11, 3, readout="one-hot", amplitude=2**31 - 1)
    write_sources(subject, tmp_path, (form,))
    (tmp_path / "main.c").write_text(HARNESS)
    program = tmp_path / "program"
    built = compile_c(
        "-std=c99",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        *(tmp_path / name for name in ("main.c", "entry.c", "kernels.c")),
        "-o",
        program,
        check=False,
    )
    if built.returncode and ("asan" in built.stderr or "sanitize" in built.stderr):
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    x = trial_inputs(subject.network)[:151]
    expected = subject.network.forward(x)
    done = subprocess.run([program, str(len(x))], input=x.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    scores = np.frombuffer(done.stdout, dtype=expected.dtype).reshape(2, *expected.shape)
    np.testing.assert_array_equal(scores[0], expected)
    np.testing.assert_array_equal(scores[1], expected)
