"""Single instructions that kernels for microcontrollers name: one table, three languages.

A kernel calls ``qdeploy_NAME``. TVM's C generator prints the call and finds an inline function in
front of it; TVM's LLVM generator links an always-inlined definition. Both hold the same line of
assembler. Where the instruction does not exist (other compilers, other machines, the host under
sanitizers) the C function computes the same integer in portable C.

Ordered operations keep their place: LLVM and GCC would otherwise regroup the sums of straight-line
code by accumulator and spill every input.
"""

import re
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.targets import Core

__all__ = ["OPERATIONS", "Operation", "barrier", "c_definitions", "call", "llvm_definitions"]

_PREFIX = "qdeploy_"


@dataclass(frozen=True)
class Operation:
    """One operation on 32-bit words.

    Attributes:
        operands: names of the C parameters; `pointer` is an address.
        assembler: one instruction; {0} is the result, {1} … are the operands. Empty where the
            meaning in C is already the best code.
        portable: C expression of the same value, free of undefined behaviour.
        requires: extension of the core that has the instruction; empty for all cores.
        ordered: whether it must stay where it stands.
    """

    operands: tuple[str, ...]
    assembler: str
    portable: str
    requires: str = ""
    ordered: bool = False


def _lanes(low: str, high: str) -> str:
    """C expression of a word from its low and high halfword."""
    return f"(int32_t)((uint32_t)(uint16_t)({low}) | ((uint32_t)(uint16_t)({high}) << 16))"


def _dual(mnemonic: str, low: str, high: str) -> Operation:
    return Operation(
        ("a", "b"), f"{mnemonic} {{0}}, {{1}}, {{2}}", _lanes(low, high), "dsp", ordered=True
    )


_LOW, _HIGH = "(int16_t)({0})", "(int16_t)((uint32_t)({0}) >> 16)"
_A, _B = (_LOW.format("a"), _HIGH.format("a")), (_LOW.format("b"), _HIGH.format("b"))
_BYTE = "(int8_t)((uint32_t)a >> {0})"

OPERATIONS: dict[str, Operation] = {
    "add": Operation(
        ("a", "b"), "add {0}, {1}, {2}", "(int32_t)((uint32_t)a + (uint32_t)b)", ordered=True
    ),
    "sub": Operation(
        ("a", "b"), "sub {0}, {1}, {2}", "(int32_t)((uint32_t)a - (uint32_t)b)", ordered=True
    ),
    "add_upper": Operation(
        ("a", "b"),
        "add {0}, {1}, {2}, lsl #16",
        "(int32_t)((uint32_t)a + ((uint32_t)b << 16))",
        "unaligned",
        ordered=True,
    ),
    "doubled_less": Operation(
        ("a", "b"),
        "rsb {0}, {2}, {1}, lsl #1",
        "(int32_t)(((uint32_t)a << 1) - (uint32_t)b)",
        "unaligned",
        ordered=True,
    ),
    "sadd16": _dual("sadd16", f"{_A[0]} + {_B[0]}", f"{_A[1]} + {_B[1]}"),
    "ssub16": _dual("ssub16", f"{_A[0]} - {_B[0]}", f"{_A[1]} - {_B[1]}"),
    "sasx": _dual("sasx", f"{_A[0]} - {_B[1]}", f"{_A[1]} + {_B[0]}"),
    "ssax": _dual("ssax", f"{_A[0]} + {_B[1]}", f"{_A[1]} - {_B[0]}"),
    "smusd": Operation(
        ("a", "b"), "smusd {0}, {1}, {2}", f"{_A[0]} * {_B[0]} - {_A[1]} * {_B[1]}", "dsp"
    ),
    "pkhbt": Operation(("a", "b"), "pkhbt {0}, {1}, {2}, lsl #16", _lanes(_A[0], _B[0]), "dsp"),
    "pkhtb": Operation(("a", "b"), "pkhtb {0}, {1}, {2}, asr #16", _lanes(_B[1], _A[1]), "dsp"),
    "mla": Operation(
        ("a", "b", "c"),
        "mla {0}, {1}, {2}, {3}",
        "(int32_t)((uint32_t)a * (uint32_t)b + (uint32_t)c)",
        "unaligned",
        ordered=True,
    ),
    "smlad": Operation(
        ("a", "b", "c"),
        "smlad {0}, {1}, {2}, {3}",
        f"(int32_t)((uint32_t)({_A[0]} * {_B[0]}) + (uint32_t)({_A[1]} * {_B[1]}) + (uint32_t)c)",
        "dsp",
        ordered=True,
    ),
    "usada8": Operation(
        ("a", "b", "c"),
        "usada8 {0}, {1}, {2}, {3}",
        "c + qdeploy_distance(a, b) + qdeploy_distance(a >> 8, b >> 8)"
        " + qdeploy_distance(a >> 16, b >> 16) + qdeploy_distance(a >> 24, b >> 24)",
        "dsp",
    ),
    "sxtb16": Operation(
        ("a",), "sxtb16 {0}, {1}", _lanes(_BYTE.format(0), _BYTE.format(16)), "dsp"
    ),
    "sxtb16_ror8": Operation(
        ("a",), "sxtb16 {0}, {1}, ror #8", _lanes(_BYTE.format(8), _BYTE.format(24)), "dsp"
    ),
    "broadcast_low": Operation(("a",), "pkhbt {0}, {1}, {1}, lsl #16", _lanes(_A[0], _A[0]), "dsp"),
    "broadcast_high": Operation(
        ("a",), "pkhtb {0}, {1}, {1}, asr #16", _lanes(_A[1], _A[1]), "dsp"
    ),
    "load4": Operation(("pointer",), "", "((const struct qdeploy_word *)pointer)->value"),
    "halfword": Operation(("pointer", "a"), "", "((const qdeploy_half *)pointer)[a]"),
    "hidden": Operation(("a",), "", "a", ordered=True),
    "barrier": Operation((), "", "0", ordered=True),
}
"""By name. `add`, `sub` and `mla` are ordinary arithmetic that the compiler may not regroup;
`hidden` is a value that it knows nothing of."""

_HELPERS = {
    "usada8": """\
static inline int32_t qdeploy_distance(int32_t a, int32_t b)
{
    int32_t d = (int32_t)(uint8_t)a - (int32_t)(uint8_t)b;
    return d < 0 ? -d : d;
}
""",
    "load4": """\
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
struct __attribute__((packed, may_alias)) qdeploy_word { int32_t value; };
#endif
""",
    "halfword": """\
#if defined(__GNUC__) || defined(__clang__)
typedef int16_t __attribute__((may_alias)) qdeploy_half;
#else
typedef int16_t qdeploy_half;
#endif
""",
}

_LOAD4_PORTABLE = (
    "(int32_t)((uint32_t)((const uint8_t *)pointer)[0]"
    " | ((uint32_t)((const uint8_t *)pointer)[1] << 8)"
    " | ((uint32_t)((const uint8_t *)pointer)[2] << 16)"
    " | ((uint32_t)((const uint8_t *)pointer)[3] << 24))"
)


def call(name: str, *operands: Any) -> Any:
    """The value of an operation, bound to a name: int32."""
    return tir.bind(tirx.call_extern("int32", _PREFIX + name, *operands))


def barrier() -> None:
    """Nothing that was loaded before may be kept for later: a pass starts with free registers."""
    tir.evaluate(tirx.call_extern("int32", _PREFIX + "barrier"))


def c_definitions(source: str) -> str:
    """Inline C functions for the operations that a kernel's C source calls."""
    called = set(re.findall(rf"\b{_PREFIX}(\w+)\(", source))
    used = [name for name in OPERATIONS if name in called]
    if not used:
        return ""
    parts = [
        "#if defined(__GNUC__) || defined(__clang__)\n"
        "#define QDEPLOY_INLINE static inline __attribute__((always_inline))\n"
        "#else\n"
        "#define QDEPLOY_INLINE static inline\n"
        "#endif\n"
    ]
    for name in used:
        parts += [_HELPERS.get(name, ""), _c_function(name, OPERATIONS[name])]
    return "\n".join(part for part in parts if part)


_ARM_GNU = "defined(__GNUC__) && defined(__arm__)"


def _c_function(name: str, operation: Operation) -> str:
    parameters = ", ".join(
        "const void *pointer" if operand == "pointer" else f"int32_t {operand}"
        for operand in operation.operands
    )
    head = f"QDEPLOY_INLINE int32_t {_PREFIX}{name}({parameters or 'void'})\n{{\n"
    if name == "barrier":
        body = (
            '#if defined(__GNUC__)\n    __asm__ volatile("" ::: "memory");\n#endif\n    return 0;\n'
        )
    elif name == "hidden":
        body = '#if defined(__GNUC__)\n    __asm__ volatile("" : "+r"(a));\n#endif\n    return a;\n'
    elif name == "load4":
        body = (
            "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__\n"
            f"    return {operation.portable};\n#else\n    return {_LOAD4_PORTABLE};\n#endif\n"
        )
    elif not operation.assembler:
        body = f"    return {operation.portable};\n"
    elif operation.requires == "dsp":
        body = _c_choice(
            [(f"{_ARM_GNU} && defined(__ARM_FEATURE_SIMD32)", _c_assembler(operation, "r"))],
            operation,
        )
    elif operation.requires:
        body = _c_choice(
            [(f"{_ARM_GNU} && defined(__thumb2__)", _c_assembler(operation, "r"))], operation
        )
    else:
        thumb1 = _c_assembler(operation, "l", prefix=".syntax unified\\n\\t", flags=True)
        body = _c_choice(
            [
                (f"{_ARM_GNU} && defined(__thumb2__)", _c_assembler(operation, "r")),
                (f"{_ARM_GNU} && defined(__thumb__)", thumb1),
                ("defined(__GNUC__) && defined(__riscv)", _c_assembler(operation, "r")),
            ],
            operation,
        )
    return f"{head}{body}}}\n"


def _c_choice(cases: list[tuple[str, str]], operation: Operation) -> str:
    text = ""
    for number, (condition, body) in enumerate(cases):
        text += f"#{'elif' if number else 'if'} {condition}\n{body}"
    return f"{text}#else\n    return {operation.portable};\n#endif\n"


def _c_assembler(
    operation: Operation, register: str, prefix: str = "", *, flags: bool = False
) -> str:
    places = [f"%{place}" for place in range(len(operation.operands) + 1)]
    instruction = _with_flags(operation.assembler, flags=flags).format(*places)
    inputs = ", ".join(f'"{register}"({operand})' for operand in operation.operands)
    keyword = "__asm__ volatile" if operation.ordered else "__asm__"
    clobbers = ' : "cc"' if flags else ""
    return (
        "    int32_t r;\n"
        f'    {keyword}("{prefix}{instruction}" : "={register}"(r) : {inputs}{clobbers});\n'
        "    return r;\n"
    )


def _with_flags(assembler: str, *, flags: bool) -> str:
    """The first Thumb instruction set only has the additions that set the flags."""
    if not flags:
        return assembler
    mnemonic, _, rest = assembler.partition(" ")
    return f"{mnemonic}s {rest}"


def llvm_definitions(core: Core) -> str:
    """LLVM definitions of every operation that a core has."""
    return "\n".join(
        _llvm_function(name, operation, core)
        for name, operation in OPERATIONS.items()
        if not operation.requires or operation.requires in core.extensions
    )


def _llvm_function(name: str, operation: Operation, core: Core) -> str:
    types = ["ptr" if operand == "pointer" else "i32" for operand in operation.operands]
    parameters = ", ".join(f"{kind} %p{place}" for place, kind in enumerate(types))
    head = f"define internal i32 @{_PREFIX}{name}({parameters}) alwaysinline {{\n"
    if name == "barrier":
        return head + '  call void asm sideeffect "", "~{memory}"()\n  ret i32 0\n}'
    if name == "hidden":
        return head + '  %r = call i32 asm sideeffect "", "=r,0"(i32 %p0)\n  ret i32 %r\n}'
    if name == "load4":
        return head + "  %r = load i32, ptr %p0, align 1\n  ret i32 %r\n}"
    if name == "halfword":
        return (
            f"{head}  %q = getelementptr i16, ptr %p0, i32 %p1\n"
            "  %h = load i16, ptr %q, align 2\n  %r = sext i16 %h to i32\n  ret i32 %r\n}"
        )
    thumb1 = core.architecture == "arm" and "unaligned" not in core.extensions
    register = "l" if thumb1 else "r"
    places = [f"${place}" for place in range(len(types) + 1)]
    instruction = _with_flags(operation.assembler, flags=thumb1).format(*places)
    constraints = ",".join([f"={register}", *[register] * len(types)])
    constraints += ",~{cc}" if thumb1 else ""
    effect = "sideeffect " if operation.ordered else ""
    return (
        f'{head}  %r = call i32 asm {effect}"{instruction}", "{constraints}"({parameters})\n'
        "  ret i32 %r\n}"
    )
