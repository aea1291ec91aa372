"""What Armv8.1-M added, which the emulator does by itself: loops, and selects by conditions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WORD = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
CONDITIONS = {
    "eq": lambda a, b, x, y: a == b,
    "ne": lambda a, b, x, y: a != b,
    "hs": lambda a, b, x, y: a >= b,
    "lo": lambda a, b, x, y: a < b,
    "hi": lambda a, b, x, y: a > b,
    "ls": lambda a, b, x, y: a <= b,
    "ge": lambda a, b, x, y: x >= y,
    "lt": lambda a, b, x, y: x < y,
    "gt": lambda a, b, x, y: x > y,
    "le": lambda a, b, x, y: x <= y,
    "mi": lambda a, b, x, y: (a - b) >> 31 & 1 == 1,
    "pl": lambda a, b, x, y: (a - b) >> 31 & 1 == 0,
    "vs": lambda a, b, x, y: not -(2**31) <= x - y < 2**31,
    "vc": lambda a, b, x, y: -(2**31) <= x - y < 2**31,
}
ELSE = {
    "csel": lambda b: b,
    "csinc": lambda b: b + 1,
    "csinv": lambda b: ~b,
    "csneg": lambda b: -b,
}


FUNCTIONS = {f"{name}_{condition}": (name, condition) for name in ELSE for condition in CONDITIONS}


def test_selects(build):
    text = ".syntax unified\n.thumb\n" + "".join(
        f'.section .text.{function}, "ax", %progbits\n.global {function}\n'
        f".type {function}, %function\n.thumb_func\n{function}:\n"
        f"cmp r0, r1\n{name} r0, r2, r3, {condition}\nbx lr\n"
        for function, (name, condition) in FUNCTIONS.items()
    )
    machine = build("cortex-m55", text, tuple(FUNCTIONS), kind="S")

    @given(a=WORD, b=WORD, c=WORD, d=WORD)
    @settings(max_examples=40)
    def check(a, b, c, d):
        signed = [value - (value >> 31 << 32) for value in (a, b)]
        for function, (name, condition) in FUNCTIONS.items():
            expected = c if CONDITIONS[condition](a, b, *signed) else ELSE[name](d)
            assert machine.call(function, a, b, c, d) == expected & 0xFFFFFFFF, function

    check()


def test_select_of_nothing(assemble):
    machine = assemble("cortex-m55", "cmp r0, #3\ncset r0, eq\nbx lr")
    assert [machine.call("f", value) for value in (3, 4)] == [1, 0]
    assert machine.count("f", 3).classes == {"alu": 2, "indirect": 1}


@pytest.mark.parametrize("rounds", [1, 2, 100])
def test_loop_with_a_count(assemble, rounds):
    lines = (
        "push {r4, lr}\nmovs r1, #0\ndls lr, r0\n1: adds r1, #3\nle lr, 1b\n"
        "mov r0, r1\npop {r4, pc}"
    )
    machine = assemble("cortex-m55", lines)
    assert machine.call("f", rounds) == 3 * rounds
    counts = machine.count("f", rounds)
    assert counts.classes == {
        "alu": 1 + 1 + rounds + 1, "loop": rounds, "store_multiple": 1, "load_branch": 1,
    }  # fmt: skip
    # The loop's end costs no refill of the pipeline; the return does.
    assert counts.taken_branches == 1


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_loop_that_may_not_run(assemble, rounds):
    lines = (
        "push {r4, lr}\nmovs r1, #0\nwls lr, r0, 2f\n1: adds r1, #3\nle lr, 1b\n"
        "2: mov r0, r1\npop {r4, pc}"
    )
    machine = assemble("cortex-m55", lines)
    assert machine.call("f", rounds, strict=True) == 3 * rounds
    assert machine.count("f", rounds).taken_branches == 1 + (rounds == 0)


def test_loop_without_a_count(assemble):
    lines = "movs r1, #0\n1: adds r1, r0\nsubs r0, #1\ncbz r0, 2f\nle 1b\n2: mov r0, r1\nbx lr"
    machine = assemble("cortex-m55", lines)
    assert machine.call("f", 10) == 55
    assert machine.count("f", 10).classes["loop"] == 9
