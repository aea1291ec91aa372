"""The C files of a microcontroller artifact: header, source, and the entry around LLVM's object.

The source holds everything: operations, constants, the kernel as TVM's C generator prints it, one
static arena, and the public functions, which compute nothing themselves. It is freestanding C99 and
needs ``stdint.h`` alone.
"""

import re
from collections.abc import Iterator

from qdeploy.compiler.c_source import Symbols, array_source, made_static, model_facts
from qdeploy.compiler.lowering import lower_to_c
from qdeploy.compiler.mcu.front import FloatFront
from qdeploy.compiler.mcu.kernel import McuKernel, kernel_functions
from qdeploy.compiler.mcu.memory import ArenaPlan
from qdeploy.compiler.mcu.operations import c_definitions
from qdeploy.model import Model

__all__ = ["entry_source", "header_source", "model_source"]


def header_source(
    model: Model, symbols: Symbols, how: str, arena: ArenaPlan, front: FloatFront | None
) -> str:
    """The public header: C99 and C++, with what a caller must know.

    Args:
        model: the model.
        symbols: its names in C.
        how: one sentence on how it is computed.
        arena: its working memory.
        front: what quantises raw features, where that was asked for.
    """
    network, name, macro = model.network, symbols.name, symbols.macro
    facts = "\n".join(f" * {line}".rstrip() for line in model_facts(model, how))
    features = prototype = ""
    if front is not None:
        features = (
            f"\n/* Raw features of one sample. */\n#define {macro}_FEATURES {front.features}\n"
        )
        prototype = (
            f"\n/* The same of raw features: x holds {macro}_FEATURES finite values in the units\n"
            " * of the training data. Returns -1 where one is infinite or not a number. */\n"
            f"int {name}_predict_features(const float *x, {symbols.score_type} *scores);\n"
        )
    return f"""/*
{facts}
 */
#ifndef {macro}_H
#define {macro}_H

#include <stdint.h>

/* int8 inputs of one sample, and scores it gets. */
#define {macro}_INPUTS {network.inputs}
#define {macro}_OUTPUTS {network.outputs}

/* Real value of one unit of a score. */
#define {macro}_SCALE {model.scale!r}

/* Bytes of the static arena that a call works in. */
#define {macro}_SCRATCH_BYTES {arena.bytes}
{features}
#ifdef __cplusplus
extern "C" {{
#endif

typedef {network.score_dtype}_t {symbols.score_type};

/* Scores of one sample: x holds {macro}_INPUTS values, scores takes {macro}_OUTPUTS.
 * Returns 0, or -1 for a null pointer. Allocates nothing; not reentrant, for it works in one
 * static arena. */
int {symbols.predict}(const int8_t *x, {symbols.score_type} *scores);
{prototype}
#ifdef __cplusplus
}}
#endif

#endif
"""


def model_source(
    kernel: McuKernel, symbols: Symbols, arena: ArenaPlan, front: FloatFront | None
) -> str:
    """The complete C source, with the kernels as TVM's C generator prints them."""
    body = _static_kernel(kernel, symbols.single_kernel)
    if front is not None:
        body += "\n" + front.c_source(symbols)
    return "\n".join(
        [
            f'#include "{symbols.name}.h"\n',
            c_definitions(body),
            *_constants(kernel, symbols),
            body,
            *_public(kernel, symbols, arena, front),
        ]
    )


def entry_source(
    kernel: McuKernel, symbols: Symbols, arena: ArenaPlan, front: FloatFront | None
) -> str:
    """The C source around a kernel that TVM's LLVM compiled: constants, arena, public functions."""
    parts = [f'#include "{symbols.name}.h"\n']
    if front is not None:
        body = front.c_source(symbols)
        parts += [c_definitions(body), body]
    return "\n".join(
        [
            *parts,
            *_constants(kernel, symbols),
            *(
                f"extern void {name}({', '.join(_parameter_types(kernel))});"
                for name in kernel_functions(kernel, symbols.single_kernel)
            ),
            "",
            *_public(kernel, symbols, arena, front),
        ]
    )


def _constants(kernel: McuKernel, symbols: Symbols) -> Iterator[str]:
    """Constant arrays, whose names no parameter has: compilers may warn of hidden names."""
    for item in kernel.constants:
        yield array_source(f"{symbols.name}_{item.name}", item.values)


def _parameter_types(kernel: McuKernel) -> list[str]:
    return [
        "const int8_t *",
        *(f"const {constant.values.dtype}_t *" for constant in kernel.constants),
        f"{kernel.network.score_dtype}_t *",
        *(f"{item.dtype}_t *" for item in kernel.scratch),
    ]


def _static_kernel(kernel: McuKernel, symbol: str) -> str:
    """The kernel as static functions of C whose read-only parameters are const."""
    text = ""
    for name, function in kernel_functions(kernel, symbol).items():
        part = lower_to_c({name: function}).replace("#include <stdint.h>\n", "")
        for constant in ("x", *(item.name for item in kernel.constants)):
            part = re.sub(rf"(?<=[(, ])(\w+_t\* {constant})(?=[,)])", r"const \1", part, count=1)
        part = "\n".join(_used_lines(made_static(part, name)))
        text += _with_parameters_used(part, name) + "\n"
    return text


def _with_parameters_used(text: str, function: str) -> str:
    """The function, of several that have the same parameters, without warnings on some of them."""
    head, body = re.split(r"(?<={)\n", text[(start := text.index(f"{function}(")) :], maxsplit=1)
    parameters = re.findall(r"(\w+)(?=[,)])", head)
    unused = [name for name in parameters if not re.search(rf"\b{name}\b", body)]
    return text[:start] + head + "\n" + "".join(f"  (void){name};\n" for name in unused) + body


_LOCAL = re.compile(r"^\s+\w+_t (\w+) = (.*);$")
_CALL = re.compile(r"(\w+)\(")


def _without_effect(function: str) -> bool:
    return function.startswith("qdeploy_") and function != "qdeploy_barrier"


def _used_lines(text: str) -> Iterator[str]:
    """The lines without definitions that nothing uses.

    TVM's simplifier has put some where they are used, and neurons of weight zero need none. Of our
    operations only the barrier has an effect besides its value; other calls stay for theirs.
    """
    used: set[str] = set()
    kept = []
    for line in reversed(text.splitlines()):
        local = _LOCAL.match(line)
        if local and local[1] not in used and all(map(_without_effect, _CALL.findall(local[2]))):
            continue
        used.update(re.findall(r"\w+", local[2] if local else line))
        kept.append(line)
    return reversed(kept)


def _arena(symbols: Symbols, arena: ArenaPlan) -> str:
    members = ""
    for number, slot in enumerate(arena.slots):
        for item in slot:
            assert item.elements > 0, "scratch arrays are not empty"
        if len(slot) == 1:
            members += f"    {slot[0].dtype}_t {slot[0].name}[{slot[0].elements}];\n"
        else:
            inner = " ".join(f"{item.dtype}_t {item.name}[{item.elements}];" for item in slot)
            members += f"    union {{ {inner} }} slot{number};\n"
    return (
        f"/* Working memory: {symbols.macro}_SCRATCH_BYTES. */\n"
        f"static union {{\n  int64_t bytes[{symbols.macro}_SCRATCH_BYTES / 8];\n"
        f"  struct {{\n{members}  }} in;\n}} {symbols.name}_arena;\n"
    )


def _places(symbols: Symbols, arena: ArenaPlan) -> dict[str, str]:
    places = {}
    for number, slot in enumerate(arena.slots):
        for item in slot:
            inner = f"slot{number}." if len(slot) > 1 else ""
            places[item.name] = f"{symbols.name}_arena.in.{inner}{item.name}"
    return places


def _public(
    kernel: McuKernel, symbols: Symbols, arena: ArenaPlan, front: FloatFront | None
) -> Iterator[str]:
    score = symbols.score_type
    if kernel.scratch:
        yield _arena(symbols, arena)
    places = _places(symbols, arena)
    arguments = [
        "x",
        *(f"{symbols.name}_{constant.name}" for constant in kernel.constants),
        "scores",
        *(places[item.name] for item in kernel.scratch),
    ]
    count = len(kernel.parts())
    names = [symbols.single_kernel + (f"_{number}" if count > 1 else "") for number in range(count)]
    yield (
        f"int {symbols.predict}(const int8_t *x, {score} *scores)\n{{\n"
        "    if (!x || !scores)\n        return -1;\n"
        + "".join(f"    {name}({', '.join(arguments)});\n" for name in names)
        + "    return 0;\n}\n"
    )
    if front is not None:
        yield front.public_source(symbols)
