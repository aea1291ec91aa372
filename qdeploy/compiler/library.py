"""The C side of an artifact: header and entry file around the kernels' object.

The entry file holds the constants and calls the kernels; it computes nothing itself. Scratch
memory lies on the caller's stack, so the functions are thread safe and allocate nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qdeploy.compiler.c_source import Symbols, array_source, model_facts
from qdeploy.compiler.kernel import Constant, Kernel, Scratch
from qdeploy.compiler.plan import PlannedKernels
from qdeploy.model import Model

__all__ = ["EntryFunction", "candidates_source", "entry_source", "header_source"]


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


@dataclass(frozen=True, eq=False)
class EntryFunction:
    """A public function and the kernel that it hands its arguments to.

    Attributes:
        symbol: ``int symbol(const int8_t *x, S *scores)``; of a function for many samples,
            ``int symbol(const int8_t *x, size_t n, S *scores)``.
        kernel_symbol: the TVM function that computes.
        kernel: what it was made of.
        tile: samples computed together.
        rows: whether it takes a number of samples.
    """

    symbol: str
    kernel_symbol: str
    kernel: Kernel
    tile: int
    rows: bool


def entry_source(planned: PlannedKernels, symbols: Symbols) -> str:
    """The entry file: constants, and the public functions that hand them to the kernels."""
    tile = planned.plan.batch.tile
    single = EntryFunction(symbols.predict, symbols.single_kernel, planned.single, 1, rows=False)
    batch = EntryFunction(
        symbols.predict_batch, symbols.batch_kernel, planned.batch, tile, rows=True
    )
    include = f'#include "{symbols.name}.h"\n'
    shared = planned.single is planned.batch
    prefixes = ("", "") if shared else ("single_", "batch_")
    return _file(include, symbols.score_type, (single, batch), prefixes)


def candidates_source(score: str, functions: Sequence[EntryFunction]) -> str:
    """A file of many such functions, for weighing kernels against each other.

    Args:
        score: C type of a score.
        functions: what to define; those of one kernel share its constants.
    """
    numbers: dict[int, int] = {}
    prefixes = [
        f"k{numbers.setdefault(id(function.kernel), len(numbers))}_" for function in functions
    ]
    return _file("#include <stddef.h>\n#include <stdint.h>\n", score, functions, prefixes)


def _file(
    include: str, score: str, functions: Sequence[EntryFunction], prefixes: Sequence[str]
) -> str:
    parts = [
        include,
        "#if defined(__GNUC__) || defined(__clang__)\n"
        "#define ALIGNED __attribute__((aligned(64)))\n"
        "#else\n"
        "#define ALIGNED\n"
        "#endif\n",
    ]
    kernels = {
        prefix: function.kernel for prefix, function in zip(prefixes, functions, strict=True)
    }
    for prefix, kernel in kernels.items():
        parts += [_array(prefix, constant) for constant in kernel.constants]
    parts += [_prototype(function, score) for function in functions]
    parts += [
        _definition(function, prefix, score)
        for function, prefix in zip(functions, prefixes, strict=True)
    ]
    return "\n".join(parts)


def _definition(function: EntryFunction, prefix: str, score: str) -> str:
    scratch = function.kernel.scratch(function.tile)
    count = "size_t n, " if function.rows else ""
    return (
        f"int {function.symbol}(const int8_t *x, {count}{score} *scores)\n{{\n"
        + _locals(scratch)
        + ("    if (n == 0)\n        return 0;\n" if function.rows else "")
        + "    if (!x || !scores)\n        return -1;\n"
        + _call(function, prefix, scratch)
        + "    return 0;\n}\n"
    )


def _array(prefix: str, constant: Constant) -> str:
    return array_source(prefix + constant.name, constant.values, "ALIGNED")


def _prototype(function: EntryFunction, score: str) -> str:
    types = [
        "const int8_t *",
        *(f"const {constant.values.dtype}_t *" for constant in function.kernel.constants),
        f"{score} *",
        *(f"{item.dtype}_t *" for item in function.kernel.scratch(function.tile)),
        *(["int64_t"] if function.rows else []),
    ]
    return f"extern void {function.kernel_symbol}({', '.join(types)});\n"


def _locals(scratch: tuple[Scratch, ...]) -> str:
    return "".join(
        f"    {item.dtype}_t {item.name}[{item.elements}] ALIGNED;\n" for item in scratch
    )


def _call(function: EntryFunction, prefix: str, scratch: tuple[Scratch, ...]) -> str:
    arguments = [
        "x",
        *(f"{prefix}{constant.name}" for constant in function.kernel.constants),
        "scores",
        *(item.name for item in scratch),
        *(["(int64_t)n"] if function.rows else []),
    ]
    return f"    {function.kernel_symbol}({', '.join(arguments)});\n"


def _how(planned: PlannedKernels) -> str:
    plan = planned.plan
    return (
        f"One sample: {plan.single.form} form; batches: {plan.batch.form} form, "
        f"{plan.batch.tile} at a time ({plan.instruction_set})."
    )
