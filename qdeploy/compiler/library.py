"""The C side of an artifact: header and entry file around the kernels' object.

The entry file holds the constants and calls the kernels; it computes nothing itself. Scratch
memory lies on the caller's stack, so the functions are thread safe and allocate nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.kernel import Constant, Kernel, Scratch
from qdeploy.compiler.plan import PlannedKernels
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model

__all__ = ["Symbols", "entry_source", "header_source", "symbols_of"]

_LINE = 96
_MOST_LABELS = 32
_TAKEN = """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stddef stdint stdio stdlib string tgmath threads time uchar wchar
    wctype c dl m pthread rt
"""
"""Names whose header or library would hide one of the system."""


@dataclass(frozen=True)
class Symbols:
    """Names in the C interface of one model."""

    name: str

    @property
    def macro(self) -> str:
        """Prefix of the macros."""
        return self.name.upper()

    @property
    def score_type(self) -> str:
        """Type of one score."""
        return f"{self.name}_score_t"

    @property
    def predict(self) -> str:
        """Function for one sample."""
        return f"{self.name}_predict"

    @property
    def predict_batch(self) -> str:
        """Function for many samples."""
        return f"{self.name}_predict_batch"

    @property
    def single_kernel(self) -> str:
        """Kernel for one sample."""
        return f"{self.name}_kernel_single"

    @property
    def batch_kernel(self) -> str:
        """Kernel for many samples."""
        return f"{self.name}_kernel_batch"


def symbols_of(model: Model) -> Symbols:
    """The names for a model, whose own name is a C identifier.

    Raises:
        QDeployError: the system has a header or library of that name.
    """
    name = model.name
    if name.lower() in _TAKEN.split():
        raise QDeployError(
            f"a model called {name!r} would make {name}.h or lib{name}.so, which hides the "
            "system's own; give it another name"
        )
    return Symbols(name)


def header_source(model: Model, planned: PlannedKernels, symbols: Symbols) -> str:
    """The public header: C99 and C++, with what a caller must know."""
    network, name, macro = model.network, symbols.name, symbols.macro
    score = f"{network.score_dtype}_t"
    scratch = max(planned.plan.single.scratch_bytes, planned.plan.batch.scratch_bytes)
    facts = "\n".join(f" * {line}".rstrip() for line in _facts(model, planned))
    return f"""/*
{facts}
 */
#ifndef {macro}_H
#define {macro}_H

#include <stddef.h>
#include <stdint.h>

/* int8 inputs of one sample, and scores it gets. */
#define {macro}_INPUTS {network.inputs}
#define {macro}_OUTPUTS {network.outputs}

/* Real value of one unit of a score. */
#define {macro}_SCALE {model.scale!r}

/* Bytes of stack that a call needs beside its frame. */
#define {macro}_SCRATCH_BYTES {scratch}

#ifdef __cplusplus
extern "C" {{
#endif

typedef {score} {symbols.score_type};

/* Scores of one sample: x holds {macro}_INPUTS values, scores takes {macro}_OUTPUTS.
 * Returns 0, or -1 for a null pointer. Thread safe; allocates nothing. */
int {symbols.predict}(const int8_t *x, {symbols.score_type} *scores);

/* Scores of n samples, one after the other in x and in scores. Returns as {name}_predict. */
int {symbols.predict_batch}(const int8_t *x, size_t n, {symbols.score_type} *scores);

#ifdef __cplusplus
}}
#endif

#endif
"""


def entry_source(planned: PlannedKernels, symbols: Symbols) -> str:
    """The entry file: constants, and the public functions that hand them to the kernels."""
    parts = [
        f'#include "{symbols.name}.h"\n',
        "#if defined(__GNUC__) || defined(__clang__)\n"
        "#define ALIGNED __attribute__((aligned(64)))\n"
        "#else\n"
        "#define ALIGNED\n"
        "#endif\n",
    ]
    single_prefix, batch_prefix = "single_", "batch_"
    if planned.single is planned.batch:
        single_prefix = batch_prefix = ""
    else:
        parts += [_array(single_prefix, constant) for constant in planned.single.constants]
    parts += [_array(batch_prefix, constant) for constant in planned.batch.constants]

    tile = planned.plan.batch.tile
    single_scratch = planned.single.scratch(1)
    batch_scratch = planned.batch.scratch(tile)
    score = symbols.score_type
    parts += [
        _prototype(symbols.single_kernel, planned.single, single_scratch, score, rows=False),
        _prototype(symbols.batch_kernel, planned.batch, batch_scratch, score, rows=True),
        f"int {symbols.predict}(const int8_t *x, {score} *scores)\n{{\n"
        + _locals(single_scratch)
        + "    if (!x || !scores)\n        return -1;\n"
        + _call(symbols.single_kernel, planned.single, single_prefix, single_scratch)
        + "    return 0;\n}\n",
        f"int {symbols.predict_batch}(const int8_t *x, size_t n, {score} *scores)\n{{\n"
        + _locals(batch_scratch)
        + "    if (n == 0)\n        return 0;\n"
        + "    if (!x || !scores)\n        return -1;\n"
        + _call(symbols.batch_kernel, planned.batch, batch_prefix, batch_scratch, "(int64_t)n")
        + "    return 0;\n}\n",
    ]
    return "\n".join(parts)


def _array(prefix: str, constant: Constant) -> str:
    values = constant.values
    head = f"static const {values.dtype}_t {prefix}{constant.name}[{values.size}] ALIGNED = {{\n"
    return head + "".join(f"    {line}\n" for line in _lines(values)) + "};\n"


def _lines(values: NDArray[np.integer]) -> Iterable[str]:
    line = ""
    smallest = np.iinfo(np.int64).min
    for value in values.tolist():
        # The literal of the smallest int64 does not exist in C: a minus sign is an operator.
        text = "INT64_MIN" if value == smallest else str(value)
        if values.dtype == np.int64 and value != smallest:
            text = f"INT64_C({text})"
        if len(line) + len(text) > _LINE:
            yield line.rstrip()
            line = ""
        line += f"{text}, "
    yield line.rstrip()


def _prototype(
    symbol: str, kernel: Kernel, scratch: tuple[Scratch, ...], score: str, *, rows: bool
) -> str:
    types = [
        "const int8_t *",
        *(f"const {constant.values.dtype}_t *" for constant in kernel.constants),
        f"{score} *",
        *(f"{item.dtype}_t *" for item in scratch),
        *(["int64_t"] if rows else []),
    ]
    return f"extern void {symbol}({', '.join(types)});\n"


def _locals(scratch: tuple[Scratch, ...]) -> str:
    return "".join(
        f"    {item.dtype}_t {item.name}[{item.elements}] ALIGNED;\n" for item in scratch
    )


def _call(
    symbol: str, kernel: Kernel, prefix: str, scratch: tuple[Scratch, ...], rows: str = ""
) -> str:
    arguments = [
        "x",
        *(f"{prefix}{constant.name}" for constant in kernel.constants),
        "scores",
        *(item.name for item in scratch),
        *([rows] if rows else []),
    ]
    return f"    {symbol}({', '.join(arguments)});\n"


def _plain(text: str) -> str:
    """Text that cannot end a comment, hide a line end or leave ASCII."""
    ascii_text = text.encode("ascii", "backslashreplace").decode("ascii")
    cleaned = "".join(c if c.isprintable() else " " for c in ascii_text)
    return cleaned.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def _facts(model: Model, planned: PlannedKernels) -> list[str]:
    network, plan = model.network, planned.plan
    layer = network.layers[0]
    lines = [
        f"{model.name}: integer network generated by qdeploy. Do not edit.",
        "",
        f"{network.inputs} int8 inputs, {layer.width} bilinear neurons, "
        f"{network.outputs} {network.score_dtype} scores.",
        f"One sample: {plan.single.form} form; batches: {plan.batch.form} form, "
        f"{plan.batch.tile} at a time ({plan.instruction_set}).",
    ]
    head = model.head
    if isinstance(head, Classes):
        labels = [str(label) for label in head.labels]
        if head.outputs == 1:
            lines.append(f"Class {labels[1]} where the score is positive, else {labels[0]}.")
        else:
            shown = ", ".join(f"{k}: {label}" for k, label in enumerate(labels[:_MOST_LABELS]))
            more = ", ..." if len(labels) > _MOST_LABELS else ""
            lines.append(f"Class of the largest score, the first of equal ones: {shown}{more}.")
    else:
        for k, name in enumerate(head.names[:_MOST_LABELS]):
            lines.append(
                f"{name} = {head.mean[k]!r} + {head.deviation[k]!r} * SCALE * scores[{k}]."
            )
    certificate = model.certificate
    lines.append("")
    if certificate is None:
        lines.append("No certificate of optimality.")
    else:
        lines += [
            f"Certificate: objective {certificate.objective:.6g}, proven lower bound "
            f"{certificate.bound:.6g}, gap {100 * certificate.gap:.3g} %",
            f"({certificate.loss} loss, penalty {certificate.penalty:.6g}, "
            f"proof by {certificate.method}).",
        ]
    return [_plain(line) for line in lines]
