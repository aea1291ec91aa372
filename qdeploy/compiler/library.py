"""The C side of an artifact: header and entry file around the kernels' object.

The entry file holds the constants and calls the kernels; it computes nothing itself. Scratch
memory lies on the caller's stack, so the functions are thread safe and allocate nothing.
"""

from qdeploy.compiler.c_source import Symbols, array_source, model_facts
from qdeploy.compiler.kernel import Constant, Kernel, Scratch
from qdeploy.compiler.plan import PlannedKernels
from qdeploy.model import Model

__all__ = ["entry_source", "header_source"]


def header_source(model: Model, planned: PlannedKernels, symbols: Symbols) -> str:
    """The public header: C99 and C++, with what a caller must know."""
    network, name, macro = model.network, symbols.name, symbols.macro
    score = f"{network.score_dtype}_t"
    scratch = max(planned.plan.single.scratch_bytes, planned.plan.batch.scratch_bytes)
    facts = "\n".join(f" * {line}".rstrip() for line in model_facts(model, _how(planned)))
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
    return array_source(prefix + constant.name, constant.values, "ALIGNED")


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


def _how(planned: PlannedKernels) -> str:
    plan = planned.plan
    return (
        f"One sample: {plan.single.form} form; batches: {plan.batch.form} form, "
        f"{plan.batch.tile} at a time ({plan.instruction_set})."
    )
