"""What calls compute against Python's integers: compiled C, and the DSP instructions themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.targets import list_cores, load_core
from qdeploy.toolchains import TOOLCHAINS

CORES = list_cores()
WORD = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
SHIFT = st.integers(0, 31)

C = """
#include <stdint.h>
uint32_t sum(uint32_t a, uint32_t b) { return a + b; }
uint32_t product(uint32_t a, uint32_t b) { return a * b; }
uint32_t high(uint32_t a, uint32_t b) { return (uint32_t)(((int64_t)(int32_t)a * (int32_t)b) >> 32); }
uint32_t unsigned_high(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }
uint32_t quotient(uint32_t a, uint32_t b) { return b ? a / b : 0; }
uint32_t remainder(uint32_t a, uint32_t b) { return b ? (uint32_t)((int32_t)(a >> 1) % (int32_t)b) : 0; }
uint32_t shifted(uint32_t a, uint32_t b) { return (uint32_t)((int32_t)a >> (b & 31)) ^ (a << (b & 31)); }
uint32_t least(uint32_t a, uint32_t b) { return (int32_t)a < (int32_t)b ? a : b; }
uint32_t bits(uint32_t a, uint32_t b) { uint32_t n = 0; for (a ^= b; a; a &= a - 1) n++; return n; }
uint32_t bytes(uint32_t a, uint32_t b) { return (uint32_t)((int8_t)a * (int8_t)(b >> 8) + (int16_t)b); }
"""  # noqa: E501


def signed(value, bits=32):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def truncated_remainder(a, b):
    a, b = signed(a >> 1), signed(b)
    return abs(a) % abs(b) * (1 if a >= 0 else -1) if b else 0


MEANING = {
    "sum": lambda a, b: a + b,
    "product": lambda a, b: a * b,
    "high": lambda a, b: signed(a) * signed(b) >> 32,
    "unsigned_high": lambda a, b: a * b >> 32,
    "quotient": lambda a, b: a // b if b else 0,
    "remainder": truncated_remainder,
    "shifted": lambda a, b: (signed(a) >> (b & 31)) ^ (a << (b & 31)),
    "least": lambda a, b: a if signed(a) < signed(b) else b,
    "bits": lambda a, b: (a ^ b).bit_count(),
    "bytes": lambda a, b: signed(a, 8) * signed(b >> 8, 8) + signed(b, 16),
}


@pytest.mark.parametrize("toolchain", TOOLCHAINS.names())
@pytest.mark.parametrize("core", CORES)
def test_compiled_functions(build, core, toolchain):
    machine = build(core, C, tuple(MEANING), toolchain=toolchain)

    @given(a=WORD, b=WORD)
    @settings(max_examples=40)
    def check(a, b):
        for name, meaning in MEANING.items():
            assert machine.call(name, a, b) == meaning(a, b) & 0xFFFFFFFF, name
            assert machine.call(name, a, b, strict=True) == meaning(a, b) & 0xFFFFFFFF, name

    check()


def lanes(value, bits, sign=True):
    parts = [value >> place & ((1 << bits) - 1) for place in range(0, 32, bits)]
    return [signed(part, bits) for part in parts] if sign else parts


def packed(parts, bits):
    return sum((part & ((1 << bits) - 1)) << bits * place for place, part in enumerate(parts))


def smlad(a, b, c):
    return sum(x * y for x, y in zip(lanes(a, 16), lanes(b, 16), strict=True)) + c


DSP = {
    "sadd16 r0, r0, r1": lambda a, b, c: packed(
        [x + y for x, y in zip(lanes(a, 16), lanes(b, 16), strict=True)], 16
    ),
    "ssub16 r0, r0, r1": lambda a, b, c: packed(
        [x - y for x, y in zip(lanes(a, 16), lanes(b, 16), strict=True)], 16
    ),
    "sasx r0, r0, r1": lambda a, b, c: packed(
        [lanes(a, 16)[0] - lanes(b, 16)[1], lanes(a, 16)[1] + lanes(b, 16)[0]], 16
    ),
    "ssax r0, r0, r1": lambda a, b, c: packed(
        [lanes(a, 16)[0] + lanes(b, 16)[1], lanes(a, 16)[1] - lanes(b, 16)[0]], 16
    ),
    "smlad r0, r0, r1, r2": smlad,
    "smulbb r0, r0, r1": lambda a, b, c: lanes(a, 16)[0] * lanes(b, 16)[0],
    "smlatb r0, r0, r1, r2": lambda a, b, c: lanes(a, 16)[1] * lanes(b, 16)[0] + c,
    "usada8 r0, r0, r1, r2": lambda a, b, c: (
        sum(abs(x - y) for x, y in zip(lanes(a, 8, False), lanes(b, 8, False), strict=True)) + c
    ),
    "sxtb16 r0, r0": lambda a, b, c: packed([signed(a, 8), signed(a >> 16, 8)], 16),
    "pkhbt r0, r0, r1, lsl #16": lambda a, b, c: a & 0xFFFF | (b & 0xFFFF) << 16,
    "smlald r2, r0, r0, r1\nmov r0, r2": lambda a, b, c: smlad(a, b, c),
    "ssat r0, #8, r0": lambda a, b, c: max(-128, min(127, signed(a))),
}


@pytest.mark.parametrize("core", [name for name in CORES if "dsp" in load_core(name).extensions])
@pytest.mark.parametrize("line", DSP)
def test_dsp_instructions(assemble, core, line):
    machine = assemble(core, f"{line}\nbx lr")

    @given(a=WORD, b=WORD, c=WORD)
    @settings(max_examples=30)
    def check(a, b, c):
        assert machine.call("f", a, b, c) == DSP[line](a, b, c) & 0xFFFFFFFF

    check()
    counts = machine.count("f", 1, 2, 3)
    kind = {"smlald": "multiply_long", "ssat": "alu"}.get(line.split()[0], "simd")
    assert counts.classes[kind] == 1
